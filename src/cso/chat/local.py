"""A model in this process as a speaker. Apart from the others, because what it needs takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

from cso.chat.speakers import Said
from cso.dialogue import Dialogue
from cso.evaluate.local import LocalModel
from cso.settings import EvaluateSettings
from cso.taxonomy import Taxonomy
from cso.train.memory import memory_advice
from cso.transcript import prompt, tag

ADVICE = "lower evaluate.max_length or --max-tokens, or take a smaller model"


@dataclass(frozen=True, slots=True)
class LocalSpeaker:
    """A loaded model."""

    model: LocalModel
    taxonomy: Taxonomy
    settings: EvaluateSettings
    address: None = None

    def reply(self, history: Dialogue, *, strategy: str | None = None, sample: int) -> Said:
        with memory_advice(ADVICE):
            prompts = self.model.prompts([prompt(history, self.taxonomy)])
            [(_, text)] = self.model.write(
                prompts,
                ["" if strategy is None else tag(strategy)],
                max_tokens=self.settings.max_tokens,
                temperature=self.settings.temperature,
                seed=sample,
            )
        return Said(text, prompts[0].trimmed)

    def chances(self, history: Dialogue) -> list[float]:
        with memory_advice(ADVICE):
            [(_, found)] = self.model.choose(self.model.prompts([prompt(history, self.taxonomy)]), self.taxonomy)
        return found

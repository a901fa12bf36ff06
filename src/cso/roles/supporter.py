"""The supporter, played by a chat model (Figure 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cso.dialogue import Dialogue, Speaker
from cso.errors import AnswerError
from cso.llm.chat import Message
from cso.roles.ask import Asking, ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.words import spoken
from cso.taxonomy import Speakers, Strategy, Taxonomy


def render(history: Dialogue, strategy: Strategy, speakers: Speakers, prompt: Prompt) -> tuple[Message, ...]:
    """The question: history, strategies hidden, and the strategy to follow."""
    return prompt.fill(values(history, strategy, speakers))


def values(history: Dialogue, strategy: Strategy, speakers: Speakers) -> Mapping[str, object]:
    """What the supporter's prompt may use."""
    return {
        "speakers": speakers,
        "history": transcript(history, speakers, strategies=False),
        "strategy": strategy,
    }


def parse(text: str, taxonomy: Taxonomy, *, cut_off: bool = False) -> str:
    """The supporter's reply. `cut_off`: the model was stopped by its token limit. Raises AnswerError."""
    name = taxonomy.speakers.supporter.lower()
    words = spoken(text, Speaker.SUPPORTER, taxonomy.speakers, taxonomy)
    if not words.text:
        raise AnswerError(f"expected what the {name} says, found nothing", reason="empty", text=text)
    if cut_off and not words.followed:
        raise AnswerError(f"the {name}'s words were cut off; say it in fewer", reason="cut off", text=text)
    return words.text


@dataclass(frozen=True, slots=True)
class ChatSupporter:
    """Implements `cso.search.Supporter`."""

    asking: Asking
    prompt: Prompt
    taxonomy: Taxonomy

    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        """Raises AnswerError, and what the chat raises."""
        request = self.asking.request(render(history, strategy, self.taxonomy.speakers, self.prompt), sample=sample)
        return await ask(
            self.asking, request, lambda answer: parse(answer.text, self.taxonomy, cut_off=answer.finish == "length")
        )

"""Who replies: a model in this process, or one behind an endpoint."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cso.dialogue import Dialogue
from cso.errors import InputError
from cso.llm.answers import Answers
from cso.llm.chat import Chat, Message, Request
from cso.settings import EvaluateSettings
from cso.taxonomy import Taxonomy
from cso.transcript import prompt


class Said(NamedTuple):
    """What a model replied, its strategy's tag included."""

    text: str
    trimmed: bool = False  # it was not shown the oldest turns, which no longer fit
    cut_off: bool = False  # it was stopped by the limit of tokens


class Speaker(Protocol):
    """A model that one can talk to. Both raise CsoError where it gives no answer to this."""

    @property
    def address(self) -> str | None:
        """Where words are sent; None: nowhere."""
        ...

    def reply(self, history: Dialogue, *, strategy: str | None = None, sample: int) -> Said:
        """A reply to the last turn, by the strategy if one is given. `sample` tells draws apart."""
        ...

    def chances(self, history: Dialogue) -> list[float]:
        """How likely each strategy of the taxonomy is to open the reply, in sum 1."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointSpeaker:
    """A chat model. `runner` is where `chat` was opened; `answers` has its requests that are on their way."""

    chat: Chat
    model: str
    address: str
    taxonomy: Taxonomy
    settings: EvaluateSettings
    runner: asyncio.Runner
    answers: Answers

    def reply(self, history: Dialogue, *, strategy: str | None = None, sample: int) -> Said:
        if strategy is not None:
            raise InputError("/say: an endpoint cannot be told how a reply opens; it needs a model in this process")
        request = Request(
            model=self.model,
            messages=tuple(
                Message(message["role"], message["content"])  # type: ignore[arg-type]
                for message in prompt(history, self.taxonomy)
            ),
            temperature=self.settings.temperature,
            max_tokens=self.settings.max_tokens,
            sample=sample,
        )
        try:
            completion = self.runner.run(self.chat(request))
        except KeyboardInterrupt:
            self.runner.run(self.answers.settle(cancel=True))
            raise
        return Said(completion.text, cut_off=completion.finish == "length")

    def chances(self, history: Dialogue) -> list[float]:
        raise InputError("/why: an endpoint gives no probabilities of strategies; it needs a model in this process")

"""The supporter (Figure 6): one reply by a given strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from cso.dialogue import Dialogue
from cso.llm.chat import Chat, Request
from cso.roles.ask import ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.text import bare
from cso.taxonomy import Strategy, Taxonomy


@dataclass(frozen=True, slots=True)
class ChatSupporter:
    """Strategies of earlier turns are hidden from it. `request` holds everything but the messages."""

    chat: Chat
    prompt: Prompt
    request: Request
    taxonomy: Taxonomy

    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        """Raises AnswerError, and what the chat raises."""
        request = self.request.filled(self.prompt.fill(values(history, strategy)), sample)
        return await ask(self.chat, request, partial(parse, taxonomy=self.taxonomy), role="supporter", whole=True)


def values(history: Dialogue, strategy: Strategy) -> Mapping[str, object]:
    """What the prompt may use."""
    return {"history": transcript(history, strategies=False), "strategy": strategy}


def parse(text: str, *, taxonomy: Taxonomy) -> str:
    """The reply without its speaker's name or a strategy of the taxonomy in brackets before it."""
    return bare(text, speaker="supporter", strategies=taxonomy.names)

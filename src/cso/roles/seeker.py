"""The seeker (Figure 5): says the next thing, or that the dialogue is over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cso.dialogue import Dialogue
from cso.llm.chat import Chat, Request
from cso.roles.ask import ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.text import bare
from cso.search.cast import Utterance

_END = re.compile(r"<\s*/?\s*end\s*/?\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChatSeeker:
    """Strategies are hidden from it. `request` holds everything but the messages."""

    chat: Chat
    prompt: Prompt
    request: Request

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        """Raises AnswerError, and what the chat raises."""
        request = self.request.filled(self.prompt.fill(values(history)), sample)
        return await ask(self.chat, request, parse, role="seeker", whole=True)


def values(history: Dialogue) -> Mapping[str, object]:
    """What the prompt may use."""
    return {
        "history": transcript(history, strategies=False),
        "situation": history.situation,
        "emotion": history.emotion,
        "scene": history.scene,
    }


def parse(text: str) -> Utterance:
    """What the seeker says; words before `</end/>` are a farewell, words after it are nobody's."""
    end = _END.search(text)
    if end is None:
        return Utterance(bare(text, speaker="seeker"), ends=False)
    try:
        return Utterance(bare(text[: end.start()], speaker="seeker"), ends=True)
    except ValueError:
        return Utterance("", ends=True)

"""The seeker, played by a chat model (Figure 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cso.dialogue import Dialogue, Speaker
from cso.errors import AnswerError
from cso.llm.chat import Message
from cso.roles.ask import Asking, ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.words import spoken, unquoted
from cso.search.cast import Utterance
from cso.taxonomy import Speakers

END = re.compile(  # `</end/>`, and what models make of it at the end of a line
    r"</end/>|<\s?/?\s?end\s?/?\s?>(?=\W*$)", re.IGNORECASE | re.MULTILINE
)
DECORATION = "`*_\"'“”()[] \n\t"


def render(history: Dialogue, speakers: Speakers, prompt: Prompt) -> tuple[Message, ...]:
    """The question: situation, emotion and history, strategies hidden."""
    return prompt.fill(values(history, speakers))


def values(history: Dialogue, speakers: Speakers) -> Mapping[str, object]:
    """What the seeker's prompt may use."""
    return {
        "situation": history.situation,
        "emotion": history.emotion,
        "scene": history.scene,
        "speakers": speakers,
        "history": transcript(history, speakers, strategies=False),
    }


def parse(text: str, speakers: Speakers, *, cut_off: bool = False) -> Utterance:
    """The seeker's words, or the end: words before `</end/>` are a farewell, words behind it are dropped.

    `cut_off`: the model was stopped by its token limit. Raises AnswerError.
    """
    words = spoken(text, Speaker.SEEKER, speakers)
    if (tag := END.search(words.text)) is not None:
        farewell = unquoted(words.text[: tag.start()].rstrip("`*_ \n"))  # of `**</end/>**`
        return Utterance(farewell if farewell.strip(DECORATION) else "", ends=True)
    if not words.text:
        raise AnswerError(
            f"expected what the {speakers.seeker.lower()} says or </end/>, found nothing", reason="empty", text=text
        )
    if cut_off and not words.followed:
        raise AnswerError(
            f"the {speakers.seeker.lower()}'s words were cut off; say it in fewer", reason="cut off", text=text
        )
    return Utterance(words.text, ends=False)


@dataclass(frozen=True, slots=True)
class ChatSeeker:
    """Implements `cso.search.Seeker`."""

    asking: Asking
    prompt: Prompt
    speakers: Speakers

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        """Raises AnswerError, and what the chat raises."""
        request = self.asking.request(render(history, self.speakers, self.prompt), sample=sample)
        return await ask(
            self.asking, request, lambda answer: parse(answer.text, self.speakers, cut_off=answer.finish == "length")
        )

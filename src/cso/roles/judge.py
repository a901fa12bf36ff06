"""The judge (Figure 8): marks the last supporter turn by the rubric of Table 12."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cso.dialogue import Dialogue
from cso.llm.chat import Chat, Request
from cso.rating import HIGHEST_MARK, Rating, Rubric
from cso.roles.ask import ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.text import as_object, json_values, number

_LINE = re.compile(
    r"[\s*#-]*(?:\d+[.)]\s*(?=[^\W\d]))?"  # a list's mark, or a number before a name
    r"([\w ]+?)(?:\s*\(\w\))?[\s*_]*[:.)=]+"  # the label
    r"[\s*_]*(.+?)[\s*_]*"  # the mark
)
KEYS = ("E", "I", "H", "S")  # what the four marks are called on the wire


@dataclass(frozen=True, slots=True)
class ChatJudge:
    """Sees the strategies of all turns. `request` holds everything but the messages."""

    chat: Chat
    prompt: Prompt
    request: Request
    rubric: Rubric

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        """Raises AnswerError, and what the chat raises."""
        request = self.request.filled(self.prompt.fill(values(history, self.rubric)), sample)
        return await ask(self.chat, request, partial(parse, rubric=self.rubric), role="judge", whole=False)


def values(history: Dialogue, rubric: Rubric) -> Mapping[str, object]:
    """What the prompt may use."""
    return {"history": transcript(history, strategies=True), "rubric": rubric, "keys": KEYS}


def schema() -> Mapping[str, Any]:
    """A JSON object with the four marks."""
    marks = {key: {"type": "integer", "enum": list(range(HIGHEST_MARK + 1))} for key in KEYS}
    return {"type": "object", "properties": marks, "required": list(KEYS), "additionalProperties": False}


def parse(text: str, *, rubric: Rubric) -> Rating:
    """Four marks: the last JSON object that has any, or lines such as `1: 3`, `2. 4/4`, `Empathy: 3`.

    ValueError where a mark is missing, given twice with different values, or no whole number from 0 to 4.
    """
    for value in json_values(text):
        found = _marks(value, rubric)
        if found:
            return _rating(found)
    return _rating(_lines(text, rubric))


def _place(label: str, rubric: Rubric) -> int | None:
    """Which criterion a label means: its number, its key, or its name."""
    word = label.strip(" *_#.():-").casefold()
    for place, criterion in enumerate(rubric.criteria):
        if word in (str(place + 1), KEYS[place].casefold(), criterion.name.casefold()):
            return place
    return None


def _marks(value: object, rubric: Rubric) -> dict[int, object]:
    """The entries that name a criterion, of the object itself or of the first object in it that has any."""
    entries = as_object(value)
    if entries is None:
        return {}
    own = {place: mark for key, mark in entries.items() if (place := _place(key, rubric)) is not None}
    for nested in () if own else entries.values():
        if inner := _marks(nested, rubric):
            return inner
    return own


def _lines(text: str, rubric: Rubric) -> dict[int, object]:
    """Lines of a label and a mark. A number before a name (`1. Empathy: 3`) is passed over."""
    marks: dict[int, object] = {}
    for line in text.splitlines():
        found = re.fullmatch(
            r"[\s*#-]*(?:\d+[.)]\s*(?=[^\W\d]))?([\w ]+?)(?:\s*\(\w\))?[\s*_]*[:.)=]+[\s*_]*(.+?)[\s*_]*", line
        )
        place = _place(found[1], rubric) if found else None
        if found is None or place is None:
            continue
        if marks.setdefault(place, found[2]) != found[2]:
            raise ValueError(f"two different marks for {KEYS[place]}: {marks[place]!r} and {found[2]!r}")
    return marks


def _rating(marks: Mapping[int, object]) -> Rating:
    missing = [key for place, key in enumerate(KEYS) if place not in marks]
    if missing:
        raise ValueError(f"no mark for {', '.join(missing)}")
    whole: list[int] = []
    for place, key in enumerate(KEYS):
        mark = number(marks[place])
        if mark is None or mark != int(mark) or not 0 <= mark <= HIGHEST_MARK:
            raise ValueError(f"the mark for {key} is {marks[place]!r}, not a whole number from 0 to {HIGHEST_MARK}")
        whole.append(int(mark))
    return Rating(*whole)

"""The judge, played by a chat model (Figure 8, Table 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cso.dialogue import Dialogue
from cso.errors import AnswerError
from cso.llm.chat import Message
from cso.rating import HIGHEST_MARK, Rating, Rubric
from cso.roles.ask import Asking, ask
from cso.roles.marks import Json, Marks, json_values, lines_in, marks_in
from cso.roles.prompt import Prompt, transcript
from cso.roles.words import without_thought
from cso.taxonomy import Speakers, canonical


def render(history: Dialogue, rubric: Rubric, speakers: Speakers, prompt: Prompt) -> tuple[Message, ...]:
    """The question: history, strategies shown, and the rubric."""
    return prompt.fill(values(history, rubric, speakers))


def values(history: Dialogue, rubric: Rubric, speakers: Speakers) -> Mapping[str, object]:
    """What the judge's prompt may use."""
    return {
        "speakers": speakers,
        "history": transcript(history, speakers, strategies=True),
        "rubric": rubric,
        "keys": keys(rubric),
    }


def keys(rubric: Rubric) -> tuple[str, ...]:
    """What the marks are called in the answer: the criteria's initials, or their numbers where two are alike."""
    initials = tuple(criterion.name[0].upper() for criterion in rubric.criteria)
    return initials if len(set(initials)) == len(initials) else tuple(str(n + 1) for n in range(len(initials)))


def schema(rubric: Rubric) -> Mapping[str, Any]:
    """The form of the answer."""
    return {
        "type": "object",
        "properties": {key: {"type": "integer", "enum": [*range(HIGHEST_MARK + 1)]} for key in keys(rubric)},
        "required": [*keys(rubric)],
        "additionalProperties": False,
    }


def parse(text: str, rubric: Rubric) -> Rating:
    """Four integers from 0 to 4, in JSON or in lines such as `1: 3`. Raises AnswerError, saying what is wrong."""
    answer = without_thought(text)
    if not answer:
        raise AnswerError("expected marks, found nothing", reason="empty", text=text)
    names = _names(rubric)
    found = [_in_order(value, rubric) or marks_in(value, names, out_of=HIGHEST_MARK) for value in json_values(answer)]
    whole = [marks for marks in found if len(marks) == len(rubric.criteria)]
    marks = whole[-1] if whole else lines_in(answer, names, out_of=HIGHEST_MARK) or _last(found)
    problems = [problem for criterion in rubric.criteria if (problem := _problem(criterion.name, marks))]
    if problems:
        raise AnswerError(
            f"expected a JSON object with whole marks from 0 to {HIGHEST_MARK} for {', '.join(keys(rubric))}; "
            f"{'; '.join(problems)}",
            reason="unreadable",
            text=text,
        )
    return Rating(*(int(str(marks[criterion.name])) for criterion in rubric.criteria))


def _names(rubric: Rubric) -> dict[str, str]:
    """Every way to call a criterion: by number, by key, by name."""
    names: dict[str, str] = {}
    for number, (key, criterion) in enumerate(zip(keys(rubric), rubric.criteria, strict=True), 1):
        names |= {
            str(number): criterion.name,
            canonical(key): criterion.name,
            canonical(criterion.name): criterion.name,
        }
    return names


def _last(found: list[Marks]) -> Marks:
    """What the last JSON value with anything in it says."""
    return next((marks for marks in reversed(found) if marks), Marks())


def _in_order(value: Json, rubric: Rubric) -> Marks | None:
    """A bare list of four numbers."""
    match value:
        case [int(), int(), int(), int()] as marks:
            return {criterion.name: mark for criterion, mark in zip(rubric.criteria, marks, strict=True)}
        case _:
            return None


def _problem(name: str, marks: Marks) -> str | None:
    if name not in marks:
        return f"{name}: missing"
    mark = marks[name]
    if isinstance(mark, bool) or not isinstance(mark, int):
        return f"{name}: {mark!r} is not a whole number"
    return None if 0 <= mark <= HIGHEST_MARK else f"{name}: {mark} is out of range"


@dataclass(frozen=True, slots=True)
class ChatJudge:
    """Implements `cso.search.Judge`."""

    asking: Asking
    prompt: Prompt
    rubric: Rubric
    speakers: Speakers

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        """Raises AnswerError, and what the chat raises."""
        messages = render(history, self.rubric, self.speakers, self.prompt)
        request = self.asking.request(messages, schema=schema(self.rubric), sample=sample)
        return await ask(self.asking, request, lambda answer: parse(answer.text, self.rubric))

"""The strategist, played by a chat model (Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cso.dialogue import Dialogue
from cso.errors import AnswerError
from cso.llm.chat import Message
from cso.roles.ask import Asking, ask
from cso.roles.marks import Marks, json_values, lines_in, marks_in
from cso.roles.prompt import Prompt, transcript
from cso.roles.words import without_thought
from cso.taxonomy import Taxonomy, canonical

HIGHEST_SCORE = 10


def render(history: Dialogue, taxonomy: Taxonomy, prompt: Prompt) -> tuple[Message, ...]:
    """The question: history, strategies shown, and all strategies with their definitions."""
    return prompt.fill(values(history, taxonomy))


def values(history: Dialogue, taxonomy: Taxonomy) -> Mapping[str, object]:
    """What the strategist's prompt may use."""
    return {
        "speakers": taxonomy.speakers,
        "history": transcript(history, taxonomy.speakers, strategies=True),
        "strategies": taxonomy.strategies,
        "overused": taxonomy.overused,
    }


def schema(taxonomy: Taxonomy) -> Mapping[str, Any]:
    """The form of the answer. (Some servers heed `enum` but neither `minimum` nor `maximum`.)"""
    return {
        "type": "object",
        "properties": {name: {"type": "integer", "enum": [*range(HIGHEST_SCORE + 1)]} for name in taxonomy.names},
        "required": [*taxonomy.names],
        "additionalProperties": False,
    }


def parse(text: str, taxonomy: Taxonomy) -> dict[str, float]:
    """A score from 0 to 10 for every strategy, in the taxonomy's order. Raises AnswerError, saying what is wrong."""
    answer = without_thought(text)
    if not answer:
        raise AnswerError("expected scores, found nothing", reason="empty", text=text)
    names = {canonical(name): name for name in taxonomy.names}
    found = [marks_in(value, names, out_of=HIGHEST_SCORE) for value in json_values(answer)]
    marks = _fullest([*found, lines_in(answer, names, out_of=HIGHEST_SCORE)] if not any(found) else found)
    problems = [problem for name in taxonomy.names if (problem := _problem(name, marks))]
    if problems:
        raise AnswerError(
            f"expected a JSON object with a score from 0 to {HIGHEST_SCORE} for every strategy; {'; '.join(problems)}",
            reason="unreadable",
            text=text,
        )
    return {name: float(str(marks[name])) for name in taxonomy.names}


def _fullest(found: list[Marks]) -> Marks:
    """The last of those that say most: drafts and examples come before the answer."""
    most = max(map(len, found), default=0)
    return next((marks for marks in reversed(found) if len(marks) == most), Marks())


def _problem(name: str, marks: Marks) -> str | None:
    if name not in marks:
        return f"{name}: missing"
    mark = marks[name]
    if isinstance(mark, bool) or not isinstance(mark, int | float):
        return f"{name}: {mark!r} is not a number"
    return None if 0 <= mark <= HIGHEST_SCORE else f"{name}: {mark} is out of range"


@dataclass(frozen=True, slots=True)
class ChatStrategist:
    """Implements `cso.search.Strategist`."""

    asking: Asking
    prompt: Prompt
    taxonomy: Taxonomy

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        """Raises AnswerError, and what the chat raises."""
        messages = render(history, self.taxonomy, self.prompt)
        request = self.asking.request(messages, schema=schema(self.taxonomy), sample=sample)
        return await ask(self.asking, request, lambda answer: parse(answer.text, self.taxonomy))

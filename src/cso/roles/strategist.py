"""The strategist (Figure 7): how well each strategy would serve as the next turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cso.dialogue import Dialogue
from cso.llm.chat import Chat, Request
from cso.roles.ask import ask
from cso.roles.prompt import Prompt, transcript
from cso.roles.text import as_object, json_values, number
from cso.taxonomy import Taxonomy

HIGHEST = 10


@dataclass(frozen=True, slots=True)
class ChatStrategist:
    """Sees the strategies of earlier turns. `request` holds everything but the messages."""

    chat: Chat
    prompt: Prompt
    request: Request
    taxonomy: Taxonomy

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> dict[str, float]:
        """Raises AnswerError, and what the chat raises."""
        request = self.request.filled(self.prompt.fill(values(history, self.taxonomy)), sample)
        return await ask(self.chat, request, partial(parse, taxonomy=self.taxonomy), role="strategist", whole=False)


def values(history: Dialogue, taxonomy: Taxonomy) -> Mapping[str, object]:
    """What the prompt may use."""
    return {
        "history": transcript(history, strategies=True),
        "strategies": taxonomy.strategies,
        "overused": taxonomy.overused,
    }


def schema(taxonomy: Taxonomy) -> Mapping[str, Any]:
    """A JSON object with a score for each strategy. (Some servers enforce `enum`, but not `minimum` and `maximum`.)"""
    scores = {name: {"type": "integer", "enum": list(range(HIGHEST + 1))} for name in taxonomy.names}
    return {
        "type": "object",
        "properties": scores,
        "required": list(taxonomy.names),
        "additionalProperties": False,
    }


def parse(text: str, *, taxonomy: Taxonomy) -> dict[str, float]:
    """A score for EVERY strategy, in the taxonomy's order, from the last JSON in the text that has any.

    Names in another case are read, other entries passed over. ValueError where a score is missing, no number, or
    not in 0 to 10.
    """
    for value in json_values(text):
        found = _scores(value, taxonomy)
        if found:
            return _checked(found, taxonomy)
    raise ValueError("no JSON object with scores of the strategies was found")


def _scores(value: object, taxonomy: Taxonomy) -> dict[str, Any]:
    """The entries that name a strategy, of the object itself or of the first object in it that has any."""
    entries = as_object(value)
    if entries is None:
        return {}
    own = {name: score for key, score in entries.items() if (name := taxonomy.named(key)) is not None}
    for nested in () if own else entries.values():
        if inner := _scores(nested, taxonomy):
            return inner
    return own


def _checked(found: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, float]:
    missing = [name for name in taxonomy.names if name not in found]
    if missing:
        raise ValueError(f"no score for {', '.join(missing)}")
    scores: dict[str, float] = {}
    for name in taxonomy.names:
        score = number(found[name])
        if score is None or not 0 <= score <= HIGHEST:
            raise ValueError(f"the score of {name} is {found[name]!r}, not a number from 0 to {HIGHEST}")
        scores[name] = int(score) if score == int(score) else score
    return scores

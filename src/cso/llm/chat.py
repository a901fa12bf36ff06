"""Text in, text out: what a chat model is to everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol


class Message(NamedTuple):
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to a chat model.

    `schema` is a JSON schema that the answer should follow, enforced where the server can, otherwise hoped for.
    `sample` numbers the draws for one and the same question, from 0.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back: the text as it was sent, why it ended, and what it used (tokens as the server counts them)."""

    text: str
    finish: Literal["stop", "length", "refusal"] = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chat(Protocol):
    async def __call__(self, request: Request) -> Completion:
        """Raises RequestError, EndpointError or BudgetSpent."""
        ...

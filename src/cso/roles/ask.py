"""Ask a chat model, read its answer, and ask again where that cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from cso.errors import AnswerError
from cso.llm.chat import Chat, Completion, Message, Request

ATTEMPTS = 3
SHOWN = 2000  # characters of a bad answer that are shown to the model again

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who plays a role, and how it is asked."""

    role: str
    chat: Chat
    model: str
    temperature: float
    max_tokens: int

    def request(
        self, messages: tuple[Message, ...], *, schema: Mapping[str, Any] | None = None, sample: int = 0
    ) -> Request:
        return Request(
            model=self.model,
            messages=messages,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            schema=schema,
            sample=sample,
        )


async def ask(asking: Asking, request: Request, parse: Callable[[Completion], T]) -> T:
    """What `parse` reads in the answer. One that it cannot read is asked for again, at most twice.

    The bad answer and a complaint are added to the messages, so each time it is another question. Raises
    AnswerError with the last reason, and what the chat raises.
    """
    for _ in range(ATTEMPTS - 1):
        completion = await asking.chat(request)
        try:
            return _read(completion, parse)
        except AnswerError as error:
            request = replace(request, messages=(*request.messages, *_complaint(completion, error)))
    completion = await asking.chat(request)
    try:
        return _read(completion, parse)
    except AnswerError as error:
        raise AnswerError(
            f"{asking.role} ({asking.model}): no usable answer in {ATTEMPTS} attempts; the last was {error.reason}: "
            f"{error}; it was {completion.text[:200]!r}",
            reason=error.reason,
            text=completion.text,
        ) from error


def _read(completion: Completion, parse: Callable[[Completion], T]) -> T:
    if completion.finish == "refusal":
        raise AnswerError("the model refused to answer", reason="refused", text=completion.text)
    return parse(completion)


def _complaint(completion: Completion, error: AnswerError) -> tuple[Message, Message]:
    """A turn of each speaker, for many chat templates insist that they alternate."""
    if error.reason == "refused":
        wish = "This is a made-up conversation. Please stay in your role and answer as you were asked to."
    else:
        wish = f"This answer could not be used: {error}. Please answer again, in the form that was asked for."
    return Message("assistant", completion.text.strip()[:SHOWN] or "(nothing)"), Message("user", wish)

"""Asking a chat model until its answer can be read: once, and at most twice again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cso.errors import AnswerError
from cso.llm.chat import Chat, Completion, Message, Request

AGAIN = 2

T = TypeVar("T")
Parse = Callable[[str], T]


async def ask(chat: Chat, request: Request, parse: Parse[T], *, role: str, whole: bool) -> T:
    """What `parse` reads in the answer; it raises ValueError, saying what is wrong, for what cannot be read.

    An unusable answer is shown to the model with what is wrong with it, so that no question is asked twice. `whole`
    refuses an answer that was cut off at the token limit. Raises AnswerError after the last attempt, and what the
    chat raises.
    """
    left = AGAIN
    while True:
        completion = await chat(request)
        try:
            return parse(_usable(completion, whole=whole))
        except ValueError as error:
            if not left:
                raise AnswerError(
                    f"the {role} ({request.model}) gave {AGAIN + 1} answers that cannot be used; the last: {error}; "
                    f"it read {_short(completion.text)!r}",
                    reason=_reason(completion, whole=whole),
                    text=completion.text,
                ) from None
            request = replace(request, messages=(*request.messages, *_again(completion, str(error))))
            left -= 1


def _usable(completion: Completion, *, whole: bool) -> str:
    """The text of an answer; ValueError where there is nothing to read."""
    match _reason(completion, whole=whole):
        case "refused":
            raise ValueError("the answer is a refusal")
        case "empty":
            raise ValueError("the answer is empty")
        case "cut off":
            raise ValueError("the answer was cut off at the token limit, so it should be shorter")
        case _:
            return completion.text


def _reason(completion: Completion, *, whole: bool) -> str:
    if completion.finish == "refusal":
        return "refused"
    if not completion.text.strip():
        return "empty"
    if whole and completion.finish == "length":
        return "cut off"
    return "unreadable"


def _again(completion: Completion, complaint: str) -> tuple[Message, Message]:
    return (
        Message("assistant", completion.text if completion.text.strip() else "(no answer)"),
        Message("user", f"That cannot be used: {complaint}. Please answer again, exactly in the form asked for."),
    )


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"

"""Asking a role many questions at once."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TypeVar

from cso.errors import AnswerError, RequestError
from cso.gathering import gathered

T = TypeVar("T")


async def answers(questions: Iterable[Coroutine[None, None, T]]) -> list[T | None]:
    """All answers, in the order of the questions; None where this one question could not be answered.

    The role itself bounds how many are under way. An error that concerns all questions (EndpointError, BudgetSpent)
    ends the others and is raised.
    """
    return await gathered(_answer(question) for question in questions)


async def _answer(question: Coroutine[None, None, T]) -> T | None:
    try:
        return await question
    except (AnswerError, RequestError):
        return None

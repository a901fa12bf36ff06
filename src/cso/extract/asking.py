"""Asking a role many questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

from cso.errors import AnswerError, RequestError

T = TypeVar("T")


async def answers(questions: Iterable[Coroutine[None, None, T]]) -> list[T | None]:
    """All answers, in the order of the questions; None where this one question could not be answered.

    The role itself bounds how many are under way. An error that concerns all questions (EndpointError, BudgetSpent)
    ends the others and is raised.
    """
    tasks = [asyncio.create_task(_answer(question)) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(question: Coroutine[None, None, T]) -> T | None:
    try:
        return await question
    except (AnswerError, RequestError):
        return None

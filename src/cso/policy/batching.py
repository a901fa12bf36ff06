"""Questions from many trees, answered together: what comes in while a batch is computed is the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Calls `compute` in a thread, for as many questions at once as there are. One event loop at a time."""

    def __init__(self, compute: Callable[[Sequence[Q]], Sequence[A]], busy: asyncio.Lock) -> None:
        """`compute` gives an answer to each question, in their order; `busy` is held meanwhile."""
        self._compute, self._busy = compute, busy
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._work: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """Raises what `compute` raises, for every question of the batch."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._waiting:
            async with self._busy:
                batch, self._waiting = self._waiting, []
                try:
                    found = await asyncio.to_thread(self._compute, [question for question, _ in batch])
                    assert len(found) == len(batch), f"{len(found)} answers to {len(batch)} questions"
                except Exception as error:  # noqa: BLE001 - whoever asked gets it
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
            for (_, answer), each in zip(batch, found, strict=True):
                if not answer.done():
                    answer.set_result(each)

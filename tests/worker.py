"""What actors of the tests run; it imports little, since each of them does so anew."""

from __future__ import annotations

import os

from cso.errors import BudgetSpent, InputError


class Worker:
    """Squares numbers; dies of -1, has spent its share at -2. In place 0 it can pay for three only."""

    def __init__(self, place: int, opening: str) -> None:
        self.place, self.opening = place, opening
        self.given = 0

    async def open(self) -> None:
        if self.opening == "wrong":
            raise InputError("this is wrong")
        if self.opening == "deadly":
            os._exit(1)

    async def work(self, number: int) -> int:
        self.given += 1
        if number == -1:
            os._exit(1)
        if number == -2 or (self.place == 0 and self.given > 3):
            raise BudgetSpent("limits.max_calls = 3 is reached")
        return number**2

"""What a run may take: requests in flight, requests and tokens a minute, and calls, tokens and money in all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from cso.errors import BudgetSpent, InputError
from cso.llm.chat import Chat, Completion, Request

Price = tuple[float, float]
"""USD for a million tokens in, and out."""

BYTES_PER_TOKEN = 3  # English has 4 to 5, Chinese about 3: an estimate that is seldom too low


def estimated_prompt_tokens(request: Request) -> int:
    """About how many tokens the messages have, before a server has counted them."""
    return sum(len(message.content.encode("utf-8", "replace")) for message in request.messages) // BYTES_PER_TOKEN + 8


class Limiter:
    """At most `concurrency` requests in flight, and evenly spaced ones where there is a limit a minute."""

    def __init__(
        self, concurrency: int, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._requests = _Pace(requests_per_minute) if requests_per_minute else None
        self._tokens = _Pace(tokens_per_minute) if tokens_per_minute else None

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncGenerator[None]:
        """A place among the requests in flight, for one attempt that takes about so many `tokens`."""
        async with self._slots:
            if self._requests is not None:
                await self._requests.take(1)
            if self._tokens is not None:
                await self._tokens.take(tokens)
            yield

    def correct(self, *, estimated: int, used: int) -> None:
        """Tell the tokens that an attempt really took."""
        if self._tokens is not None:
            self._tokens.correct(used - estimated)


class _Pace:
    """Spends `per_minute` units evenly: each taker waits until what was taken before it is paid off."""

    def __init__(self, per_minute: int) -> None:
        self._seconds = 60 / per_minute
        self._free_at = 0.0

    async def take(self, units: int) -> None:
        now = time.monotonic()
        start = max(now, self._free_at)
        self._free_at = start + units * self._seconds
        if start > now:
            await asyncio.sleep(start - now)

    def correct(self, units: int) -> None:
        self._free_at += units * self._seconds


@dataclass(slots=True)
class Usage:
    """What one model was asked and what it took; `cost` in USD, None where its price is not known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class _Take(NamedTuple):
    """A call, as the budget counts it."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def plus(self, other: _Take) -> _Take:
        return _Take(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def minus(self, other: _Take) -> _Take:
        return _Take(self.calls - other.calls, self.tokens - other.tokens, self.cost - other.cost)


class Budget:
    """Calls, tokens and money that a run may take in all; None is without limit.

    A call in flight is held at the most that it can take (its `max_tokens`). One that might exceed a limit waits
    for those in flight to say what they really took, and BudgetSpent is raised where it still might. Calls that
    fail are not counted.
    """

    def __init__(
        self,
        prices: Mapping[str, Price | None],
        *,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
    ) -> None:
        """`prices` has every model that will be asked. Raises InputError where `max_cost` needs one that is None."""
        unknown = sorted(model for model, price in prices.items() if price is None)
        if max_cost is not None and unknown:
            raise InputError(
                f"limits.max_cost: the price of {', '.join(unknown)} is not known; set `price` of its roles "
                f"(USD for a million tokens in, and out: `--set cast.default.price=[0.15,0.60]`), or leave max_cost out"
            )
        self.usage = {model: Usage(cost=None if price is None else 0.0) for model, price in prices.items()}
        self._prices = prices
        self._most = {"calls": max_calls, "tokens": max_tokens, "cost": max_cost}
        self._spent = _Take()
        self._held = _Take()
        self._settled = asyncio.Event()

    @property
    def cost(self) -> float | None:
        """USD in all; None where a model that was asked has no price."""
        costs = [usage.cost for usage in self.usage.values() if usage.calls]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @asynccontextmanager
    async def hold(self, request: Request) -> AsyncGenerator[None]:
        """Keep back what `request` may take, while it is answered."""
        take = self._take(request.model, estimated_prompt_tokens(request), request.max_tokens)
        while (limit := self._exceeded(take)) is not None:
            if self._held.calls == 0 or self._exceeded_for_good(take):
                raise BudgetSpent(f"limits.max_{limit} = {self._most[limit]} is reached; raise it to go on from here")
            await self._settled.wait()
        self._held = self._held.plus(take)
        try:
            yield
        finally:
            self._held = self._held.minus(take)
            self._settled.set()
            self._settled = asyncio.Event()

    def count(self, request: Request, completion: Completion) -> None:
        """Count an answered call; where the server does not count tokens, estimates stand in."""
        prompt = completion.prompt_tokens or estimated_prompt_tokens(request)
        out = completion.completion_tokens or len(completion.text.encode("utf-8", "replace")) // BYTES_PER_TOKEN
        take = self._take(request.model, prompt, out)
        self._spent = self._spent.plus(take)
        usage = self.usage.setdefault(request.model, Usage())
        usage.calls += 1
        usage.prompt_tokens += prompt
        usage.completion_tokens += out
        if usage.cost is not None:
            usage.cost += take.cost

    def _take(self, model: str, prompt: int, completion: int) -> _Take:
        into, out = self._prices.get(model) or (0.0, 0.0)
        return _Take(1, prompt + completion, (prompt * into + completion * out) / 1e6)

    def _exceeded(self, take: _Take) -> str | None:
        return self._over(self._spent.plus(self._held).plus(take))

    def _exceeded_for_good(self, take: _Take) -> bool:
        """Whether even calls in flight that took nothing would leave too little."""
        return self._over(self._spent.plus(take)) is not None

    def _over(self, take: _Take) -> str | None:
        for limit, value in zip(("calls", "tokens", "cost"), take, strict=True):
            most = self._most[limit]
            if most is not None and value > most:
                return limit
        return None


class BudgetedChat:
    """A chat whose calls are held against, and counted in, a budget."""

    def __init__(self, chat: Chat, budget: Budget) -> None:
        self._chat = chat
        self._budget = budget

    async def __call__(self, request: Request) -> Completion:
        """Raises BudgetSpent before a call that might exceed a limit, and what the chat raises."""
        async with self._budget.hold(request):
            completion = await self._chat(request)
            self._budget.count(request, completion)
        return completion

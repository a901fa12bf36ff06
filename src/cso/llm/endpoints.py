"""Endpoints under limits: all of a run, or one model of one for a task by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cso.errors import InputError
from cso.llm import vllm
from cso.llm.address import address_of
from cso.llm.answers import Answers, RememberedChat
from cso.llm.chat import Chat
from cso.llm.limits import Budget, BudgetedChat, Limiter, Price
from cso.llm.prices import listed_price
from cso.llm.retry import Patience
from cso.settings import LimitSettings, checked_address

if TYPE_CHECKING:
    from cso.llm.openai import OpenAIChat


class Endpoints:
    """One `OpenAIChat` an endpoint and key, for roles that share them; an async context manager."""

    def __init__(self, *, patience: Patience, limiter: Limiter) -> None:
        self._patience = patience
        self._limiter = limiter
        self._chats: dict[tuple[str | None, str | None, type[OpenAIChat] | None], OpenAIChat] = {}
        self._in_process: Chat | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            for chat in self._chats.values():
                stack.push_async_exit(chat)

    def play(self, base_url: str | None, key_env: str | None) -> Chat:
        """What plays a role: an endpoint, or for the address `vllm` models in this process. Raises InputError."""
        if base_url != vllm.ADDRESS:
            return self.chat(base_url, key_env)
        if self._in_process is None:
            self._in_process = vllm.VLLMChat(self._limiter)
        return self._in_process

    def chat(self, base_url: str | None, key_env: str | None, kind: type[OpenAIChat] | None = None) -> OpenAIChat:
        """`kind`: OpenAIChat unless told. Raises InputError as that does."""
        from cso.llm.openai import OpenAIChat  # here, because it takes a third of a second to import

        place = (base_url, key_env, kind)
        if place not in self._chats:
            self._chats[place] = (kind or OpenAIChat)(base_url, key_env, patience=self._patience, limiter=self._limiter)
        return self._chats[place]


@asynccontextmanager
async def limited(
    limits: LimitSettings, prices: Mapping[str, Price | None]
) -> AsyncGenerator[tuple[Endpoints, Budget]]:
    """Endpoints under the limits, and the budget that calls are to be counted in.

    `prices`: of each model that is asked, USD for a million tokens in and out; None where none is known.
    """
    limiter = Limiter(
        limits.concurrency,
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
    )
    budget = Budget(prices, max_calls=limits.max_calls, max_tokens=limits.max_tokens, max_cost=limits.max_cost)
    patience = Patience(timeout=limits.timeout, total=limits.patience)
    async with Endpoints(patience=patience, limiter=limiter) as endpoints:
        yield endpoints, budget


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint, and what a task may take of it."""

    base_url: str | None = None  # None: as `address_of` has it
    api_key_env: str | None = "OPENAI_API_KEY"  # the variable that holds the key
    price: Price | None = None  # USD for a million tokens in, and out; None: as listed
    limits: LimitSettings = field(default_factory=LimitSettings)

    def __post_init__(self) -> None:
        """Raises InputError for an address that cannot be used."""
        if self.base_url is None:
            return
        if self.base_url == vllm.ADDRESS:
            raise InputError("--base-url vllm: only a search's cast plays in its own process; expected an address")
        try:
            checked_address(self.base_url)
        except ValueError as error:
            raise InputError(f"--base-url: {error}") from error

    @asynccontextmanager
    async def chat(
        self, model: str, answers: Answers, role: str, kind: type[OpenAIChat] | None = None
    ) -> AsyncGenerator[Chat]:
        """A chat with one of its models that asks nothing that `answers` remembers of this address."""
        address = address_of(self.base_url)
        place = f"{role} at {address}"
        async with limited(self.limits, {model: self.price or listed_price(model, self.base_url)}) as (own, budget):
            try:
                chat = BudgetedChat(own.chat(self.base_url, self.api_key_env, kind), budget)
                yield RememberedChat(chat, answers, place)
            finally:
                await answers.settle(cancel=True)

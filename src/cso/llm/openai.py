"""Chat models behind any OpenAI-compatible endpoint: repeated while there is hope, clear about whose fault it is."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import openai

from cso.errors import CsoError, EndpointError, InputError, RequestError
from cso.llm.address import address_of
from cso.llm.chat import Completion, Request
from cso.llm.limits import Limiter, estimated_prompt_tokens
from cso.llm.retry import Patience, retry_after
from cso.llm.wire import Dialect, MalformedError, body_of, complaint_of, completion_of, humbler, moderation_of

CONNECTIONS_PER_CLIENT = 32  # a pool looks through all its connections at each request: 256 in one cost twice the CPU
TRY_LATER = frozenset({408, 409, 425, 429, *range(500, 600)} - {501})
NO_MODEL = re.compile(r"model_not_found|\bmodel\b.{0,80}\b(does not exist|not found)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Fault:
    """An attempt that failed, and may do better the next time."""

    what: str
    retry_after: float | None = None
    unreachable: bool = False  # not one byte came back
    malformed: bool = False  # what came back was not a completion


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error response."""

    status: int
    complaint: str
    retry_after: float | None = None


class _Refused(Exception):
    """The server will not take the request as it is."""

    def __init__(self, status: int, complaint: str) -> None:
        super().__init__(complaint)
        self.status = status
        self.complaint = complaint


class OpenAIChat:
    """The `Chat` of one endpoint; use it as an async context manager, so that connections are closed.

    A request that fails (429, 5xx, a timeout, a cut connection, a body that is no completion) is repeated as
    `patience` allows. Each attempt takes a slot of `limiter`, waits between attempts take none. What a server does
    not understand (a schema, `max_tokens`, ...) is found out once a model.
    """

    def __init__(
        self,
        base_url: str | None = None,
        key_env: str | None = "OPENAI_API_KEY",
        *,
        patience: Patience | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        """`base_url` None is $OPENAI_BASE_URL or else OpenAI itself; `key_env` names the variable that holds the key.

        Raises InputError for an address that is none, and for a key that is missing where it is sure to be needed.
        """
        address = address_of(base_url)
        self._shown_url = _presentable(address)
        self._key_env = key_env
        self._key = _key_of(key_env, needed=urlsplit(address).hostname == "api.openai.com")
        self._patience = patience or Patience()
        self._limiter = limiter or Limiter(CONNECTIONS_PER_CLIENT)
        self._clients = _Clients(address, self._key, timeout=self._patience.timeout)
        self._dialects: dict[str, Dialect] = {}
        self._heard = False  # anything at all, an error too
        self._answered_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._clients.close()

    async def __call__(self, request: Request) -> Completion:
        """Raises RequestError where this request fails, EndpointError where any other would fail as well."""
        dialect = self._dialects.get(request.model, Dialect())
        while True:
            try:
                completion = await self._patiently(request, dialect)
            except _Refused as refusal:
                lower = humbler(dialect, request, refusal.status, refusal.complaint)
                if lower is None:
                    raise RequestError(
                        f"{self._shown_url} refuses a request to {request.model} (status {refusal.status}): "
                        f"{refusal.complaint}"
                    ) from None
                dialect = lower
            else:
                self._dialects[request.model] = dialect
                return completion

    async def _patiently(self, request: Request, dialect: Dialect) -> Completion:
        """Attempt after attempt, until one succeeds or patience ends."""
        began = time.monotonic()
        failures = 0
        while True:
            outcome = await self._attempt(request, dialect)
            if isinstance(outcome, Completion):
                self._answered_at = time.monotonic()
                return outcome
            failures += 1
            stranger = outcome.unreachable and not self._heard
            wait = self._patience.wait(failures, outcome.retry_after)
            spent = time.monotonic() - began
            if spent + wait > (
                min(self._patience.stranger, self._patience.total) if stranger else self._patience.total
            ):
                raise self._given_up(request, outcome, began=began, failures=failures)
            await asyncio.sleep(wait)

    async def _attempt(self, request: Request, dialect: Dialect) -> Completion | _Fault:
        """One request. Raises EndpointError and _Refused; what may pass is returned as a fault."""
        estimated = estimated_prompt_tokens(request)
        async with self._limiter.slot(estimated):
            match await self._exchange(request, dialect):
                case Completion() as completion:
                    used = (completion.prompt_tokens or estimated) + completion.completion_tokens
                    self._limiter.correct(estimated=estimated, used=used)
                    return completion
                case _Failure() as failure:  # judged out here: errors raised elsewhere would carry the server's words
                    return self._judged(request, dialect, failure)
                case _Fault() as fault:
                    return fault

    async def _exchange(self, request: Request, dialect: Dialect) -> Completion | _Failure | _Fault:
        """What the server made of a request, the key nowhere in it."""
        try:
            async with asyncio.timeout(self._patience.timeout):
                completion = await self._post(request, dialect)
            self._heard = True
            return completion
        except (TimeoutError, openai.APITimeoutError):
            return _Fault(f"no answer within {self._patience.timeout:g} s")
        except openai.APIStatusError as error:
            self._heard = True
            complaint = self._redacted(complaint_of(error.response.text))
            return _Failure(error.status_code, complaint, retry_after(error.response.headers))
        except openai.APIConnectionError as error:
            return _Fault(self._redacted(f"no connection, or a cut one ({error.__cause__!r})"), unreachable=True)
        except MalformedError as error:
            self._heard = True
            complaint = self._redacted(str(error))
            return _Fault(complaint, malformed=True) if error.status is None else _Failure(error.status, complaint)

    async def _post(self, request: Request, dialect: Dialect) -> Completion:
        """The completion that comes back at once. Raises MalformedError where it is none, and the client's errors."""
        return completion_of(await self._clients.post("/chat/completions", body_of(request, dialect)))

    def _judged(self, request: Request, dialect: Dialect, failure: _Failure) -> _Fault:
        """What to make of an error response: a fault, or EndpointError or _Refused is raised."""
        status, complaint = failure.status, failure.complaint
        if status in (401, 403):
            held = "is not set" if self._key is None else "was not accepted"
            name = f"${self._key_env}" if self._key_env else "a key (`api_key_env` is not set)"
            raise EndpointError(f"{self._shown_url} lets nobody in (status {status}): {name} {held}: {complaint}")
        if status == 404 or (status in (400, 422) and NO_MODEL.search(complaint)):
            raise EndpointError(
                f"{self._shown_url} has no model {request.model!r}, or is not the address of an OpenAI-compatible "
                f"API (status {status}): {complaint}"
            )
        if status == 402 or (status == 429 and "insufficient_quota" in complaint):
            raise EndpointError(f"{self._shown_url} has no credit left for this key (status {status}): {complaint}")
        if humbler(dialect, request, status, complaint) is None and status in TRY_LATER:
            asked = f"; it asks to wait {failure.retry_after:g} s" if failure.retry_after else ""
            return _Fault(f"status {status}: {complaint}{asked}", retry_after=failure.retry_after)
        raise _Refused(status, complaint)

    def _given_up(self, request: Request, fault: _Fault, *, began: float, failures: int) -> CsoError:
        """Whose fault it is: this request's where the endpoint has answered others meanwhile, else the endpoint's.

        A body that is no completion counts against the request where the endpoint has ever sent one that is.
        """
        took = f"{failures} attempts in {time.monotonic() - began:.0f} s; the last: {fault.what}"
        answered = self._answered_at is not None and (fault.malformed or self._answered_at > began)
        if answered:
            return RequestError(f"{self._shown_url} gives no answer to one request to {request.model}: {took}")
        return EndpointError(
            f"{self._shown_url} gives no answers to {request.model} ({took}); check address and server, then go on"
        )

    def _redacted(self, text: str) -> str:
        """A server's words without the key, of bearable length."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = re.sub(r"\b(sk|key|pk)-[\w*.-]{6,}", "[key]", text)
        return text if len(text) <= 600 else f"{text[:600]}…"


class OpenAIModeration(OpenAIChat):
    """The moderation endpoint: what is asked is a text, what is answered a JSON object of its categories' scores."""

    async def _post(self, request: Request, dialect: Dialect) -> Completion:
        body = {"model": request.model, "input": request.messages[-1].content}
        return moderation_of(await self._clients.post("/moderations", body))


class _Clients:
    """As many clients as the requests in flight need, each with few connections, opened when needed."""

    def __init__(self, base_url: str, key: str | None, *, timeout: float) -> None:
        self._base_url = base_url
        self._key = key
        self._timeout = timeout
        self._clients: list[openai.AsyncOpenAI] = []
        self._in_flight: list[int] = []

    async def post(self, path: str, body: dict[str, Any]) -> str:
        """The text of the response. (`chat.completions.create` costs a third more CPU, and reads less strictly.)"""
        with self._client() as client:
            return await client.post(path, cast_to=str, body=body)

    @contextmanager
    def _client(self) -> Generator[openai.AsyncOpenAI]:
        place = next((i for i, n in enumerate(self._in_flight) if n < CONNECTIONS_PER_CLIENT), len(self._in_flight))
        if place == len(self._in_flight):
            self._clients.append(
                openai.AsyncOpenAI(
                    base_url=self._base_url, api_key=self._key or "none", timeout=self._timeout, max_retries=0
                )
            )
            self._in_flight.append(0)
        self._in_flight[place] += 1
        try:
            yield self._clients[place]
        finally:
            self._in_flight[place] -= 1

    async def close(self) -> None:
        async with AsyncExitStack() as stack:
            for client in self._clients:
                stack.push_async_callback(client.close)


def _key_of(key_env: str | None, *, needed: bool) -> str | None:
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if not key and needed:
        raise InputError(
            f"OpenAI needs a key: set the environment variable {key_env or 'that `api_key_env` names'}, or give "
            f"`base_url` (--base-url) for another server"
        )
    if not re.fullmatch(r"[!-~]*", key):
        raise InputError(f"${key_env}: a key is printable ASCII without spaces, and this one is not")
    return key or None


def _presentable(address: str) -> str:
    """An address without what may be secret in it. Raises InputError."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"base_url {address!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"base_url {address!r}: expected an address such as http://127.0.0.1:8000/v1")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{parts.path}"

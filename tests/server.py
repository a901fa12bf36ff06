"""An OpenAI-compatible server on this machine, with the faults that a test wants. Standard library only.

    with Server(lambda call: completion("Hello.")) as server:
        ... server.base_url, server.calls ...

The script decides, call by call, what comes back: `completion(...)`, `failure(...)`, `Reply(b"...")`, each perhaps with
a delay or a cut.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its number from 0, its body, and its headers by lower-case name."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back after `delay` seconds; the connection is cut after so many bytes of the body."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0
    cut_after: int | None = None

    def after(self, delay: float) -> Reply:
        return replace(self, delay=delay)

    def cut(self, after: int = 0) -> Reply:
        return replace(self, cut_after=after)


Script = Callable[[Call], Reply]


def completion(text: str | None, *, finish: str = "stop", refusal: str | None = None, usage: bool = True) -> Reply:
    """A completion as servers send it."""
    content: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
            }
        ],
    }
    if usage:
        content["usage"] = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
    return Reply(json.dumps(content).encode())


def failure(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI's API sends it; `retry_after="1"` becomes the header `retry-after`."""
    content = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Reply(
        json.dumps(content).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def in_turn(*replies: Reply) -> Script:
    """The replies one after the other; the last one for ever."""
    return lambda call: replies[min(call.number, len(replies) - 1)]


class Server:
    """Listens on a port of its own while the `with` block lasts; `calls` are the requests so far."""

    def __init__(self, script: Script) -> None:
        self.calls: list[Call] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._script = script
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [call.body for call in self.calls]

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024), self._loop
        ).result()
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        lines = [line.partition(":") for line in head.decode("latin-1").splitlines()[1:]]
        call = Call(
            len(self.calls), json.loads(body or b"{}"), {name.lower(): value.strip() for name, _, value in lines}
        )
        self.calls.append(call)
        reply = self._script(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(reply.delay)
        finally:
            self.in_flight -= 1
        headers = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
        start = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if reply.cut_after == 0:
            raise ConnectionAbortedError("cut, as the script wants it")
        writer.write(f"HTTP/1.1 {reply.status} x\r\n{start}\r\n".encode("latin-1") + reply.body[: reply.cut_after])
        await writer.drain()
        if reply.cut_after is not None:
            raise ConnectionAbortedError("cut, as the script wants it")

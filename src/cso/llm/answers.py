"""Remembered answers: each question is asked once, and what came back is on disk before it is used.

One JSON object a line, readable with `less`. The same file is the cache of a search, its crash safety, and the way
a run goes on: a search replayed over it gets the same answers, so it grows the same tree.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from cso.errors import StoreError
from cso.llm.chat import Chat, Completion, Request

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Question = Mapping[str, JSON]


class Answers:
    """What has been answered in one dialogue's search; `path` None keeps it in memory alone.

    One event loop and one process at a time. `new` and `reused` count, by role, the distinct questions of this
    run: those that were put to somebody, and those whose answer lay in the file.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises StoreError, naming file and line, where the file cannot be read."""
        self.new: Counter[str] = Counter()
        self.reused: Counter[str] = Counter()
        self._path = path
        self._known: dict[bytes, Completion | int] = {}  # the answer, or where its line begins in the file
        self._unseen: set[bytes] = set()  # lay in the file, not asked for yet
        self._flights: dict[bytes, asyncio.Task[Completion]] = {}
        self._end = 0  # what lies behind is a torn line
        self._written = False
        if path is not None:
            self._load(path)

    @property
    def asked(self) -> Counter[str]:
        """Distinct questions of this run, by role, wherever the answer came from."""
        return self.new + self.reused

    @property
    def under_way(self) -> int:
        """Calls on their way."""
        return len(self._flights)

    async def ask(self, question: Question, answer: Callable[[], Awaitable[Completion]]) -> Completion:
        """The remembered answer to `question`, or that of `answer`, which is called at most once at a time.

        `question` names at least `role`, `model` and `sample`. Failures are raised to everybody who waits and are
        not remembered. Raises StoreError where the answer cannot be written.
        """
        key = _key(question)
        match self._known.get(key):
            case None:
                return await self._share(key, question, answer)
            case Completion() as known:
                return known
            case offset:
                self._count_reuse(key, question)
                return self._read(key, offset)

    def remembered(self, question: Question) -> bool:
        """Whether the answer to `question` is there already."""
        return _key(question) in self._known

    async def settle(self, *, cancel: bool = False) -> None:
        """Wait for the calls that are on their way though nobody waits for them; or call them off."""
        for flight in self._flights.values():
            if cancel:
                flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def _share(self, key: bytes, question: Question, answer: Callable[[], Awaitable[Completion]]) -> Completion:
        """Wait for the one call that answers `question`. It goes on when nobody waits any more: it will be paid for."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._fetch(key, question, answer))
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: bytes, flight: asyncio.Task[Completion]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # whoever waited has it; nobody may be waiting

    async def _fetch(self, key: bytes, question: Question, answer: Callable[[], Awaitable[Completion]]) -> Completion:
        completion = await answer()
        self._known[key] = completion if self._path is None else self._append(self._path, key, question, completion)
        self.new[str(question["role"])] += 1
        return completion

    def _count_reuse(self, key: bytes, question: Question) -> None:
        if key in self._unseen:
            self._unseen.remove(key)
            self.reused[str(question["role"])] += 1

    def _append(self, path: Path, key: bytes, question: Question, completion: Completion) -> int:
        """Write one line with one call, and return where it begins. A file is open only while it is written to:
        a thousand searches at once must not need a thousand handles.
        """
        line = _line(key, question, completion)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                if not self._written:
                    os.ftruncate(handle, self._end)
                elif os.fstat(handle).st_size != self._end:
                    raise StoreError(f"{path}: another process writes to it; give the command again once it has ended")
                written = os.write(handle, line)
                if written != len(line):
                    os.ftruncate(handle, self._end)
                    raise OSError(f"only {written} of {len(line)} bytes could be written")
            finally:
                os.close(handle)
        except OSError as error:
            self._written = False  # what lies behind the last whole line is cut off before the next one
            raise StoreError(f"{path}: cannot keep an answer: {error}; make room, then go on") from error
        self._written = True
        offset = self._end
        self._end += len(line)
        return offset

    def _read(self, key: bytes, offset: int) -> Completion:
        assert self._path is not None
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                record = json.loads(file.readline())
                if record["key"] != key.hex():
                    raise ValueError("another one lies there")
                return _completion(record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._path}: an answer that was here is gone: {error!r}") from error

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                lines = file.readlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{path}: cannot read the remembered answers: {error}") from error
        for number, line in enumerate(lines, 1):
            try:
                record = _record(line)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                if number == len(lines):
                    return  # torn when the process died; overwritten by the next answer
                raise StoreError(
                    f"{path}, line {number}: expected a remembered answer, found {line[:80]!r} ({error}); "
                    f"restore the file, or delete this line and that question is asked again"
                ) from error
            key = bytes.fromhex(record["key"])
            self._known[key] = self._end
            self._unseen.add(key)
            self._end += len(line)


class RememberedChat:
    """A chat whose answers are remembered, as the answers of `role`."""

    def __init__(self, chat: Chat, answers: Answers, role: str) -> None:
        self._chat = chat
        self._answers = answers
        self._role = role

    async def __call__(self, request: Request) -> Completion:
        """Raises what the chat raises, and StoreError where an answer cannot be kept."""
        return await self._answers.ask(question_of(self._role, request), lambda: self._chat(request))


def question_of(role: str, request: Request) -> Question:
    """All that an answer depends on."""
    question: dict[str, JSON] = {
        "role": role,
        "model": request.model,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "sample": request.sample,
    }
    return question if request.schema is None else question | {"schema": request.schema}


def _key(question: Question) -> bytes:
    text = json.dumps(question, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).digest()


def _line(key: bytes, question: Question, completion: Completion) -> bytes:
    record = {
        "key": key.hex(),
        "role": question["role"],
        "model": question["model"],
        "sample": question["sample"],
        "text": completion.text,
        "finish": completion.finish,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _record(line: bytes) -> dict[str, Any]:
    """A line's content; ValueError, KeyError or TypeError where it is not a whole, sound record."""
    if not line.endswith(b"\n"):
        raise ValueError("the line has no end")
    content: object = json.loads(line)
    if not isinstance(content, dict):
        raise TypeError("not an object")
    record = cast(dict[str, Any], content)
    if len(bytes.fromhex(record["key"])) != hashlib.sha256().digest_size:
        raise ValueError("`key` is not a SHA-256")
    _completion(record)
    return record


def _completion(record: Mapping[str, Any]) -> Completion:
    match record:
        case {
            "text": str(text),
            "finish": "stop" | "length" | "refusal" as finish,
            "prompt_tokens": int(prompt),
            "completion_tokens": int(completion),
        }:
            return Completion(text, finish, prompt, completion)
        case _:
            raise ValueError("`text`, `finish`, `prompt_tokens` or `completion_tokens` is missing or wrong")

"""Remembered answers: asked once, on disk before they are used, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.errors import RequestError, StoreError
from cso.llm import Answers, Completion, Message, RememberedChat, Request
from cso.llm.answers import JSON, question_of

HELLO = Completion("hello", "stop", 7, 2)


def question(text: str = "q", role: str = "seeker", sample: int = 0) -> dict[str, JSON]:
    return {"role": role, "model": "m", "sample": sample, "text": text}


class Answer:
    """An answer that counts how often it is asked for, and can be made to wait or fail."""

    def __init__(self, completion: Completion = HELLO, *, fails: bool = False) -> None:
        self.completion = completion
        self.fails = fails
        self.calls = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Completion:
        self.calls += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise RequestError("no")
        return self.completion


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_question_is_asked_once(on_disk: bool, tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.jsonl" if on_disk else None)

    async def work() -> None:
        answer = Answer()
        assert await answers.ask(question(), answer) == HELLO
        assert await answers.ask(question(), answer) == HELLO
        assert answer.calls == 1
        await answers.ask(question(sample=1), answer)
        await answers.ask(question(role="judge"), answer)
        assert answer.calls == 3

    run(work)
    assert answers.asked == {"seeker": 2, "judge": 1} == answers.new


def test_what_was_answered_is_reused_by_the_next_run_and_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run_once(Answers(path), "one", "two")
    answers = Answers(path)
    assert run_once(answers, "one", "one", "three") == 1
    assert (answers.new, answers.reused, answers.asked) == ({"seeker": 1}, {"seeker": 1}, {"seeker": 2})


def run_once(answers: Answers, *texts: str) -> int:
    """Ask each; how many calls that took."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        answer = Answer()
        for text in texts:
            await answers.ask(question(text), answer)
        calls = answer.calls

    run(work)
    return calls


def test_a_line_says_what_was_answered_in_readable_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run_once(Answers(path), "one")
    (line,) = path.read_text().splitlines()
    record = json.loads(line)
    assert len(record.pop("key")) == 64
    assert record == {
        "role": "seeker",
        "model": "m",
        "sample": 0,
        "text": "hello",
        "finish": "stop",
        "prompt_tokens": 7,
        "completion_tokens": 2,
    }


@given(text=st.text(), finish=st.sampled_from(["stop", "length", "refusal"]))
def test_any_text_comes_back_as_it_was(text: str, finish: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("answers") / "a.jsonl"
    sent = Completion(text + "\ud83d", finish, 1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def work() -> None:
        await Answers(path).ask(question(text), Answer(sent))
        assert await Answers(path).ask(question(text), Answer(fails=True)) == sent

    run(work)


def test_an_answer_is_on_disk_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    async def work() -> None:
        await Answers(path).ask(question(), Answer())
        assert path.read_bytes().endswith(b"\n")

    run(work)


def test_a_failure_is_told_to_all_who_wait_and_not_remembered(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a.jsonl")

    async def work() -> None:
        failing = Answer(fails=True)
        outcomes = await asyncio.gather(*(answers.ask(question(), failing) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RequestError] * 3
        assert failing.calls == 1
        assert await answers.ask(question(), Answer()) == HELLO

    run(work)
    assert answers.asked == {"seeker": 1}


def test_those_who_ask_at_once_share_one_call() -> None:
    async def work() -> None:
        answers, answer = Answers(), Answer()
        assert await asyncio.gather(*(answers.ask(question(), answer) for _ in range(20))) == [HELLO] * 20
        assert answer.calls == 1

    run(work)


@pytest.mark.parametrize("leaver", [0, 1, 2])
def test_when_one_who_waits_is_cancelled_the_others_get_the_answer(leaver: int) -> None:
    async def work() -> None:
        answers, answer = Answers(), Answer()
        answer.gate.clear()
        waiting = [asyncio.create_task(answers.ask(question(), answer)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting[leaver].cancel()
        await asyncio.sleep(0)
        answer.gate.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(outcomes.pop(leaver), asyncio.CancelledError)
        assert outcomes == [HELLO, HELLO]
        assert (answer.calls, answer.cancelled) == (1, 0)

    run(work)


def test_when_nobody_waits_any_more_the_call_goes_on_and_its_answer_is_kept() -> None:
    async def work() -> None:
        answers, answer = Answers(), Answer()
        answer.gate.clear()
        waiting = [asyncio.create_task(answers.ask(question(), answer)) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert answers.under_way == 1
        answer.gate.set()
        await answers.settle()
        await answers.ask(question(), answer)
        assert (answer.calls, answer.cancelled, answers.under_way) == (1, 0, 0)

    run(work)


def test_calls_that_are_called_off_leave_nothing_behind() -> None:
    async def work() -> None:
        answers, answer = Answers(), Answer()
        answer.gate.clear()
        waiting = asyncio.create_task(answers.ask(question(), answer))
        await asyncio.sleep(0.01)
        await answers.settle(cancel=True)
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert (answer.cancelled, answers.under_way, answers.new.total()) == (1, 0, 0)

    run(work)


@pytest.mark.parametrize("torn", [b'{"key": "ab', b'{"key": "ab"}\n', b"\0\0\0", b"\xff\n", b"[]\n"])
def test_a_torn_last_line_is_dropped_and_overwritten(torn: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run_once(Answers(path), "one", "two")
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert run_once(Answers(path), "one", "two") == 0
    assert run_once(Answers(path), "three") == 1
    assert path.read_bytes()[: len(whole)] == whole
    assert len([json.loads(line) for line in path.read_bytes().splitlines()]) == 3


def test_cut_anywhere_a_file_gives_back_every_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run_once(Answers(path), "one", "two")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        answers = Answers(path)
        run_once(answers, "one", "two")
        assert answers.reused.total() == whole[:length].count(b"\n")
        assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run_once(Answers(path), "one", "two", "three")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"oops\n" + lines[2])
    with pytest.raises(StoreError, match=r"a\.jsonl, line 2: .*oops"):
        Answers(path)


def test_a_full_disk_is_a_store_error_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    answers = Answers(path)
    run_once(answers, "one")
    whole = path.read_bytes()
    write = os.write

    def half(handle: int, line: bytes) -> int:
        return write(handle, line[: len(line) // 2])

    def nothing(_handle: int, _line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for trouble in (half, nothing):
        monkeypatch.setattr(os, "write", trouble)
        with pytest.raises(StoreError, match=r"a\.jsonl"):
            run_once(answers, "two")
        assert path.read_bytes() == whole
    monkeypatch.undo()
    assert run_once(answers, "one", "two") == 1


def test_a_directory_in_the_way_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Answers(tmp_path)


def test_many_searches_at_once_need_few_handles(tmp_path: Path) -> None:
    async def work() -> None:
        before = len(os.listdir("/proc/self/fd"))
        everybody = [Answers(tmp_path / f"{i}.jsonl") for i in range(300)]
        await asyncio.gather(*(answers.ask(question(), Answer()) for answers in everybody))
        await asyncio.gather(*(answers.ask(question(), Answer()) for answers in everybody))
        assert len(os.listdir("/proc/self/fd")) <= before

    run(work)


WRITER = """
import asyncio, sys
from pathlib import Path
from cso.llm import Answers, Completion

async def main():
    answers = Answers(Path(sys.argv[1]))
    for i in range(10**6):
        async def answer(): return Completion(f"answer {i} " + "x" * 500)
        await answers.ask({"role": "seeker", "model": "m", "sample": 0, "text": str(i)}, answer)
        print(i, flush=True)

asyncio.run(main())
"""


def test_killed_at_any_moment_nothing_that_was_used_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for wait in (0.0, 0.013, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        used = [0, *(int(line) for line in writer.stdout.read().splitlines() if line)]
        writer.wait()
        writer.stdout.close()
        answers = Answers(path)
        run_once_read(answers, max(used[:-1], default=0))


def run_once_read(answers: Answers, last: int) -> None:
    """Every answer up to `last` is there, as it was."""

    async def work() -> None:
        for i in range(last + 1):
            completion = await answers.ask(question(str(i)), Answer(fails=True))
            assert completion.text.startswith(f"answer {i} ")

    run(work)


def request(**changes: object) -> Request:
    messages = (Message("system", "s"), Message("user", "u"))
    given: dict[str, object] = {"model": "m", "messages": messages, "temperature": 0.5, "max_tokens": 9}
    return Request(**given | changes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_everything_that_an_answer_depends_on_makes_another_question() -> None:
    chats: list[Request] = []

    async def chat(request: Request) -> Completion:
        chats.append(request)
        return HELLO

    variants = [
        request(),
        request(model="n"),
        request(temperature=0.6),
        request(max_tokens=8),
        request(sample=1),
        request(schema={"type": "object"}),
        request(messages=(Message("user", "s"), Message("user", "u"))),
        request(messages=(Message("system", "su"), Message("user", ""))),
    ]

    async def work() -> None:
        answers = Answers()
        for role in ("seeker", "judge"):
            for _ in range(2):
                for variant in variants:
                    await RememberedChat(chat, answers, role)(variant)

    run(work)
    assert len(chats) == 2 * len(variants)
    assert question_of("seeker", request())["role"] == "seeker"


def test_two_writers_to_one_file_are_found_out_and_neither_is_given_the_others_answer(tmp_path: Path) -> None:
    """As when an actor that was given up for dead lives on."""
    path = tmp_path / "answers.jsonl"

    def question(name: str) -> dict[str, JSON]:
        return {"role": "judge", "model": "m", "sample": 0, "text": name}

    async def ask(answers: Answers, name: str) -> str:
        async def answer() -> Completion:
            return Completion(f"to {name}")

        return (await answers.ask(question(name), answer)).text

    async def both() -> None:
        old = Answers(path)
        assert await ask(old, "1") == "to 1"
        new = Answers(path)
        assert await ask(new, "2") == "to 2"
        with pytest.raises(StoreError, match="another process writes to it"):
            await ask(old, "3")
        assert await ask(new, "2") == "to 2"
        assert await ask(new, "1") == "to 1"

    asyncio.run(both())

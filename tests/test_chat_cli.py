"""`cso chat` as a user types it: on a small model, and on an endpoint."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from typer.testing import CliRunner

from cli import command, environment
from cso.chat.notice import CRISIS
from cso.cli.main import app
from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import CsoError
from cso.settings import Settings
from cso.store import Run
from cso.taxonomy import dump_taxonomy, load_taxonomy
from cso.transcript import prompt
from server import Call, Reply, Server, completion, failure, in_turn
from small_training import save_model, tokenizer

ESC8 = load_taxonomy("esc8")
SHORT = ("--max-tokens", "6")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


class Done(NamedTuple):
    status: int
    output: str
    mistake: str


def chat(*arguments: object, said: str = "") -> Done:
    """The command in this process, told the lines of `said`."""
    done = CliRunner().invoke(app, ["chat", *map(str, arguments)], input=said)
    if isinstance(done.exception, CsoError):
        return Done(2, done.stdout, str(done.exception))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def test_a_model_in_this_process_is_talked_to_from_a_pipe(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    lines = ("I lost my job.", "/say aff", "/why", "", "I cannot sleep.", "/say share", f"/save {file}", "/quit", "no")
    done = chat("--model", model, *SHORT, "--situation", "No job", said="\n".join(lines))
    assert done.status == 0, done.output
    assert "\x1b" not in done.output
    assert "stays on this machine" in done.output
    before, _, after = done.output.partition("(Affirmation)\n")
    assert "(no strategy could be read)" in before  # its words are noise
    chances = [float(share) for share in re.findall(r"(\d+\.\d) %", after)]
    assert len(chances) == len(ESC8)
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(100, abs=0.5)
    assert after.count(" said\n") == 1
    [read] = read_corpus(file, ESC8).dialogues
    assert [turn.text for turn in read.turns if turn.speaker is Speaker.SEEKER] == ["I lost my job.", "I cannot sleep."]
    assert [turn.strategy for turn in read.turns[1::2]] == ["Affirmation", "Share Information"]
    assert read.situation == "No job"


def test_the_same_seed_says_the_same_and_again_says_something_else(model: Path) -> None:
    told = ("--model", model, *SHORT, "--temperature", "1.5")
    one = chat(*told, said="Hello.\n/again\n")
    assert chat(*told, said="Hello.\n/again\n").output == one.output
    assert chat(*told, "--seed", "9", said="Hello.\n/again\n").output != one.output
    first, again = one.output.split("(no strategy could be read)\n")[1:]
    assert first != again


def test_a_trained_model_brings_its_strategies_and_a_run_its_models(model: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), load_taxonomy("extes15"))
    own = save_model(run.model("mine"))
    assert "extes15: Reflective Statements" in chat("--model", "mine", "--run", run.folder).output
    (own / "taxonomy.yaml").write_text(dump_taxonomy(load_taxonomy("esconv8")), encoding="utf-8")
    assert "esconv8: Question" in chat("--model", "mine", "--run", run.folder).output
    assert "esconv8: Question" in chat("--model", own).output
    assert "extes15: Reflective" in chat("--model", model, "--taxonomy", "extes15").output
    refused = chat("--model", own, "--set", "taxonomy=esc8")
    assert refused.status == 2
    assert "was trained to choose from esconv8" in refused.mistake


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "/nowhere/at/all"), "expected `tiny`, a folder"),
        (("--model", "a" * 5000), "expected `tiny`, a folder"),
        (("--model", "m", "--run", "/nowhere"), "/nowhere"),
        (("--model", "cso"), "a model of a run? say which run"),
        (("--model", "tiny", "--taxonomy", "hugs"), "taxonomy hugs: expected one of"),
        (("--model", "m", "--temperature", "3"), "evaluate.temperature"),
        (("--model", "m", "--max-tokens", "0"), "evaluate.max_tokens"),
        (("--model", "m", "--base-url", "localhost"), "expected an address such as"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], words: str) -> None:
    done = chat(*arguments, said="Hello.\n")
    assert done.status == 2
    assert words in done.mistake


def test_a_bare_name_that_is_no_model_of_the_run_lists_those_that_are(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Settings(), ESC8)
    assert "the run has no models yet" in chat("--model", "cso", "--run", run.folder).mistake
    run.model("sft").mkdir(parents=True)
    assert "the run has sft" in chat("--model", "cso", "--run", run.folder).mistake


@pytest.mark.parametrize("change", [{"vocab_size": 9999}, {"num_attention_heads": 3}, {"pad_token_id": 10**8}])
def test_a_config_that_does_not_fit_its_weights_is_named(tmp_path: Path, change: dict[str, int]) -> None:
    config = save_model(tmp_path / "odd") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    done = chat("--model", tmp_path / "odd", said="Hello.\n")
    assert done.status == 2
    assert f"model {tmp_path / 'odd'}: expected" in done.mistake


def test_old_turns_that_do_not_fit_are_left_out_and_that_is_said(model: Path) -> None:
    words = "I lost my job and my sister does not call. " * 3
    asked = prompt(Dialogue("a", (Turn(Speaker.SEEKER, words.strip()),)), ESC8)
    text = str(tokenizer().apply_chat_template(asked, tokenize=False, add_generation_prompt=True))
    room = len(tokenizer()(text)["input_ids"]) + 20
    told = ("--model", model, *SHORT, "--set", f"evaluate.max_length={room}")
    done = chat(*told, said=f"{words}\n{words}\n{words}\n")
    assert done.status == 0, done.output
    assert done.output.count("the oldest turns no longer fit") == 1
    longer = chat(*told, said=f"{words * 2}\n/back\n{words}\n")
    assert longer.status == 1
    assert "raise evaluate.max_length" in longer.output
    assert longer.output.count("(no strategy could be read)") == 1


def test_a_chat_template_that_refuses_a_message_ends_nothing(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "strict")
    template = folder / "chat_template.jinja"
    refuses = "{% if 'xyzzy' in message['content'] %}{{ raise_exception('no magic') }}{% endif %}"
    strict = f"{{% for message in messages %}}{refuses}{{% endfor %}}"
    template.write_text(strict + template.read_text(encoding="utf-8"), encoding="utf-8")
    done = chat("--model", folder, *SHORT, said="xyzzy\n/back\nHello.\n")
    assert done.status == 1
    assert "chat template refuses the conversation: no magic" in done.output
    assert done.output.count("(no strategy could be read)") == 1


def test_an_endpoint_that_dies_half_way_keeps_the_conversation() -> None:
    def script(call: Call) -> Reply:
        match call.number:
            case 1 | 2:
                return completion("lost").cut()
            case 3:
                return failure(400, "too \x1b[31msad")
            case _:
                return completion(f"(Affirmation) Reply \x1b[2J{call.number}.")

    with Server(script) as server:
        told = ("--model", "m", "--base-url", server.base_url, "--set", "limits.patience=0.1")
        lines = ("Hello.", "I want to die.", "/again", "/again", "/why", "/say aff", "/again", "/back", "Bye.")
        done = chat(*told, said="\n".join(lines))
    assert done.status == 1
    assert "\x1b" not in done.output
    assert f"is sent to {server.base_url}" in done.output
    assert "gives no answer" in done.output
    assert "too \ufffd[31msad" in done.output
    assert "/why: an endpoint gives no probabilities" in done.output
    assert "/say: an endpoint cannot be told how a reply opens" in done.output
    assert done.output.count("what you said is kept") == 5
    assert done.output.index(CRISIS[0]) != done.output.rindex(CRISIS[0]) < done.output.index("gives no answer")
    said = [[message["content"] for message in body["messages"][1:]] for body in server.bodies]
    first = "(Affirmation) Reply \x1b[2J0."
    assert said[0] == ["Hello."]
    assert said[1:-1] == [["Hello.", first, "I want to die."]] * (len(said) - 2)
    assert said[-1] == ["Hello.", first, "Bye."]
    assert {body["temperature"] for body in server.bodies} == {0.7}
    assert server.bodies[-1]["max_tokens"] == 256


def test_input_that_is_no_text_is_not_the_end() -> None:
    with Server(in_turn(completion("(Affirmation) a", finish="length"), completion(None))) as server:
        runner = CliRunner()
        done = runner.invoke(app, ["chat", "--model", "m", "--base-url", server.base_url], input=b"caf\xe9\n\nyes")
    assert done.exit_code == 0, done.output
    assert server.bodies[0]["messages"][-1]["content"] == "caf\ufffd"
    assert "cut off after 256 tokens" in done.stdout
    assert done.stdout.endswith("(no strategy could be read)\n(no words)\n\n")


class Terminal:
    """`cso chat` on a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        self._end, inner = pty.openpty()
        environment_ = environment() | {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "40"}
        self._process = subprocess.Popen(
            command("chat", *arguments),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment_,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )
        os.close(inner)
        self.output = ""
        self._seen = 0

    def until(self, words: str, *, seconds: float = 60) -> None:
        """Read until `words` come, behind those that were waited for before."""
        deadline = time.monotonic() + seconds
        while words not in self.output[self._seen :]:
            ready, _, _ = select.select([self._end], [], [], max(0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:
                raise TimeoutError(self.output)
            try:
                self.output += os.read(self._end, 4096).decode("utf-8", "replace")
            except OSError:  # the process has ended
                raise AssertionError(self.output) from None
        self._seen = self.output.index(words, self._seen) + len(words)

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def interrupt(self) -> None:
        os.kill(self._process.pid, signal.SIGINT)

    def interrupt_until(self, words: str) -> None:
        """Python misses a signal that comes just before it begins to wait, so another one is sent then."""
        for _ in range(10):
            self.interrupt()
            with suppress(TimeoutError):
                return self.until(words, seconds=3)
        raise AssertionError(self.output)

    def end(self) -> int:
        return self._process.wait(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)


def test_on_a_terminal_ctrl_c_stops_a_reply_and_ctrl_d_ends() -> None:
    asked = threading.Event()

    def script(call: Call) -> Reply:
        asked.set()
        reply = completion("(Affirmation) " + "You are strong. " * 8)
        return reply.after(30) if call.number == 0 else reply

    with Server(script) as server, Terminal("--model", "m", "--base-url", server.base_url) as terminal:
        terminal.until("> ")
        terminal.type("Hello.\n")
        terminal.until("...")
        assert asked.wait(20)
        terminal.interrupt_until("stopped")
        terminal.until("> ")
        terminal.type("/again\n")
        terminal.until("Affirmation")
        terminal.until("> ")
        terminal.type("never mind")
        terminal.until("never mind")
        terminal.interrupt_until("Ctrl-D or /quit ends")
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end() == 0, terminal.output
    assert "Traceback" not in terminal.output
    assert re.search(r"\x1b\[1;38;[\d;]+mAffirmation", terminal.output)
    assert "strong. You are strong. You are strong. You are \r\n" in terminal.output.replace("are\r\n", "are \r\n")
    assert [body["messages"][1:] for body in server.bodies] == [[{"role": "user", "content": "Hello."}]] * 2

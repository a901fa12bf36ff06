"""`cso` as a user types it, in a process of its own or in this one, and a server that answers by a pure function."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from cso.cli.main import MISTAKE, SPENT, app
from cso.errors import BudgetSpent, CsoError
from cso.llm.chat import Message, Request
from cso.llm.scripted import ScriptedChat
from server import Call, Reply, completion

CSO = str(Path(sys.executable).with_name("cso"))
KEY = "sk-very-secret-0123456789"
ROLES = {f"test-{role}": ScriptedChat(role=role, end=0.5, min_rounds=2) for role in ("seeker", "supporter")} | {
    f"test-{role}": ScriptedChat(role=role) for role in ("strategist", "judge")
}


def command(*arguments: object) -> list[str]:
    return [CSO, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OPENAI_API_KEY": KEY, "COLUMNS": "200"}


def cso(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def cso_here(*arguments: object, typed: str | None = None) -> Done:
    """The command in this process, where what takes seconds to import is there; a user's mistake as its one line."""
    done = CliRunner().invoke(
        app, list(map(str, arguments)), input=typed, env={"COLUMNS": "200", "OPENAI_API_KEY": KEY}
    )
    if isinstance(done.exception, CsoError):
        status = SPENT if isinstance(done.exception, BudgetSpent) else MISTAKE
        return Done(status, done.stdout, str(done.exception))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def by_models(base_url: str, **more: Any) -> list[str]:
    """`--set` for a cast of the four test models."""
    said = {"cast.kind": "llm", "cast.default.base_url": base_url, "search.iterations": 6, "search.rollout_rounds": 2}
    said |= {f"cast.{role}.model": f"test-{role}" for role in ("seeker", "supporter", "strategist", "judge")}
    said |= {key.replace("__", "."): value for key, value in more.items()}
    return [part for key, value in said.items() for part in ("--set", f"{key}={value}")]


def answer(call: Call) -> Reply:
    """What the role that the model's name says would answer."""
    body = call.body
    request = Request(
        model=body["model"],
        messages=tuple(Message(message["role"], message["content"]) for message in body["messages"]),
        temperature=0.0,
        max_tokens=99,
        schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
        sample=body.get("seed", 0),
    )
    return completion(ROLES[request.model].answer(request))


def questions(calls: list[Call]) -> Counter[str]:
    """How often each question was put, samples told apart by their seed."""
    return Counter(json.dumps(call.body, sort_keys=True) for call in calls)


def trees(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "trees").glob("*.json"))}

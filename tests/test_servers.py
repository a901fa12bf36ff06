"""Models that cso trained, behind a server that people use: what they say there is what they say in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import ROLES, answer
from cli import cso_here as cso
from cso.corpora import read_corpus
from cso.settings import Settings
from cso.store import Run
from cso.taxonomy import load_taxonomy
from cso.train import merge_adapter, train
from cso.tree import End, Expanded
from server import Server
from serving import served
from small_training import save_pairs, settings

pytestmark = pytest.mark.slow

ESC8 = load_taxonomy("esc8")
FREE = ("--choose", "free", "--set", "evaluate.per_stage=3", "--set", "evaluate.max_tokens=40")
LINES = "I lost my job last week.\nNobody calls me any more.\nMaybe I should go for a walk.\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose embedded backbone was trained twice: all of its weights, and an adapter that is folded in."""
    there = Run.create(tmp_path_factory.mktemp("run") / "run", Settings(), ESC8)
    there.save_seeds([])
    there.preferences.mkdir()
    pairs = save_pairs(there.preferences / "pairs.jsonl", trees=8)
    for tuning, rate in (("full", 3e-4), ("lora", 3e-3)):
        told = settings("tiny", tuning=tuning, tokens=3000, learning_rate=rate)
        train(pairs, there.model(tuning), told, taxonomy=ESC8)
    merge_adapter(there.model("lora"))
    return there.folder


@pytest.fixture(scope="module")
def full(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the model of all weights."""
    with served(run / "models/full", tmp_path_factory.mktemp("full")) as address:
        yield address


def replies(run: Path, name: str) -> list[dict[str, Any]]:
    text = (run / "evaluation" / name / "replies.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def check_alike(run: Path, model: str, address: str) -> None:
    """The greedy replies of a model of the run are the same here and there, strategies and words."""
    here = cso("evaluate", run, "--model", model, "--name", "here", *FREE)
    assert here.returncode == 0, here.stderr
    place = run / "models" / model
    there = cso("evaluate", run, "--model", place, "--base-url", address, "--name", "there", *FREE)
    assert there.returncode == 0, there.stderr
    found = replies(run, "there")
    assert found == replies(run, "here")
    assert len({row["strategy"] for row in found} - {None}) > 1  # else little would be compared
    scores = [json.loads((run / f"evaluation/{name}/scores.json").read_text()) for name in ("here", "there")]
    assert scores[0]["strategies"] == scores[1]["strategies"]


def test_a_served_model_is_evaluated_as_in_this_process(run: Path, full: str) -> None:
    check_alike(run, "full", full)


def test_a_served_model_with_its_adapter_folded_in_is_evaluated_as_the_adapter_is(run: Path, tmp_path: Path) -> None:
    with served(run / "models/lora/merged", tmp_path) as address:
        local = cso("evaluate", run, "--model", "lora", "--name", "adapter", *FREE)
        assert local.returncode == 0, local.stderr
        for name in ("here", "there"):
            (run / "evaluation" / name / "scores.json").unlink(missing_ok=True)
        check_alike(run, "lora/merged", address)
    assert replies(run, "adapter") == replies(run, "there")


def test_a_served_model_is_talked_with_as_in_this_process(run: Path, full: str) -> None:
    told = ("--temperature", 0, "--max-tokens", 40)
    here = cso("chat", "--model", run / "models/full", *told, typed=LINES)
    there = cso("chat", "--model", run / "models/full", "--base-url", full, *told, typed=LINES)
    assert here.returncode == there.returncode == 0, there.stderr
    assert f"sent to {full}" in there.stdout
    said = [done.stdout.split("/help")[1] for done in (here, there)]
    assert said[0] == said[1]
    assert sum(line.strip("()") in ESC8.names for line in said[0].splitlines()) == 3


def test_a_search_s_supporter_may_be_a_trained_model_behind_a_server(run: Path, full: str, tmp_path: Path) -> None:
    """The other roles must fill in schemas, which takes a model that can."""
    seed = read_corpus("bundled", ESC8).dialogues[0]
    with Server(answer) as others:
        told = {f"cast.{role}.model": f"test-{role}" for role in ("seeker", "strategist", "judge")}
        told |= {"cast.kind": "llm", "cast.default.base_url": others.base_url, "search.iterations": 8}
        told |= {"cast.supporter.base_url": full, "cast.supporter.model": str(run / "models/full")}
        told |= {"search.rollout_rounds": 1, "cast.supporter.max_tokens": 60, "limits.concurrency": 2}
        sets = [part for key, value in told.items() for part in ("--set", f"{key}={value}")]
        done = cso("search", "bundled", "--limit", 1, "--out", tmp_path / "run", *sets)
        asked = {call.body["model"] for call in others.calls}
    assert done.returncode == 0, done.stdout + done.stderr
    (tree,) = Run.open(tmp_path / "run").trees()
    assert tree.failure is None
    assert tree.seed.id == seed.id
    assert asked == {name for name in ROLES if name != "test-supporter"}
    (answers,) = (tmp_path / "run/answers").iterdir()
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    said = {row["text"] for row in rows if row["role"] == "supporter"}
    spoken = {node.state.supporter for node in tree.nodes if isinstance(node.state, Expanded | End)}
    assert any(words in text for text in said for words in spoken)  # its words are in the tree

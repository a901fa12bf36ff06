"""Searches on a local Ray cluster, held to those of one process, also when actors die or have spent their shares."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.casting import casting
from cso.cli import fetch as cli
from cso.cluster.crew import Crew
from cso.cluster.evaluating import PROMPTS
from cso.cluster.mirror import SHARED, Mirror
from cso.cluster.searching import RaySearch
from cso.cluster.shares import share
from cso.corpora import read_corpus
from cso.errors import BudgetSpent, ClusterError, InputError, StoreError
from cso.evaluate import evaluate, items
from cso.growing import Growing, Grown
from cso.settings import EvaluateSettings, LimitSettings, RaySettings, load_settings
from cso.store import Run
from cso.taxonomy import load_taxonomy
from small_training import save_model
from worker import Worker

ray: Any = import_module("ray")
ESC8 = load_taxonomy("esc8")
SEEDS = read_corpus("bundled", ESC8).dialogues[:6]


@pytest.fixture(scope="module")
def cluster() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where actors find `Worker`
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def run_of(folder: Path, *said: str) -> Run:
    settings = load_settings(None, ["search.iterations=12", "ray.actors=2", "ray.at_once=2", *said])
    run = Run.create(folder, settings, ESC8)
    run.save_seeds(SEEDS)
    return run


def trees_of(run: Run) -> dict[str, bytes]:
    """Without the draft that an actor may leave which is killed as it writes."""
    return {path.name: path.read_bytes() for path in (run.folder / "trees").glob("*.json")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The trees as one process grows them."""
    run = run_of(tmp_path_factory.mktemp("alone") / "run")

    async def grow() -> None:
        async with casting(run) as cast:
            await Growing(cast).grow(SEEDS, lambda tree: None)

    asyncio.run(grow())
    return trees_of(run)


@pytest.mark.slow
def test_two_actors_grow_the_trees_of_one_process_though_one_is_killed(
    cluster: None, alone: dict[str, bytes], tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run")
    grown: list[Grown] = []

    def kill_one(tree: Grown) -> None:
        grown.append(tree)
        if len(grown) == 1:
            first.extend(actors())
            os.kill(first[0], signal.SIGKILL)
        later.extend(actors())

    first: list[int] = []
    later: list[int] = []
    RaySearch(run).grow(SEEDS, grown=kill_one)
    assert len(first) == 2
    assert first[0] not in later[-2:]
    assert sorted(tree.id for tree in grown) == sorted(seed.id for seed in SEEDS)
    assert trees_of(run) == alone
    lines = [line for path in (run.folder / "answers").iterdir() for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == len(set(lines)), "nothing was asked twice"


@pytest.mark.slow
@pytest.mark.long
def test_a_run_at_an_address_is_fetched_whole_and_gone_on_with(
    cluster: None, alone: dict[str, bytes], tmp_path: Path
) -> None:
    run = run_of(tmp_path / "here", "ray.actors=1")
    there = Mirror(f"file://{tmp_path}/there", run.folder)
    there.send(*SHARED)
    search = RaySearch(run, there.address)
    search.grow(SEEDS[:2], grown=lambda tree: None)
    (tmp_path / "there" / "trees" / f"{SEEDS[1].id}.json").unlink()  # as if a machine had been lost
    search = RaySearch(run, there.address)
    grown: list[Grown] = []
    search.grow(SEEDS[:2], grown=grown.append)
    assert sorted(tree.id for tree in grown) == sorted(seed.id for seed in SEEDS[:2])
    assert search.spent().calls == 0, "the answers were there"
    fetched = Mirror(there.address, tmp_path / "fetched")
    fetched.fetch(*fetched.names())
    found = trees_of(Run.open(tmp_path / "fetched"))
    assert found == {name: alone[name] for name in found}
    assert len(found) == 2


def test_a_fetched_run_keeps_what_was_heard_since_and_is_never_mixed_with_another(tmp_path: Path) -> None:
    there, here = run_of(tmp_path / "there"), tmp_path / "here"
    there.answers_path("a").write_text("one\n", encoding="utf-8")
    cli.fetch(f"file://{there.folder}", here)
    answers = here / "answers" / "a.jsonl"
    assert answers.read_text("utf-8") == "one\n"
    answers.write_text("one\ntwo\n", encoding="utf-8")
    cli.fetch(f"file://{there.folder}", here)
    assert answers.read_text("utf-8") == "one\ntwo\n"
    other = run_of(tmp_path / "other", "search.exploration=2")
    with pytest.raises(StoreError, match="found one with other settings"):
        cli.fetch(f"file://{other.folder}", here)
    assert Run.open(here).settings == there.settings
    with pytest.raises(InputError, match="expected an address such as s3"):
        cli.fetch("", here)
    with pytest.raises(StoreError, match="found 0 other files"):
        cli.fetch(f"file://{tmp_path}/nowhere", tmp_path / "new")


def test_an_address_of_ray_where_nothing_answers_is_found_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)  # another test's cluster
    nobody = Crew[int](Worker, RaySettings(address="127.0.0.1:1"), tell=lambda place, of: (place, ""))
    with pytest.raises(ClusterError, match="nothing answers there"):
        connect(nobody)


def connect(crew: Crew[int]) -> None:
    with crew:
        pass


def test_an_address_that_nothing_opens_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an address that fsspec can open"):
        Mirror("nosuch://bucket/run", tmp_path)
    with pytest.raises(StoreError, match="cannot be written"):
        Mirror("file:///proc/run", tmp_path).send("settings.yaml")


def actors() -> list[int]:
    """Processes of this cluster's search actors."""
    found: list[int] = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if "ray::SearchActor" in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def crew(opening: str = "", *, at_once: int = 2) -> Crew[int]:
    return Crew(Worker, RaySettings(actors=2, at_once=at_once), tell=lambda place, of: (place, opening))


@pytest.mark.slow
def test_what_one_actor_cannot_pay_for_others_do(cluster: None) -> None:
    with crew() as two:
        assert sorted(two.spread("work", range(20))) == [(number, number**2) for number in range(20)]


@pytest.mark.slow
def test_a_budget_is_spent_once_every_actor_has_spent_its_share(cluster: None) -> None:
    with crew() as two, pytest.raises(BudgetSpent, match="max_calls = 3"):
        list(two.spread("work", [1, -2, 2]))


@pytest.mark.slow
def test_work_that_kills_every_actor_is_to_blame(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cso.cluster.crew.DEATHS", 2)
    with crew(at_once=1) as two:
        finished = two.spread("work", [3, -1, 4])
        assert {next(finished), next(finished)} == {(3, 9), (4, 16)}
        with pytest.raises(ClusterError, match="2 actors died with the same work under way"):
            next(finished)
    with crew("deadly") as two, pytest.raises(ClusterError, match="before they were ready"):
        list(two.spread("work", [1]))


@pytest.mark.slow
def test_what_an_actor_finds_wrong_is_raised_as_it_was(cluster: None, tmp_path: Path) -> None:
    with crew("wrong") as two, pytest.raises(InputError, match=r"^this is wrong$"):
        list(two.spread("work", [1]))
    lost = run_of(tmp_path / "run")
    (lost.folder / "settings.yaml").unlink()
    with pytest.raises(StoreError, match="no such run"):
        RaySearch(lost).grow(SEEDS, grown=lambda tree: None)


@pytest.mark.slow
@pytest.mark.long
def test_a_model_is_evaluated_by_actors_as_in_one_process(cluster: None, tmp_path: Path) -> None:
    model = str(save_model(tmp_path / "model"))
    asked = items(SEEDS)[: PROMPTS + 10]
    settings = EvaluateSettings(choose="score", max_tokens=4)  # it writes as well
    one = evaluate(model, asked, tmp_path / "one", ESC8, settings)
    two = evaluate(model, asked, tmp_path / "two", ESC8, settings, ray=RaySettings(actors=2))
    assert any(each.text for each in one)
    assert [(each.item, each.strategy, each.text) for each in two] == [
        (each.item, each.strategy, each.text) for each in one
    ]
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found no such folder"):
        evaluate(nowhere, asked, tmp_path / "none", ESC8, settings, ray=RaySettings(actors=1))


@pytest.mark.slow
def test_an_actor_that_fits_nowhere_is_a_mistake_that_is_named(cluster: None) -> None:
    many = Crew[int](Worker, RaySettings(cpus=1000), tell=lambda place, of: (place, ""))
    with pytest.raises(ClusterError, match=r"lower ray\.cpus or ray\.gpus"), many:
        pass


LIMITS = st.one_of(st.none(), st.integers(1, 10_000))


@given(st.integers(1, 40), st.integers(40, 10_000), LIMITS, LIMITS, st.one_of(st.none(), st.floats(0, 1e6)))
def test_shares_add_up_to_the_limits(
    of: int, concurrency: int, max_calls: int | None, max_tokens: int | None, max_cost: float | None
) -> None:
    limits = LimitSettings(
        concurrency=concurrency, max_calls=max_calls, max_tokens=max_tokens, max_cost=max_cost, timeout=5
    )
    shares = [share(limits, place, of) for place in range(of)]
    assert sum(each.concurrency for each in shares) == concurrency
    assert total([each.max_calls for each in shares]) == max_calls
    assert total([each.max_tokens for each in shares]) == max_tokens
    assert total([each.max_cost for each in shares]) == pytest.approx(max_cost)
    assert {each.timeout for each in shares} == {5}


def total(parts: Sequence[Any]) -> Any:
    return None if None in parts else sum(parts)

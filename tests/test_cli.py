"""The commands from end to end: what they make, how they fail, and that nothing is lost or asked twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from cli import KEY, Done, answer, by_models, command, cso, cso_here, environment, questions, trees
from cso.store import Run
from server import Call, Reply, Server, completion, failure

pytestmark = pytest.mark.slow


def arguments(run: Path, base_url: str, *more: object, limit: int = 3, **said: Any) -> tuple[object, ...]:
    return ("search", "bundled", "--out", run, "--limit", limit, *by_models(base_url, **said), *more)


def search(run: Path, base_url: str, *more: object, limit: int = 3, **said: Any) -> Done:
    return cso_here(*arguments(run, base_url, *more, limit=limit, **said))


def search_apart(run: Path, base_url: str, *more: object, **said: Any) -> subprocess.CompletedProcess[str]:
    return cso(*arguments(run, base_url, *more, **said))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The trees of an undisturbed search."""
    run = tmp_path_factory.mktemp("plain") / "run"
    with Server(answer) as server:
        done = search(run, server.base_url)
        assert done.returncode == 0, done.stderr
        assert max(questions(server.calls).values()) == 1
    return trees(run)


def test_search_and_extract_on_the_embedded_cast(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cso("search", "bundled", "--out", run, "--limit", 4, "--set", "search.iterations=25")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trees grown" in done.stdout
    assert "stand-in" in done.stdout
    tree = json.loads((run / "trees" / "train-0001.json").read_text())
    wanted = {"id", "parent", "kind", "strategy", "prior", "q", "n", "closed", "gold", "supporter", "seeker", "rating"}
    assert all(set(node) == wanted for node in tree["nodes"])
    before = sum(path.read_bytes().count(b"\n") for path in (run / "answers").iterdir())
    done = cso_here("extract", run, "--judge", "--random")
    assert done.returncode == 0, done.stderr
    assert sum(path.read_bytes().count(b"\n") for path in (run / "answers").iterdir()) > before
    rows = [json.loads(line) for line in (run / "preferences" / "pairs.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        assert row["prompt"][0]["role"] == "system"
        assert row["prompt"][-1]["role"] == "user"
        for reply in (row["chosen"], row["rejected"]):
            assert [message["role"] for message in reply] == ["assistant"]
    assert parquet.read_table(run / "preferences" / "pairs.parquet").num_rows == len(rows)
    assert {path.name for path in (run / "preferences").iterdir()} >= {"kto.jsonl", "sft.parquet", "random.jsonl"}
    done = cso_here("extract", run, "--set", "cast.judge.temperature=0.5")  # of another judge, on the same trees
    assert done.returncode == 0, done.stderr
    assert len((run / "preferences" / "pairs.jsonl").read_text().splitlines()) == len(rows)
    again = cso_here("extract", run)
    assert "extracted otherwise before: cast.judge.temperature was 0.5, is 0.0 (--set says it again)" in again.stdout


def test_the_embedded_cast_grows_the_same_bytes_twice(tmp_path: Path) -> None:
    few = ("--limit", 3, "--set", "search.iterations=30")
    for process, name in ((cso_here, "one"), (cso, "two")):
        assert process("search", "bundled", "--out", tmp_path / name, *few).returncode == 0
    assert trees(tmp_path / "one") == trees(tmp_path / "two")


def test_two_runs_and_speculation_grow_the_same_bytes(tmp_path: Path, plain: dict[str, bytes]) -> None:
    with Server(answer) as server:
        assert search_apart(tmp_path / "again", server.base_url).returncode == 0
        assert search(tmp_path / "ahead", server.base_url, search__speculate=3).returncode == 0
    assert trees(tmp_path / "again") == plain
    assert trees(tmp_path / "ahead") == plain


def test_killed_and_resumed_the_trees_are_the_same_and_only_what_was_in_flight_is_asked_again(
    tmp_path: Path, plain: dict[str, bytes]
) -> None:
    run = tmp_path / "run"
    with Server(lambda call: answer(call).after(0.01)) as server:
        for wanted in (20, 60, 100):
            told = command(*arguments(run, server.base_url))
            with subprocess.Popen(told, env=environment(), stdout=subprocess.DEVNULL) as process:
                while len(server.calls) < wanted and process.poll() is None:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
        lost = server.most_in_flight * 3
        assert search(run, server.base_url).returncode == 0
        asked = questions(server.calls)
    assert trees(run) == plain
    assert sum(asked.values()) - len(asked) <= lost
    records = [json.loads(line) for path in (run / "answers").iterdir() for line in path.read_text().splitlines()]
    assert len({record["key"] for record in records}) == len(records) == len(asked)


def heed() -> None:
    """A process started in the background of a shell ignores Ctrl-C, and so do its children: not this one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path, plain: dict[str, bytes]) -> None:
    run = tmp_path / "run"
    with Server(lambda call: answer(call).after(0.02)) as server:
        told = command(*arguments(run, server.base_url))
        with subprocess.Popen(told, env=environment(), stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
            while len(server.calls) < 30:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "the same command goes on" in complaint
        assert "Traceback" not in complaint
        assert search(run, server.base_url).returncode == 0
    assert trees(run) == plain


def test_faults_on_the_way_change_nothing(tmp_path: Path, plain: dict[str, bytes]) -> None:
    """Every fifth call fails: 429, 500, a cut connection, a body that is none."""

    def faulty(call: Call) -> Reply:
        if call.number % 5:
            return answer(call)
        kind = call.number // 5 % 4
        return [failure(429, retry_after="0.05"), failure(500), answer(call).cut(7), Reply(b"<html>")][kind]

    with Server(faulty) as server:
        done = search(tmp_path / "run", server.base_url)
    assert done.returncode == 0, done.stderr
    assert trees(tmp_path / "run") == plain


def test_a_tree_that_fails_is_stored_with_its_reason_and_the_others_go_on(
    tmp_path: Path, plain: dict[str, bytes]
) -> None:
    victim = json.loads(next(iter(plain.values())))["dialogue"]["turns"][0]["text"]

    def noisy(call: Call) -> Reply:
        judged = call.body["model"] == "test-judge" and victim in call.body["messages"][1]["content"]
        return completion("I would rather not say.") if judged else answer(call)

    run = tmp_path / "run"
    with Server(noisy) as server:
        done = search(run, server.base_url)
        asked = len(server.calls)
        assert done.returncode == 1
        assert "failed after 0 iterations: train-0001: unreadable: judge (test-judge): no usable answer" in done.stdout
        grown = trees(run)
        assert json.loads(grown["train-0001.json"])["failure"]["reason"] == "unreadable"
        assert {name: tree for name, tree in grown.items() if name != "train-0001.json"} == {
            name: tree for name, tree in plain.items() if name != "train-0001.json"
        }
        assert search(run, server.base_url).returncode == 1
        assert len(server.calls) == asked  # the answers that could not be read are remembered too
    done = cso_here("extract", run)
    assert done.returncode == 0
    assert "left out, since its search failed: train-0001" in done.stdout


@pytest.mark.parametrize(("limit", "value"), [("--max-calls", 25), ("--max-tokens", 4000), ("--max-cost", 0.5)])
def test_a_budget_stops_the_run_and_a_higher_one_goes_on(
    tmp_path: Path, plain: dict[str, bytes], limit: str, value: float
) -> None:
    run = tmp_path / "run"
    with Server(answer) as server:
        price: dict[str, Any] = {"cast__default__price": "[100,100]"}
        done = search(run, server.base_url, limit, value, **price)
        assert done.returncode == 3, done.stderr
        assert f"{limit.removeprefix('--').replace('-', '_')} = " in done.stderr
        assert 0 < len(server.calls) < 300
        assert limit != "--max-calls" or len(server.calls) == value
        assert search(run, server.base_url, **price).returncode == 0
        assert max(questions(server.calls).values()) == 1
    assert trees(run) == plain


def test_a_limit_of_calls_stops_the_embedded_cast_as_well(tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    asked = ["search", "bundled", "--limit", 1, "--set", "search.iterations=2", "--out"]
    stopped = cso_here(*asked, run, "--max-calls", 20)
    assert (stopped.returncode, stopped.stderr.count("limits.max_calls = 20 is reached")) == (3, 1)
    assert "20 calls" in stopped.stdout
    assert sum(path.read_bytes().count(b"\n") for path in (run / "answers").iterdir()) == 20
    assert Run.open(run).settings.limits.max_calls is None  # it bounds one invocation
    said = cso_here(*asked, run, "--set", "extract.balance=weights")
    assert said.returncode == cso_here(*asked, whole).returncode == 0
    assert "the run's settings are now as told: extract.balance was none, is weights\n" in said.stdout
    assert trees(run) == trees(whole)


def test_a_cost_limit_without_a_price_is_a_mistake(tmp_path: Path) -> None:
    done = search_apart(tmp_path / "run", "http://127.0.0.1:9/v1", "--max-cost", 1)
    assert done.returncode == 2
    assert "the price of test-judge, test-seeker, test-strategist, test-supporter is not known" in done.stderr
    assert "trees grown" not in done.stdout  # nothing has begun


def test_a_dry_run_asks_nobody(tmp_path: Path) -> None:
    done = search(tmp_path / "run", "http://127.0.0.1:9/v1", "--dry-run", cast__default__price="[1, 2]", limit=8)
    assert done.returncode == 0, done.stderr
    assert "Estimate for 8 dialogues" in done.stdout
    assert "about $" in done.stdout
    assert "would not start" not in done.stdout
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_is_known_of_the_cost_and_what_the_search_would_lack(tmp_path: Path) -> None:
    told = ("--dry-run", "--max-cost", 1)
    address = "http://127.0.0.1:9/v1"
    some = search(tmp_path / "run", address, *told, cast__judge__price="[100, 100]", limit=1)
    assert some.returncode == 0, some.stderr
    assert "Estimate for 1 dialogue, from 1 " in some.stdout
    lacking = "test-seeker, test-strategist, test-supporter"
    assert re.search(rf"at least \$\d+\.\d\d \(no price is known of {lacking}\)", some.stdout)
    assert f"limits.max_cost needs the price of {lacking}, which is not known" in some.stdout
    played = search(tmp_path / "run", address, "--dry-run", cast__policy__model="tiny", limit=1)
    assert re.search(r"strategist: \d+ calls of tiny, in this process", played.stdout)
    assert "cost unknown (no price of the model is known)" in played.stdout
    none = search(tmp_path / "run", address, "--dry-run", limit=1)
    assert "cost unknown" in none.stdout
    assert "would not start" not in none.stdout


def test_an_endpoint_that_is_down_is_told_in_seconds(tmp_path: Path) -> None:
    done = search_apart(tmp_path / "run", "http://127.0.0.1:9/v1")
    assert done.returncode == 2
    assert "gives no answers to test-" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), "$OPENAI_API_KEY was not accepted"),
        (failure(404, "The model `test-strategist` does not exist", code="model_not_found"), "has no model"),
    ],
)
def test_a_wrong_key_or_model_stops_the_run_and_the_key_is_nowhere(
    tmp_path: Path, reply: Reply, complaint: str
) -> None:
    with Server(lambda call: reply) as server:
        done = search_apart(tmp_path / "run", server.base_url)
    assert done.returncode == 2
    assert complaint in done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes()
    assert KEY not in done.stderr + done.stdout


def test_a_server_that_hangs_is_given_up(tmp_path: Path) -> None:
    with Server(lambda call: answer(call).after(60)) as server:
        done = search_apart(tmp_path / "run", server.base_url, limits__timeout=0.3, limits__patience=1)
    assert done.returncode == 2
    assert "no answer within 0.3 s" in done.stderr


def test_other_settings_are_refused_and_regrow_keeps_the_answers(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Server(answer) as server:
        assert search(run, server.base_url).returncode == 0
        done = search(run, server.base_url, search__iterations=8)
        assert done.returncode == 2
        assert "search.iterations: 6 there, 8 now" in done.stderr
        assert search(run, server.base_url, "--regrow", search__iterations=8).returncode == 0
        assert max(questions(server.calls).values()) == 1
    assert json.loads((run / "trees" / "train-0001.json").read_text())["iterations"] == 8


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("search", "nowhere.json", "--out", "run"), "nowhere.json: expected a readable file"),
        (("search", "bundled", "--out", "run", "--set", "search.iterations=x"), "search.iterations"),
        (("search", "bundled", "--out", "run", "--set", "taxonomy=none"), "taxonomy none: expected one of"),
        (("search", "bundled", "--out", "run", "--base-url", "http://x/v1"), "no model"),
        (("search", "bundled", "--out", "run", "--model", "m", "--base-url", "x"), "expected an address"),
        (("extract", "nowhere"), "no such run"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cso(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command("recipes"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "cso: No space left on device: make room; the same command goes on from here\n"


TUTORING = """\
name: tutoring
strategies:
  - {name: Ask, definition: Let the pupil say what they think.}
  - {name: Hint, definition: Point to the next small step.}
  - {name: Show, definition: Work one step out aloud.}
"""


def test_seeds_of_another_file_join_those_of_the_run(tmp_path: Path) -> None:
    """Else what a run was grown from would count as held-out data."""
    run = tmp_path / "run"
    asked = ("--out", run, "--limit", 1, "--set", "search.iterations=1")
    assert cso_here("search", "bundled", *asked).returncode == 0
    other = cso_here("search", "bundled:test", *asked)
    assert other.returncode == 0
    assert "had 120 other seeds than those of bundled:test: they stay" in other.stdout
    assert len((run / "seeds.jsonl").read_text().splitlines()) == 160


def test_the_version_is_that_of_the_package() -> None:
    assert cso_here("--version").stdout == f"{metadata.version('chain-of-strategy')}\n"


def test_a_taxonomy_of_ones_own_goes_the_whole_way(tmp_path: Path) -> None:
    (tmp_path / "tutoring.yaml").write_text(TUTORING)
    with (tmp_path / "seeds.jsonl").open("w") as file:
        for number in range(6):
            turns = [
                {"speaker": "seeker", "text": f"I do not see how to add {number}/3 and 1/2."},
                {"speaker": "supporter", "text": f"What would {number}/3 be in sixths?", "strategy": "ask"},
                {"speaker": "seeker", "text": "Multiply by two? Then I am stuck again."},
                {"speaker": "supporter", "text": f"So {2 * number}/6, and 1/2 is 3/6.", "strategy": "SHOW (S)"},
                {"speaker": "seeker", "text": f"Then it is {2 * number + 3}/6! Can it be made smaller?"},
                {
                    "speaker": "supporter",
                    "text": f"What divides {2 * number + 3}?",
                    "strategy": "Hint",
                },
            ]
            file.write(json.dumps({"id": f"fractions/{number}", "turns": turns}) + "\n")
    run = tmp_path / "run"
    said = ("--set", f"taxonomy={tmp_path / 'tutoring.yaml'}", "--set", "search.iterations=12")
    done = cso_here("search", tmp_path / "seeds.jsonl", "--out", run, *said)
    assert done.returncode == 0, done.stderr
    grown = trees(run)
    for name in ("fractions%2F0.json", "fractions%2F3.json"):
        (run / "trees" / name).unlink()
        (run / "answers" / name.replace(".json", ".jsonl")).unlink()
    assert cso_here("search", tmp_path / "seeds.jsonl", "--out", run, *said).returncode == 0
    assert trees(run) == grown  # the embedded cast is that of all seeds, whatever is left to do
    (tmp_path / "tutoring.yaml").unlink()  # the run keeps its own
    done = cso_here("extract", run)
    assert done.returncode == 0, done.stderr
    nodes = json.loads((run / "trees" / "fractions%2F0.json").read_text())["nodes"]
    assert {node["strategy"] for node in nodes} == {None, "Ask", "Hint", "Show"}
    assert [node["strategy"] for node in nodes if node["gold"]] == [None, "Ask", "Show", "Hint"]

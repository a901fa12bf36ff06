"""`cso train` and `cso recipes` as a user types them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli import command, cso, cso_here, environment
from cso.cli.train import train_settings
from cso.settings import Settings, settings_from
from cso.store import Run
from cso.taxonomy import load_taxonomy
from cso.train import tiny
from small_training import furthest, save_model, save_pairs, weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with pairs, as if searched and extracted."""
    there = Run.create(tmp_path / "run", Settings(), load_taxonomy("esc8"))
    there.preferences.mkdir()
    save_pairs(there.preferences / "pairs.jsonl", trees=8)
    return there.folder


def told(model: Path, *more: str) -> list[str]:
    sets = ("train.batch_size=8", "train.learning_rate=3e-3", "train.epochs=2", *more)
    return ["--model", str(model), "--tuning", "full", *(part for each in sets for part in ("--set", each))]


def train_in_processes(count: int, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count), "--standalone"]
    return subprocess.run(
        [*launcher, "-m", "cso", "train", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment() | {"OMP_NUM_THREADS": "1"} | variables,
        check=False,
    )


def test_a_run_s_pairs_become_a_model_in_its_folder(run: Path, model: Path) -> None:
    done = cso("train", run, "--objective", "dpo", *told(model, "train.validation=0.2"))
    assert done.returncode == 0, done.stderr
    assert "training examples: loss 0.693 -> " in done.stdout
    assert "examples held out: loss 0.693 -> " in done.stdout
    assert (run / "models" / "dpo" / "model.safetensors").exists()
    again = cso_here("train", run, "--objective", "dpo", *told(model, "train.validation=0.2"))
    assert again.returncode == 0
    assert "holds this training already, done" in again.stdout


def test_preferences_of_one_s_own_need_no_run(model: Path, tmp_path: Path) -> None:
    """UltraFeedback's shape: whole conversations, no dialogue, no strategies."""
    path = tmp_path / "feedback.jsonl"
    question = {"role": "user", "content": "How do I sleep better?"}
    rows = [
        {
            "prompt": question["content"],
            "chosen": [question, {"role": "assistant", "content": f"Keep a rhythm, {place}."}],
            "rejected": [question, {"role": "assistant", "content": f"No idea, {place}."}],
        }
        for place in range(10)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "elsewhere"
    done = cso_here("train", out, "--preferences", path, "--name", "ours", "--merge", *told(model)[:2])
    assert done.returncode == 0, done.stderr
    assert (out / "models" / "ours" / "adapter_model.safetensors").exists()
    assert (out / "models" / "ours" / "merged" / "model.safetensors").exists()


def test_a_killed_training_goes_on_to_the_same_weights(run: Path, model: Path) -> None:
    said = ["train", str(run), *told(model, "train.epochs=10", "train.arguments.save_steps=5")]
    process = subprocess.Popen(command(*said, "--name", "killed"), env=environment(), stdout=subprocess.DEVNULL)
    checkpoints = run / "models" / "killed" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "models" / "killed" / "README.md").exists()
    gone_on = cso(*said, "--name", "killed")
    assert "going on from" in gone_on.stdout, gone_on.stderr
    assert cso(*said, "--name", "whole").returncode == 0
    assert furthest(weights(run / "models" / "killed"), weights(run / "models" / "whole")) == 0


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_two_processes_come_to_the_weights_of_one(objective: str, run: Path, model: Path) -> None:
    pairs = run / "preferences" / "pairs.jsonl"
    said = [
        run,
        "--preferences",
        pairs,
        "--objective",
        objective,
        *told(model, "train.packing.token_budget=100", "train.validation=0.2"),
    ]
    assert cso_here("train", *said, "--name", "one").returncode == 0
    both = train_in_processes(2, *said, "--name", "two")
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("model:") == 1  # one of them speaks
    one, two = run / "models" / "one", run / "models" / "two"
    moved = furthest(weights(one), weights(model))
    assert furthest(weights(one), weights(two)) < 1e-3 * moved
    assert json.loads((two / "training.json").read_text())["processes"] == 2
    logs = [[json.loads(line) for line in (each / "metrics.jsonl").read_text().splitlines()] for each in (one, two)]
    for ours, theirs in zip(*logs, strict=True):
        for name in ("loss", "rewards/margins", "eval_loss", "eval_rewards/accuracies"):
            assert ours.get(name) == pytest.approx(theirs.get(name), abs=1e-4)


MISTAKES = {
    "an objective that is not there": (["--objective", "ppo"], "train.objective"),
    "a bare name that is no model of the run": (
        ["--model", "sftt"],
        "model sftt: expected `tiny`, a folder, or a name",
    ),
    "a name that YAML would read otherwise": (["--model", "/nowhere/a #2"], "model /nowhere/a #2: expected `tiny`"),
    "a recipe that is not there": (["--recipe", "gpt-9"], "recipe gpt-9: expected one of gemma-2-9b-it"),
    "a setting that is not there": (["--set", "train.bogus=1"], "train.bogus: there is no such setting"),
    "a name that is a path": (["--name", "../x"], "expected the name of a folder"),
    "a file that is not there": (["--preferences", "nowhere.jsonl"], "nowhere.jsonl"),
    "shards for one process": (["--set", "train.arguments.fsdp=fsdp2"], "expected several processes to shard over"),
    "a parameter that the objective has not": (
        ["--set", "train.parameters.gamma=1"],
        "dpo has beta, sft_weight; found gamma",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_line(mistake: str, run: Path, model: Path) -> None:
    arguments, complaint = MISTAKES[mistake]
    failed = cso_here("train", run, "--model", model, *arguments)
    assert failed.returncode == 2
    assert complaint in failed.stderr
    assert "\n" not in failed.stderr


def test_a_run_without_preferences_says_what_makes_them(run: Path, model: Path) -> None:
    shutil.rmtree(run / "preferences")
    failed = cso_here("train", run, "--model", model)
    assert failed.returncode == 2
    assert f"`cso extract {run}` makes it" in failed.stderr


def test_preferences_of_another_taxonomy_are_refused(run: Path, model: Path) -> None:
    path = run / "preferences" / "pairs.jsonl"
    path.write_text(path.read_text().replace("Affirmation", "Applause"))
    failed = cso_here("train", run, "--model", model)
    assert failed.returncode == 2
    assert "taxonomy" in failed.stderr


def test_two_trainings_do_not_share_a_folder(run: Path, model: Path) -> None:
    folder = run / "models" / "dpo"
    folder.mkdir(parents=True)
    code = "import sys, time, filelock\nwith filelock.FileLock(sys.argv[1]): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(folder / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        failed = cso_here("train", run, "--model", model)
        holder.kill()
    assert failed.returncode == 2
    assert "another process is at work" in failed.stderr


def test_recipes_are_listed_without_torch() -> None:
    listed = cso("recipes")
    assert listed.returncode == 0
    for name in ("llama-3.1-8b-instruct", "qwen2.5-7b-instruct", "gemma-2-9b-it", "tiny"):
        assert name in listed.stdout
    code = (
        "import sys\nclass Absent:\n    def find_spec(self, name, *more):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\nfrom cso.cli.main import app; app(['recipes', 'tiny'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_training_without_the_extra_says_what_to_install(run: Path) -> None:
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'peft' else real(name, *more)\n"
        "from cso.cli.main import main; sys.argv = ['cso', 'train', sys.argv[1]]; main()"
    )
    failed = subprocess.run([sys.executable, "-c", code, str(run)], check=False, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "training needs peft: pip install 'chain-of-strategy[train]'" in failed.stderr


@pytest.mark.timeout(900)
def test_the_embedded_backbone_is_made_once_and_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cache of its own, and one epoch of eight on a tenth of the dialogues."""
    make = tiny.make_tiny
    monkeypatch.setattr(tiny, "make_tiny", lambda dialogues, *told: make(dialogues[:12], *told, epochs=1))
    monkeypatch.setenv("CSO_CACHE", str(tmp_path / "cache"))
    pairs = run / "preferences" / "pairs.jsonl"
    said = ("train", run, "--preferences", pairs, "--objective", "sft", "--set", "train.arguments.max_steps=2")
    first = cso_here(*said)
    assert first.returncode == 0, first.stderr
    assert "making the embedded backbone, once" in first.stdout
    second = cso_here(*said, "--restart")
    assert second.returncode == 0, second.stderr
    assert "making the embedded backbone" not in second.stdout


def of(train: dict[str, Any]) -> Settings:
    return settings_from({"train": train}, source="test")


def test_what_a_run_was_told_of_training_stays_beside_the_recipe_of_tiny() -> None:
    told = train_settings(of({"tuning": "full", "epochs": 1, "seed": 5, "validation": 0.1}), None, None, [])
    assert (told.epochs, told.tokens, told.seed, told.validation) == (1, None, 5, 0.1)
    assert (told.batch_size, told.parameters) == (16, {"beta": 0.3})
    replaced = train_settings(of({"tuning": "full", "epochs": 2}), "tiny", None, [])
    assert (replaced.epochs, replaced.tokens) == (3, 300_000)
    longer = train_settings(of({"tuning": "full"}), None, None, ["train.epochs=5"])
    assert (longer.epochs, longer.tokens) == (5, None)
    both = train_settings(of({"tuning": "full"}), None, None, ["train.epochs=5", "train.tokens=9000"])
    assert both.tokens == 9000
    model = {"attention": "eager", "precision": "fp32"}
    assert train_settings(of({"tuning": "full", "model": model}), None, None, []).model.attention == "eager"


@pytest.mark.parametrize("value", ["abc", "null"])
def test_arguments_of_the_trainer_that_are_no_numbers_are_refused_before_it_begins(
    value: str, run: Path, model: Path
) -> None:
    failed = cso_here("train", run, *told(model, f"train.arguments.max_grad_norm={value}"))
    assert failed.returncode == 2
    assert "train.arguments.max_grad_norm: expected a number, found" in failed.stderr


def test_parameters_are_of_the_objective_that_they_were_told_for(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("train: {parameters: {beta: 0.4}}")
    for name in ("tiny", "x/y"):
        base = of({"model": {"name": name}, "tuning": "full", "parameters": {"beta": 0.2}})
        own = {"beta": 0.3} if name == "tiny" else {}
        for config, beta in ((None, 0.2), (tmp_path / "own.yaml", 0.4)):
            assert train_settings(base, None, config, []).parameters == {"beta": beta}
            assert train_settings(base, None, config, ["train.objective=sft"]).parameters == {}
            assert train_settings(base, None, config, ["train.objective=kto"]).parameters == own
            kto = ["train.objective=kto", "train.parameters.beta=0.7"]
            assert train_settings(base, None, config, kto).parameters == {"beta": 0.7}

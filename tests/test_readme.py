"""The README says what is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cso.settings import settings_from
from small_training import save_model, save_pairs

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_python_example_runs_and_prints_pairs() -> None:
    example, _ = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert " > " in done.stdout


@pytest.mark.slow
def test_the_training_example_trains_and_evaluates(tmp_path: Path) -> None:
    """On a smaller model and its own pairs, from the folder that the example expects."""
    _, example = blocks("python")
    (tmp_path / "runs/demo/preferences").mkdir(parents=True)
    save_pairs(tmp_path / "runs/demo/preferences/pairs.jsonl")
    save_model(tmp_path / "small")
    short = (
        '("dpo", "full").model_copy(update={"model": cso.TrainSettings(model={"name": "small"}).model, "tokens": 2000})'
    )
    assert '("dpo", "full")' in example
    example = "import cso\nesc8 = cso.load_taxonomy('esc8')\n" + example.replace('("dpo", "full")', short)
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Interval(value=" in done.stdout


def test_the_settings_example_is_valid() -> None:
    (example,) = blocks("yaml")
    told = settings_from(yaml.safe_load(example), source="README")
    assert told.cast.player("seeker").model == "Qwen/Qwen2.5-7B-Instruct"
    assert told.cast.player("judge").base_url == "https://api.openai.com/v1"

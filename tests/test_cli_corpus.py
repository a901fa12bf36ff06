"""`cso corpus` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cso.cli.corpus import corpus
from cso.corpora import read_corpus
from cso.errors import CsoError, InputError, StoreError
from cso.taxonomy import load_taxonomy

APP = typer.Typer()
APP.command()(corpus)

EXTES = [
    {
        "scene": "Work",
        "description": "Lost a job.",
        "content": [
            {"User": "Hello"},
            {"AI Strategy": "", "AI": "Hi, how are you?"},
            {"User": "I was [bold]fired[/bold] :smile:."},
            {"AI Strategy": "reflective statements (RS)", "AI": "You lost your job."},
            {"User": "Yes."},
            {"AI Strategy": "Offer Hope", "AI": "It can get better."},
        ],
    },
    {"content": [{"User": "Hello"}, {"AI Strategy": "Others", "AI": "Hi"}]},
    {"content": [{"User": "Hello"}, {"AI Strategy": "[red]\x1b[31m" + "x" * 100, "AI": "Hi"}]},
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


def refusal(*arguments: str) -> CsoError:
    error = run(*arguments).exception
    assert isinstance(error, CsoError)
    return error


def rows(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps(EXTES), encoding="utf-8")
    return path


def test_a_corpus_is_counted_by_strategy_stage_and_length(seeds: Path) -> None:
    result = run(str(seeds))
    assert result.exit_code == 0
    assert "1 of 3 dialogues can be used, 2 dropped (1 others, 1 unknown strategy), 1 unlabelled" in result.stdout
    # utterances 2 and 4 of 4: stages 3 and 5
    assert ["Emotional", "Validation", "1", "50.0%", "0", "0", "0", "1", "0", "0"] in rows(result)
    assert ["Affirmation", "1", "50.0%", "0", "0", "0", "0", "0", "1"] in rows(result)
    assert ["all", "2", "100.0%", "0", "0", "0", "1", "0", "1"] in rows(result)
    assert ["utterances", "a", "dialogue", "1", "4.00", "4", "4"] in rows(result)
    assert ["words", "a", "supporter", "utterance", "2", "4.00", "4", "4"] in rows(result)


def test_dropped_dialogues_are_named_with_turn_and_label(seeds: Path) -> None:
    lines = run(str(seeds)).stdout.splitlines()
    (others,) = (line for line in lines if line.startswith("others "))
    assert others.split(maxsplit=1)[1].strip() == "1         seeds-0002, turn 2: 'Others'"
    (unknown,) = (line for line in lines if line.startswith("unknown strategy "))
    assert "seeds-0003, turn 2: '[red]\\x1b[31mxxxx" in unknown


def test_what_goes_into_a_pipe_is_plain_and_never_folded(seeds: Path) -> None:
    output = run(str(seeds), "--taxonomy", "extes15").stdout
    assert "\x1b" not in output
    assert not set(output) & set("│─┃━┏┓")
    assert sum("Promote Self-Care Practices  " in line for line in output.splitlines()) == 1


def test_no_more_than_three_dialogues_are_named_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_text(json.dumps([EXTES[0], *[EXTES[1]] * 5]), encoding="utf-8")
    (line,) = (line for line in run(str(path)).stdout.splitlines() if line.startswith("others "))
    assert "many-0004, turn 2: 'Others'; ..." in line
    assert "many-0005" not in line


def test_the_usable_dialogues_are_converted(seeds: Path, tmp_path: Path) -> None:
    result = run(str(seeds), "--to", str(tmp_path / "out.jsonl"))
    assert f"1 dialogues written to {tmp_path / 'out.jsonl'}" in result.stdout
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == {
        "id": "seeds-0001",
        "situation": "Lost a job.",
        "scene": "Work",
        "turns": [
            {"speaker": "seeker", "text": "I was [bold]fired[/bold] :smile:."},
            {"speaker": "supporter", "text": "You lost your job.", "strategy": "Emotional Validation"},
            {"speaker": "seeker", "text": "Yes."},
            {"speaker": "supporter", "text": "It can get better.", "strategy": "Affirmation"},
        ],
    }


def test_the_bundled_corpus_is_counted_and_converted_by_name(tmp_path: Path) -> None:
    result = run("bundled:test", "--to", str(tmp_path / "out.jsonl"))
    assert ["all", "335", "100.0%"] in [row[:3] for row in rows(result)]
    esc8 = load_taxonomy("esc8")
    assert read_corpus(tmp_path / "out.jsonl", esc8).dialogues == read_corpus("bundled:test", esc8).dialogues


def test_drop_unlabelled_drops_rather_than_trims(seeds: Path) -> None:
    assert "no dialogue can be used" in str(refusal(str(seeds), "--drop-unlabelled"))
    assert "1 unlabelled start or end" in run(str(seeds), "--drop-unlabelled").stdout


def test_a_users_own_taxonomy_is_taken_by_path(tmp_path: Path) -> None:
    taxonomy = tmp_path / "tutoring.yaml"
    taxonomy.write_text(
        "name: tutoring\nstrategies:\n"
        "  - {name: Ask Back, definition: Answer with a question.}\n"
        "  - {name: Worked Example, definition: Show one solved.}\n"
        "  - {name: Praise Effort, definition: Name good work.}\n",
        encoding="utf-8",
    )
    lesson = tmp_path / "lesson.jsonl"
    turns = [
        {"speaker": "seeker", "text": "Why?"},
        {"speaker": "supporter", "text": "What is 7 x 7?", "strategy": "ask back"},
    ]
    lesson.write_text(json.dumps({"turns": turns}), encoding="utf-8")
    result = run(str(lesson), "--taxonomy", str(taxonomy))
    assert ["Ask", "Back", "1", "100.0%", "0", "0", "0", "0", "0", "1"] in rows(result)
    assert "task:" not in result.stdout
    assert "Supporter turns by strategy" in result.stdout
    with taxonomy.open("a", encoding="utf-8") as file:
        file.write("task: You teach sums.\nspeakers: {seeker: Learner, supporter: Tutor}\n")
    said = run(str(lesson), "--taxonomy", str(taxonomy)).stdout
    assert "trimmed\ntask: You teach sums.\n" in said
    assert "Tutor turns by strategy" in said
    assert "words a learner utterance" in said


def test_a_corpus_of_another_taxonomy_is_a_mistake_that_is_explained(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    error = refusal("bundled", "--taxonomy", "esconv8", "--to", str(out))
    assert isinstance(error, InputError)
    assert "no dialogue can be used with the taxonomy esconv8 (Question," in str(error)
    assert not out.exists()


def test_the_file_that_is_read_is_never_written_over(seeds: Path) -> None:
    before = seeds.read_bytes()
    assert "another file" in str(refusal(str(seeds), "--to", str(seeds.parent / "." / "seeds.json")))
    assert seeds.read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_mistake_that_is_named(seeds: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be", encoding="utf-8")
    error = refusal(str(seeds), "--to", str(tmp_path / "taken" / "out.jsonl"))
    assert isinstance(error, StoreError)
    assert "taken" in str(error)


@pytest.mark.parametrize("raw", [b"", b"[{]", "ä".encode("latin-1"), b'[{"content": [3]}]'])
def test_a_broken_file_is_a_mistake_that_is_named(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(raw)
    error = refusal(str(path))
    assert isinstance(error, InputError)
    assert "broken.json" in str(error)

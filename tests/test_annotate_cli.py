"""`cso annotate` and `cso agreement` as a user types them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cso.cli.main import app
from cso.dialogue import Speaker, Turn
from cso.errors import CsoError
from cso.evaluate import Answer, save, score
from cso.evaluate import Item as Moment
from cso.files import write_jsonl
from cso.settings import Settings
from cso.store import Run
from cso.taxonomy import load_taxonomy
from test_annotate import talk

ESC8 = load_taxonomy("esc8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with pairs and two evaluations of 12 dialogues."""
    there = Run.create(tmp_path / "run", Settings(), ESC8)
    seeds = [
        talk(f"dialogue-{n}", f"Hello {n}").with_turns(
            [Turn(Speaker.SEEKER, f"Hello {n}"), Turn(Speaker.SUPPORTER, f"Gold {n}", "Affirmation")]
        )
        for n in range(12)
    ]
    there.save_seeds(seeds)
    write_jsonl(there.preferences / "pairs.jsonl", map(pair_row, range(12)))
    for name in ("sft", "cso", "mute"):
        answers = [
            Answer(
                Moment(talk(f"held-{n}", f"Hello {n}"), 1, "Affirmation", "Gold", 0),
                "Affirmation",
                "" if name == "mute" else "The same." if n == 0 else f"{name[:1]} {n}",
            )
            for n in range(12)
        ]
        save(there.evaluation(name), answers, score(answers, ESC8.names, draws=5), {})
    return there.folder


def pair_row(number: int) -> dict[str, Any]:
    def said(role: str, text: str) -> dict[str, str]:
        return {"role": role, "content": text}

    return {
        "prompt": [said("system", "Support."), said("user", f"Hello {number}")],
        "chosen": [said("assistant", f"(Affirmation) Good {number}.")],
        "rejected": [said("assistant", f"(Share Information) Bad {number}.")],
        "dialogue": f"dialogue-{number}",
        "turn": 1,
    }


def cso(*arguments: object) -> tuple[int, str]:
    """Exit status, and what was said."""
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    if isinstance(done.exception, CsoError):
        return 2, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def rate(folder: Path, rater: str, good: str, *, single: bool = False) -> None:
    """A rater for whom one source is better in everything, as their page saves it."""
    key = json.loads((folder / "key.json").read_text())
    sheet = key["raters"][rater]

    def mark(name: str) -> str | int:
        sources = key["items"][name]["sources"]
        if single:
            return 5 if sources[0] == good else 2
        return "A" if (sources[0] == good) != (name in sheet["swapped"]) else "B"

    answers = [
        {
            "item": name,
            "marks": {each: mark(name) for each in key["criteria"]},
            "comment": "Hm.",
            "at": "2026-01-01T00:00:00Z",
        }
        for name in sheet["order"]
    ]
    content = {"format": 1, "annotation": key["annotation"], "rater": rater, "answers": answers}
    (folder / f"{rater}.json").write_text(json.dumps(content))


def test_pairs_are_annotated_and_counted(run: Path) -> None:
    code, said = cso("annotate", run, "--items", 10, "--raters", "ann,ben,cem", "--label-studio")
    assert code == 0, said
    assert "10 of 12 pairs, of 10 dialogues, by Empathy, Information, Humanoid, Strategy" in said
    folder = run / "annotation" / "pairs"
    assert {path.name for path in folder.iterdir()} == {
        *("ann.html", "ben.html", "cem.html", "key.json", "tasks.json", "config.xml", "lock")
    }
    for rater, good in (("ann", "ESC-Pro(+)"), ("ben", "ESC-Pro(+)"), ("cem", "ESC-Pro(-)")):
        rate(folder, rater, good)
    code, said = cso("agreement", folder, "--draws", 50)
    assert code == 0, said
    assert "ESC-Pro(+) against ESC-Pro(-)" in said
    assert "66.7 [66.7, 66.7]" in said
    assert "-0.50 [-0.50, -0.50]" in said
    assert "10 of 10 items, of 10 dialogues; 3 raters" in said
    found = json.loads((folder / "agreement.json").read_text())
    assert found["rows"]["Empathy"]["numbers"]["win"]["value"] == pytest.approx(2 / 3)
    assert len(found["comments"]) == 30
    code, again = cso("agreement", folder, "--draws", 50, "--json", run / "numbers.json")
    assert code == 0
    assert "it is an earlier agreement" in again
    assert json.loads((run / "numbers.json").read_text())["rows"] == found["rows"]


def test_two_evaluations_are_compared_with_satisfaction_as_a_mean(run: Path) -> None:
    code, said = cso("annotate", run, "--compare", "cso", "sft", "--raters", 2)
    assert code == 0, said
    assert "11 of 11 pairs, of 11 dialogues, by Acceptance, Effectiveness, Sensitivity" in said
    assert "left out since both replies read the same: 1 pair" in said
    folder = run / "annotation" / "cso-against-sft"
    rate(folder, "rater-1", "cso")
    code, said = cso("agreement", folder / "rater-1.json")
    assert code == 0, said
    assert "cso against sft" in said
    assert "11 of 11 items, of 11 dialogues; 1 rater\n" in said
    assert re.search(r"Satisfaction +100\.0 \[100\.0, 100\.0\]", said)
    assert "no kappa for Acceptance, Effectiveness, Sensitivity, Satisfaction: it needs two raters" in said


def test_no_file_but_an_earlier_agreement_is_replaced(run: Path) -> None:
    assert cso("annotate", run, "--items", 4, "--raters", "ann,ben")[0] == 0
    folder = run / "annotation" / "pairs"
    rate(folder, "ann", "ESC-Pro(+)")
    (folder / "link.json").symlink_to("ann.json")
    (folder / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for name in ("ann.json", "key.json", "link.json", "notes.txt", "../pairs/ann.json"):
        code, said = cso("agreement", folder / "ann.json", "--draws", 10, "--json", folder / name)
        assert code == 2
        assert "no earlier agreement" in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    for _ in range(2):
        assert cso("agreement", folder / "ann.json", "--draws", 10)[0] == 0
    assert "cannot be written" in cso("agreement", folder / "ann.json", "--json", folder / ("a" * 300))[1]
    rate(folder, "ben", "ESC-Pro(+)")
    (folder / "ben.json").rename(folder / "agreement.json")
    code, said = cso("agreement", folder)
    assert code == 2
    assert "no earlier agreement" in said


def test_the_command_that_follows_can_be_pasted(run: Path) -> None:
    spaced = run.rename(run.with_name("it's a run"))
    said = cso("annotate", spaced, "--items", 2)[1]
    command = next(line for line in said.splitlines() if "cso agreement" in line)
    assert shlex.split(command.partition("FILES ")[2]) == ["--key", str(spaced / "annotation/pairs/key.json")]


def test_pairs_with_half_a_surrogate_pair_are_annotated(run: Path) -> None:
    row = pair_row(0) | {"chosen": [{"role": "assistant", "content": "(Affirmation) Good \ud83d."}]}
    write_jsonl(run / "preferences" / "pairs.jsonl", [row])
    code, said = cso("annotate", run, "--raters", 1)
    assert code == 0, said
    assert "1 of 1 pair, of 1 dialogue, by" in said
    assert "Good \\ud83d." in (run / "annotation/pairs/rater-1.html").read_text()
    (run / "preferences" / "pairs.jsonl").write_text("[" * 100_000)
    assert "expected a pair" in cso("annotate", run, "--name", "other")[1]


def test_a_stand_in_s_replies_are_told_to_be_quoted_and_models_are_not(run: Path) -> None:
    said = cso("annotate", run, "--raters", 1)[1]
    assert "word for word from a small corpus" in said
    assert "word for word from a small corpus" in (run / "annotation/pairs/rater-1.html").read_text()
    assert "small corpus" not in cso("annotate", run, "--compare", "cso", "sft", "--raters", 1)[1]
    assert "small corpus" not in (run / "annotation/cso-against-sft/rater-1.html").read_text()


def test_single_replies_are_marked(run: Path) -> None:
    code, said = cso("annotate", run, "--single", "--items", 9, "--raters", 2)
    assert code == 0, said
    assert "9 of 36 replies (seeds: 3, ESC-Pro(+): 3, ESC-Pro(-): 3)" in said
    said = cso("annotate", run, "--single", "--items", 50, "--name", "all")[1]
    assert "36 of 36 replies (" in said
    assert "no more of the 50 asked for, since there are no others" in said
    folder = run / "annotation" / "single"
    for rater in ("rater-1", "rater-2"):
        rate(folder, rater, "seeds", single=True)
    code, said = cso("agreement", *folder.glob("rater-?.json"), "--draws", 20)
    assert code == 0, said
    assert "mean, 1 to 5" in said
    assert "5.00 [5.00, 5.00]  2.00 [2.00, 2.00]  2.00 [2.00, 2.00]  2.00 [2.00, 2.00]  1.00 [1.00, 1.00]" in said


def test_fewer_items_than_asked_for_come_with_the_reason(run: Path) -> None:
    assert "12 of 12 pairs, of 12 dialogues" in cso("annotate", run)[1]
    assert "no more of the 50 asked for, since there are no others" in cso("annotate", run, "--raters", 1)[1]
    twice = [pair_row(number) | {"rejected": pair_row(99)["rejected"]} for number in range(12)]
    write_jsonl(run / "preferences" / "pairs.jsonl", [*map(pair_row, range(12)), *twice])
    said = cso("annotate", run, "--name", "twice")[1]
    assert "12 of 24 pairs, of 12 dialogues" in said
    assert "no more of the 50 asked for, since one item must not give another away" in said
    assert "no more" not in cso("annotate", run, "--name", "few", "--items", 12)[1]


def test_the_same_command_writes_the_same_pages_and_another_is_refused(run: Path) -> None:
    assert cso("annotate", run, "--items", 5)[0] == 0
    page = run / "annotation/pairs/rater-1.html"
    before = page.read_bytes()
    assert cso("annotate", run, "--items", 5)[0] == 0
    assert page.read_bytes() == before
    for told in (("--items", 6), ("--seed", 1), ("--items", 5, "--criteria", "Empathy")):
        code, said = cso("annotate", run, *told)
        assert code == 2
        assert "choose another --name" in said
    assert page.read_bytes() == before
    assert cso("annotate", run, "--items", 6, "--name", "more")[0] == 0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (("--compare", "cso", "nothing"), "expected an evaluation of"),
        (("--compare", "cso", "cso"), "found one twice"),
        (("--compare", "cso", "mute"), "mute: expected replies, found strategies only"),
        (("--compare", "cso", "sft", "--single"), "expected no --compare"),
        (("--criteria", "Charm"), "expected some of Acceptance"),
        (("--criteria", "Empathy, satisfaction"), "Satisfaction is computed"),
        (("--raters", "key"), "rater 'key'"),
        (("--raters", "0"), "from 1 to 100"),
    ],
)
def test_mistakes_are_named(run: Path, told: tuple[str, ...], words: str) -> None:
    code, said = cso("annotate", run, *told)
    assert code == 2
    assert words in said
    assert not (run / "annotation").exists()


def test_a_run_without_pairs_or_evaluations_says_what_makes_them(tmp_path: Path) -> None:
    folder = Run.create(tmp_path / "run", Settings(), ESC8).folder
    assert "`cso extract" in cso("annotate", folder)[1]
    assert "`cso extract" in cso("annotate", folder, "--single")[1]
    assert "it has none yet" in cso("annotate", folder, "--compare", "a", "b")[1]
    assert "no such run" in cso("annotate", tmp_path / "nowhere")[1]

"""Corpora as a whole: the bundled one, published ones, writing them, counting them."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora_in_short import AFF, ESC8, ESCONV8, EV, TURN, told
from cso.corpora import Reason, bundled_corpora, count, read_corpus, read_dialogues, write_dialogues
from cso.dialogue import Dialogue, Speaker, Turn, stage
from cso.errors import StoreError
from cso.taxonomy import load_taxonomy

SHARED = Path(__file__).parents[2] / "shared"


@pytest.mark.parametrize(("name", "dialogues", "turns"), [("bundled", 120, 1041), ("bundled:test", 40, 335)])
def test_the_bundled_corpus_is_usable_whole(name: str, dialogues: int, turns: int) -> None:
    corpus = read_corpus(name, ESC8)
    assert (len(corpus.dialogues), corpus.dropped, corpus.trimmed) == (dialogues, (), 0)
    assert sum(turn.strategy in ESC8.names for dialogue in corpus.dialogues for turn in dialogue.turns) == turns


def test_bundled_dialogues_are_named_by_file_and_number() -> None:
    ids = [dialogue.id for name in bundled_corpora() for dialogue in read_corpus(name, ESC8).dialogues]
    assert (ids[0], ids[119], ids[120], ids[-1]) == ("train-0001", "train-0120", "test-0001", "test-0040")


def test_the_data_card_counts_what_the_bundled_files_hold() -> None:
    extes15 = load_taxonomy("extes15")
    folder = resources.files("cso").joinpath("corpora", "bundled")
    card = folder.joinpath("README.md").read_text(encoding="utf-8")
    train, test = (read_corpus(name, extes15).dialogues for name in bundled_corpora())
    rows = re.findall(r"^\| ([A-Z][\w -]+) \| (\d+) \| (\d+) \| ([\w ]+) \|$", card, re.MULTILINE)
    assert {label: (int(n), int(m), to) for label, n, m, to in rows} == {
        label: (
            sum(count(train, [label]).strategies[label]),
            sum(count(test, [label]).strategies[label]),
            ESC8.read(label),
        )
        for label in extes15.names
    }
    for name, part in (("train", train), ("test", test)):
        size = count(part, []).utterances
        utterances = sum(len(dialogue.turns) for dialogue in part)
        assert (
            f"| `{name}.json` | {size.number} | {utterances} | {utterances // 2} | {size.mean} "
            f"({size.smallest} to {size.largest}) |"
        ) in card
    assert "CC-BY-4.0" in folder.joinpath("LICENSE").read_text(encoding="utf-8")


# Writing


@given(turns=st.lists(TURN, min_size=2, max_size=6), name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_dialogues_are_read_back_as_they_were_written(
    turns: list[Turn], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dialogue = Dialogue(name.strip() or "x", tuple(turns), situation="s", scene="c")
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    write_dialogues([dialogue], path)
    assert list(read_dialogues(path.read_bytes(), source="round.jsonl")) == [dialogue]


def test_the_bundled_corpus_survives_a_round_through_our_own_format(tmp_path: Path) -> None:
    corpus = read_corpus("bundled", ESC8)
    write_dialogues(corpus.dialogues, tmp_path / "out.jsonl")
    assert read_corpus(tmp_path / "out.jsonl", ESC8).dialogues == corpus.dialogues


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        write_dialogues([], tmp_path / "taken" / "out.jsonl")
    with pytest.raises(StoreError, match="expected a file"):
        write_dialogues([], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")

    def dialogues():  # fails after the first dialogue has been written
        yield told("uA")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        write_dialogues(dialogues(), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("out.jsonl", "old")]


# Counting


@pytest.mark.parametrize(
    ("k", "utterances", "expected"),
    [(1, 12, 0), (2, 12, 1), (11, 12, 5), (12, 12, 5), (1, 1, 5), (2, 6, 2), (5, 17, 1)],
)
def test_the_stage_is_that_of_figure_3(k: int, utterances: int, expected: int) -> None:
    assert stage(k, utterances) == expected


def test_strategies_are_counted_by_stage_and_lengths_measured() -> None:
    counts = count([told("-uAuE"), told("uA")], [AFF, EV, "Share Information"])
    # -uAuE: utterance 1 of 5 is in stage 1, 3 of 5 in 3, 5 of 5 in 5; uA: 2 of 2 in 5
    assert counts.strategies == {
        AFF: (0, 0, 0, 1, 0, 1),
        EV: (0, 0, 0, 0, 0, 1),
        "Share Information": (0, 0, 0, 0, 0, 0),
        None: (0, 1, 0, 0, 0, 0),
    }
    assert (counts.utterances.mean, counts.utterances.smallest, counts.utterances.largest) == (3.5, 2, 5)
    assert (counts.words[Speaker.SEEKER].number, counts.words[Speaker.SEEKER].mean) == (3, 1.0)


# Published data, where it is at hand


def published(name: str) -> Path:
    path = SHARED / "data" / "esconv" / name
    if not path.exists():
        pytest.skip(f"published data not at hand: {path}")
    return path


def test_the_esconv_test_split_is_usable_whole_with_esconv8() -> None:
    corpus = read_corpus(published("esc-test.txt"), ESCONV8)
    assert (len(corpus.dialogues), corpus.dropped) == (130, ())
    with published("esc-test.txt").open(encoding="utf-8") as lines:
        dialogs = [json.loads(line)["dialog"] for line in lines]
    heads = Counter(
        ESCONV8.read(turn["strategy"])
        for dialog in dialogs
        for before, turn in zip([{"speaker": ""}, *dialog], dialog, strict=False)
        if turn["speaker"] == "sys" and before["speaker"] != "sys"
    )
    rows = count(corpus.dialogues, ESCONV8.names).strategies
    assert {name: sum(row) for name, row in rows.items()} == heads


def test_rejected_esconv_dialogues_are_read_and_the_unknown_labels_named() -> None:
    corpus = read_corpus(published("FailedESConv.json"), ESCONV8)
    assert (len(corpus.dialogues), len(corpus.dropped)) == (191, 5)
    assert {(dropped.reason, dropped.label) for dropped in corpus.dropped} <= {
        (Reason.UNKNOWN, "Approval and Reassurance"),
        (Reason.UNKNOWN, "Direct Guidance"),
    }


def test_esconv_has_nothing_for_esc8() -> None:
    corpus = read_corpus(published("esc-test.txt"), ESC8)
    assert Counter(dropped.reason for dropped in corpus.dropped) == {Reason.UNKNOWN: 98, Reason.OTHERS: 32}

"""Corpora: what is joined, trimmed and dropped."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora_in_short import AFF, ESC8, ESCONV8, EV, OUR_TURNS, TURN, corpus_of, ours, seeker, supporter, told
from cso.corpora import Dropped, Prepared, Reason, prepare, read_corpus
from cso.dialogue import Dialogue, Speaker, Turn
from cso.taxonomy import parse_taxonomy


@pytest.mark.parametrize(
    ("labels", "kept", "trimmed"),
    [
        ("uAuE", "uAuE", 0),
        ("uA", "uA", 0),
        ("uAu", "uAu", 0),
        ("u-uA", "uA", 1),
        ("u-u-uAuE", "uAuE", 2),
        ("-uA", "-uA", 0),
        ("EuA", "EuA", 0),
        ("-u-uA", "uA", 1),
        ("Eu-uA", "uA", 1),
        ("uAu-", "uA", 1),
        ("uAu-u-u", "uA", 2),
        ("-u-uAu-u", "uA", 2),
        ("-uAu-", "-uA", 1),
    ],
)
def test_unlabelled_exchanges_at_the_ends_go_and_a_greeting_stays(labels: str, kept: str, trimmed: int) -> None:
    dialogue = told(labels)
    start = labels.index(kept)
    expected = Prepared(dialogue.with_turns(dialogue.turns[start : start + len(kept)]), trimmed)
    assert prepare(dialogue, ESC8.read) == expected


@pytest.mark.parametrize(
    ("labels", "reason", "turn", "label"),
    [
        ("uAu-uA", Reason.UNLABELLED, 4, None),
        ("u-uAu-uAu-", Reason.UNLABELLED, 6, None),
        ("u-", Reason.UNLABELLED, 2, None),
        ("-u-u-", Reason.UNLABELLED, 3, None),
        ("Au-", Reason.UNLABELLED, 3, None),
        ("uXuA", Reason.UNKNOWN, 2, "Telling Off"),
        ("uAuX", Reason.UNKNOWN, 4, "Telling Off"),
        ("XuA", Reason.UNKNOWN, 1, "Telling Off"),
        ("u-uX", Reason.UNKNOWN, 4, "Telling Off"),
        ("uAuO", Reason.OTHERS, 4, "Others"),
        ("OuA", Reason.OTHERS, 1, "Others"),
        ("uOuX", Reason.OTHERS, 2, "Others"),
        ("", Reason.TOO_SHORT, None, None),
        ("u", Reason.TOO_SHORT, None, None),
        ("uuu", Reason.TOO_SHORT, None, None),
        ("A", Reason.TOO_SHORT, None, None),
        ("AAu", Reason.TOO_SHORT, None, None),
        ("uuAAuO", Reason.OTHERS, 6, "Others"),
    ],
)
def test_a_dialogue_is_dropped_with_reason_turn_and_label(
    labels: str, reason: Reason, turn: int | None, label: str | None
) -> None:
    assert prepare(told(labels), ESC8.read) == Dropped("d", reason, turn, label)


@pytest.mark.parametrize(
    ("labels", "turn"), [("u-uA", 2), ("uAu-", 4), ("-u-uAu-", 3), ("uuuA--u-", 8), ("u-uAu-u", 2)]
)
def test_drop_unlabelled_drops_what_would_be_trimmed(labels: str, turn: int) -> None:
    assert prepare(told(labels), ESC8.read, drop_unlabelled=True) == Dropped("d", Reason.UNLABELLED_END, turn)


@pytest.mark.parametrize("labels", ["uAuE", "-uA", "uAu"])
def test_drop_unlabelled_keeps_what_would_not_be_trimmed(labels: str) -> None:
    assert prepare(told(labels), ESC8.read, drop_unlabelled=True) == Prepared(told(labels), 0)


def test_turns_in_a_row_are_joined_by_a_space_under_the_first_label() -> None:
    prepared = prepare(told("uuAXu-Au"), ESC8.read)
    assert prepared == Prepared(Dialogue("d", (seeker("1 2"), supporter("3 4", AFF))), 1)


def test_strategies_are_given_the_names_of_the_taxonomy() -> None:
    dialogue = Dialogue("d", (seeker("a"), supporter("b", "reflective statements (RS)")))
    assert prepare(dialogue, ESC8.read) == Prepared(dialogue.with_turns([seeker("a"), supporter("b", EV)]), 0)


@pytest.mark.parametrize("label", ["Others", "other", "OTHERS (Oth)"])
def test_others_is_a_strategy_where_the_taxonomy_has_it(label: str) -> None:
    dialogue = Dialogue("d", (seeker("a"), supporter("b", label)))
    assert prepare(dialogue, ESC8.read) == Dropped("d", Reason.OTHERS, 2, label)
    assert prepare(dialogue, ESCONV8.read) == Prepared(dialogue.with_turns([seeker("a"), supporter("b", "Others")]), 0)


def test_a_dialogue_with_a_turn_without_words_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    raw = ours(
        {"id": "good", "turns": OUR_TURNS},
        {"id": "mute", "turns": [*OUR_TURNS, {"speaker": "seeker", "text": " \n"}]},
    )
    corpus = corpus_of(raw, tmp_path)
    assert [dialogue.id for dialogue in corpus.dialogues] == ["good"]
    assert corpus.dropped == (Dropped("mute", Reason.EMPTY_TEXT, 3),)


def test_the_summary_counts_each_reason(tmp_path: Path) -> None:
    labels: list[str | None] = [AFF, "Others", "Others", "Nonsense", None]
    turns = [[OUR_TURNS[0], {"speaker": "supporter", "text": "b", "strategy": label}] for label in labels]
    trimmed = [OUR_TURNS[0], {"speaker": "supporter", "text": "hi"}, *OUR_TURNS]
    corpus = corpus_of(ours(*({"turns": each} for each in [*turns, trimmed])), tmp_path, "own.jsonl")
    assert corpus.summary() == (
        f"{tmp_path / 'own.jsonl'}: 2 of 6 dialogues can be used, 4 dropped (2 others, 1 unknown strategy, "
        "1 unlabelled), 1 unlabelled exchanges trimmed"
    )


def test_a_users_own_taxonomy_reads_a_users_own_dialogues(tmp_path: Path) -> None:
    tutoring = parse_taxonomy(
        "name: tutoring\nstrategies:\n"
        "  - {name: Ask Back, definition: Answer with a question.}\n"
        "  - {name: Worked Example, definition: Show one solved.}\n"
        "  - {name: Praise Effort, definition: Name good work.}\n",
        source="tutoring.yaml",
    )
    lesson = [
        {"speaker": "seeker", "text": "Why is 7 x 8 = 56?"},
        {"speaker": "supporter", "text": "What is 7 x 7?", "strategy": "ask back"},
        {"speaker": "seeker", "text": "49."},
        {"speaker": "supporter", "text": "Well worked out.", "strategy": "Praise-Effort"},
    ]
    path = tmp_path / "lessons.jsonl"
    path.write_bytes(ours({"turns": lesson}, {"turns": OUR_TURNS}))
    corpus = read_corpus(path, tutoring)
    assert [turn.strategy for turn in corpus.dialogues[0].turns] == [None, "Ask Back", None, "Praise Effort"]
    assert corpus.dropped == (Dropped("lessons-0002", Reason.UNKNOWN, 2, AFF),)


@given(st.lists(TURN, max_size=12))
def test_a_seed_alternates_is_labelled_and_is_prepared_already(turns: list[Turn]) -> None:
    prepared = prepare(Dialogue("d", tuple(turns)), ESC8.read)
    if isinstance(prepared, Dropped):
        return
    seed = prepared.dialogue
    assert all(one.speaker is not other.speaker for one, other in pairwise(seed.turns))
    replies = [turn for turn in seed.turns[1:] if turn.speaker is Speaker.SUPPORTER]
    assert replies
    assert all(turn.strategy in ESC8.names for turn in replies)
    assert prepare(seed, ESC8.read) == Prepared(seed, 0)

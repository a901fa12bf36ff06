"""Corpora: the three formats and their quirks, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpora_in_short import (
    AFF,
    ESC8,
    EXCHANGE,
    OUR_TURNS,
    corpus_of,
    extes,
    ours,
    refusal,
    seeker,
    supporter,
    turns_of,
)
from cso.corpora import read_corpus, read_dialogues, write_dialogues
from cso.dialogue import Dialogue, Turn
from cso.errors import InputError


def test_extes_gives_turns_situation_and_scene() -> None:
    (dialogue,) = read_dialogues(extes(*EXCHANGE), source="folder/extes.v1.json")
    assert dialogue == Dialogue(
        "extes.v1-0001",
        (seeker("It hurts."), supporter("You are brave.", AFF)),
        situation="Lost a job.",
        scene="Work",
    )


@pytest.mark.parametrize(
    ("entry", "turns"),
    [
        ({"AI Strategy": "", "AI": "Hi"}, [supporter("Hi", None)]),
        ({"AI Strategy": "  ", "AI": "Hi"}, [supporter("Hi", None)]),
        ({"AI Strategy": None, "AI": "Hi"}, [supporter("Hi", None)]),
        ({"AI": "Hi"}, [supporter("Hi", None)]),
        ({"AI Strategy": "affirmation (Aff)", "AI": "Hi"}, [supporter("Hi", "affirmation (Aff)")]),
        ({"AI Strategy": AFF, "AI": {"Response": " Hi "}}, [supporter("Hi", AFF)]),
        ({"AI Strategy": AFF, "AI": {"Mood": "calm", "Response": "Hi"}}, [supporter("Hi", AFF)]),
        ({"User": "Oh", "AI Strategy": AFF, "AI": "Hi"}, [seeker("Oh"), supporter("Hi", AFF)]),
        ({"AI": "Hi", "AI Strategy": AFF, "User": "Oh"}, [supporter("Hi", AFF), seeker("Oh")]),
        ({"User": "\n Oh\t", "Note": 3}, [seeker("Oh")]),
    ],
)
def test_the_quirks_of_extes_are_read(entry: object, turns: list[Turn]) -> None:
    assert turns_of(extes({"User": "first"}, entry)) == (seeker("first"), *turns)


def test_esconv_is_read_in_its_official_form() -> None:
    dialog = [
        {"speaker": "seeker", "annotation": {}, "content": "Hello\n"},
        {"speaker": "supporter", "annotation": {"strategy": "Question"}, "content": "What is it?"},
        {"speaker": "speaker", "annotation": {"feedback": "5"}, "content": "Work."},
        {"speaker": "listener", "annotation": {}, "content": "I see."},
    ]
    record = {"emotion_type": "anger", "problem_type": "job crisis", "situation": "My boss.", "dialog": dialog}
    (dialogue,) = read_dialogues(json.dumps([record]).encode(), source="ESConv.json")
    assert dialogue == Dialogue(
        "ESConv-0001",
        (seeker("Hello"), supporter("What is it?", "Question"), seeker("Work."), supporter("I see.", None)),
        situation="My boss.",
        emotion="anger",
        scene="job crisis",
    )


def test_esconv_is_read_with_one_object_a_line() -> None:
    line = {
        "situation": "s",
        "dialog": [{"text": "Hi", "speaker": "sys", "strategy": "Others"}, {"text": "Hi!", "speaker": "usr"}],
    }
    first, second = read_dialogues(ours(line, line), source="esc.txt")
    assert first.turns == (supporter("Hi", "Others"), seeker("Hi!"))
    assert (first.id, second.id) == ("esc-0001", "esc-0002")


def test_our_own_format_is_read_with_ids_or_without() -> None:
    raw = ours(
        {"id": " x ", "situation": "s", "emotion": "e", "scene": "c", "turns": OUR_TURNS},
        {"id": 7, "turns": OUR_TURNS},
        {"turns": OUR_TURNS},
    )
    first, second, third = read_dialogues(raw, source="own.jsonl")
    assert first == Dialogue("x", (seeker("a"), supporter("b", AFF)), situation="s", emotion="e", scene="c")
    assert (second.id, third.id) == ("7", "own-0003")
    assert (third.situation, third.emotion, third.scene) == ("", None, None)


def test_line_ends_blank_lines_a_mark_at_the_start_and_indents_do_not_matter() -> None:
    one = {"id": "1", "turns": OUR_TURNS}
    raw = (
        b"\xef\xbb\xbf\r\n" + json.dumps(one).encode() + b"\r\n\r\n" + json.dumps(one | {"id": "2"}, indent=2).encode()
    )
    assert [dialogue.id for dialogue in read_dialogues(raw, source="own.jsonl")] == ["1", "2"]


HOSTILE = [
    "braces {strategy} {} {{0}} %s $x",
    "the end </end/> and on",
    "<script>alert('x')</script> &amp;",
    "\U0001f600 \U0001f468‍\U0001f469‍\U0001f467 é",
    "‏שלום עולם‎ مرحبا",
    "one\n\ntwo  spaces\ttab \u2028 \x85 \x00 end",
    '"quoted" \\n \\u0041',
    "word " * 9_999 + "last",
]


@pytest.mark.parametrize("text", HOSTILE, ids=["braces", "end", "script", "emoji", "rtl", "breaks", "quotes", "long"])
@pytest.mark.parametrize("escaped", [True, False])
def test_words_pass_unharmed_through_reading_and_writing(text: str, escaped: bool, tmp_path: Path) -> None:
    content = [{"User": f"  {text}\n"}, {"AI Strategy": AFF, "AI": text}]
    record = {"scene": text, "description": text, "content": content}
    corpus = corpus_of(json.dumps([record], ensure_ascii=escaped).encode(), tmp_path)
    assert [turn.text for turn in corpus.dialogues[0].turns] == [text, text]
    assert corpus.dialogues[0].situation == text
    write_dialogues(corpus.dialogues, tmp_path / "out.jsonl")
    assert read_corpus(tmp_path / "out.jsonl", ESC8).dialogues == corpus.dialogues


@pytest.mark.parametrize("name", ["a/b", "../../etc/passwd", "..", "C:\\x", "\U0001f600"])
def test_ids_are_kept_whatever_they_look_like(name: str, tmp_path: Path) -> None:
    corpus = corpus_of(ours({"id": name, "turns": OUR_TURNS}), tmp_path)
    assert corpus.dialogues[0].id == name


# What is refused


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ["seeds.json", "empty file"]),
        (b" \n\t", ["empty file"]),
        (b"[]", ["empty list"]),
        (b"hello", ["dialogue 1 (line 1)", "not valid JSON"]),
        (b'[{"content": []}, {"content": [}]', ["dialogue 2", "not valid JSON", "line 1, column 32"]),
        (b'[{"content": []}', ["dialogue 1", "expected a comma or ]", "the end of the file"]),
        (b'[{"content": []} {"content": []}]', ["dialogue 1", "expected a comma"]),
        (b'[{"content": []},]', ["dialogue 2", "not valid JSON"]),
        (b'[{"content": []}] x', ["nothing after the list"]),
        (b'{"turns": []}\n{"turns": [\n', ["dialogue 2 (line 2)", "the end of the file"]),
        (b'{"turns": []}\n{"turns": ["a\nb"]}', ["dialogue 2 (line 2)", "not valid JSON"]),
        (b"[" * 200_000, ["dialogue 1", "cannot be read"]),
        (b'[{"content": ' + b"1" * 5_000 + b"}]", ["dialogue 1", "cannot be read"]),
        ('{"id": "ä"}'.encode("latin-1"), ["line 1", "UTF-8", "0xe4"]),
        ('[{"content": []}]'.encode("utf-16"), ["UTF-8", "0xff"]),
        (b"3", ["dialogue 1", "expected an object", "found 3"]),
        (b'[{"content": []}, ["a"]]', ["dialogue 2", "expected an object", "['a']"]),
        (b'[{"Content": [], "scene": 1}]', ["dialogue 1", "`content` (ExTES)", "the keys Content, scene"]),
        (b'[{"content": "Hi"}]', ["dialogue 1", "the keys content"]),
        (b'[{"content": ["Hi"]}]', ["dialogue 1, turn 1", "expected an object", "'Hi'"]),
        (extes(EXCHANGE[0], {"AI Strategy": AFF}), ["turn 2", "`User` or `AI`", "the keys AI Strategy"]),
        (extes(*EXCHANGE, {"User": 3}), ["dialogue 1, turn 3", "text as `User`", "found 3"]),
        (extes({"User": None}), ["turn 1", "text as `User`", "found nothing"]),
        (extes({"AI": {"Reply": "x"}}), ["turn 1", "text as `AI`", "the keys Reply"]),
        (extes({"AI": {"Response": ["x"]}}), ["turn 1", "text as `AI.Response`"]),
        (extes({"AI Strategy": [AFF], "AI": "x"}), ["turn 1", "text as `strategy`"]),
        (extes(*EXCHANGE, description=["x"]), ["dialogue 1", "text as `description`"]),
        (b'[{"content": [{"User": "\\ud83d"}]}]', ["turn 1", "half a character", "\\ud83d"]),
        (b'{"dialog": [{"speaker": "bot", "text": "x"}]}', ["turn 1", "listener", "found 'bot'"]),
        (b'{"dialog": [{"text": "x"}]}', ["turn 1", "`speaker`", "found nothing"]),
        (b'{"dialog": [{"speaker": "sys"}]}', ["turn 1", "text as `text`", "found nothing"]),
        (b'{"dialog": [{"speaker": "sys", "text": "x", "annotation": "Q"}]}', ["turn 1", "`annotation`", "'Q'"]),
        (b'{"turns": [{"speaker": "usr", "text": "x"}]}', ["turn 1", "seeker, supporter", "'usr'"]),
        (b'{"turns": [{"speaker": "seeker", "text": "x", "strategy": "Q"}]}', ["turn 1", "no strategy", "'Q'"]),
        (b'{"id": "", "turns": []}', ["dialogue 1 (line 1)", "`id`"]),
        (b'{"id": true, "turns": []}', ["`id`", "True"]),
        (b'{"id": [1], "turns": []}', ["`id`", "[1]"]),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(raw: bytes, expected: list[str]) -> None:
    message = refusal(raw)
    assert [part for part in ["seeds.json", *expected] if part not in message] == []


def test_an_id_that_occurs_twice_is_refused_with_both_places() -> None:
    message = refusal(ours(*({"id": name, "turns": OUR_TURNS} for name in ("a", "b", "a"))), "own.jsonl")
    assert "own.jsonl: dialogue 3 (line 3): the id 'a'" in message
    assert "own.jsonl: dialogue 1 (line 1)" in message


def test_an_id_that_another_dialogue_has_by_its_number_is_refused() -> None:
    assert "own-0002" in refusal(ours({"id": "own-0002", "turns": []}, {"turns": []}), "own.jsonl")


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_path_that_is_no_readable_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundled:test"):
        read_corpus(tmp_path / name, ESC8)

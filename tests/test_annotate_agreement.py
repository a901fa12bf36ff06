"""What raters found: Fleiss' kappa, shares, means, intervals; and files that are not as they should be."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa as oracle

from cso.annotate import OF_MODELS, Annotation, Rating, agreement, fleiss_kappa, load_key, read_ratings, write
from cso.annotate.agreement import POOLED
from cso.annotate.label_studio import tasks
from cso.annotate.sources import CHOSEN, REJECTED
from cso.errors import InputError, StoreError
from cso.taxonomy import Speakers
from test_annotate import ESC8, annotation, saved


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_kappa_is_that_of_statsmodels(data: st.DataObject) -> None:
    raters, kinds, items = (data.draw(st.integers(*ends)) for ends in ((2, 6), (2, 5), (1, 12)))
    marks = data.draw(
        st.lists(st.lists(st.integers(0, kinds - 1), min_size=raters, max_size=raters), min_size=items, max_size=items)
    )
    counts = [[row.count(kind) for kind in range(kinds)] for row in marks]
    if len({mark for row in marks for mark in row}) == 1:
        assert math.isnan(fleiss_kappa(counts))
    else:
        assert fleiss_kappa(counts) == pytest.approx(oracle(np.array(counts)), abs=1e-12)


def test_kappa_by_hand_and_where_it_is_undefined() -> None:
    # P = (1 + 1/3) / 2, shares 2/3 and 1/3: chance 5/9, kappa (2/3 - 5/9) / (4/9)
    assert fleiss_kappa([[3, 0], [1, 2]]) == pytest.approx(0.25)
    assert fleiss_kappa([[2, 0], [0, 2]]) == 1
    assert fleiss_kappa([[1, 1], [1, 1]]) == -1
    for undefined in ([], [[2, 0], [2, 0]], [[1, 0], [0, 1]]):
        assert math.isnan(fleiss_kappa(undefined))


def store(
    folder: Path, asked: Annotation, *results: dict[str, Any], raters: tuple[str, ...] = ("a", "b", "c")
) -> list[Path]:
    write(folder, asked, list(raters), ESC8, label_studio=True)
    paths = [folder / f"result-{number}.json" for number in range(len(results))]
    for path, result in zip(paths, results, strict=True):
        path.write_text(json.dumps(result), encoding="utf-8")
    return paths


def test_shares_are_over_all_marks_whatever_side_a_reply_was_on(tmp_path: Path) -> None:
    asked = annotation(20)
    by = {"a": CHOSEN, "b": CHOSEN, "c": REJECTED}
    results = [
        saved(asked, rater, lambda item, name, said=said: "tie" if name == "Humanoid" else said)
        for rater, said in by.items()
    ]
    read = read_ratings(store(tmp_path, asked, *results))
    found = agreement(read.ratings, read.key, draws=100)
    empathy = {name: value.value for name, value in found.rows["Empathy"].numbers.items() if value}
    assert empathy == pytest.approx({"win": 2 / 3, "lose": 1 / 3, "tie": 0})
    assert found.rows["Empathy"].kappa
    assert found.rows["Empathy"].kappa.value == pytest.approx(-0.5)  # P 1/3, chance 5/9
    assert found.rows["Humanoid"].kappa is None
    assert "all marks are the same" in found.rows["Humanoid"].because
    assert found.raters == {"a": 20, "b": 20, "c": 20}
    assert found.first is not None
    assert 0.2 < found.first < 0.8


def test_satisfaction_is_the_mean_of_the_three_rows_in_every_column(tmp_path: Path) -> None:
    asked = annotation(30, criteria=(*OF_MODELS, "Empathy"))

    def judge(number: int) -> dict[str, Any]:
        draw = np.random.default_rng(number)
        return saved(
            asked, "abc"[number], lambda _item, _name: draw.choice([CHOSEN, REJECTED, "tie"], p=[0.6, 0.2, 0.2]).item()
        )

    read = read_ratings(store(tmp_path, asked, *map(judge, range(3))))
    found = agreement(read.ratings, read.key, draws=200)
    assert list(found.rows) == [*OF_MODELS, "Satisfaction", "Empathy"]
    for column in ("win", "lose", "tie"):
        values = [found.rows[name].numbers[column] for name in (*OF_MODELS, "Satisfaction")]
        numbers = [value.value for value in values if value]
        assert numbers[3] == pytest.approx(np.mean(numbers[:3]))
        assert all(value and value.low <= value.value <= value.high for value in values)
        assert values[0]
        assert values[3]
        assert values[3].high - values[3].low < values[0].high - values[0].low  # a mean of three is surer
    kappas = [found.rows[name].kappa for name in (*OF_MODELS, "Satisfaction")]
    assert kappas[3]
    assert kappas[3].value == pytest.approx(np.mean([kappa.value for kappa in kappas[:3] if kappa]))
    assert kappas[3].low < kappas[3].value < kappas[3].high


def test_satisfaction_without_kappa_names_the_criterion_that_has_none(tmp_path: Path) -> None:
    asked = annotation(12, criteria=OF_MODELS)

    def judge(rater: str, same: str) -> dict[str, Any]:
        draw = np.random.default_rng(ord(rater))
        return saved(asked, rater, lambda _, name: "tie" if name == same else draw.choice([CHOSEN, REJECTED]).item())

    read = read_ratings(store(tmp_path, asked, *(judge(rater, "Effectiveness") for rater in "abc")))
    rows = agreement(read.ratings, read.key, draws=50).rows
    assert rows["Acceptance"].kappa
    assert rows["Effectiveness"].because.startswith("all marks are the same")
    assert (rows["Satisfaction"].kappa, rows["Satisfaction"].because) == (None, "there is none for Effectiveness")
    lone = judge("a", "Effectiveness")
    for answer in lone["answers"]:
        answer["marks"].pop("Acceptance")
    read = read_ratings(store(tmp_path, asked, lone, judge("b", "")))
    rows = agreement(read.ratings, read.key, draws=50).rows
    assert rows["Acceptance"].because == "no item was marked by all raters"
    assert rows["Satisfaction"].because == "there is none for Acceptance"


def test_intervals_are_over_dialogues_not_items() -> None:
    """Twenty items of two dialogues that differ wholly are as uncertain as two."""
    key = annotation(20)

    def spread(dialogues: int) -> float:
        named = load_like(key, dialogues)
        ratings = [
            Rating("a", name, {"Empathy": 0 if int(item.dialogue) % 2 else 1}) for name, item in named.items.items()
        ]
        value = agreement(ratings, named, draws=500).rows["Empathy"].numbers["win"]
        assert value
        assert value.value == 0.5
        return value.high - value.low

    assert spread(2) == 1
    assert spread(20) < 0.6


def load_like(asked: Annotation, dialogues: int) -> Any:
    from cso.annotate.key import key_of

    key = key_of(asked, {})
    for number, item in enumerate(key.items.values()):
        item.dialogue = str(number % dialogues)
    return key


def test_single_replies_have_mean_marks_by_source_and_pooled(tmp_path: Path) -> None:
    asked = annotation(20, single=True)
    marks = {CHOSEN: 5, REJECTED: 2}
    results = [saved(asked, rater, lambda item, _name: marks[item.replies[0].source]) for rater in "ab"]
    read = read_ratings(store(tmp_path, asked, *results))
    found = agreement(read.ratings, read.key, draws=100)
    assert list(found.rows) == ["Acceptance", "Effectiveness", "Sensitivity", "Satisfaction", "Alignment"]
    for row in found.rows.values():
        assert {name: value.value for name, value in row.numbers.items() if value} == {
            CHOSEN: 5,
            REJECTED: 2,
            POOLED: 3.5,
        }
        assert row.kappa
        assert row.kappa.value == 1
    assert found.first is None


def test_a_single_rater_has_shares_but_no_kappa(tmp_path: Path) -> None:
    asked = annotation()
    read = read_ratings(store(tmp_path, asked, saved(asked, "a", lambda *_: CHOSEN)))
    row = agreement(read.ratings, read.key).rows["Empathy"]
    assert row.numbers["win"]
    assert row.kappa is None
    assert "two raters" in row.because


def test_kappa_is_over_the_items_that_all_judged_and_shares_over_all(tmp_path: Path) -> None:
    asked = annotation(10)
    part = saved(asked, "b", lambda item, _: REJECTED if "0" in item.history.id else CHOSEN, count=4)
    part["answers"][0]["marks"].pop("Empathy")
    part["answers"].append(
        {"item": asked.sheet("b").order[5], "marks": {}, "comment": "?", "at": "2026-01-01T00:00:00Z"}
    )
    read = read_ratings(store(tmp_path, asked, saved(asked, "a", lambda item, _: CHOSEN), part))
    found = agreement(read.ratings, read.key, draws=50)
    assert found.raters == {"a": 10, "b": 3}
    assert (found.rows["Empathy"].shared, found.rows["Strategy"].shared) == (3, 4)
    nobody = [saved(asked, rater, lambda *_: CHOSEN) for rater in "ab"]
    for place, result in enumerate(nobody):
        half = {item.id for item in asked.items[5 * place : 5 * place + 5]}
        result["answers"] = [answer for answer in result["answers"] if answer["item"] in half]
    read = read_ratings(store(tmp_path, asked, *nobody))
    assert "no item was marked by all" in agreement(read.ratings, read.key).rows["Empathy"].because


def test_what_is_judged_twice_counts_as_judged_last_and_is_said(tmp_path: Path) -> None:
    asked = annotation()
    early, late = (
        saved(asked, "a", lambda *_, said=said: said, at=at)
        for said, at in ((REJECTED, "2026-01-01T00:00:00Z"), (CHOSEN, "2026-01-02T00:00:00+01:00"))
    )
    read = read_ratings(store(tmp_path, asked, late, early, saved(asked, "b", lambda *_: CHOSEN)))
    win = agreement(read.ratings, read.key).rows["Empathy"].numbers["win"]
    assert win
    assert win.value == 1
    assert read.notes == ["a: items that are there twice with different marks, of which the later ones count: 6"]
    late["answers"] += late["answers"]
    assert read_ratings(store(tmp_path, asked, late, late)[:2]).notes == []


def test_a_later_rating_without_marks_takes_none_back(tmp_path: Path) -> None:
    asked = annotation()
    early = saved(asked, "a", lambda *_: CHOSEN)
    late = saved(asked, "a", lambda *_: REJECTED, at="2026-01-02T00:00:00Z")
    for answer in late["answers"]:
        answer |= {"marks": {}, "comment": "Hard."}
    late["answers"][0]["marks"] = {"Empathy": "tie"}
    for results in ((early, late), (late, early)):
        read = read_ratings(store(tmp_path, asked, *results))
        found = agreement(read.ratings, read.key, draws=10)
        assert found.raters == {"a": 6}
        shares = [found.rows[name].numbers["win"] for name in ("Empathy", "Humanoid")]
        assert [share.value for share in shares if share] == pytest.approx([5 / 6, 1])
        assert {rating.comment for rating in read.ratings} == {"Hard."}
        assert read.notes == ["a: items that are there twice with different marks, of which the later ones count: 1"]


@pytest.mark.parametrize("extra", ["rows", "label_studio"])
def test_a_result_with_keys_of_other_files_counts_as_a_result(tmp_path: Path, extra: str) -> None:
    asked = annotation()
    paths = store(tmp_path, asked, saved(asked, "a", lambda *_: CHOSEN) | {extra: 1})
    read = read_ratings(paths)
    assert agreement(read.ratings, read.key, draws=10).raters == {"a": 6}
    with pytest.raises(InputError, match=r"found none; .*given yet"):
        read_ratings([tmp_path / "tasks.json"])


def test_half_a_surrogate_pair_is_read_in_key_and_comment(tmp_path: Path) -> None:
    asked = replace(annotation(), told={"of": "\ud83d"})
    result = saved(asked, "a", lambda *_: CHOSEN)
    result["answers"][0]["comment"] = "\ud83d"
    read = read_ratings(store(tmp_path, asked, result))
    assert read.key.told == {"of": "\ud83d"}
    assert read.ratings[0].comment == "\ud83d"
    (tmp_path / "key.json").write_text("[" * 100_000)
    with pytest.raises(StoreError, match="expected a key"):
        load_key(tmp_path / "key.json")


def test_nothing_marked_is_an_error(tmp_path: Path) -> None:
    asked = annotation()
    read = read_ratings(store(tmp_path, asked, saved(asked, "a", lambda *_: CHOSEN, count=0)))
    assert read.notes == ["a: has marked nothing, and is not counted as a rater"]
    with pytest.raises(InputError, match="no rater has judged"):
        agreement(read.ratings, read.key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotation": "elsewhere"}, "belongs to annotation elsewhere, the key to"),
        ({"rater": "z"}, "expected a rater of a, b, c, found 'z'"),
        ({"format": 2}, "found 2 at format"),
        ({"answers": 3}, "found 3 at answers"),
        ({"answers": [{"item": "x", "marks": {}, "at": "2026-01-01T00:00:00Z"}]}, "has item 'x', which annotation"),
        ({"answers": [{"item": "ID", "marks": {"Magic": "A"}, "at": "2026-01-01T00:00:00Z"}]}, "found 'Magic'"),
        (
            {"answers": [{"item": "ID", "marks": {"Empathy": 3}, "at": "2026-01-01T00:00:00Z"}]},
            "expected A, B or tie, found 3",
        ),
        (
            {"answers": [{"item": "ID", "marks": {"Empathy": 6}, "at": "2026-01-01T00:00:00Z"}]},
            "expected A, B or tie, found 6",
        ),
        (
            {"answers": [{"item": "ID", "marks": {"Empathy": True}, "at": "2026-01-01T00:00:00Z"}]},
            "expected A, B or tie, found True",
        ),
        (
            {"answers": [{"item": "ID", "marks": {"Empathy": "C"}, "at": "2026-01-01T00:00:00Z"}]},
            "expected A, B or tie, found 'C'",
        ),
        ({"answers": [{"item": "ID", "marks": {}, "at": "yesterday"}]}, "answers.0.at"),
        ({"answers": [{"item": "ID", "marks": {}, "at": "2026-01-01T00:00:00"}]}, "timezone"),
    ],
)
def test_a_result_that_is_none_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    asked = annotation()
    result = saved(asked, "a", lambda *_: CHOSEN) | change
    text = json.dumps(result).replace('"ID"', json.dumps(asked.items[0].id))
    paths = store(tmp_path, asked, json.loads(text))
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_ratings(paths)
    assert str(paths[0]) in str(error.value)


def test_marks_of_pairs_are_none_of_single_replies(tmp_path: Path) -> None:
    asked = annotation(single=True)
    for mark in ("tie", 0, 6, 2.5, True, None):
        paths = store(tmp_path, asked, saved(asked, "a", lambda *_, mark=mark: mark))
        with pytest.raises(InputError, match=f"expected a whole number from 1 to 5, found {mark!r}"):
            read_ratings(paths)


@pytest.mark.parametrize("text", ["", "{", "3", '"x"', "[" * 100_000, "\x00", "[1]", "[{}]", "{}", '{"a": 1}'])
def test_files_of_any_content_are_named(tmp_path: Path, text: str) -> None:
    store(tmp_path, annotation())
    path = tmp_path / "odd.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"odd\.json"):
        read_ratings([path])
    with pytest.raises(InputError, match="no such file"):
        read_ratings([tmp_path / "nowhere.json"])


def test_the_key_is_found_beside_the_files_in_a_run_or_where_it_is_said_to_be(tmp_path: Path) -> None:
    asked, other = annotation(), annotation(3)
    run = tmp_path / "run"
    write(run / "annotation" / "one", other, ["a"], ESC8)
    (result,) = store(run / "annotation" / "two", asked, saved(asked, "a", lambda *_: CHOSEN))
    key = result.parent / "key.json"
    mailed = tmp_path / "mail" / "a (1).json"
    mailed.parent.mkdir()
    mailed.write_bytes(b"\xef\xbb\xbf" + result.read_bytes())
    for paths, told in (
        ([result], None),
        ([result.parent], None),
        ([mailed], run),
        ([mailed], key),
        ([key, mailed], None),
    ):
        assert read_ratings(paths, told).key.annotation == asked.id
    assert "tasks that Label Studio has not been given" in read_ratings([result.parent]).notes[0]
    with pytest.raises(InputError, match=r"expected the annotation's key\.json beside it, found none; add --key"):
        read_ratings([mailed])
    with pytest.raises(InputError, match=f"annotation {asked.id}, the key to {other.id}"):
        read_ratings([mailed], run / "annotation" / "one" / "key.json")
    with pytest.raises(InputError, match="no such key"):
        read_ratings([mailed], tmp_path / "nowhere.json")
    with pytest.raises(InputError, match="expected files with ratings, found none"):
        read_ratings([key])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"found no \.json"):
        read_ratings([empty])
    key.write_text("{}")
    with pytest.raises(StoreError, match="expected a key"):
        read_ratings([result])


def exported(asked: Annotation, said: dict[Any, Any], *, by: Any = None) -> list[dict[str, Any]]:
    """What Label Studio would export of our tasks: `said` is each annotator's verdict, a source, "tie" or a number."""
    swapped = asked.sheet("label studio").swapped
    items = {item.id: item for item in asked.items}

    def regions(name: str, verdict: Any) -> list[dict[str, Any]]:
        if isinstance(verdict, int):
            value, kind = {"rating": verdict}, "rating"
        else:
            first = items[name].replies[name in swapped].source
            choice = "Tie" if verdict == "tie" else "A is better" if verdict == first else "B is better"
            value, kind = {"choices": [choice]}, "choices"
        each = [
            {"id": "r", "from_name": c.name, "to_name": "reply_A", "type": kind, "value": value} for c in asked.criteria
        ]
        return [*each, {"from_name": "comment", "to_name": "reply_A", "type": "textarea", "value": {"text": ["Well."]}}]

    return [
        {
            "id": number,
            **task,
            "annotations": [
                {"id": 1, "completed_by": who, "was_cancelled": verdict is None, "lead_time": 3.5,
                 "updated_at": "2026-01-01T00:00:00.000000Z",
                 "result": [] if verdict is None else regions(task["data"]["item"], verdict)}
                for who, verdict in said.items()
            ],
        }
        for number, task in enumerate(tasks(asked, Speakers()))
    ]  # fmt: skip


def test_label_studio_gives_back_what_was_said_there_beside_our_own_files(tmp_path: Path) -> None:
    asked = annotation(12)
    export = tmp_path / "export.json"
    export.write_text(json.dumps(exported(asked, {7: CHOSEN, 8: REJECTED, 9: None})), encoding="utf-8")
    own = store(tmp_path, asked, saved(asked, "a", lambda *_: CHOSEN))
    read = read_ratings([export, *own])
    found = agreement(read.ratings, read.key, draws=50)
    assert found.raters == {"a": 12, "label-studio:7": 12, "label-studio:8": 12}
    win = found.rows["Empathy"].numbers["win"]
    assert win
    assert win.value == pytest.approx(2 / 3)
    assert [rating.comment for rating in read.ratings].count("Well.") == 24
    alone = agreement(read_ratings([export]).ratings, read.key, draws=50)
    assert alone.raters == {"label-studio:7": 12, "label-studio:8": 12}


def test_label_studio_marks_single_replies(tmp_path: Path) -> None:
    asked = annotation(6, single=True)
    store(tmp_path, asked)
    export = tmp_path / "export.json"
    people = exported(asked, {1: 4, 2: 2})
    people[0]["annotations"][0]["completed_by"] = {"id": 1, "email": "ann@example.org", "first_name": "Ann"}
    export.write_text(json.dumps(people), encoding="utf-8")
    read = read_ratings([export])
    mean = agreement(read.ratings, read.key, draws=50).rows["Acceptance"].numbers[CHOSEN]
    assert mean
    assert mean.value == pytest.approx(3)
    assert "label-studio:ann@example.org" in {rating.rater for rating in read.ratings}


def relabel(task: dict[str, Any], name: str, kind: str, value: dict[str, Any]) -> None:
    task["annotations"][0]["result"] = [{"from_name": name, "to_name": "reply_A", "type": kind, "value": value}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: task["data"].update(item="x"), "has item 'x'"),
        (lambda task: task.pop("annotations"), "found at 0.annotations: Field required"),
        (lambda task: relabel(task, "Empathy", "choices", {"choices": ["Maybe"]}), "expected one of A is better"),
        (lambda task: relabel(task, "Empathy", "rating", {"rating": 9}), "expected A, B or tie, found 9"),
        (lambda task: relabel(task, "Mood", "choices", {"choices": ["Tie"]}), "found 'Mood'"),
    ],
)
def test_exports_that_are_not_of_our_tasks_are_named(tmp_path: Path, change: Any, words: str) -> None:
    asked = annotation(3)
    store(tmp_path, asked)
    content = exported(asked, {1: CHOSEN})
    change(content[0])
    (tmp_path / "export.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(words)):
        read_ratings([tmp_path / "export.json"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: task["data"].update(annotation="elsewhere"), "belongs to annotation elsewhere"),
        (lambda task: task.pop("data"), "found at 0.data: Field required"),
    ],
)
def test_tasks_of_others_are_left_out_unless_there_are_no_others(tmp_path: Path, change: Any, words: str) -> None:
    asked = annotation(3)
    store(tmp_path, asked)
    export = tmp_path / "export.json"
    content = exported(asked, {1: CHOSEN})
    change(content[0])
    export.write_text(json.dumps(content), encoding="utf-8")
    read = read_ratings([export])
    assert read.notes == [f"{export}: tasks of other projects are left out: 1"]
    assert len(read.ratings) == 2
    for task in content[1:]:
        change(task)
    export.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(words)):
        read_ratings([export])


def test_annotators_without_a_name_are_told_apart_and_that_is_said(tmp_path: Path) -> None:
    asked = annotation(4)
    store(tmp_path, asked)
    export = tmp_path / "export.json"
    content = exported(asked, {1: CHOSEN, 2: REJECTED})
    for task in content:
        for number, labelled in enumerate(task["annotations"]):
            labelled |= {"completed_by": None, "id": 10 * task["id"] + number}
    content[1]["annotations"].reverse()
    export.write_text(json.dumps(content), encoding="utf-8")
    read = read_ratings([export])
    found = agreement(read.ratings, read.key, draws=10)
    assert found.raters == {"label-studio:unnamed-1": 4, "label-studio:unnamed-2": 4}
    first = {rating.marks["Empathy"] for rating in read.ratings if rating.rater.endswith("1")}
    assert first == {0}
    assert read.notes == [f"{export}: annotations without annotator, told apart by their order in a task: 8"]


def test_regions_of_other_kinds_are_left_out_and_contradictions_said(tmp_path: Path) -> None:
    asked = annotation(2)
    store(tmp_path, asked)
    export = tmp_path / "export.json"
    content = exported(asked, {1: CHOSEN})
    relation = {"type": "relation", "from_id": "r", "to_id": "r", "direction": "right"}
    labels = {"type": "labels", "from_name": "mood", "value": {"labels": ["sad"]}}
    tie = {"type": "choices", "from_name": "Empathy", "value": {"choices": ["Tie"]}}
    content[0]["annotations"][0]["result"] += [relation, labels, tie, tie]
    export.write_text(json.dumps(content), encoding="utf-8")
    read = read_ratings([export])
    assert [rating.marks["Empathy"] for rating in read.ratings] == [2, 0]
    assert sorted(read.notes) == [
        f"{export}: criteria marked twice in one annotation, differently; the last mark counts: 1",
        f"{export}: regions that are no mark and no comment are left out: 2",
    ]


def test_label_studios_tasks_are_blind(tmp_path: Path) -> None:
    store(tmp_path, annotation(criteria=OF_MODELS))
    text = (tmp_path / "tasks.json").read_text() + (tmp_path / "config.xml").read_text()
    for hidden in (CHOSEN, REJECTED, "dialogue-", "Affirmation"):
        assert hidden not in text
    assert load_key(tmp_path / "key.json").label_studio.swapped

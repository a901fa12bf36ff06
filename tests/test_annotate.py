"""What raters are shown: drawn by a seed, the same for all, blind; and the folder that it is written to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cso.annotate import (
    CRITERIA,
    OF_MODELS,
    OF_PAIRS,
    OF_REPLIES,
    Annotation,
    Item,
    Said,
    chosen_criteria,
    draw,
    load_key,
    of_evaluations,
    of_pairs,
    of_replies,
    write,
)
from cso.annotate.items import differing, drawn, gives_away
from cso.annotate.label_studio import tasks
from cso.annotate.page import content, page
from cso.annotate.sources import CHOSEN, REJECTED, SEEDS
from cso.annotate.writing import rater_names
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError, StoreError
from cso.evaluate import Answer
from cso.evaluate import Item as Moment
from cso.taxonomy import Speakers, load_taxonomy

ESC8 = load_taxonomy("esc8")
TUTORING = replace(ESC8, task="You tutor a learner.", speakers=Speakers("Learner", "Tutor"))


def talk(dialogue: str, *texts: str) -> Dialogue:
    """Seeker and supporter in turn."""
    speakers = (Speaker.SEEKER, Speaker.SUPPORTER)
    return Dialogue(dialogue, tuple(Turn(speakers[place % 2], text) for place, text in enumerate(texts)))


def pair(number: int, dialogue: str = "", chosen: str = "", rejected: str = "") -> Item:
    history = talk(dialogue or f"dialogue-{number}", f"I cannot sleep, {number}.", "Since when?", "Monday.")
    good = Said(CHOSEN, "Affirmation", chosen or f"You are strong, {number}.")
    return Item(history, 2, (good, Said(REJECTED, "Share Information", rejected or f"Drink milk, {number}.")))


def annotation(count: int = 6, *, single: bool = False, criteria: tuple[str, ...] = (), seed: int = 0) -> Annotation:
    pairs = [pair(number) for number in range(count)]
    halves = [Item(each.history, each.turn, (each.replies[place % 2],)) for place, each in enumerate(pairs)]
    names = criteria or (OF_REPLIES if single else OF_PAIRS)
    kind = "single" if single else "pair"
    return Annotation(
        kind, chosen_criteria(names, ESC8), tuple(halves if single else pairs), seed, {"of": "pairs", "items": count}
    )


def saved(
    asked: Annotation, rater: str, mark: Any, *, count: int = 100, at: str = "2026-01-01T00:00:00.000Z"
) -> dict[str, Any]:
    """What a rater's page would save. `mark(item, criterion)`: which source is better, "tie", or a mark."""
    sheet = asked.sheet(rater)
    items = {item.id: item for item in asked.items}

    def shown(name: str, criterion: str) -> Any:
        said = mark(items[name], criterion)
        if not isinstance(said, str) or said == "tie":
            return said
        first = items[name].replies[1 if name in sheet.swapped else 0].source
        return "A" if said == first else "B"

    answers = [
        {"item": name, "marks": {each.name: shown(name, each.name) for each in asked.criteria}, "at": at, "comment": ""}
        for name in sheet.order[:count]
    ]
    return {"format": 1, "annotation": asked.id, "rater": rater, "complete": True, "answers": answers}


def test_the_same_seed_draws_the_same_items_and_another_seed_others() -> None:
    group = [pair(number) for number in range(100)]
    one, again, other = (drawn([group], 20, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len({item.id for item in one}) == 20


def test_all_raters_get_the_same_items_in_orders_and_on_sides_of_their_own() -> None:
    asked = annotation(40)
    sheets = [asked.sheet(rater) for rater in ("a", "b", "c")]
    assert all(set(sheet.order) == {item.id for item in asked.items} for sheet in sheets)
    assert len({sheet.order for sheet in sheets}) == 3
    assert len({sheet.swapped for sheet in sheets}) == 3
    assert all(5 < len(sheet.swapped) < 35 for sheet in sheets)  # a coin, not a rule
    assert asked.sheet("a") == sheets[0]
    assert annotation(40, seed=1).sheet("a") != sheets[0]


def test_no_item_gives_away_another() -> None:
    one = pair(1)
    shared = Item(one.history, 2, (one.replies[0], Said(REJECTED, "Affirmation", "Something else.")))
    went_on = one.history.with_turns(
        [*one.history.turns, Turn(Speaker.SUPPORTER, one.replies[0].text), *one.history.turns]
    )
    later = Item(went_on, 3, (Said(CHOSEN, None, "x"), Said(REJECTED, None, "y")))
    apart = Item(one.history, 2, (Said(CHOSEN, None, "x"), Said(REJECTED, None, "y")))
    assert gives_away(one, shared)
    assert gives_away(later, one)
    assert gives_away(one, one)
    assert not gives_away(one, apart)
    assert not gives_away(one, pair(2))
    assert not gives_away(apart, replace(later, history=replace(went_on, id="another")))
    assert len(drawn([[one, shared, later]], 3, seed=0)) in (1, 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), max_size=20), st.integers(0, 9))
def test_what_is_drawn_is_blind_whatever_the_pairs(shapes: list[tuple[int, int, int]], seed: int) -> None:
    group = [pair(0, f"d{dialogue}", f"good {good}", f"bad {bad}") for dialogue, good, bad in shapes]
    if not group:
        with pytest.raises(InputError, match="found none"):
            drawn([group], 5, seed=seed)
        return
    found = drawn([group], 5, seed=seed)
    assert not any(gives_away(one, other) for place, one in enumerate(found) for other in found[:place])


def test_what_is_drawn_says_of_what_it_was_and_what_was_left_out() -> None:
    asked = draw(
        [[pair(1), pair(2, chosen="Same.", rejected="Same.")]], chosen_criteria(OF_MODELS, ESC8), count=9, of="pairs"
    )
    assert (asked.kind, asked.items, asked.same) == ("pair", (pair(1),), 1)
    assert asked.told == {"of": "pairs", "criteria": "Acceptance,Effectiveness,Sensitivity", "items": 9, "seed": 0}


def test_pairs_that_read_the_same_are_left_out_unless_their_strategies_are_shown() -> None:
    same = pair(1, chosen="Same words.", rejected=" Same words. ")
    assert differing([same, pair(2)], chosen_criteria(OF_MODELS, ESC8)) == [pair(2)]
    assert len(differing([same, pair(2)], chosen_criteria(OF_PAIRS, ESC8))) == 2


def test_a_page_says_nothing_of_sources_dialogues_or_how_it_was_drawn() -> None:
    asked = annotation(8, criteria=OF_MODELS)
    for rater in ("a", "b"):
        text = page(asked, rater, ESC8)
        for hidden in (CHOSEN, REJECTED, "dialogue-", "Affirmation", "Share Information", "swapped", "told"):
            assert hidden not in text.split('type="application/json">')[1].split("</script>")[0]
    shown = content(annotation(8), "a", ESC8)
    assert {reply["strategy"] for item in shown["items"] for reply in item["replies"]} == {
        "Affirmation",
        "Share Information",
    }
    assert "strategy" not in json.dumps(shown["items"][0]["history"])


def test_raters_of_another_task_are_told_it_and_nothing_of_support() -> None:
    names = tuple(each.name for each in CRITERIA)
    asked = replace(annotation(), criteria=chosen_criteria(names, TUTORING))
    text, plain = page(asked, "a", TUTORING), page(annotation(criteria=names), "a", ESC8)
    begun = text.split('id="start">')[1].split("<h2>")[0]
    assert "conversations between Learner and Tutor." in begun
    assert "two replies that Tutor might give next" in begun
    assert "Tutor has this task: You tutor a learner.\n" in begun
    assert '<p class="care">You may pause' in begun
    assert not re.search("support|distress|suicide|seek", begun, re.IGNORECASE)
    assert "in which one person seeks support" in plain
    assert "Some may speak of grief, abuse or thoughts of suicide. You may pause" in plain
    shown = content(asked, "a", TUTORING)
    assert [turn["name"] for turn in shown["items"][0]["history"]] == ["Learner", "Tutor", "Learner"]
    assert not any("distress" in each["definition"] or "feelings" in each["definition"] for each in shown["criteria"])
    assert annotation(criteria=names).criteria == CRITERIA
    (first, *_) = tasks(asked, TUTORING.speakers)
    assert [turn["author"] for turn in first["data"]["conversation"]] == ["Learner", "Tutor", "Learner"]


def test_criteria_are_named_and_satisfaction_is_no_question() -> None:
    assert [each.name for each in chosen_criteria(["effectiveness", " Empathy ", "EMPATHY"], ESC8)] == [
        "Effectiveness",
        "Empathy",
    ]
    with pytest.raises(InputError, match=r"expected some of Acceptance.*found 'Magic'$"):
        chosen_criteria(["Magic"], ESC8)
    with pytest.raises(InputError, match="Satisfaction is computed"):
        chosen_criteria(["Satisfaction"], ESC8)


@pytest.mark.parametrize("told", ["key", "a,A", "a/b", "../x", "0", "101", "", "a,", "x" * 61])
def test_names_of_raters_that_would_be_no_files_are_refused(told: str) -> None:
    with pytest.raises(InputError):
        rater_names(told)


def test_raters_are_counted_or_named() -> None:
    assert rater_names("2") == ["rater-1", "rater-2"]
    assert rater_names("anna, Бен") == ["anna", "Бен"]


def test_pairs_are_read_without_their_tags(tmp_path: Path) -> None:
    row = {
        "prompt": [
            {"role": "system", "content": "Support."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "(Affirmation) You (really) can."},
            {"role": "user", "content": "Hm"},
        ],
        "chosen": [{"role": "assistant", "content": "(Affirmation) Yes."}],
        "rejected": [{"role": "assistant", "content": "(sighs) No."}],
        "dialogue": "d",
        "turn": 2,
        "anything": "else",
    }
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (item,) = of_pairs(path, ESC8)
    assert item == Item(
        talk("d", "Hello", "You (really) can.", "Hm"),
        2,
        (Said(CHOSEN, "Affirmation", "Yes."), Said(REJECTED, None, "(sighs) No.")),
    )
    path.write_text('{"prompt": []}\n', encoding="utf-8")
    with pytest.raises(StoreError, match=r"pairs.jsonl:1: expected a pair"):
        of_pairs(path, ESC8)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="found none"):
        of_pairs(path, ESC8)
    with pytest.raises(InputError, match="cso extract"):
        of_pairs(tmp_path / "nowhere" / "pairs.jsonl", ESC8)


def test_a_reply_both_chosen_and_rejected_is_neither() -> None:
    turned = Item(pair(1).history, 2, (pair(1).replies[1], Said(REJECTED, None, "z")))
    turned = replace(turned, replies=(replace(turned.replies[0], source=CHOSEN), turned.replies[1]))
    seed = Dialogue(
        "dialogue-1",
        (
            Turn(Speaker.SUPPORTER, "Welcome", "Affirmation"),
            Turn(Speaker.SEEKER, "Hello"),
            Turn(Speaker.SUPPORTER, "Hi", "Affirmation"),
            Turn(Speaker.SEEKER, "Bye"),
            Turn(Speaker.SUPPORTER, "No label"),
        ),
    )
    groups = of_replies([pair(1), turned], [seed, replace(seed, id="another")])
    texts = {group[0].replies[0].source: [item.replies[0].text for item in group] for group in groups}
    assert texts == {SEEDS: ["Hi"], CHOSEN: ["You are strong, 1."], REJECTED: ["z"]}


def test_two_evaluations_must_be_two_of_the_same_moments_with_words() -> None:
    def answers(text: str, dialogue: str = "d") -> list[Answer]:
        return [Answer(Moment(talk(dialogue, "Hello"), 1, "Affirmation", "Gold", 0), "Affirmation", text)]

    (item,) = of_evaluations("one", answers("Hi"), "two", answers("Ho"))
    assert [(reply.source, reply.text) for reply in item.replies] == [("one", "Hi"), ("two", "Ho")]
    with pytest.raises(InputError, match="found one twice"):
        of_evaluations("one", answers("Hi"), "one", answers("Hi"))
    with pytest.raises(InputError, match="same test items"):
        of_evaluations("one", answers("Hi"), "two", answers("Ho", "e"))
    with pytest.raises(InputError, match=r"two: expected replies, found strategies only"):
        of_evaluations("one", answers("Hi"), "two", answers(""))


def test_a_folder_is_rewritten_alike_takes_more_raters_and_refuses_another_annotation(tmp_path: Path) -> None:
    write(tmp_path, annotation(), ["a", "b"], ESC8)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write(tmp_path, annotation(), ["a", "b"], ESC8)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write(tmp_path, annotation(), ["c"], ESC8, label_studio=True)
    assert list(load_key(tmp_path / "key.json").raters) == ["a", "b", "c"]
    assert (tmp_path / "a.html").read_bytes() == before["a.html"]
    with pytest.raises(StoreError, match=r"items: 6 there, 7 now.*choose another --name"):
        write(tmp_path, annotation(7), ["a"], ESC8)
    with pytest.raises(StoreError, match="of other replies"):
        write(tmp_path, replace(annotation(7), told=annotation().told), ["a"], ESC8)
    (tmp_path / "key.json").unlink()
    with pytest.raises(StoreError, match=r"pages but not their key.json"):
        write(tmp_path, annotation(), ["a"], ESC8)
    assert (tmp_path / "a.html").read_bytes() == before["a.html"]


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    write(tmp_path, annotation(), ["a"], ESC8)
    for text in ("{", "[]", '{"format": 2}'):
        (tmp_path / "key.json").write_text(text)
        with pytest.raises(StoreError, match=r"key.json: expected a key as cso writes it"):
            write(tmp_path, annotation(), ["a"], ESC8)

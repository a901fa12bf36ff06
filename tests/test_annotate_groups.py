"""Single replies come from groups that take turns: evenly, and none barred by the order of drawing."""

from __future__ import annotations

from cso.annotate import Item, Said
from cso.annotate.items import drawn
from cso.annotate.sources import CHOSEN, SEEDS
from test_annotate import talk


def test_single_replies_are_drawn_evenly_from_their_groups() -> None:
    groups = [
        [Item(talk(f"{name}{n}", "Hello"), 1, (Said(name, None, f"{name}{n}"),)) for n in range(30)] for name in "abc"
    ]
    sources = [item.replies[0].source for item in drawn(groups, 20, seed=0)]
    assert sorted(sources.count(name) for name in "abc") == [6, 7, 7]


def test_a_group_that_runs_short_leaves_its_turns_to_the_others() -> None:
    groups = [
        [Item(talk(f"{name}{n}", "Hello"), 1, (Said(name, None, f"{name}{n}"),)) for n in range(size)]
        for name, size in (("a", 2), ("b", 30), ("c", 30))
    ]
    sources = [item.replies[0].source for item in drawn(groups, 20, seed=0)]
    assert {name: sources.count(name) for name in "abc"} == {"a": 2, "b": 9, "c": 9}
    assert len(drawn(groups, 100, seed=0)) == 62


def test_gold_replies_among_the_chosen_ones_are_not_barred_by_seeds_that_are_drawn() -> None:
    """Half of the chosen replies are the seeds' own, which later turns of the seeds go on with."""
    seeds: list[Item] = []
    chosen: list[Item] = []
    for number in range(40):
        said = ["Hello"]
        for turn in range(1, 5):
            history, gold = talk(f"d{number}", *said), f"Gold {turn}"
            seeds.append(Item(history, turn, (Said(SEEDS, None, gold),)))
            chosen += [Item(history, turn, (Said(CHOSEN, None, text),)) for text in (gold, f"Other {turn}")]
            said += [gold, "Hm"]
    counted = [
        item.replies[0]
        for seed in range(100)
        for item in drawn([seeds, chosen], 40, seed=seed)
        if item.replies[0].source == CHOSEN
    ]
    assert len(counted) == 100 * 20
    gold = sum(reply.text.startswith("Gold") for reply in counted)
    assert abs(gold / len(counted) - 0.5) < 0.04  # 3.5 standard errors

"""Table 5, Figure 3 and the counts, by hand on a small tree, and the paper's own identities on the golden ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cso.dialogue import Dialogue, Speaker, Turn
from cso.extract import pairs, path_dialogues, statistics
from cso.extract.statistics import Dialogues, Spread, StrategyCount, Texts, strategy_stages, table5
from cso.preference import Pair
from cso.rating import Rating
from cso.settings import ExtractSettings
from cso.tree import Tree
from extract_trees import ABC, end, on, pair, tree
from golden_trees import NAMES, golden_tree

SETTINGS = ExtractSettings()

# Valid paths: A A (4 utterances) and A B C (6); at turn 1, B is rejected; at turn 2, C.
SMALL = tree(
    on(
        "A",
        0.9,
        end("A", 0.9, text="one two three"),
        on("B", 0.9, end("C", 0.6, text="x"), text="x"),
        end("C", 0.1, text="five words are said here"),
    ),
    on("B", 0.0, text="no"),
    greeting=None,
)


def measured(*trees: Tree) -> tuple[list[Pair], list[Dialogue]]:
    return pairs(trees, SETTINGS), [tree.seed for tree in trees]


def test_table_5_of_a_small_tree_is_what_counting_by_hand_gives() -> None:
    found, _ = measured(SMALL)
    table = table5([SMALL.seed], path_dialogues([SMALL], found, SETTINGS))
    assert table.seed_dialogues == Dialogues(1, 1.0)
    assert table.seed == Texts(1, 3.0)  # "I am sad"
    assert table.dialogues == Dialogues(2, 5.0)
    # seeker: "I am sad", "go on" | "I am sad", "go on", "go on"
    assert table.seeker == Texts(5, 2.4)
    # preferred: "A says", "one two three" | "A says", "x", "x"
    assert table.preferred == Texts(5, 1.8)
    # rejected: "no", "five words ..." | "no", "five words ..."
    assert table.rejected == Texts(4, 3.0)
    assert table.all == Texts(14, 33 / 14)


@pytest.mark.parametrize("name", NAMES)
def test_there_are_as_many_preferred_replies_as_seeker_turns(name: str) -> None:
    grown = golden_tree(name)
    table = table5([grown.seed], path_dialogues([grown], pairs(grown, SETTINGS), SETTINGS))
    greetings = table.dialogues.dialogues if name == "golden_03" else 0
    assert table.preferred.utterances == table.seeker.utterances
    assert table.all.utterances == 2 * table.seeker.utterances + table.rejected.utterances + greetings
    in_dialogues = table.dialogues.dialogues * table.dialogues.mean_utterances
    assert in_dialogues == pytest.approx(2 * table.seeker.utterances + greetings)


def test_rejected_replies_of_dropped_pairs_are_not_counted() -> None:
    found = [one for one in pairs(SMALL, SETTINGS) if one.turn == 1]
    assert table5([], path_dialogues([SMALL], found, SETTINGS)).rejected.utterances == 2


def test_a_pair_found_twice_is_counted_with_each_path_that_it_is_on() -> None:
    trees = [SMALL, replace(SMALL, seed=replace(SMALL.seed, id="d2"))]
    found = pairs(trees, SETTINGS)
    assert len(found) == 3  # turn 1: A over B; turn 2: A over C, B over C
    assert table5([], path_dialogues(trees, found, SETTINGS)).rejected.utterances == 8


def test_strategies_are_counted_by_stage_over_all_utterances() -> None:
    turns = [Turn(Speaker.SUPPORTER, "hi"), Turn(Speaker.SEEKER, "a"), Turn(Speaker.SUPPORTER, "b", "A")]
    turns += [Turn(Speaker.SEEKER, "c"), Turn(Speaker.SUPPORTER, "d", "B"), Turn(Speaker.SEEKER, "e")]
    # utterances 3 and 5 of 6: stages 0.6 and 1.0; the greeting has no strategy
    counts = strategy_stages([Dialogue("d", tuple(turns))], ABC)
    assert counts == {"A": (0, 0, 0, 1, 0, 0), "B": (0, 0, 0, 0, 0, 1), "C": (0, 0, 0, 0, 0, 0)}


def test_the_result_is_staged_by_path() -> None:
    found, seeds = measured(SMALL)
    stages = statistics(seeds, path_dialogues([SMALL], found, SETTINGS), found, ABC).stages
    # A A: utterances 2 and 4 of 4; A B C: 2, 4 and 6 of 6
    assert stages.result == {"A": (0, 0, 1, 1, 0, 1), "B": (0, 0, 0, 0, 1, 0), "C": (0, 0, 0, 0, 0, 1)}


def test_both_counts_of_every_strategy_are_shown_plain_and_by_weight() -> None:
    made = [replace(pair("A", "B"), weight=0.5), replace(pair("A", "B", id="d2"), weight=1.5)]
    assert statistics([], [], made, ABC).strategies == (
        StrategyCount("A", 2, 0, 2.0, 0.0),
        StrategyCount("B", 0, 2, 0.0, 2.0),
        StrategyCount("C", 0, 0, 0.0, 0.0),
    )


def test_margins_tell_how_often_the_judge_prefers_the_rejected_reply() -> None:
    def marked(chosen: Rating | None, rejected: Rating | None) -> Pair:
        one = pair("A", "B")
        return replace(one, chosen=replace(one.chosen, rating=chosen), rejected=replace(one.rejected, rating=rejected))

    high, low = Rating(4, 4, 4, 4), Rating(4, 4, 4, 2)
    made = [marked(high, low), marked(low, high), marked(high, high), marked(high, None)]
    numbers = statistics([], [], made, ABC)
    assert numbers.margins.reward == Spread(3, -1.4, 0.0, 0.0, 1.4)
    assert (numbers.margins.contradicted, numbers.margins.unrated) == (1, 1)
    assert numbers.margins.value.median == pytest.approx(1.4)  # Q 0.9 against -0.5


def test_statistics_of_nothing_are_zeros_and_json() -> None:
    numbers = statistics([], [], [], ABC)
    assert numbers.table5.all == Texts(0, 0.0)
    assert numbers.margins.value == Spread(0, None, None, None, None)
    assert json.loads(json.dumps(numbers.to_json()))["table5"]["dialogues"] == {"dialogues": 0, "mean_utterances": 0.0}

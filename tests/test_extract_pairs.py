"""Valid paths and pairs, on the golden searches and on trees written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.dialogue import stage
from cso.extract import pairs, valid_paths
from cso.extract.paths import stages
from cso.settings import ExtractSettings
from cso.tree import Tree
from extract_trees import end, idle, on, tree
from golden_trees import NAMES, golden, golden_tree, strategy_path

SETTINGS = ExtractSettings()


def paths_of(tree: Tree, *, threshold: float = 0.5, min_visits: int = 1) -> list[str]:
    found = valid_paths(tree, threshold=threshold, min_visits=min_visits)
    return ["".join(strategy_path(path)) for path in found]


def pairs_of(*trees: Tree, settings: ExtractSettings = SETTINGS) -> list[tuple[int, str, str]]:
    return [(pair.turn, pair.chosen.text, pair.rejected.text) for pair in pairs(trees, settings)]


@pytest.mark.parametrize("name", NAMES)
def test_golden_valid_paths_come_out_exactly(name: str) -> None:
    content = golden(name)
    settings = content["settings"]
    found = valid_paths(golden_tree(name), threshold=settings["threshold"], min_visits=settings["min_visits"])
    assert sorted(map(strategy_path, found)) == sorted(map(tuple, content["valid_paths"]))


@pytest.mark.parametrize("name", NAMES)
def test_golden_pairs_come_out_exactly(name: str) -> None:
    grown = golden_tree(name)
    made = sorted(
        (strategy_path(grown.path(pair.chosen.node)[1:]), pair.rejected.strategy) for pair in pairs(grown, SETTINGS)
    )
    assert made == sorted((tuple(row["path"]), row["rejected"]) for row in golden(name)["pairs"])


def test_all_eight_golden_searches_are_there() -> None:
    assert len(NAMES) == 8


def test_the_seed_dialogues_own_path_counts() -> None:
    grown = tree(on("A", 1.0, end("B", 1.0, n=100), n=100, gold=True), on("B", -1.0))
    assert paths_of(grown) == ["AB"]
    assert pairs(grown, SETTINGS)[0].chosen.gold


def test_the_roots_value_does_not_matter() -> None:
    assert paths_of(tree(end("A", 0.6), q=-3.0)) == ["A"]


def test_a_low_turn_inside_kills_a_path_whose_end_is_good() -> None:
    assert paths_of(tree(on("A", 0.4, end("B", 1.0)), on("B", 0.9, end("A", 0.9)))) == ["BA"]


def test_a_path_without_an_end_is_not_valid() -> None:
    assert paths_of(tree(on("A", 0.9, on("B", 0.9, idle("A"))))) == []


def test_a_value_of_exactly_the_threshold_is_neither_chosen_nor_rejected() -> None:
    assert pairs_of(tree(end("A", 0.9), end("B", 0.5), end("C", 0.49))) == [(1, "A ends", "C ends")]


def test_an_end_needs_as_many_visits_as_asked_for() -> None:
    grown = tree(end("A", 0.9, n=2), end("B", 0.9, n=1))
    assert paths_of(grown, min_visits=2) == ["A"]
    assert paths_of(grown, min_visits=3) == []


def test_turns_inside_a_path_need_no_number_of_visits() -> None:
    assert paths_of(tree(on("A", 0.9, end("B", 0.9, n=5), n=1)), min_visits=5) == ["AB"]


def test_a_sibling_without_reply_or_without_visit_is_not_rejected() -> None:
    assert pairs_of(tree(end("A", 0.9), idle("B"), on("C", -1.0, n=0))) == []


def test_a_pair_shared_by_two_paths_comes_once() -> None:
    grown = tree(on("A", 0.9, end("A", 0.9), end("B", 0.8)), on("B", 0.1))
    assert paths_of(grown) == ["AA", "AB"]
    assert pairs_of(grown) == [(1, "A says", "B says")]


def test_a_rejected_sibling_may_itself_have_been_searched_far() -> None:
    grown = tree(end("A", 0.9), on("B", 0.2, end("A", 1.0), n=9))
    assert pairs_of(grown) == [(1, "A ends", "B says")]


def test_the_history_ends_where_the_two_replies_part() -> None:
    grown = tree(on("A", 0.9, end("A", 0.9), end("B", 0.1)), greeting="Hello")
    (pair,) = pairs(grown, SETTINGS)
    assert [turn.text for turn in pair.history.turns] == ["Hello", "I am sad", "A says", "go on"]
    assert (pair.turn, pair.history.id, pair.history.scene) == (2, "d1", "Work")


def test_pairs_that_read_the_same_come_once_across_trees() -> None:
    first, again, other = (
        tree(end("A", 0.9), end("B", 0.1), id=id, opening=opening)
        for id, opening in (("d1", "I am sad"), ("d2", "I am sad"), ("d3", "I am glad"))
    )
    assert [pair.history.id for pair in pairs([first, again, other], SETTINGS)] == ["d1", "d3"]


def test_the_same_words_by_another_strategy_are_another_pair() -> None:
    first = tree(end("A", 0.9, text="yes"), end("B", 0.1, text="yes"))
    second = tree(end("C", 0.9, text="yes"), end("B", 0.1, text="yes"), id="d2")
    assert len(pairs([first, second], SETTINGS)) == 2


def test_a_tree_without_children_gives_nothing() -> None:
    assert valid_paths(tree()) == ()
    assert pairs(tree(), SETTINGS) == []


def test_a_path_of_two_hundred_turns_is_walked() -> None:
    branch = end("A", 0.9)
    for _ in range(200):
        branch = on("A", 0.9, branch)
    assert len(valid_paths(tree(branch))[0]) == 201


@given(st.floats(-3, 1))
def test_no_threshold_lets_a_reply_be_both_good_and_bad(threshold: float) -> None:
    for name in ("golden_10", "golden_06"):
        made = pairs(golden_tree(name), ExtractSettings(threshold=threshold))
        assert not {p.chosen.node for p in made} & {p.rejected.node for p in made}
        assert all(p.rejected.value < threshold < p.chosen.value for p in made)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_every_utterance_lies_in_one_of_six_stages(place: tuple[int, int]) -> None:
    assert stage(*place) in range(6)


def test_the_last_utterance_lies_in_the_sixth_stage_not_in_a_seventh() -> None:
    assert [stage(k, 6) for k in range(1, 7)] == [1, 2, 3, 4, 5, 5]
    assert [stage(k, 12) for k in (1, 2, 11, 12)] == [0, 1, 5, 5]


def test_a_node_has_the_stage_of_its_first_path_and_gives_it_to_its_siblings() -> None:
    grown = tree(on("A", 0.9, end("A", 0.9), on("B", 0.9, end("A", 0.9))), on("B", 0.1))
    found = stages([grown], SETTINGS)
    # nodes: 1 A, 2 AA, 3 AB, 4 ABA, 5 B; AA has 4 utterances, ABA has 6
    assert [found["d1", node] for node in range(1, 6)] == [0.6, 1.0, 0.8, 1.0, 0.6]

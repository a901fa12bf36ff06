"""Evening out how often each strategy is chosen and rejected."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.extract import balanced, labelled
from cso.extract.balance import FACTOR, weighted_labels
from cso.preference import Labelled, Pair
from extract_trees import pair

NAMES = "ABCDEF"
kinds = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda kind: kind[0] != kind[1])
some_pairs = st.lists(kinds.map(lambda kind: pair(*kind)), min_size=1, max_size=40)


def sums(pairs: list[Pair]) -> tuple[dict[str, float], dict[str, float]]:
    chosen, rejected = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0.0)
    for one in pairs:
        chosen[one.chosen.strategy] += one.weight
        rejected[one.rejected.strategy] += one.weight
    return chosen, rejected


def surplus(pairs: list[Pair]) -> Counter[str]:
    count: Counter[str] = Counter()
    for one in pairs:
        count[one.chosen.strategy] += 1
        count[one.rejected.strategy] -= 1
    return count


def test_none_leaves_the_pairs_as_they_are() -> None:
    given_pairs = [pair("A", "B"), pair("A", "C")]
    assert balanced(given_pairs, "none") == given_pairs


def test_two_strategies_are_evened_out_by_the_ratio_of_their_counts() -> None:
    pairs = balanced([pair("A", "B")] * 4 + [pair("B", "A")], "weights")
    # f[A]/f[B] = 1/2: weights 1/2 (four times) and 2 (once), sum 4; times 5/4 for a mean of 1
    assert [one.weight for one in pairs] == pytest.approx([0.625] * 4 + [2.5])


def test_a_ring_of_preferences_is_even_as_it_is() -> None:
    pairs = balanced([pair("A", "B"), pair("B", "C"), pair("C", "A")], "weights")
    assert [one.weight for one in pairs] == pytest.approx([1, 1, 1])


@given(some_pairs)
def test_a_ring_through_all_strategies_makes_weights_even_every_one_out(extra: list[Pair]) -> None:
    ring = [pair(a, b) for a, b in zip(NAMES, NAMES[1:] + NAMES[0], strict=True)] * 8
    pairs = balanced(ring + extra, "weights")
    chosen, rejected = sums(pairs)
    assert chosen == pytest.approx(rejected, rel=1e-6)
    assert math.fsum(one.weight for one in pairs) == pytest.approx(len(pairs))


@given(some_pairs)
def test_weights_stay_within_bounds_and_change_nothing_else(pairs: list[Pair]) -> None:
    made = balanced(pairs, "weights")
    weights = [one.weight for one in made]
    assert max(weights) / min(weights) <= FACTOR**4 * (1 + 1e-9)
    assert math.fsum(weights) / len(weights) == pytest.approx(1)
    assert [(one.chosen, one.rejected) for one in made] == [(one.chosen, one.rejected) for one in pairs]


def test_a_strategy_only_ever_chosen_weighs_as_little_as_the_bound_allows() -> None:
    pairs = balanced([pair("A", "B")] * 3 + [pair("B", "C"), pair("C", "B")] * 3, "weights")
    by_kind = {one.chosen.strategy: one.weight for one in pairs}
    assert by_kind["A"] == min(by_kind.values())
    assert by_kind["A"] < by_kind["B"] / 2


def test_no_pairs_stay_no_pairs() -> None:
    assert balanced([], "weights") == balanced([], "drop") == []


@given(some_pairs, st.integers(0, 5))
def test_dropping_stops_when_no_pair_left_evens_the_strategies_out(pairs: list[Pair], seed: int) -> None:
    kept = balanced(pairs, "drop", seed=seed)
    left = surplus(kept)
    assert all(left[one.chosen.strategy] - left[one.rejected.strategy] < 2 for one in kept)
    assert kept == balanced(pairs, "drop", seed=seed)


def test_dropping_takes_what_is_too_much_and_keeps_the_order() -> None:
    pairs = [pair("A", "B", id=f"d{i}") for i in range(5)] + [pair("B", "A", id="back")]
    kept = balanced(pairs, "drop", seed=1)
    # surplus of A falls from 4 to 0: two pairs left of five, or one once the difference is below 2
    assert [one.history.id for one in kept][-1] == "back"
    assert surplus(kept)["A"] == 0
    assert [one.history.id for one in kept] == sorted((one.history.id for one in kept), key=lambda i: (i == "back", i))


def test_which_pairs_are_dropped_depends_on_the_seed() -> None:
    pairs = [pair("A", "B", id=f"d{i}") for i in range(30)] + [pair("B", "A", id=f"e{i}") for i in range(3)]
    kept = {tuple(one.history.id for one in balanced(pairs, "drop", seed=seed)) for seed in range(5)}
    assert len(kept) > 1


def test_labelled_replies_are_evened_out_by_themselves() -> None:
    pairs = [pair("A", "B", id=f"d{i}", opening=f"{i}") for i in range(4)] + [pair("B", "A", opening="x")]
    rows = labelled(pairs, "weights").rows
    # A: 4 desirable, 1 undesirable: weights 1/2 and 2; B the other way round
    assert math.fsum(r.weight for r in rows if r.desirable and r.reply.strategy == "A") == pytest.approx(
        math.fsum(r.weight for r in rows if not r.desirable and r.reply.strategy == "A")
    )
    assert math.fsum(row.weight for row in rows) == pytest.approx(len(rows))


def test_a_strategy_with_one_label_only_counts_as_any_reply() -> None:
    one = pair("A", "B")
    rows = [Labelled(one.history, 1, one.chosen, desirable=True), Labelled(one.history, 1, one.rejected, False)]
    assert [row.weight for row in weighted_labels(rows)] == [1, 1]

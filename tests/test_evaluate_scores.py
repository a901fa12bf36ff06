"""Strategy scores and intervals: the published check, scikit-learn as oracle, and every degenerate case."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.evaluate import Answer, Item, compare, score
from cso.evaluate.intervals import Interval, by_dialogue, difference, interval, mean, mean_difference, mean_interval
from cso.evaluate.scores import bias, confusion, macro_f1, strengths, unreadable, weighted_f1

KANG = np.array(
    [
        [36, 22, 20, 22, 31, 10, 12, 5],
        [10, 5, 3, 2, 7, 4, 4, 0],
        [37, 14, 38, 17, 23, 21, 14, 6],
        [9, 8, 7, 37, 19, 13, 11, 2],
        [118, 32, 67, 59, 135, 97, 54, 39],
        [59, 28, 37, 50, 67, 97, 63, 14],
        [1, 0, 1, 9, 3, 13, 14, 2],
        [6, 2, 11, 7, 10, 3, 12, 32],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    dtype=float,
)
NAMES = "abcd"


def plain_bias(wins: list[list[float]]) -> float:
    """B as its definition reads, one number at a time; ZeroDivisionError where it is not defined."""
    size = len(wins)
    p = [1.0] * size
    for _ in range(20):
        for i in range(size):
            others = [j for j in range(size) if j != i]
            above = sum(wins[i][j] * p[j] / (p[i] + p[j]) for j in others)
            below = sum(wins[j][i] / (p[i] + p[j]) for j in others)
            p[i] = above / below
        positive = [each for each in p if each > 0]
        mean = math.prod(positive) ** (1 / len(positive))
        p = [each / mean for each in p]
    p = [each * size / sum(p) for each in p]
    return math.sqrt(sum((each - 1) ** 2 for each in p) / size)


def only(place: int, size: int = 8) -> np.ndarray:
    matrix = np.zeros((size + 1, size))
    matrix[place] = 3
    return matrix


def test_the_published_table_has_its_published_scores() -> None:
    assert abs(bias(KANG) - 0.766576457383075) < 1e-9
    assert abs(macro_f1(KANG) - 0.21890485365924043) < 1e-9
    assert abs(weighted_f1(KANG) - 0.2249805977022031) < 1e-9


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=4, max_size=4))
def test_bias_is_its_definition_wherever_that_is_finite(rows: list[list[int]]) -> None:
    matrix = np.array([*rows, [0] * 4], dtype=float)
    try:
        expected = plain_bias([[float(each) for each in row] for row in rows])
    except ZeroDivisionError:
        assert np.isfinite(bias(matrix))
        assert 0 <= bias(matrix) <= math.sqrt(3) + 1e-9
        return
    assert abs(bias(matrix) - expected) < 1e-9


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*NAMES, None])), min_size=1, max_size=40))
def test_f1_is_that_of_scikit_learn_over_the_whole_taxonomy(pairs: list[tuple[str, str | None]]) -> None:
    gold, said = [true for true, _ in pairs], [each or "unreadable" for _, each in pairs]
    matrix = confusion(gold, [each for _, each in pairs], NAMES)
    for ours, average in ((macro_f1(matrix), "macro"), (weighted_f1(matrix), "weighted")):
        theirs = f1_score(gold, said, labels=list(NAMES), average=average, zero_division=0)  # type: ignore[arg-type]
        assert abs(ours - theirs) < 1e-12
    assert unreadable(matrix) == said.count("unreadable") / len(said)


def test_one_strategy_only_is_the_ceiling_and_no_error_is_no_bias() -> None:
    assert bias(only(3)) == pytest.approx(math.sqrt(7))
    assert strengths(only(3)).tolist() == [0, 0, 0, 8, 0, 0, 0, 0]
    right = np.vstack([np.eye(8), np.zeros(8)])
    assert bias(right) == 0
    nothing_readable = np.vstack([np.zeros((8, 8)), np.ones(8)])
    assert bias(nothing_readable) == 0
    assert macro_f1(nothing_readable) == 0


def test_strategies_that_are_never_missed_share_all_strength() -> None:
    matrix = np.zeros((5, 4))
    matrix[0, 2] = matrix[1, 3] = 2  # a and b are said wrongly, and never gold
    assert strengths(matrix).tolist() == [2, 2, 0, 0]


def test_a_strategy_in_no_error_keeps_the_mean_strength() -> None:
    matrix = np.zeros((4, 3))
    matrix[0, 1], matrix[1, 0] = 4, 1
    matrix[2, 2] = 9  # c is always right and never said wrongly
    a, b, c = strengths(matrix)
    assert (a / c) * (b / c) == pytest.approx(1)  # c lies at their geometric mean
    assert a / b == pytest.approx(4, rel=1e-3)


def test_a_stack_of_matrices_is_scored_as_each_by_itself() -> None:
    stack = np.stack([KANG, only(3), np.vstack([np.eye(8), np.zeros(8)])])
    for statistic in (bias, macro_f1, weighted_f1):
        assert statistic(stack).tolist() == [pytest.approx(float(statistic(each))) for each in stack]


def answers_of(said: list[tuple[str, str, str | None]], text: str = "") -> list[Answer]:
    seeker = Turn(Speaker.SEEKER, "Hello")
    return [
        Answer(Item(Dialogue(dialogue, (seeker,)), number, gold, "gold words here", 0), strategy, text)
        for number, (dialogue, gold, strategy) in enumerate(said)
    ]


def test_an_interval_counts_a_dialogue_as_one_however_many_turns_it_has() -> None:
    draw = np.random.default_rng(0)
    right = draw.random(100) < 0.5
    short = answers_of([(str(number), "a", "a" if each else "b") for number, each in enumerate(right)])
    long = answers_of([(str(number), "a", "a" if each else "b") for number, each in enumerate(right) for _ in range(9)])
    one, other = (score(each, NAMES).strategies["accuracy"] for each in (short, long))
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    exact = 1.96 * math.sqrt(right.mean() * (1 - right.mean()) / 100)
    assert one.high - one.low == pytest.approx(2 * exact, rel=0.15)


def test_the_bootstrap_covers_a_mean_about_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(200):
        values = np.random.default_rng(trial).normal(size=(40, 1))
        totals = by_dialogue([str(number) for number in range(40)], np.hstack([values, np.ones((40, 1))]))
        found = interval(totals, lambda sums: sums[..., 0] / sums[..., 1], draws=400, seed=trial)
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 200 <= 0.98


@pytest.mark.parametrize(("noise", "least"), [(0.2, 0.9), (5.0, 0.75)])
def test_intervals_over_trainings_cover_as_decision_17_says(noise: float, least: float) -> None:
    """Five trainings: well where dialogues differ most, less often than 95 % where trainings do."""
    covered = 0
    for trial in range(120):
        draw = np.random.default_rng(trial)
        values = draw.normal(0, noise, (5, 1)) + draw.normal(0, 1, (1, 50)) + draw.normal(0, 1, (5, 50))
        totals = np.stack([values, np.ones_like(values)], -1)
        found = mean_interval(totals, mean, draws=200, seed=trial)
        covered += found.low <= 0 <= found.high
    assert least <= covered / 120 <= 0.99


def test_differences_over_trainings_are_paired_by_dialogue() -> None:
    """What all trainings share, the difficulty of dialogues, is not in the interval of their difference."""
    draw = np.random.default_rng(0)
    values = np.repeat(draw.normal(0, 5, (1, 40)), 3, 0)
    one, other = (np.stack([values + shift, np.ones_like(values)], -1) for shift in (1.0, 0.0))
    found = mean_difference(one, other, mean, draws=200, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    alone = mean_interval(one, mean, draws=200, seed=0)
    assert alone.high - alone.low > 2


def test_differences_over_trainings_are_paired_by_seed_where_both_sides_have_them() -> None:
    """What trainings of one seed share, their base, is not in the interval; with other seeds it is."""
    values = np.repeat(np.array([0.0, 4.0, 8.0])[:, None], 20, 1)
    one, other = (np.stack([values + shift, np.ones_like(values)], -1) for shift in (1.0, 0.0))
    found = mean_difference(one, other, mean, draws=200, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    unpaired = mean_difference(one, other[:2], mean, draws=200, seed=0)
    assert unpaired.high - unpaired.low > 2


def test_p_of_the_paired_test_is_even_where_nothing_differs_and_small_where_all_does() -> None:
    small = 0
    for trial in range(100):
        draw = np.random.default_rng(trial)
        one, other = (by_dialogue([str(n) for n in range(30)], draw.normal(size=(30, 1))) for _ in range(2))
        small += difference(one, other, lambda sums: sums[..., 0], draws=200, seed=trial).p < 0.1
    assert 3 <= small <= 20
    better = answers_of([(str(n), "a", "a") for n in range(20)])
    worse = answers_of([(str(n), "a", "b") for n in range(20)])
    found = compare(better, worse, NAMES)["accuracy"]
    assert found.value == 1
    assert found.p < 0.01
    same = compare(better, better, NAMES)["Q"]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_model_that_names_no_strategy_has_no_bias_to_compare() -> None:
    """By the formula its B is 0, better than any."""
    silent = answers_of([("1", "a", None), ("2", "b", None)])
    wrong = answers_of([("1", "a", "b"), ("2", "b", "b")])
    assert "B" in compare(wrong, wrong, NAMES)
    assert "B" not in compare(silent, wrong, NAMES)
    assert "B" not in compare(wrong, silent, NAMES)


def test_only_evaluations_of_the_same_turns_are_compared() -> None:
    with pytest.raises(InputError, match="same test items"):
        compare(answers_of([("1", "a", "a")]), answers_of([("2", "a", "a")]), NAMES)
    with pytest.raises(InputError, match="found none"):
        score([], NAMES)


def certain(value: float) -> Interval:
    near: Any = pytest.approx(value)
    return Interval(near, near, near)


def test_words_are_scored_where_there_are_any() -> None:
    none = score(answers_of([("1", "a", "a")]), NAMES)
    assert none.texts == {}
    same = score(answers_of([("1", "a", "a"), ("2", "b", "a")], "Gold words, HERE!"), NAMES).texts
    assert same["R-L"] == certain(1)
    assert same["BLEU-2"] == pytest.approx(1)
    assert same["distinct-1"] == pytest.approx(0.5)
    other = score(answers_of([("1", "a", "a")], "golden word"), NAMES).texts
    assert other["R-L"] == certain(0.4)  # by stems: word, but not golden

"""Intervals and paired tests in which dialogues, not turns, are the units: turns of one dialogue go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]  # of totals [..., *shape], over the axes of a total: [...]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and where the middle 95 % of the bootstrap lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A minus B: the estimate, its interval, and how likely a difference as large is if A and B are exchangeable."""

    value: float
    low: float
    high: float
    p: float


def by_dialogue(dialogues: Sequence[str], values: Array) -> Array:
    """[D, ...]: the sums of `values` [items, ...] over the items of each dialogue."""
    places = {name: place for place, name in enumerate(dict.fromkeys(dialogues))}
    sums = np.zeros((len(places), *values.shape[1:]))
    np.add.at(sums, [places[name] for name in dialogues], values)
    return sums


def mean(totals: Array) -> Array:
    """The mean, of totals [..., 2]: the sum of values, and how many there are."""
    return totals[..., 0] / totals[..., 1]


def resampled(totals: Array, *, draws: int, seed: int) -> Array:
    """[draws, ...]: sums over as many dialogues, drawn with replacement. `totals` is [D, ...]."""
    count = len(totals)
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.tensordot(times.astype(float), totals, axes=1)


def interval(totals: Array, statistic: Statistic, *, draws: int, seed: int) -> Interval:
    """The percentile bootstrap of a statistic of sums over dialogues [D, ...]; Efron and Tibshirani 1993, ch. 13."""
    low, high = np.quantile(statistic(resampled(totals, draws=draws, seed=seed)), (0.025, 0.975))
    return Interval(float(statistic(totals.sum(0))), float(low), float(high))


def difference(one: Array, other: Array, statistic: Statistic, *, draws: int, seed: int) -> Difference:
    """Two models on the same dialogues, [D, ...] each: the paired bootstrap, and a randomization test.

    The test exchanges the models' answers to whole dialogues at random (Noreen 1989); its p has the observed case
    among those counted, so it is never 0.
    """
    both = resampled(np.stack([one, other], 1), draws=draws, seed=seed)
    found = statistic(both[:, 0]) - statistic(both[:, 1])
    low, high = np.quantile(found, (0.025, 0.975))
    value = float(statistic(one.sum(0)) - statistic(other.sum(0)))
    swaps = np.random.default_rng(seed).integers(0, 2, size=(draws, len(one))).astype(float)
    kept_one, kept_other = np.tensordot(1 - swaps, one, axes=1), np.tensordot(1 - swaps, other, axes=1)
    swapped_one, swapped_other = np.tensordot(swaps, other, axes=1), np.tensordot(swaps, one, axes=1)
    exchanged = statistic(kept_one + swapped_one) - statistic(kept_other + swapped_other)
    as_large = int((np.abs(exchanged) >= abs(value) - 1e-12).sum())
    return Difference(value, float(low), float(high), (as_large + 1) / (draws + 1))


def mean_interval(totals: Array, statistic: Statistic, *, draws: int, seed: int) -> Interval:
    """The mean of a statistic over trainings with different seeds, [S, D, ...]: both seeds and dialogues are drawn.

    All trainings are scored on the same drawn dialogues (the pigeonhole bootstrap, Owen 2007). One less is drawn than
    there are, which makes the variance between few trainings right (Rao and Wu 1988); that of a single one is unknown,
    and left out.
    """
    low, high = np.quantile(_means(totals, statistic, draws=draws, seed=seed, part=0), (0.025, 0.975))
    return Interval(float(statistic(totals.sum(1)).mean()), float(low), float(high))


def mean_difference(one: Array, other: Array, statistic: Statistic, *, draws: int, seed: int) -> Interval:
    """The difference of two such means: the same dialogues, and where there are as many trainings on both sides the
    same seeds, since these may share a base; else each side's are drawn by themselves.
    """
    parts = (0, 0) if len(one) == len(other) else (0, 1)
    found = [
        _means(each, statistic, draws=draws, seed=seed, part=part)
        for part, each in zip(parts, (one, other), strict=True)
    ]
    low, high = np.quantile(found[0] - found[1], (0.025, 0.975))
    value = statistic(one.sum(1)).mean() - statistic(other.sum(1)).mean()
    return Interval(float(value), float(low), float(high))


def _means(totals: Array, statistic: Statistic, *, draws: int, seed: int, part: int) -> Array:
    """[draws]: `seed` draws the dialogues, `seed` and `part` the trainings."""
    drawn = np.stack([resampled(each, draws=draws, seed=seed) for each in totals], 1)
    found = statistic(drawn)
    count = len(totals)
    kept = max(1, count - 1)
    times = np.random.default_rng([seed, part]).multinomial(kept, np.full(count, 1 / count), size=draws)
    return (found * times).sum(1) / kept

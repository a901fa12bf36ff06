"""Evening out how often each strategy is chosen and how often it is rejected.

A model trained on uneven pairs learns first which strategies are preferred on the whole, whatever the history.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from cso.preference import Labelled, Pair

Balance = Literal["none", "weights", "drop"]

FACTOR = 4.0  # a strategy's factor lies in [1/FACTOR, FACTOR], so a weight in [1/16, 16] before the mean is made 1
ROUNDS = 10_000
TOLERANCE = 1e-12


def balanced(pairs: Sequence[Pair], how: Balance, *, seed: int = 0) -> list[Pair]:
    """The pairs weighted (`weighted`), thinned (`thinned`), or as they are."""
    match how:
        case "none":
            return list(pairs)
        case "weights":
            return weighted(pairs)
        case "drop":
            return thinned(pairs, seed=seed)


def weighted(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with weights, of mean 1, under which each strategy is chosen as often as it is rejected.

    A pair's weight is f[chosen] / f[rejected]. The factors are the fixed point of f[s] = f[s] * sqrt(rejected weight
    of s / chosen weight of s), strategy after strategy, which is Osborne's balancing of the matrix of counts. Among
    all weights that even out every strategy these differ least from equal ones (in relative entropy). They exist
    where each strategy can be reached from each other one by "was preferred to". Elsewhere (a strategy that is only
    ever chosen, say) the weights would have to vanish; factors stop at `FACTOR`, and what imbalance is left shows in
    the statistics.
    """
    counts: Counter[tuple[str, str]] = Counter((pair.chosen.strategy, pair.rejected.strategy) for pair in pairs)
    factors = _factors(counts)
    weights = [factors[pair.chosen.strategy] / factors[pair.rejected.strategy] for pair in pairs]
    return [replace(pair, weight=weight) for pair, weight in zip(pairs, _mean_one(weights), strict=True)]


def thinned(pairs: Sequence[Pair], *, seed: int) -> list[Pair]:
    """As many pairs as a greedy choice leaves once no drop evens the strategies out any further.

    With b[s] = times chosen - times rejected, the next pair to go is one of largest b[chosen] - b[rejected], as long
    as this is 2 or more: then the sum of all b[s]^2 falls. Which pair of those strategies goes is drawn; ties between
    strategies go to those met first. The others keep their order.
    """
    waiting: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    surplus: Counter[str] = Counter()
    for index, pair in enumerate(pairs):
        waiting[pair.chosen.strategy, pair.rejected.strategy].append(index)
        surplus[pair.chosen.strategy] += 1
        surplus[pair.rejected.strategy] -= 1
    draw = random.Random(seed)
    for indices in waiting.values():
        draw.shuffle(indices)
    dropped: set[int] = set()
    while waiting:
        chosen, rejected = max(waiting, key=lambda kind: surplus[kind[0]] - surplus[kind[1]])
        if surplus[chosen] - surplus[rejected] < 2:
            break
        dropped.add(waiting[chosen, rejected].pop())
        surplus[chosen] -= 1
        surplus[rejected] += 1
        if not waiting[chosen, rejected]:
            del waiting[chosen, rejected]
    return [pair for index, pair in enumerate(pairs) if index not in dropped]


def weighted_labels(rows: Sequence[Labelled]) -> list[Labelled]:
    """Replies with weights, of mean 1, under which each strategy is desirable as often as undesirable.

    Replies are weighted one by one: by sqrt(undesirable / desirable) of their strategy where they are desirable, by
    its inverse where not, within `FACTOR` squared. A strategy with one label only cannot be evened out and counts 1.
    """
    counts: Counter[tuple[str, bool]] = Counter((row.reply.strategy, row.desirable) for row in rows)

    def weight(row: Labelled) -> float:
        other = counts[row.reply.strategy, not row.desirable]
        same = counts[row.reply.strategy, row.desirable]
        return _bounded(math.sqrt(other / same), FACTOR**2) if other else 1.0

    weights = _mean_one([weight(row) for row in rows])
    return [replace(row, weight=value) for row, value in zip(rows, weights, strict=True)]


def _factors(counts: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """The sum of the weights is convex in the logs of the factors; each step goes to its minimum along one of them."""
    factors = dict.fromkeys((strategy for kind in counts for strategy in kind), 1.0)
    for _ in range(ROUNDS):
        change = 0.0
        for strategy in factors:
            best = _bounded(_best(strategy, counts, factors), FACTOR)
            change = max(change, abs(math.log(best / factors[strategy])))
            factors[strategy] = best
        if change < TOLERANCE:
            break
    return factors


def _best(strategy: str, counts: Mapping[tuple[str, str], int], factors: Mapping[str, float]) -> float:
    """The factor that evens this strategy out, all others as they are; 0 or infinite where it has one side only."""
    chosen = sum(n / factors[loser] for (winner, loser), n in counts.items() if winner == strategy)
    rejected = sum(n * factors[winner] for (winner, loser), n in counts.items() if loser == strategy)
    return math.sqrt(rejected / chosen) if chosen else math.inf


def _bounded(value: float, limit: float) -> float:
    return min(max(value, 1 / limit), limit)


def _mean_one(weights: Sequence[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight * len(weights) / total for weight in weights]

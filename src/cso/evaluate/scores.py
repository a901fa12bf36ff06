"""Strategy scores of a confusion matrix: Q, Q_W and the preference bias B (section 5.1, Appendix E).

A matrix has predicted strategies as rows, gold ones as columns, and a last row for replies without a readable strategy,
which count as wrong. All functions take stacks of matrices as well: the bootstrap scores a thousand at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cso.errors import InputError
from cso.evaluate.intervals import Array

ROUNDS = 20  # of the fixed-point iteration, Kang et al. 2024


def confusion(gold: Sequence[str], predicted: Sequence[str | None], names: Sequence[str]) -> Array:
    """[K + 1, K]: how often a strategy was predicted where another was gold; None goes to the last row.

    Raises InputError for a strategy that is not of `names`.
    """
    place = {name: number for number, name in enumerate(names)}
    if others := {*gold, *predicted} - {*names, None}:
        raise InputError(f"expected strategies of {', '.join(names)}; found {', '.join(map(str, others))}")
    matrix = np.zeros((len(names) + 1, len(names)))
    for true, said in zip(gold, predicted, strict=True):
        matrix[len(names) if said is None else place[said], place[true]] += 1
    return matrix


def f1(matrix: Array) -> Array:
    """[..., K]: the F1 of each strategy; 0 where it is never both predicted and gold, as in scikit-learn."""
    square = matrix[..., :-1, :]
    right = np.diagonal(square, axis1=-2, axis2=-1)
    said_or_gold = square.sum(-1) + matrix.sum(-2)
    return _ratio(2 * right, said_or_gold)


def macro_f1(matrix: Array) -> Array:
    """[...]: Q, the mean F1 over all strategies of the taxonomy, in [0, 1]."""
    return f1(matrix).mean(-1)


def weighted_f1(matrix: Array) -> Array:
    """[...]: Q_W, the mean F1 weighted by how often each strategy is gold."""
    support = matrix.sum(-2)
    return _ratio((f1(matrix) * support).sum(-1), support.sum(-1))


def accuracy(matrix: Array) -> Array:
    """[...]: the share of items whose strategy is the gold one."""
    right = np.trace(matrix[..., :-1, :], axis1=-2, axis2=-1)
    return _ratio(right, matrix.sum((-2, -1)))


def unreadable(matrix: Array) -> Array:
    """[...]: the share of replies without a readable strategy."""
    return _ratio(matrix[..., -1, :].sum(-1), matrix.sum((-2, -1)))


def silent(matrix: Array) -> bool:
    """Whether no reply in all of the stack names a strategy. Its B, 0 by the formula, is no evenness then."""
    return not matrix[..., :-1, :].any()


def strengths(matrix: Array) -> Array:
    """[..., K]: how much a model prefers each strategy where it is wrong; they sum to K.

    Bradley-Terry: strategy i beats j each time it is said where j is gold. From 1 on, in 20 rounds, each strategy in
    order and in place gets p_i = sum_j w_ij p_j / (p_i + p_j) over sum_j w_ji / (p_i + p_j); after a round all are
    divided by the geometric mean of those above 0.

    Where that divides by zero: a strategy that is said wrongly but never missed has no finite strength, and such
    strategies share all of K evenly. One that is in no error keeps the mean strength, 1, before the sum is made K.
    Where two strategies of strength 0 meet, they are even. All finite cases are those of Kang et al.
    """
    square = matrix[..., :-1, :]
    wins = square * (1 - np.eye(square.shape[-1]))
    lost = wins.sum(-2)
    won = wins.sum(-1)
    unbeaten = (won > 0) & (lost == 0)
    absent = (won == 0) & (lost == 0)
    p = np.ones_like(won)
    for _ in range(ROUNDS):
        for i in range(square.shape[-1]):
            p[..., i] = np.where(unbeaten[..., i] | absent[..., i], 1.0, _updated(p, wins, i))
        p /= _geometric_mean(p)[..., None]
        p = np.where(absent, 1.0, p)
    endless = unbeaten.any(-1, keepdims=True)
    p = np.where(endless, unbeaten.astype(float), p)
    return p * (p.shape[-1] / p.sum(-1, keepdims=True))


def bias(matrix: Array) -> Array:
    """[...]: B, the population standard deviation of the strengths: 0 is even, sqrt(K - 1) one strategy only."""
    return strengths(matrix).std(-1)


def _updated(p: Array, wins: Array, i: int) -> Array:
    """Strategy i's next strength, [...]."""
    both = p[..., i, None] + p
    share = np.divide(p, both, out=np.full_like(p, 0.5), where=both > 0)
    above = (wins[..., i, :] * share).sum(-1)
    beaten = wins[..., :, i]
    below = np.divide(beaten, both, out=np.where(beaten > 0, np.inf, 0.0), where=both > 0).sum(-1)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _geometric_mean(p: Array) -> Array:
    """[...]: of the strengths above 0."""
    positive = p > 0
    logs = np.log(p, out=np.zeros_like(p), where=positive)
    return np.exp(_ratio(logs.sum(-1), positive.sum(-1).astype(float)))


def _ratio(above: Any, below: Any) -> Array:
    """Their quotient; 0 where `below` is 0."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0)

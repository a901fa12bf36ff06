"""Ratings: the judge's four marks for one supporter turn, and the reward they make (Eq. 2 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

HIGHEST_MARK = 4


class Rating(NamedTuple):
    """Marks of one supporter turn, integers 0 to 4, each with its criterion in Table 12."""

    empathy: int
    information: int
    humanoid: int
    strategy: int


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that the judge marks: `marks[m]` says what earns m points."""

    name: str
    question: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rubric:
    """What the judge is given: one criterion a field of `Rating`, in that order."""

    name: str
    criteria: tuple[Criterion, Criterion, Criterion, Criterion]


def reward(rating: Rating, *, alpha: float = 7, bias: float = -3) -> float:
    """Eq. 2: (E + I + H + alpha * S) / 10 + bias; with the defaults in [-3, 1].

    The order of the operations is part of the definition: rewards of exactly 0.5, the threshold, occur.
    """
    return (rating.empathy + rating.information + rating.humanoid + alpha * rating.strategy) / 10 + bias


def mean_reward(rewards: Sequence[float]) -> float:
    """Eq. 3, read as a mean: of the simulated child's turn and every turn of the rollout, added in that order.

    (Added one by one rather than by `sum`, which newer Pythons round in another way.)
    """
    return reduce(add, rewards) / len(rewards)

"""How toxic texts are, group by group: of the seeker, chosen, rejected (Table 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cso.errors import InputError
from cso.evaluate.intervals import Array, Difference, Interval, difference, interval, mean

Rating = Mapping[str, float]  # of a text, by attribute, each in [0, 1]


class Detector(Protocol):
    """Rates texts, each by itself. None: what came back for a text could not be read."""

    async def __call__(self, texts: Sequence[str]) -> list[Rating | None]: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, and the dialogue that it is of."""

    dialogue: str
    text: str


@dataclass(frozen=True, slots=True)
class Toxicity:
    """Mean ratings in [0, 1], with intervals over dialogues."""

    groups: Mapping[str, Mapping[str, Interval]]  # by group, then by attribute
    rejected_less_chosen: Mapping[str, Difference]  # by attribute; empty where there are no such groups
    texts: Mapping[str, int]  # of each group, those with a rating
    unread: int  # texts without one; they are left out


async def toxicity(
    groups: Mapping[str, Sequence[Passage]], detector: Detector, *, draws: int = 1000, seed: int = 0
) -> Toxicity:
    """Rate each group's passages, one that comes twice in a dialogue being counted once.

    An attribute that a rating lacks is 0. Raises InputError where there is nothing to rate, or nothing could be.
    """
    own = {name: list(dict.fromkeys(passages)) for name, passages in groups.items() if passages}
    texts = list(dict.fromkeys(passage.text for passages in own.values() for passage in passages))
    if not texts:
        raise InputError("expected texts to rate, found none")
    found = dict(zip(texts, await detector(texts), strict=True))
    attributes = list(dict.fromkeys(name for rating in found.values() for name in rating or ()))
    dialogues = list(dict.fromkeys(passage.dialogue for passages in own.values() for passage in passages))
    sums = {name: _sums(passages, found, attributes, dialogues) for name, passages in own.items()}
    if unrated := [name for name, each in sums.items() if not attributes or not each[..., 1].any()]:
        raise InputError(f"expected ratings, could read none of the texts of {', '.join(unrated)}")
    means = {
        name: {
            attribute: interval(each[_rated(each), place], mean, draws=draws, seed=seed)
            for place, attribute in enumerate(attributes)
        }
        for name, each in sums.items()
    }
    return Toxicity(
        means,
        _rejected_less_chosen(sums, attributes, draws=draws, seed=seed),
        {name: int(each[:, 0, 1].sum()) for name, each in sums.items()},
        sum(rating is None for rating in found.values()),
    )


def _sums(
    passages: Sequence[Passage], found: Mapping[str, Rating | None], attributes: Sequence[str], dialogues: Sequence[str]
) -> Array:
    """[dialogues, attributes, 2]: the sum of the ratings, and how many there are."""
    order = {name: np.zeros((len(attributes), 2)) for name in dialogues}
    for passage in passages:
        rating = found[passage.text]
        if rating is not None:
            order[passage.dialogue] += [(rating.get(name, 0.0), 1.0) for name in attributes]
    return np.stack(list(order.values()))


def _rated(sums: Array) -> NDArray[np.bool_]:
    """[dialogues]: whether there is a rating of any of its texts."""
    return sums[:, 0, 1] > 0


def _rejected_less_chosen(
    sums: Mapping[str, Array], attributes: Sequence[str], *, draws: int, seed: int
) -> dict[str, Difference]:
    if not {"chosen", "rejected"} <= sums.keys():
        return {}
    rejected, chosen = sums["rejected"], sums["chosen"]
    both = _rated(rejected) & _rated(chosen)
    return {
        name: difference(rejected[both, place], chosen[both, place], mean, draws=draws, seed=seed)
        for place, name in enumerate(attributes)
        if both.any()
    }

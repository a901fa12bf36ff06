"""The four roles that a search asks (Appendix A). A search never learns who plays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cso.dialogue import Dialogue
from cso.rating import Rating
from cso.taxonomy import Strategy


class Utterance(NamedTuple):
    """What the seeker answers. Where it `ends` the dialogue, `text` is a farewell, or empty."""

    text: str
    ends: bool


class Seeker(Protocol):
    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        """The answer to a history that ends in a supporter turn; strategies are not to be looked at."""
        ...


class Supporter(Protocol):
    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        """A reply by `strategy` to a history that ends in a seeker turn; other strategies are not to be looked at."""
        ...


class Strategist(Protocol):
    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        """A score for EVERY strategy of the taxonomy, by name, as the next one after a seeker turn: 10 fits best.

        Language models give whole numbers from 0. What a search makes of scores are their differences.
        """
        ...


class Judge(Protocol):
    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        """Marks for the supporter turn in which the history ends."""
        ...


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody that one tree needs. Each answer is a function of what is asked, `sample` included: asked again with
    the same sample number, a role answers the same. Samples 1, 2, ... are further draws for the same history.
    """

    seeker: Seeker
    supporter: Supporter
    strategist: Strategist
    judge: Judge

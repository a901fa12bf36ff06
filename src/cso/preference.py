"""Preferences: which of two replies to one history the search found better, and replies found good or bad."""

from __future__ import annotations

from dataclasses import dataclass

from cso.dialogue import Dialogue
from cso.rating import Rating


@dataclass(frozen=True, slots=True)
class Reply:
    """One supporter turn in a tree, with all that the search knows of it."""

    node: int  # its id in the tree
    strategy: str
    text: str
    prior: float  # P
    value: float  # Q, in [-3, 1]
    visits: int  # N
    gold: bool  # whether the seed dialogue itself says it
    rating: Rating | None  # the judge's of this very turn, where it was asked


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one history, siblings in the tree: S_w and S_l of Eq. 6.

    `history` ends in a seeker turn, its id is the seed dialogue's; `turn` counts supporter turns from 1.
    """

    history: Dialogue
    turn: int
    chosen: Reply
    rejected: Reply
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """One reply to a history, desirable or not: what KTO trains on."""

    history: Dialogue
    turn: int
    reply: Reply
    desirable: bool
    weight: float = 1.0

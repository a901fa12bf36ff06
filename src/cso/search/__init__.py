"""From seed dialogues to conversation trees (section 3.1)."""

from cso.search.cast import Cast, Judge, Seeker, Strategist, Supporter, Utterance
from cso.search.forest import CastFor, grow, grow_forest
from cso.search.grow import grow_tree

__all__ = [
    "Cast",
    "CastFor",
    "Judge",
    "Seeker",
    "Strategist",
    "Supporter",
    "Utterance",
    "grow",
    "grow_forest",
    "grow_tree",
]

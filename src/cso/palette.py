"""A colour for each strategy, by its place in the taxonomy: the same in every figure and on every page."""

from __future__ import annotations

# The first eight lie as far apart as a search could bring them, at a quiet chroma and seen on white as on black, for
# normal and for each form of dichromatic sight (at least 32 in CIE 1976 Lab, simulated after Machado et al. 2009).
COLOURS = (
    "#786ed0",
    "#974f14",
    "#70bff3",
    "#196947",
    "#c49b35",
    "#6c4e79",
    "#ed7aa1",
    "#aeba78",
    "#8d939c",
    "#5c8ad9",
)


def colour(place: int) -> str:
    """Beyond the last colour they begin again, so a name always stands beside a colour."""
    return COLOURS[place % len(COLOURS)]

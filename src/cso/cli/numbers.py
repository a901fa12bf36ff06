"""Numbers as they are printed: with their 95 % interval."""

from __future__ import annotations

from cso.evaluate.intervals import Interval


def counted(count: int, noun: str) -> str:
    """`1 rater`, `2 raters`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def plain(value: Interval) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"

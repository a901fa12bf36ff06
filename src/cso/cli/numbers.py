"""Numbers as they are printed: with their 95 % interval."""

from __future__ import annotations

from cso.evaluate.intervals import Interval


def percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def plain(value: Interval) -> str:
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"

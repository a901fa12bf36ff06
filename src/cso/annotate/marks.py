"""Marks as raters give them, and the categories that they are counted in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cso.annotate.agreement import OUTCOMES
from cso.annotate.key import Key
from cso.errors import InputError
from cso.evaluate.judging import HIGHEST


def categories(path: Path, item: str, marks: Mapping[str, object], key: Key, *, swapped: bool) -> dict[str, int]:
    """The category of each mark, by criterion. Marks are A, B and tie of pairs, 1 to 5 of single replies.

    Raises InputError for an item or a criterion that the key does not know, and for what is no such mark.
    """
    if item not in key.items:
        raise InputError(f"{path}: has item {item!r}, which annotation {key.annotation} has not; use the file as saved")
    first, second = ("lose", "win") if swapped else ("win", "lose")
    outcomes = {"A": OUTCOMES.index(first), "B": OUTCOMES.index(second), "tie": OUTCOMES.index("tie")}
    found: dict[str, int] = {}
    for name, mark in marks.items():
        if name not in key.criteria:
            raise InputError(f"{path}: item {item}: expected marks by {', '.join(key.criteria)}, found {name!r}")
        match key.kind, mark:
            case "pair", str(side) if side in outcomes:
                found[name] = outcomes[side]
            case "single", int(number) if 1 <= number <= HIGHEST and not isinstance(mark, bool):
                found[name] = number - 1
            case kind, _:
                expected = "A, B or tie" if kind == "pair" else f"a whole number from 1 to {HIGHEST}"
                raise InputError(f"{path}: item {item}: {name}: expected {expected}, found {mark!r:.80}")
    return found

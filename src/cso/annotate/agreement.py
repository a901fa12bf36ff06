"""What raters found, and how far they agree: shares, means and kappa by criterion, with intervals over dialogues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from cso.annotate.criteria import Kind
from cso.annotate.kappa import agreeing, fleiss_kappa, kappa_of_sums
from cso.annotate.key import Key
from cso.annotate.sources import CHOSEN, REJECTED
from cso.errors import InputError
from cso.evaluate.intervals import Array, Interval, by_dialogue, resampled
from cso.evaluate.judging import HIGHEST, SATISFACTION

__all__ = ["CATEGORIES", "OUTCOMES", "POOLED", "Agreement", "Rating", "Row", "agreement", "fleiss_kappa"]
OUTCOMES = ("win", "lose", "tie")  # of the first source against the second
POOLED = "ESC-Pro"  # the chosen and the rejected replies together, as in Table 6
CATEGORIES: Mapping[Kind, int] = {"pair": len(OUTCOMES), "single": HIGHEST}


@dataclass(frozen=True, slots=True)
class Rating:
    """What a rater said of an item. Marks are places of categories: in `OUTCOMES`, or of the marks from 1."""

    rater: str
    item: str
    marks: Mapping[str, int]  # by criterion; those that the rater gave
    swapped: bool = False  # whether the second source was shown as A
    at: datetime | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A criterion: of pairs the shares of win, lose and tie; of single replies the mean marks by source.

    Satisfaction is the mean of three criteria: of their shares, their means, their kappas. A number is None where
    nothing was marked; kappa also where it is undefined, and `because` says why.
    """

    numbers: Mapping[str, Interval | None]
    kappa: Interval | None
    shared: int  # items that every rater marked: those that kappa is of; of Satisfaction the fewest of the three
    because: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The whole of it. `raters`: how many items each has judged by every criterion."""

    annotation: str
    kind: Kind
    sources: tuple[str, ...]
    rows: Mapping[str, Row]
    items: int  # with a mark, of `asked`
    asked: int
    dialogues: int
    raters: Mapping[str, int]
    first: float | None  # of verdicts for one reply, the share for the one shown as A; .5 is even


def agreement(ratings: Sequence[Rating], key: Key, *, draws: int = 1000, seed: int = 0) -> Agreement:
    """The numbers of the paper's tables, from one rating a rater and item. Raises InputError where nothing is marked.

    Shares and means are over all marks; kappa is over the items that all raters marked.
    """
    marked = [rating for rating in ratings if rating.marks]
    if not marked:
        raise InputError("expected items with marks, found none: no rater has judged anything yet")
    raters = list(dict.fromkeys(rating.rater for rating in marked))
    table = _table(marked, key)
    sources = list(dict.fromkeys(source for item in key.items.values() for source in item.sources))

    def row(places: Sequence[int]) -> Row:
        part = replace(table, criteria=[key.criteria[place] for place in places], counts=table.counts[:, places])
        numbers = _shares(part, draws, seed) if key.kind == "pair" else _means(part, sources, draws, seed)
        return Row(numbers, *_kappa(part, len(raters), draws, seed))

    return Agreement(
        annotation=key.annotation,
        kind=key.kind,
        sources=tuple(sources),
        rows={name: row(places) for name, places in _rows(key.criteria).items()},
        items=len(table.counts),
        asked=len(key.items),
        dialogues=len(set(table.dialogues)),
        raters={
            rater: sum(each.rater == rater and len(each.marks) == len(key.criteria) for each in marked)
            for rater in raters
        },
        first=_first(marked) if key.kind == "pair" else None,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """How many raters gave which mark: `counts` is [items, criteria, categories]; of each item, where it is from."""

    criteria: Sequence[str]
    counts: Array
    dialogues: Sequence[str]
    sources: Sequence[str]  # of single replies


def _table(ratings: Sequence[Rating], key: Key) -> _Table:
    """The items that have a mark."""
    marked = {rating.item for rating in ratings}
    items = [name for name in key.items if name in marked]
    places = {name: place for place, name in enumerate(items)}
    counts = np.zeros((len(items), len(key.criteria), CATEGORIES[key.kind]))
    for rating in ratings:
        for name, mark in rating.marks.items():
            counts[places[rating.item], key.criteria.index(name), mark] += 1
    asked = [key.items[name] for name in items]
    return _Table(key.criteria, counts, [item.dialogue for item in asked], [item.sources[0] for item in asked])


def _rows(criteria: Sequence[str]) -> dict[str, list[int]]:
    """The criteria behind each row, as places: one, or the three of Satisfaction, which stands below the last."""
    rows: dict[str, list[int]] = {}
    for place, name in enumerate(criteria):
        rows[name] = [place]
        if set(SATISFACTION) <= set(rows) and "Satisfaction" not in rows:
            rows["Satisfaction"] = [criteria.index(each) for each in SATISFACTION]
    return rows


def _shares(table: _Table, draws: int, seed: int) -> dict[str, Interval | None]:
    weights = zip(OUTCOMES, np.eye(len(OUTCOMES)), strict=True)
    return {name: _mean(table.counts, table.dialogues, each, draws, seed) for name, each in weights}


def _means(table: _Table, sources: Sequence[str], draws: int, seed: int) -> dict[str, Interval | None]:
    """The mean mark of each source's replies, and of chosen and rejected ones together."""
    groups = {source: {source} for source in sources}
    if {CHOSEN, REJECTED} <= set(sources):
        groups[POOLED] = {CHOSEN, REJECTED}
    found: dict[str, Interval | None] = {}
    for name, members in groups.items():
        places = [place for place, source in enumerate(table.sources) if source in members]
        dialogues = [table.dialogues[place] for place in places]
        found[name] = _mean(table.counts[places], dialogues, np.arange(1.0, HIGHEST + 1), draws, seed)
    return found


def _mean(counts: Array, dialogues: Sequence[str], weights: Array, draws: int, seed: int) -> Interval | None:
    """The mean weight of all marks by a criterion, and of criteria the mean of that."""

    def statistic(totals: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((totals @ weights) / totals.sum(-1)).mean(-1)

    return _interval(by_dialogue(dialogues, counts), statistic, draws, seed)


def _kappa(table: _Table, raters: int, draws: int, seed: int) -> tuple[Interval | None, int, str]:
    """Kappa, over how many items, and why there is none."""
    whole = table.counts.sum(-1) == raters  # [items, criteria]
    shared = int(whole.sum(0).min())
    if raters < 2:
        return None, shared, "it needs two raters"
    parts = np.where(whole[..., None], agreeing(table.counts), 0.0)
    lacking = [name for name, kappa in zip(table.criteria, kappa_of_sums(parts.sum(0)), strict=True) if np.isnan(kappa)]
    if len(table.criteria) > 1 and lacking:
        return None, shared, f"there is none for {', '.join(lacking)}"
    if not shared:
        return None, 0, "no item was marked by all raters"
    if lacking:
        return None, shared, "all marks are the same, so that chance alone would agree always"
    found = _interval(by_dialogue(table.dialogues, parts), lambda sums: kappa_of_sums(sums).mean(-1), draws, seed)
    return found, shared, ""


def _interval(totals: Array, statistic: Callable[[Array], Array], draws: int, seed: int) -> Interval | None:
    """As `intervals.interval`; draws in which the statistic is undefined are left out, as is the whole if it is."""
    value = float(statistic(totals.sum(0))) if len(totals) else float("nan")
    if np.isnan(value):
        return None
    found = statistic(resampled(totals, draws=draws, seed=seed))
    low, high = np.quantile(found[~np.isnan(found)], (0.025, 0.975)) if (~np.isnan(found)).any() else (value, value)
    return Interval(value, float(low), float(high))


def _first(ratings: Sequence[Rating]) -> float | None:
    """The share of decided verdicts that are for the reply shown as A."""
    decided = [(mark, rating.swapped) for rating in ratings for mark in rating.marks.values() if mark < 2]
    return float(np.mean([(mark == 0) is not swapped for mark, swapped in decided])) if decided else None

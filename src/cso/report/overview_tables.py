"""Tables as a page shows them: texts, ready to be escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cso.report.asked import Asked
from cso.report.facts import Facts
from cso.report.shapes import Interval

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, and in small words what belongs to it."""

    text: str
    small: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`head` has no entry for the first column, whose texts name the rows; `corner` is its head."""

    title: str
    head: Sequence[str]
    rows: Sequence[tuple[str | Cell, *tuple[Cell, ...]]]
    corner: str = ""
    notes: Sequence[str] = ()
    total: bool = False  # whether the last row is one


def numbers(
    title: str,
    head: Sequence[str],
    rows: Mapping[str, Sequence[float | None]],
    form: str,
    *,
    corner: str = "",
) -> Table:
    """Plain numbers, each in the same form."""
    return Table(
        title,
        head,
        [
            (name, *(Cell(NOTHING if value is None else form.format(value)) for value in row))
            for name, row in rows.items()
        ],
        corner,
    )


def cell(found: float | Interval | None, factor: float = 1.0, places: int = 2, *, strong: bool = False) -> Cell:
    """A value with its interval below."""
    if found is None:
        return Cell(NOTHING)
    if not isinstance(found, Interval):
        return Cell(f"{factor * found:.{places}f}", strong=strong)
    low, high = factor * found.low, factor * found.high
    return Cell(f"{factor * found.value:.{places}f}", f"{low:.{places}f} to {high:.{places}f}", strong)


def signed(found: Interval | None, factor: float, places: int) -> Cell:
    """A difference with its interval."""
    if found is None:
        return Cell(NOTHING)
    low, high = factor * found.low, factor * found.high
    return Cell(f"{factor * found.value:+.{places}f}", f"{low:+.{places}f} to {high:+.{places}f}")


def calls_table(facts: Facts) -> Table:
    """Calls, tokens and money by what for, role and model, and in all."""
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = []
    costs: list[float | None] = []
    for one in facts.asked:
        cost, said = _cost(one, facts)
        costs.append(cost)
        rows.append((_who(one, facts), *_counts(one), Cell(said)))
    total = Asked(
        "",
        "",
        "",
        sum(one.calls for one in facts.asked),
        sum(one.prompt_tokens for one in facts.asked),
        sum(one.completion_tokens for one in facts.asked),
    )
    rows.append(("in all", *_counts(total), Cell(_in_all(costs))))
    return Table("", ("calls", "tokens in", "tokens out", "USD"), rows, "model", total=True)


def _who(one: Asked, facts: Facts) -> Cell:
    """The model, and what it was asked for. One that ran here has no name in its answers: its evaluation's stands."""
    if _embedded(one, facts):
        return Cell("embedded cast", f"{one.purpose}, {one.role}")
    if one.evaluation and one.local:
        return Cell(one.evaluation, f"{one.purpose}, {one.role}")
    return Cell(one.model, " ".join(filter(None, (one.purpose, one.evaluation))) + f", {one.role}")


def _in_all(costs: Sequence[float | None]) -> str:
    """How the sum of costs is said; 0 is of what costs no money."""
    known = sum(cost for cost in costs if cost is not None)
    if None in costs:
        return f"at least {known:.2f}" if known else "price not known"
    return f"{known:.2f}" if known else "none"


def _embedded(one: Asked, facts: Facts) -> bool:
    return facts.stand_in and one.purpose == "search"


def _cost(one: Asked, facts: Facts) -> tuple[float | None, str]:
    """USD, and how that is said. A model that counted no tokens ran here."""
    if _embedded(one, facts) or one.local:
        return 0.0, "none"
    cost = one.cost(facts.prices)
    return cost, "price not known" if cost is None else f"{cost:.2f}"


def _counts(one: Asked) -> tuple[Cell, Cell, Cell]:
    return Cell(f"{one.calls:,}"), Cell(f"{one.prompt_tokens:,}"), Cell(f"{one.completion_tokens:,}")

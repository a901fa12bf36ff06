"""The dataset card: README.md of the folder, which a dataset hub and `load_dataset` read."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources

from jinja2 import Environment, StrictUndefined

from cso.extract.extraction import Dropped
from cso.extract.statistics import Spread, Statistics
from cso.settings import ExtractSettings

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    statistics: Statistics,
    rows: Mapping[str, int],
    dropped: Dropped,
    settings: ExtractSettings,
    *,
    origin: Mapping[str, str],
    figure: str | None,
    supports: bool = True,
) -> str:
    """The card's Markdown. `rows` has the size of each configuration, the default one first; `figure` is a path;
    `supports`: whether the conversations are with people in distress.

    Configurations without rows are not named to `load_dataset`, which refuses to load nothing.
    """
    configs = [name for name, size in rows.items() if size] or list(rows)
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = resources.files("cso.extract").joinpath("card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        statistics=statistics,
        table=statistics.table5,
        rows=rows,
        configs=configs,
        size=_size(rows[configs[0]]),
        dropped=asdict(dropped),
        settings=settings.model_dump(),
        origin=origin,
        figure=figure,
        supports=supports,
        cell=_cell,
        count=_count,
        mean=_mean,
        spread=_spread,
    )


def _size(rows: int) -> str:
    """The hub's name for how large a dataset is."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")


def _cell(value: object) -> str:
    """A value as the text of one cell of a Markdown table, no part of it read as markup of another cell or as HTML."""
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")


def _count(number: int) -> str:
    return f"{number:,}"


def _mean(number: float) -> str:
    return f"{number:,.2f}"


def _spread(spread: Spread) -> str:
    numbers = (spread.lowest, spread.median, spread.mean, spread.highest)
    return " | ".join([_count(spread.count), *("" if number is None else _mean(number) for number in numbers)])

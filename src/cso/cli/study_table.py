"""The table of a study: means over trainings, and differences from the one that the others are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from cso.cli.numbers import percent, plain
from cso.errors import InputError
from cso.evaluate import Answer, matrices
from cso.evaluate.intervals import Array, Interval, mean_difference, mean_interval
from cso.evaluate.scores import bias, macro_f1, silent, weighted_f1
from cso.files import write_json
from cso.settings import Settings
from cso.store import Run

Found = Mapping[str, Sequence[Sequence[Answer]]]  # by variant, then by training
SCORES = {"Q": macro_f1, "B": bias, "Q_W": weighted_f1}
REFERENCES = ("SFT", "One round", "base")  # the first that is there is what the others are held against


def show_study(
    screen: Console, path: Path, title: str, found: Found, run: Run, settings: Settings, against: str | None
) -> None:
    """Print the table and write it to `path`. Raises InputError where that which is held `against` is not there."""
    told, names = settings.evaluate, run.taxonomy.names
    totals = {variant: np.stack([matrices(answers, names) for answers in each]) for variant, each in found.items()}
    reference = against or next(name for name in REFERENCES if name in totals)
    if reference not in totals:
        raise InputError(f"--against {reference}: expected one whose trainings are all there: {'; '.join(totals)}")
    table = Table(
        title, "trainings", *SCORES, *(f"{score} - {reference}" for score in SCORES), box=None, pad_edge=False
    )
    rows: dict[str, dict[str, Any]] = {}
    for variant, each in totals.items():
        means = {
            score: mean_interval(each, SCORES[score], draws=told.draws, seed=told.seed) for score in _measured(each)
        }
        differences = {
            score: mean_difference(each, totals[reference], SCORES[score], draws=told.draws, seed=told.seed)
            for score in _measured(each, totals[reference])
        }
        less = ["" if variant == reference else _shown(score, differences.get(score)) for score in SCORES]
        table.add_row(variant, str(len(each)), *(_shown(score, means.get(score)) for score in SCORES), *less)
        rows[variant] = {
            "trainings": len(each),
            "means": {score: asdict(value) for score, value in means.items()},
            f"less {reference}": {score: asdict(value) for score, value in differences.items()},
            "by training": {
                score: [float(value) for value in statistic(each.sum(1))] for score, statistic in SCORES.items()
            },
        }
    screen.print(table)
    turns = len(next(iter(found.values()))[0])
    chance = "trainings and dialogues both" if max(map(len, totals.values())) > 1 else "dialogues, of one training each"
    screen.print(f"{turns} turns; means over trainings, 95 % intervals over {chance}")
    write_json(path, {"study": title, "turns": turns, "variants": rows})
    screen.print(f"study: {path}")


def _measured(*trainings: Array) -> list[str]:
    """The scores that there are: no B where a training's model named no strategy at all."""
    return [score for score in SCORES if score != "B" or not any(silent(each) for some in trainings for each in some)]


def _shown(score: str, value: Interval | None) -> str:
    if value is None:
        return "-"
    return plain(value) if score == "B" else percent(value)

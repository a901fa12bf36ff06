"""`cso agreement`: what raters found, and how far they agree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cso.annotate import Agreement, Read, agreement, is_agreement, read_ratings
from cso.cli.numbers import counted, percent, plain
from cso.cli.options import console
from cso.errors import InputError
from cso.evaluate.intervals import Interval
from cso.files import write_json

FORMAT = 1


def agreement_command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES", help="What raters saved, exports of Label Studio, or folders with them."),
    ],
    key: Annotated[
        Path | None, typer.Option(help="The annotation's key.json, or a run; if not given, beside the files.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Where the numbers go; if not given, agreement.json beside the first.")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, max=100_000, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
) -> None:
    """Win, lose and tie, or mean marks, with 95 % intervals over dialogues, and Fleiss' kappa of the raters."""
    screen = console()
    read = read_ratings(files, key)
    target = json_ or (files[0] if files[0].is_dir() else files[0].parent) / "agreement.json"
    _spare(target)
    found = agreement(read.ratings, read.key, draws=draws, seed=seed)
    _show(screen, found)
    _remark(screen, found, read)
    write_json(target, {"format": FORMAT, **asdict(found), "comments": _comments(read), "notes": list(read.notes)})
    screen.print(f"written: {target}")


def _spare(target: Path) -> None:
    """Raises InputError where a file is in the way that no agreement wrote, such as a rater's or the key."""
    if os.path.isfile(target) and not is_agreement(target):  # not `Path.is_file`, which raises for too long a name
        raise InputError(
            f"--json {target}: this file is there and no earlier agreement, so that it stays; choose another name"
        )


def _show(screen: Console, found: Agreement) -> None:
    pair = found.kind == "pair"
    columns = list(next(iter(found.rows.values())).numbers)
    title = " against ".join(found.sources) if pair else "mean, 1 to 5"
    table = Table(title, *(f"{name}, %" if pair else name for name in columns), "kappa", box=None, pad_edge=False)
    for name, row in found.rows.items():
        numbers = (_number(row.numbers[column], pair=pair) for column in columns)
        table.add_row(name, *numbers, plain(row.kappa) if row.kappa else "-")
    screen.print(table)


def _number(value: Interval | None, *, pair: bool) -> str:
    return "-" if value is None else percent(value) if pair else plain(value)


def _remark(screen: Console, found: Agreement, read: Read) -> None:
    """What the numbers are of, and what is missing."""
    size = f"{found.items} of {counted(found.asked, 'item')}, of {counted(found.dialogues, 'dialogue')}"
    screen.print(f"{size}; {counted(len(found.raters), 'rater')}")
    short = [f"{rater}: {count} of {found.asked}" for rater, count in found.raters.items() if count < found.asked]
    if short:
        screen.print(f"not finished: {'; '.join(short)}")
    shared = {row.shared for row in found.rows.values()}
    if len(found.raters) > 1:
        screen.print(f"kappa (Fleiss): over the {_span(shared)} that all raters marked")
    for because in dict.fromkeys(row.because for row in found.rows.values() if row.because):
        rows = [name for name, row in found.rows.items() if row.because == because]
        screen.print(f"no kappa for {', '.join(rows)}: {because}")
    if "Satisfaction" in found.rows:
        screen.print("Satisfaction: the mean of Acceptance, Effectiveness and Sensitivity, in every column")
    if found.first is not None:
        screen.print(f"of verdicts for one reply {found.first:.0%} are for the one shown as A (50% is even)")
    if read.key.same:
        screen.print(f"pairs that read the same were left out before the draw: {read.key.same:,}")
    for note in read.notes:
        screen.print(note)


def _span(numbers: set[int]) -> str:
    return counted(min(numbers), "item") if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)} items"


def _comments(read: Read) -> Sequence[dict[str, str]]:
    return [
        {"rater": rating.rater, "item": rating.item, "comment": rating.comment}
        for rating in read.ratings
        if rating.comment
    ]

"""`cso corpus`: what a file of dialogues holds, what can be used of it, and the same in our own format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cso.cli.options import console
from cso.corpora import Corpus, Counts, Dropped, Length, Reason, count, read_corpus, write_dialogues
from cso.dialogue import STAGES
from cso.errors import InputError
from cso.taxonomy import Speakers, load_taxonomy

_SHOWN = 3  # dropped dialogues that are named, a reason


def corpus(
    file: Annotated[
        str,
        typer.Argument(help="Dialogues: ExTES or ESConv JSON, JSONL of our own, `bundled` or `bundled:test`."),
    ],
    taxonomy: Annotated[str, typer.Option(help="A bundled taxonomy (esc8, extes15, esconv8) or a YAML file.")] = "esc8",
    to: Annotated[Path | None, typer.Option(help="Write the usable dialogues here as JSONL.")] = None,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="Drop dialogues with unlabelled ends rather than trim them.")
    ] = False,
) -> None:
    """Convert, check and count a file of dialogues."""
    screen = console()
    strategies = load_taxonomy(taxonomy)
    seeds = read_corpus(file, strategies, drop_unlabelled=drop_unlabelled)
    screen.print(seeds.summary())
    if not strategies.supports:
        screen.print(f"task: {strategies.task}")
    if seeds.dropped:
        _print_table(screen, _dropped_table(screen, seeds.dropped))
    if not seeds.dialogues:
        raise InputError(
            f"{seeds.name}: no dialogue can be used with the taxonomy {strategies.name} ({', '.join(strategies.names)})"
        )
    counts = count(seeds.dialogues, strategies.names)
    _print_table(screen, _strategy_table(screen, counts, strategies.speakers))
    _print_table(screen, _length_table(screen, counts, strategies.speakers))
    if to is not None:
        _convert(seeds, file, to)
        screen.print(f"{len(seeds.dialogues)} dialogues written to {to}")


def _convert(seeds: Corpus, file: str, to: Path) -> None:
    if to.resolve() == Path(file).resolve():
        raise InputError(f"--to {to}: expected another file than the one that is read")
    write_dialogues(seeds.dialogues, to)


def _print_table(console: Console, table: Table) -> None:
    console.print()
    console.print(table)


def _table(console: Console, title: str, columns: Iterable[str], *, numbers: bool = True) -> Table:
    """A table for people on a terminal; elsewhere bare columns."""
    terminal = console.is_terminal
    box = SIMPLE_HEAD if terminal else None
    table = Table(title=title, title_justify="left", title_style="bold", box=box, padding=(0, 1, 0, 0))
    first, *others = columns
    table.add_column(first, overflow="fold")
    for column in others:
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    return table


def _strategy_table(console: Console, counts: Counts, speakers: Speakers) -> Table:
    total = sum(map(sum, counts.strategies.values()))
    stages = (f"{index / (STAGES - 1):.1f}" for index in range(STAGES))
    title = f"{speakers.supporter} turns by strategy, and by stage from 0.0 to 1.0"
    table = _table(console, title, ["strategy", "turns", "share", *stages])
    for name, row in counts.strategies.items():
        table.add_row(name or "(no strategy)", str(sum(row)), f"{sum(row) / total:.1%}", *map(str, row))
    by_stage = [sum(column) for column in zip(*counts.strategies.values(), strict=True)]
    table.add_row("all", str(total), "100.0%", *map(str, by_stage))
    return table


def _length_table(console: Console, counts: Counts, speakers: Speakers) -> Table:
    table = _table(console, "Length", ["what", "number", "mean", "smallest", "largest"])

    def row(what: str, length: Length) -> None:
        table.add_row(what, str(length.number), f"{length.mean:.2f}", str(length.smallest), str(length.largest))

    row("utterances a dialogue", counts.utterances)
    for speaker, length in counts.words.items():
        row(f"words a {speakers.name(speaker).lower()} utterance", length)
    return table


def _dropped_table(console: Console, dropped: Sequence[Dropped]) -> Table:
    table = _table(console, "Dropped dialogues", ["reason", "dialogues", "such as"], numbers=False)
    for reason, number in Counter(item.reason for item in dropped).most_common():
        table.add_row(str(reason), str(number), _examples(dropped, reason))
    return table


def _examples(dropped: Sequence[Dropped], reason: Reason) -> str:
    chosen = [item for item in dropped if item.reason is reason]
    more = "; ..." if len(chosen) > _SHOWN else ""
    return "; ".join(map(str, chosen[:_SHOWN])) + more

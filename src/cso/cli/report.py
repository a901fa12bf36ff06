"""`cso report`: a run as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cso.cli.casting import prices
from cso.cli.options import console
from cso.cli.shelf import Shelf
from cso.files import write_text
from cso.report import Facts, figure_files, gather, page
from cso.store import Run


def report_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Write RUN/report.html: scores, figures, preferences, training and cost, on one page; and RUN/figures/*.svg."""
    run = Run.open(run_folder)
    shelf = Shelf(run)
    data = shelf.everything()
    facts = facts_of(run, shelf.unreadable)
    files = figure_files(facts)
    for name, svg in files.items():
        write_text(run_folder / "figures" / name, svg)
    target = run_folder / "report.html"
    write_text(target, page(facts, data))
    console().print(f"report: {target}" + (f"; its figures as SVG: {run_folder / 'figures'}" if files else ""))


def facts_of(run: Run, unreadable: Sequence[str] = ()) -> Facts:
    """What a report of the run shows. `unreadable`: files that others have found to be so."""
    stand_in = run.settings.cast.kind == "corpus"
    facts = gather(
        run.folder,
        strategies=run.taxonomy.names,
        stand_in=stand_in,
        prices={} if stand_in else prices(run.settings.cast),
    )
    return replace(facts, unreadable=list(dict.fromkeys([*facts.unreadable, *unreadable])))

"""`cso report`: a run as one page."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cso.cli.casting import prices
from cso.cli.options import console
from cso.cli.shelf import Shelf
from cso.files import remove, write_text
from cso.report import Facts, figure_files, gather, page
from cso.report.chart import is_ours
from cso.store import Run


def report_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Write RUN/report.html: scores, figures, preferences, training and cost, on one page; and RUN/figures/*.svg.

    Figures of an earlier report that this one does not draw are removed.
    """
    run = Run.open(run_folder)
    shelf = Shelf(run)
    data = shelf.everything()
    facts = facts_of(shelf)
    files = figure_files(facts)
    for name, svg in files.items():
        write_text(run_folder / "figures" / name, svg)
    _remove_old(run_folder / "figures", files)
    target = run_folder / "report.html"
    write_text(target, page(facts, data))
    console().print(f"report: {target}" + (f"; its figures as SVG: {run_folder / 'figures'}" if files else ""))


def _remove_old(folder: Path, files: Collection[str]) -> None:
    """What an earlier report drew and this one does not is gone; what others have put there stays."""
    for path in sorted(folder.glob("*.svg")):
        with suppress(OSError, UnicodeDecodeError):  # what cannot be read is not ours
            if path.name not in files and is_ours(path.read_text(encoding="utf-8"), path.stem):
                remove(path)


def facts_of(shelf: Shelf) -> Facts:
    """What a report of the run shows. Of trees, what the shelf's latest index has: none of other settings."""
    run = shelf.run
    stand_in = run.settings.cast.kind == "corpus"
    facts = gather(
        run.folder,
        strategies=run.taxonomy.names,
        stand_in=stand_in,
        prices={} if stand_in else prices(run.settings.cast),
    )
    failed = {tree["id"] for tree in shelf.trees if tree["failed"]}
    unfinished = sum(tree["unfinished"] for tree in shelf.trees)
    return replace(
        facts,
        trees=len(shelf.trees) - unfinished,
        unfinished=unfinished,
        failed=[each for each in facts.failed if each.dialogue in failed],
        unreadable=list(dict.fromkeys([*facts.unreadable, *shelf.unreadable])),
    )

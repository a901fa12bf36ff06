"""`cso report`: a run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cso.cli.casting import prices
from cso.cli.options import console
from cso.files import write_text
from cso.report import gather, page
from cso.store import Run


def report_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Write RUN/report.html: scores, figures, preferences, training and cost, on one page."""
    run = Run.open(run_folder)
    stand_in = run.settings.cast.kind == "corpus"
    target = run_folder / "report.html"
    write_text(
        target, page(gather(run_folder, stand_in=stand_in, prices={} if stand_in else prices(run.settings.cast)))
    )
    console().print(f"report: {target}")

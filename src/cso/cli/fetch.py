"""`cso fetch`: a run from an address such as s3://bucket/run into a folder, where every other command works with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cso.cli.options import console, need
from cso.errors import InputError, StoreError
from cso.files import locked, write_text

if TYPE_CHECKING:
    from cso.cluster.mirror import Mirror


def fetch(
    address: Annotated[str, typer.Argument(help="Where the run lies: s3://..., gs://..., file://...")],
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder to copy it into.")],
) -> None:
    """Copy a run from an address into a folder; answers that were added there since stay."""
    need("cso fetch", ("fsspec",), extra="ray")
    if "://" not in address:
        raise InputError(f"{address!r}: expected an address such as s3://bucket/run or file:///folder/run")
    from cso.cluster.mirror import Mirror  # here, because it needs the extra

    screen = console()
    mirror = Mirror(address, run_folder)
    names = mirror.names()
    if "settings.yaml" not in names:
        raise StoreError(f"{address}: expected a run with a settings.yaml, found {len(names)} other files")
    with locked(run_folder):
        there = run_folder / "settings.yaml"
        before = there.read_text(encoding="utf-8") if there.exists() else None
        mirror.fetch("settings.yaml")
        if before is not None and there.read_text(encoding="utf-8") != before:
            write_text(there, before)
            raise StoreError(f"{run_folder}: expected this run or none, found one with other settings")
        mirror.fetch(*(name for name in names if not _grown_here(mirror, name)))
    screen.print(f"{len(names)} files: {run_folder}")


def _grown_here(mirror: Mirror, name: str) -> bool:
    """Whether answers were heard here after they were fetched: they are only ever added to."""
    here = mirror.folder / name
    return name.startswith("answers/") and here.exists() and here.stat().st_size > mirror.size(name)

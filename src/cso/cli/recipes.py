"""`cso recipes`: training settings that come with cso, or of a file."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cso.cli.options import console
from cso.recipe import bundled_recipes, load_recipe


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="One recipe, by name or as a YAML file; if not given, all.")
    ] = None,
) -> None:
    """List training settings, for `cso train --recipe NAME`."""
    screen = console()
    shown = [load_recipe(each) for each in ([name] if name else bundled_recipes())]
    table = Table(box=SIMPLE_HEAD if screen.is_terminal else None, padding=(0, 1, 0, 0))
    for column in ("recipe", "tuning", "objective", "length", "batch size", "learning rate", "parameters"):
        table.add_column(column, justify="right" if column in ("length", "batch size", "learning rate") else "left")
    for recipe in shown:
        screen.print(f"{recipe.name}: {recipe.model}; {recipe.source}")
        for (tuning, objective), row in recipe.rows.items():
            parameters = ", ".join(f"{key} {value:g}" for key, value in row.parameters.items())
            length = f"{row.tokens:,} tokens" if row.tokens else f"{row.epochs} epoch{'s' if row.epochs > 1 else ''}"
            rate = f"{row.learning_rate:g}"
            table.add_row(recipe.name, tuning, objective, length, str(row.batch_size), rate, parameters)
    screen.print(table)

"""Options that several commands share, and the console they write to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Config = Annotated[Path | None, typer.Option("--config", help="Settings as a YAML file.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as search.iterations=50.")
]
BaseUrl = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible endpoint that plays all four roles (cast.default.base_url).")
]
Model = Annotated[str | None, typer.Option(help="The model that plays all four roles (cast.default.model).")]


def assignments(given: list[str] | None, base_url: str | None, model: str | None) -> list[str]:
    """What was said by `--set` and by its short forms, as assignments."""
    short = {"cast.default.base_url": base_url, "cast.default.model": model}
    said = [f"{key}={value}" for key, value in short.items() if value is not None]
    return [*(["cast.kind=llm"] if said else []), *said, *(given or [])]


def console() -> Console:
    """What people and scripts read: words of a dialogue are printed as they are, and a pipe never folds a line."""
    out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = 10_000
    return out

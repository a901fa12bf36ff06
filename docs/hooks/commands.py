"""Writes the command reference from the commands themselves, so that it cannot differ from `cso --help`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import typer

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for every page."""
    return markdown.replace(MARK, "\n".join(reference())) if MARK in markdown else markdown


def reference() -> Iterator[str]:
    """A section for each command."""
    from cso.cli.main import app  # here, so that each build sees the commands as they are

    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        pieces = [piece for param in command.params for piece in param.get_usage_pieces(context)]
        yield f"## cso {name}\n"
        yield f"{command.help}\n"
        yield f"```text\ncso {name} {' '.join([*map(bare, pieces), '[OPTIONS]'])}\n```\n"
        yield from table(command.params, context)


def table(params: list[Any], context: Any) -> Iterator[str]:
    """Arguments first, then options, each with what the command's own help says of it."""
    yield "| | | |\n|---|---|---|"
    for param in sorted(params, key=lambda param: param.param_type_name != "argument"):
        if "--help" in param.opts:
            continue
        written, told = param.get_help_record(context)
        names, kind = spelled(param, written)
        yield f"| {' '.join(f'`{name}`' for name in names)} | {html.escape(kind)} | {cell(told)} |"
    yield ""


def spelled(param: Any, written: str) -> tuple[list[str], str]:
    """The names of a parameter, and what it takes."""
    if param.param_type_name == "argument":
        name, _, kind = written.partition(" ")
        return [bare(name)], kind.strip("<>")
    kind = " ".join(word for word in re.split(r"[,\s]+", written) if word and not word.startswith("-"))
    return [*param.opts], kind.strip("<>")


def bare(word: str) -> str:
    """Without the braces around a required argument."""
    return word.strip("{}")


def cell(text: str) -> str:
    """Text inside a table, its code left alone."""
    parts = re.split(r"(`[^`]*`)", text.replace("|", "\\|"))
    return "".join(
        part if part.startswith("`") else re.sub(r"(?<!\w)(--[a-z-]+)", r"`\1`", html.escape(part)) for part in parts
    )

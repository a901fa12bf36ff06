"""Puts every decision into the navigation and into the index of decisions, by its own title."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER, MARK = "decisions", "<!-- decisions -->"


def on_config(config: Any) -> Any:
    """MkDocs calls this first: the entry `decisions/` becomes the index and its pages."""
    pages = [f"{FOLDER}/index.md", *(f"{FOLDER}/{path.name}" for path in decisions(config.docs_dir))]
    for entry in config.nav:
        for title, place in entry.items():
            if place == f"{FOLDER}/":
                entry[title] = pages
    return config


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """MkDocs calls this for every page."""
    if MARK not in markdown:
        return markdown
    rows = [f"| {path.name[:4]} | [{title(path)}]({path.name}) |" for path in decisions(config.docs_dir)]
    return markdown.replace(MARK, "\n".join(["| | |", "|---|---|", *rows]))


def decisions(docs: str) -> list[Path]:
    """The pages, by number."""
    return sorted((Path(docs) / FOLDER).glob("[0-9]*.md"))


def title(path: Path) -> str:
    """What a page's first line says."""
    return path.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")

"""A run as the parts of its page, each read again only when its file has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cso.errors import StoreError
from cso.files import read_jsonl
from cso.pages import packed
from cso.report import index_content, pairs_content, tree_content, tree_summary
from cso.store import Run

SHOWN = (  # files that change the page beside trees
    "preferences/statistics.json",
    "preferences/pairs.jsonl",
    "models/*/metrics.jsonl",
    "evaluation/*/*.json",
    "toxicity/*.json",
    "studies/*/*.json",
)


@dataclass(slots=True)
class Shelf:
    """The parts of a run's page by name: `index`, `pairs`, and a part for each tree."""

    run: Run
    unreadable: list[str] = field(default_factory=list[str])  # of the latest index
    _lines: dict[Path, tuple[str, dict[str, Any] | None]] = field(default_factory=dict[Path, Any])
    _kept: dict[str, str] | None = None  # trees, packed as they are read

    def index(self) -> dict[str, Any]:
        """The list of trees and what else the page begins with; `stamp` changes when anything that is shown does."""
        self.unreadable = []
        lines = [line for path, growing in self._trees() if (line := self._line(path, growing=growing)) is not None]
        pairs = self.run.view("dpo")
        parts = [line["stamp"] for line in lines]
        parts += [_stamp(path) for pattern in SHOWN for path in sorted(self.run.folder.glob(pattern))]
        return index_content(
            self.run.taxonomy,
            self.run.settings.search,
            self.run.settings.extract,
            trees=lines,
            pairs=_stamp(pairs) if pairs.exists() else None,
            stamp=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16],
        )

    def everything(self) -> dict[str, str]:
        """All parts packed, for a page that is one file; what cannot be read is left out, and is in `unreadable`."""
        self._kept = {}
        index = self.index()
        parts, self._kept = self._kept, None
        if index["pairs"]:
            try:
                parts["pairs"] = packed(self.part("pairs"))
            except StoreError:
                self.unreadable.append(str(self.run.view("dpo").relative_to(self.run.folder)))
                index["pairs"] = None
        return {"index": packed(index), **parts}

    def part(self, name: str) -> dict[str, Any]:
        """A part by name. Raises StoreError where its file cannot be read, KeyError where there is none."""
        if name == "pairs":
            path = self.run.view("dpo")
            try:
                return pairs_content(read_jsonl(path), self.run.taxonomy)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise StoreError(
                    f"{path}: expected pairs as `cso extract` writes them ({error!r}); extract anew"
                ) from error
        for path, _ in self._trees():
            if _name(path) == name:
                return tree_content(self.run.read_tree(path)[0], self.run.taxonomy.names)
        raise KeyError(name)

    def _trees(self) -> Iterator[tuple[Path, bool]]:
        """Files of trees, and whether each is of one that still grows; a tree that is done is not growing as well."""
        done = sorted((self.run.folder / "trees").glob("*.json"))
        names = {path.name for path in done}
        yield from ((path, False) for path in done)
        yield from ((path, True) for path in self.run.growing() if path.name not in names)

    def _line(self, path: Path, *, growing: bool) -> dict[str, Any] | None:
        """None for a tree that was grown under other settings, or that cannot be read."""
        try:
            stamp = _stamp(path)
            if self._lines.get(path, ("",))[0] != stamp:
                tree, own = self.run.read_tree(path)
                line = tree_summary(tree, growing=growing) | {"data": _name(path), "stamp": stamp}
                self._lines[path] = stamp, line if own else None
                if own and self._kept is not None:
                    self._kept[_name(path)] = packed(tree_content(tree, self.run.taxonomy.names))
            return self._lines[path][1]
        except (StoreError, FileNotFoundError):
            self.unreadable.append(str(path.relative_to(self.run.folder)))
            return None


def _name(path: Path) -> str:
    return f"tree-{path.stem}"


def _stamp(path: Path) -> str:
    """What changes when a file does."""
    there = path.stat()
    return f"{path.name} {there.st_mtime_ns} {there.st_size}"

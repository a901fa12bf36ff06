"""A run as the parts of its page, each read again only when its file has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cso.errors import InputError, StoreError
from cso.files import read_jsonl
from cso.pages import packed
from cso.report import index_content, pairs_content, tree_content, tree_summary
from cso.settings import ExtractSettings, load_settings
from cso.store import Run
from cso.tree import Tree

Line = dict[str, Any]  # of the list of trees
SHOWN = (  # files that change the page beside trees
    "preferences/settings.yaml",
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
    trees: list[Line] = field(default_factory=list[Line])  # like the next, as the latest index has them
    unreadable: list[str] = field(default_factory=list[str])
    _files: dict[str, Path] = field(default_factory=dict[str, Path])  # of trees, by the part's name
    _lines: dict[Path, tuple[str, Line | None]] = field(default_factory=dict[Path, tuple[str, Line | None]])

    def index(self, keep: Callable[[str, Tree], None] = lambda name, tree: None) -> dict[str, Any]:
        """The list of trees and what else the page begins with. `keep` is given each tree that is read anew."""
        self.unreadable = []
        self.trees, extracted = self._trees(keep), self._extracted()
        pairs = self.run.view("dpo")
        shown = [path for pattern in SHOWN for path in sorted(self.run.folder.glob(pattern))]
        stamps = [*(line["stamp"] for line in self.trees), *map(stamp, shown), *self.unreadable]
        return index_content(
            self.run.taxonomy,
            self.run.settings.search,
            extracted,
            trees=self.trees,
            pairs=stamp(pairs) if pairs.exists() else None,
            unreadable=self.unreadable,
            stamp=hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16],
        )

    def everything(self) -> dict[str, str]:
        """All parts packed, for a page that is one file; what cannot be read is left out, and is in `unreadable`."""
        parts: dict[str, str] = {}

        def keep(name: str, tree: Tree) -> None:
            parts[name] = packed(tree_content(tree, self.run.taxonomy.names))

        self._lines.clear()
        index = self.index(keep)
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
        return tree_content(self.run.read_tree(self._files[name])[0], self.run.taxonomy.names)

    def _extracted(self) -> ExtractSettings:
        """How the pairs were taken, or would be."""
        path = self.run.preferences / "settings.yaml"
        try:
            return (load_settings(path) if path.exists() else self.run.settings).extract
        except InputError:
            self.unreadable.append(str(path.relative_to(self.run.folder)))
            return self.run.settings.extract

    def _trees(self, keep: Callable[[str, Tree], None]) -> list[Line]:
        """A line for each tree; one on its way counts where none is done, or only one that failed."""
        unfinished = self.run.growing()  # first, since a tree is written before its snapshot is removed
        found: dict[str, Line] = {}
        for path in [*sorted((self.run.folder / "trees").glob("*.json")), *unfinished]:
            waits = found.get(path.stem, {"failed": True})["failed"]
            if waits and (line := self._line(path, keep)) is not None:
                found[path.stem] = line
                self._files[line["data"]] = path
        return [found[stem] for stem in sorted(found)]

    def _line(self, path: Path, keep: Callable[[str, Tree], None]) -> Line | None:
        """None for a tree that was grown under other settings, cannot be read, or is gone."""
        try:
            latest = stamp(path)
            if self._lines.get(path, ("",))[0] != latest:
                tree, own = self.run.read_tree(path)
                unfinished = path.parent.name == "growing"
                names = {"name": path.stem, "data": f"tree-{path.stem}", "stamp": latest}
                self._lines[path] = latest, {**tree_summary(tree, unfinished=unfinished), **names} if own else None
                if own:
                    keep(f"tree-{path.stem}", tree)
            return self._lines[path][1]
        except (StoreError, FileNotFoundError):
            if path.exists():
                self.unreadable.append(str(path.relative_to(self.run.folder)))
            self._lines.pop(path, None)
            return None


def stamp(path: Path) -> str:
    """What changes when a file does."""
    there = path.stat()
    return f"{path.parent.name}/{path.name} {there.st_mtime_ns} {there.st_size}"

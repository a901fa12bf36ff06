"""What a run directory holds that a report shows; whatever is not there yet is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel

from cso.report.asked import Asked, Prices, asked
from cso.report.shapes import (
    MarksFile,
    MetricsLine,
    ScoresFile,
    StatisticsFile,
    StudyFile,
    ToxicityFile,
    VerdictsFile,
)
from cso.taxonomy import Speakers

Shape = TypeVar("Shape", bound=BaseModel)

NODES = b'\n "nodes": ['  # where in the file of a tree its head ends; no text in JSON has a line's end in it


@dataclass(frozen=True, slots=True)
class Evaluation:
    """evaluation/<name>/."""

    scores: ScoresFile
    marks: Sequence[MarksFile]
    verdicts: Sequence[VerdictsFile]


@dataclass(frozen=True, slots=True)
class Comparison:
    """An evaluation less another of the same turns: by score the difference, its interval's two ends, and p."""

    one: str
    other: str
    scores: Mapping[str, tuple[float, float, float, float]]


@dataclass(frozen=True, slots=True)
class Failed:
    """A tree whose search could not go on."""

    dialogue: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The contents of a run's files, as they are there."""

    name: str
    settings: str  # settings.yaml
    stand_in: bool  # whether the embedded cast played the roles
    strategies: Sequence[str]  # of the taxonomy, in its order
    trees: int
    failed: Sequence[Failed]
    statistics: StatisticsFile | None
    evaluations: Mapping[str, Evaluation]  # by name
    studies: Mapping[str, StudyFile]  # by the path of their results, studies/ left out
    trainings: Mapping[str, Sequence[MetricsLine]]  # by the model's name
    toxicity: Mapping[str, ToxicityFile]  # by backend
    asked: Sequence[Asked]
    prices: Prices
    unreadable: Sequence[str]  # files that could not be read
    unfinished: int = 0  # trees on their way
    comparisons: Sequence[Comparison] = ()
    speakers: Speakers = field(default_factory=Speakers)


def gather(
    folder: Path,
    *,
    strategies: Sequence[str] = (),
    speakers: Speakers | None = None,
    stand_in: bool = False,
    prices: Prices | None = None,
) -> Facts:
    """The facts of the run in `folder`. A file that cannot be read is named and left out. `prices`: of models."""
    reader = _Reader(folder)
    trees = sorted(folder.glob("trees/*.json"))
    return Facts(
        name=folder.resolve().name,
        settings=reader.text(folder / "settings.yaml"),
        stand_in=stand_in,
        strategies=tuple(strategies),
        speakers=speakers or Speakers(),
        trees=len(trees),
        failed=[failed for path in trees if (failed := reader.failure(path)) is not None],
        statistics=reader.content(folder / "preferences" / "statistics.json", StatisticsFile),
        evaluations=reader.evaluations(),
        studies={
            f"{path.parent.name}/{path.stem}": study
            for path, study in reader.each("studies/*/results*.json", StudyFile).items()
        },
        trainings={
            unquote(path.parent.name): log
            for path in sorted(folder.glob("models/*/metrics.jsonl"), key=lambda path: _paper_order(path.parent.name))
            if (log := reader.lines(path, MetricsLine))
        },
        toxicity={path.stem: found for path, found in reader.each("toxicity/*.json", ToxicityFile).items()},
        asked=asked(folder, reader.leave_out),
        prices=prices or {},
        unreadable=reader.unreadable,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    folder: Path
    unreadable: list[str] = field(default_factory=list[str])

    def leave_out(self, path: Path, why: str = "") -> None:
        self.unreadable.append(str(path.relative_to(self.folder)) + (f" ({why})" if why else ""))

    def text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            self.leave_out(path)
            return ""

    def content(self, path: Path, shape: type[Shape]) -> Shape | None:
        """None where there is no file, or one that cannot be read."""
        try:
            return shape.model_validate_json(path.read_bytes()) if path.exists() else None
        except (OSError, ValueError):
            self.leave_out(path)
            return None

    def each(self, pattern: str, shape: type[Shape]) -> dict[Path, Shape]:
        found = {path: self.content(path, shape) for path in sorted(self.folder.glob(pattern))}
        return {path: content for path, content in found.items() if content is not None}

    def lines(self, path: Path, shape: type[Shape]) -> list[Shape]:
        """Of JSON Lines; a last line without its end is being written, and left out."""
        try:
            *rows, _torn = path.read_bytes().split(b"\n")
            return [shape.model_validate_json(row) for row in rows if row.strip()]
        except (OSError, ValueError):
            self.leave_out(path)
            return []

    def evaluations(self) -> dict[str, Evaluation]:
        found: dict[str, Evaluation] = {}
        scored = self.each("evaluation/*/scores.json", ScoresFile)
        for path, scores in sorted(scored.items(), key=lambda item: _paper_order(item[0].parent.name)):
            inside = f"evaluation/{_literal(path.parent.name)}"
            found[unquote(path.parent.name)] = Evaluation(
                scores,
                list(self.each(f"{inside}/marks-*.json", MarksFile).values()),
                list(self.each(f"{inside}/verdicts-*.json", VerdictsFile).values()),
            )
        return found

    def failure(self, path: Path) -> Failed | None:
        """Why a tree's search failed; None where it did not. Only the file's head is read."""
        try:
            head = _head(path)
            failure = head["failure"]
            if failure is None:
                return None
            return Failed(str(head["dialogue"]["id"]), str(failure["reason"]), str(failure["message"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.leave_out(path)
            return None


def _head(path: Path) -> Any:
    """What stands before the nodes in the file of a tree; of one that is laid out otherwise, all."""
    read = b""
    with path.open("rb") as file:
        while (end := read.find(NODES)) < 0:
            more = file.read(1 << 16)
            if not more:
                return json.loads(read)
            read += more
    return json.loads(read[:end].rstrip().removesuffix(b",") + b"}")


def _paper_order(name: str) -> tuple[int, str, str]:
    """Base, SFT, and then the others, as in the paper's tables."""
    lower = name.casefold()
    return 0 if lower.startswith("base") else 1 if lower.startswith("sft") else 2, lower, name


def _literal(name: str) -> str:
    """A folder's name in a pattern, where brackets would mean a choice."""
    return name.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")

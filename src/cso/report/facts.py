"""What a run directory holds that a report shows; whatever is not there yet is empty."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one role was asked, over all dialogues."""

    role: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The contents of a run's files, as they are there."""

    name: str
    settings: str  # settings.yaml
    stand_in: bool  # whether the embedded cast played the roles
    trees: int
    statistics: Numbers  # preferences/statistics.json
    evaluations: Mapping[str, Numbers]  # by name, evaluation/*/scores.json
    trainings: Mapping[str, Sequence[Numbers]]  # by name, models/*/metrics.jsonl
    asked: Sequence[Asked]
    unreadable: Sequence[str]  # files that could not be read


def gather(folder: Path, *, stand_in: bool) -> Facts:
    """The facts of the run in `folder`. A file that cannot be read is named and left out."""
    unreadable: list[str] = []

    def lines(path: Path) -> list[Numbers]:
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
            return [cast(Numbers, row) for row in rows if isinstance(row, dict)]
        except (OSError, ValueError):
            unreadable.append(str(path.relative_to(folder)))
            return []

    def content(path: Path) -> Numbers:
        try:
            found: object = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict):
            unreadable.append(str(path.relative_to(folder)))
            return {}
        return cast(Numbers, found)

    evaluations = {path.parent.name: content(path) for path in sorted(folder.glob("evaluation/*/scores.json"))}
    trainings = {path.parent.name: lines(path) for path in sorted(folder.glob("models/*/metrics.jsonl"))}
    calls: Counter[str] = Counter()
    into: Counter[str] = Counter()
    out: Counter[str] = Counter()
    for path in sorted(folder.glob("answers/*.jsonl")):
        for row in lines(path):
            role = str(row.get("role", "?"))
            calls[role] += 1
            into[role] += int(row.get("prompt_tokens", 0))
            out[role] += int(row.get("completion_tokens", 0))
    return Facts(
        name=folder.resolve().name,
        settings=(folder / "settings.yaml").read_text(encoding="utf-8"),
        stand_in=stand_in,
        trees=len(list(folder.glob("trees/*.json"))),
        statistics=content(folder / "preferences" / "statistics.json"),
        evaluations={name: scores for name, scores in evaluations.items() if scores},
        trainings={name: log for name, log in trainings.items() if log},
        asked=[Asked(role, calls[role], into[role], out[role]) for role in sorted(calls)],
        unreadable=unreadable,
    )

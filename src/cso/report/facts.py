"""What a run directory holds that a report shows; whatever is not there yet is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cso.report.shapes import AnswerLine, MetricsLine, ScoresFile, StatisticsFile, ToxicityFile

Numbers = Mapping[str, Any]


Prices = Mapping[str, tuple[float, float] | None]  # of a model: USD for a million tokens in, and out


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked in a role, over all dialogues."""

    role: str
    model: str
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def cost(self, prices: Prices) -> float | None:
        """USD; None where no price is known."""
        price = prices.get(self.model)
        return None if price is None else (self.prompt_tokens * price[0] + self.completion_tokens * price[1]) / 1e6


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
    toxicity: Mapping[str, Numbers]  # by backend, toxicity/*.json
    asked: Sequence[Asked]
    prices: Prices
    unreadable: Sequence[str]  # files that could not be read


def gather(folder: Path, *, stand_in: bool, prices: Prices | None = None) -> Facts:
    """The facts of the run in `folder`. A file that cannot be read is named and left out. `prices`: of models."""
    unreadable: list[str] = []

    def lines(path: Path, shape: type[BaseModel]) -> list[Numbers]:
        try:
            rows = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
            return [shape.model_validate_json(row).model_dump() for row in rows]
        except (OSError, ValueError):
            unreadable.append(str(path.relative_to(folder)))
            return []

    def content(path: Path, shape: type[BaseModel]) -> Numbers:
        try:
            return shape.model_validate_json(path.read_text(encoding="utf-8")).model_dump() if path.exists() else {}
        except (OSError, ValueError):
            unreadable.append(str(path.relative_to(folder)))
            return {}

    def each(pattern: str, shape: type[BaseModel]) -> dict[str, Numbers]:
        return {path.parent.name: content(path, shape) for path in sorted(folder.glob(pattern))}

    evaluations = each("evaluation/*/scores.json", ScoresFile)
    trainings = {path.parent.name: lines(path, MetricsLine) for path in sorted(folder.glob("models/*/metrics.jsonl"))}
    toxicity = {path.stem: content(path, ToxicityFile) for path in sorted(folder.glob("toxicity/*.json"))}
    asked: dict[tuple[str, str], Asked] = {}
    for path in sorted(folder.glob("answers/*.jsonl")):
        for row in lines(path, AnswerLine):
            key = row["role"], row["model"]
            one = asked.get(key, Asked(*key))
            into, out = row["prompt_tokens"], row["completion_tokens"]
            asked[key] = Asked(*key, one.calls + 1, one.prompt_tokens + into, one.completion_tokens + out)
    return Facts(
        name=folder.resolve().name,
        settings=(folder / "settings.yaml").read_text(encoding="utf-8"),
        stand_in=stand_in,
        trees=len(list(folder.glob("trees/*.json"))),
        statistics=content(folder / "preferences" / "statistics.json", StatisticsFile),
        evaluations={name: scores for name, scores in evaluations.items() if scores},
        trainings={name: log for name, log in trainings.items() if log},
        toxicity={name: found for name, found in toxicity.items() if found},
        asked=[asked[key] for key in sorted(asked)],
        prices=prices or {},
        unreadable=unreadable,
    )

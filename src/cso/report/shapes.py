"""What a report needs of the files of a run: their shapes, checked before anything is shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from cso.dialogue import STAGES

ByStage = dict[str, Annotated[list[int], Field(min_length=STAGES, max_length=STAGES)]]  # by strategy


class _Interval(BaseModel):
    value: float
    low: float
    high: float


class _StrategyScores(BaseModel):
    Q: _Interval
    B: _Interval
    Q_W: _Interval
    accuracy: _Interval
    unreadable: _Interval


class ScoresFile(BaseModel):
    """evaluation/*/scores.json."""

    format: Literal[1]
    items: int
    strategies: _StrategyScores
    strengths: dict[str, float]
    stages: ByStage
    gold_stages: ByStage
    texts: dict[str, float | _Interval]


class _StrategyCounts(BaseModel):
    strategy: str
    chosen: int
    rejected: int
    chosen_weight: float
    rejected_weight: float


class StatisticsFile(BaseModel):
    """preferences/statistics.json."""

    rows: dict[str, int]
    strategies: list[_StrategyCounts]
    stages: dict[str, ByStage]


class ToxicityFile(BaseModel):
    """toxicity/*.json."""

    groups: Annotated[dict[str, dict[str, _Interval]], Field(min_length=1)]
    texts: dict[str, int]


class AnswerLine(BaseModel):
    """A line of answers/*.jsonl."""

    role: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class MetricsLine(BaseModel):
    """A line of models/*/metrics.jsonl; null where a number was not finite."""

    step: int = 0
    loss: float | None = None
    eval_loss: float | None = None

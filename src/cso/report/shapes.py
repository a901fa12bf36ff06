"""What a report needs of the files of a run: their shapes, checked before anything is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cso.dialogue import STAGES

Number = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]
ByStage = dict[str, Annotated[list[Count], Field(min_length=STAGES, max_length=STAGES)]]  # by strategy


class Interval(BaseModel):
    """A number and its 95 % interval."""

    value: Number
    low: Number
    high: Number


class StrategyScores(BaseModel):
    Q: Interval
    B: Interval
    Q_W: Interval
    accuracy: Interval
    unreadable: Interval


class ScoresFile(BaseModel):
    """evaluation/*/scores.json."""

    format: Literal[1]
    items: Count
    strategies: StrategyScores
    f1: Annotated[dict[str, Number], Field(min_length=1)]
    strengths: Annotated[dict[str, Number], Field(min_length=1)]
    confusion: list[list[Count]]
    stages: ByStage
    gold_stages: ByStage
    texts: dict[str, Number | Interval]
    identity: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def failed(self) -> int:
        """Requests that have no answer."""
        count = self.identity.get("failed")
        return count if isinstance(count, int) and count > 0 else 0

    @model_validator(mode="after")
    def _square(self) -> ScoresFile:
        strategies = len(self.f1)
        if len(self.confusion) != strategies + 1 or any(len(row) != strategies for row in self.confusion):
            raise ValueError("the confusion matrix has another size than there are strategies")
        return self


class MarksFile(BaseModel):
    """evaluation/*/marks-*.json."""

    judge: str
    means: dict[str, Interval]
    judged: Count
    unread: Count


class VerdictsFile(BaseModel):
    """evaluation/*/verdicts-*.json."""

    judge: str
    other: str
    win: Interval
    lose: Interval
    tie: Interval
    agreement: Number | None
    first: Number | None
    judged: Count
    same: Count
    unread: Count


class StudyVariant(BaseModel):
    """A variant of a study, and how far it differs from `reference`."""

    trainings: Count
    means: dict[str, Interval]
    reference: str
    differences: dict[str, Interval]

    @model_validator(mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        """In the file the differences are called "less SFT", or whatever they are from."""
        if not isinstance(content, dict):
            return content
        given = {str(key): value for key, value in cast(dict[object, Any], content).items()}
        for key in given:
            if key.startswith("less "):
                return {**given, "reference": key.removeprefix("less "), "differences": given[key]}
        return given


class StudyFile(BaseModel):
    """studies/*/results*.json."""

    study: str
    turns: Count
    variants: Annotated[dict[str, StudyVariant], Field(min_length=1)]


class Dialogues(BaseModel):
    dialogues: Count
    mean_utterances: Number


class Texts(BaseModel):
    utterances: Count
    mean_words: Number


class Table5(BaseModel):
    seed_dialogues: Dialogues
    seed: Texts
    dialogues: Dialogues
    seeker: Texts
    preferred: Texts
    rejected: Texts
    all: Texts


class Spread(BaseModel):
    count: Count
    lowest: Number | None
    median: Number | None
    mean: Number | None
    highest: Number | None


class Margins(BaseModel):
    value: Spread
    reward: Spread
    contradicted: Count
    unrated: Count


class StrategyCounts(BaseModel):
    strategy: str
    chosen: Count
    rejected: Count
    chosen_weight: Number
    rejected_weight: Number


class Stages(BaseModel):
    seed: ByStage
    result: ByStage


class TreeCounts(BaseModel):
    all: Count
    with_valid_path: Count
    failed: Count


class StatisticsFile(BaseModel):
    """preferences/statistics.json."""

    trees: TreeCounts
    rows: dict[str, Count]
    dropped: dict[str, Count]
    table5: Table5
    strategies: list[StrategyCounts]
    stages: Stages
    margins: Margins
    margins_found: Margins


class ToxicityFile(BaseModel):
    """toxicity/*.json."""

    groups: Annotated[dict[str, dict[str, Interval]], Field(min_length=1)]
    texts: dict[str, Count]
    rejected_less_chosen: dict[str, Interval] = Field(default_factory=dict[str, Interval])
    unread: Count = 0


class MetricsLine(BaseModel):
    """A line of models/*/metrics.jsonl; null where a number was not finite."""

    model_config = ConfigDict(populate_by_name=True)

    step: Count = 0
    loss: Number | None = None
    eval_loss: Number | None = None
    margin: Number | None = Field(None, alias="rewards/margins")
    eval_margin: Number | None = Field(None, alias="eval_rewards/margins")
    accuracy: Number | None = Field(None, alias="rewards/accuracies")
    eval_accuracy: Number | None = Field(None, alias="eval_rewards/accuracies")

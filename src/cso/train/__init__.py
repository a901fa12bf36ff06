"""Preference optimization on packed tries of tokens. Needs the extra `train`."""

from cso.train.examples import Example, read_examples
from cso.train.merge import is_merged, merge_adapter
from cso.train.objectives import (
    OBJECTIVES,
    Dpo,
    Ipo,
    Kto,
    Objective,
    Orpo,
    PlackettLuce,
    QMargin,
    Sft,
    SimPo,
    make_objective,
)
from cso.train.training import Trained, train

__all__ = [
    "OBJECTIVES",
    "Dpo",
    "Example",
    "Ipo",
    "Kto",
    "Objective",
    "Orpo",
    "PlackettLuce",
    "QMargin",
    "Sft",
    "SimPo",
    "Trained",
    "is_merged",
    "make_objective",
    "merge_adapter",
    "read_examples",
    "train",
]

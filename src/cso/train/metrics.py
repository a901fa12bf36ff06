"""The log of a training as a file: a line for each entry, as it comes."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cso.files import write_jsonl

Entry = Mapping[str, float]


class MetricsFile(TrainerCallback):
    """Writes each entry of the log to a JSON Lines file. A training that goes on rewrites what its checkpoint knows."""

    def __init__(self, path: Path, observe: Callable[[Entry, int], None]) -> None:
        """`observe` is given each entry as well, with the number of steps in all."""
        self._path, self._observe = path, observe
        self._resumed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._resumed = state.global_step > 0
        if state.is_world_process_zero:
            write_jsonl(self._path, map(_finite, state.log_history))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if not state.is_world_process_zero:
            return
        entry = state.log_history[-1]
        if self._resumed and "train_loss" in entry:  # averages over the steps since the checkpoint
            del state.log_history[-1]
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(entry)) + "\n")
        self._observe(entry, state.max_steps)


def _finite(entry: Entry) -> dict[str, float | None]:
    """JSON has no infinities."""
    return {name: value if math.isfinite(value) else None for name, value in entry.items()}

"""Trainings of several processes, one after the other: `torchrun ... distributed_training.py JOBS MODEL PAIRS OUT`.

`JOBS` is JSON: of each training its name, changes to its settings, and the step after which it stops, or null. Each
process writes what it saw of one to OUT/NAME.PROCESS.json.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch.distributed
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import cso.train.training
from cso.settings import TrainSettings
from cso.train import train
from cso.train.arguments import process_index
from cso.train.trainer import PackTrainer
from small_training import settings


class Stopped(Exception):
    pass


class WatchedTrainer(PackTrainer):
    """What is trained, and in how many processes, as seen at each log."""

    seen: dict[str, Any]
    stop: int | None = None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        if self.is_in_train:
            WatchedTrainer.seen = self._facts()
        if "loss" in logs and self.state.global_step == WatchedTrainer.stop:
            raise Stopped

    def _facts(self) -> dict[str, Any]:
        model: Any = self.model_wrapped
        weights = list(model.parameters())
        local = [weight.to_local() if isinstance(weight, DTensor) else weight for weight in weights]
        optimizer: Any = self.optimizer
        states = [state["exp_avg"] for state in optimizer.state.values() if "exp_avg" in state]
        wrapped = self.accelerator.state.deepspeed_plugin
        return {
            "world_size": torch.distributed.get_world_size(),
            "backend": torch.distributed.get_backend(),
            "wrapper": name_of(model),
            "optimizer": name_of(getattr(model, "optimizer", None)),
            "zero_stage": wrapped and wrapped.zero_stage,
            "root_is_fsdp2": isinstance(model, FSDPModule),
            "sharded": [name for name, module in model.named_modules() if isinstance(module, FSDPModule)],
            "states_are_sharded": bool(states) and all(isinstance(state, DTensor) for state in states),
            "weights": sum(weight.numel() for weight in weights),
            "weights_here": sum(weight.numel() for weight in local),
        }


def name_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def main(jobs: str, model: str, pairs: str, out: str) -> None:
    if "deepspeed" in jobs:
        import deepspeed.ops

        # else it compiles an all-reduce that only inference calls: a minute or two of C++
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    cso.train.training.PackTrainer = WatchedTrainer  # pyright: ignore[reportPrivateImportUsage]
    process = process_index()
    for job in json.loads(jobs):
        told = TrainSettings.model_validate(settings(model).model_dump() | job["changes"])
        WatchedTrainer.seen, WatchedTrainer.stop = {}, job["stop"]
        notes: list[str] = []
        with suppress(Stopped):
            train(Path(pairs), Path(out) / job["name"], told, say=notes.append)
        (Path(out) / f"{job['name']}.{process}.json").write_text(json.dumps(WatchedTrainer.seen | {"notes": notes}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""From our settings to `transformers.TrainingArguments`, most of which a user can set beside ours."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from cso.errors import InputError
from cso.settings import TrainSettings
from cso.train.plan import Plan
from cso.train.sharding import check_plugin, check_sharding

OURS = {  # what the plan or another setting decides
    "output_dir": "RUN and --name",
    "per_device_train_batch_size": "train.batch_size",
    "gradient_accumulation_steps": "train.packing.token_budget",
    "auto_find_batch_size": "train.packing.token_budget",
    "num_train_epochs": "train.epochs",
    "learning_rate": "train.learning_rate",
    "seed": "train.seed",
    "data_seed": "train.seed",
    "bf16": "train.model.precision",
    "fp16": "train.model.precision",
    "remove_unused_columns": "none",
    "resume_from_checkpoint": "none: the same command goes on",
    "push_to_hub": "none",
    "eval_on_start": "train.validation",
    "save_only_model": "none: a training could not go on from such a checkpoint",
    "ignore_data_skip": "none: a training could not go on from its checkpoint",
    "include_num_input_tokens_seen": "none: the log has tokens",
    "label_smoothing_factor": "none: no objective has it",
    "use_cpu": "CUDA_VISIBLE_DEVICES",
    "accelerator_config": "train.packing",
    "train_sampling_strategy": "train.packing.trees_per_step",
}


def processes() -> int:
    """How many processes train together, as torchrun and its like say."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    """Which of them this is, from 0, over all machines."""
    return int(os.environ.get("RANK", "0"))


def training_device() -> torch.device:
    """Where this process trains: its NVIDIA GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def token_budget(settings: TrainSettings, device: torch.device) -> int:
    """Tokens of a pack: as set, else by the device."""
    return settings.packing.token_budget or (8192 if device.type == "cuda" else 4096)


def machine(settings: TrainSettings, device: torch.device, *, bf16: bool) -> dict[str, object]:
    """What of the machine shapes steps and rounding: a training goes on only where it is the same."""
    budget = token_budget(settings, device)
    return {"processes": processes(), "device": device.type, "bf16": bf16, "token_budget": budget}


def check_arguments(settings: TrainSettings) -> None:
    """Raises InputError for `train.arguments` that do not exist, that ours decide, or that cannot be done."""
    known = {field.name: set(get_args(field.type)) or {field.type} for field in fields(TrainingArguments) if field.init}
    for name, value in settings.arguments.items():
        if name in OURS:
            raise InputError(f"train.arguments.{name}: it is set elsewhere ({OURS[name]})")
        if name not in known:
            raise InputError(f"train.arguments.{name}: transformers.TrainingArguments has no such argument")
        number = isinstance(value, (int, float)) or (value is None and NoneType in known[name])
        if not number and known[name] <= {int, float, NoneType}:
            raise InputError(f"train.arguments.{name}: expected a number, found {value!r}")
    if settings.arguments.get("max_steps") == 0:
        raise InputError("train.arguments.max_steps: expected 1 or more, or -1 for all steps, found 0")
    check_sharding(settings.arguments, processes())


@contextmanager
def refusals() -> Generator[None]:
    """What transformers does not take becomes an InputError."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, ImportError, OSError, RuntimeError) as error:
        raise InputError(f"train.arguments: {error}") from error


def training_arguments(
    settings: TrainSettings, folder: Path, plan: Plan, *, bf16: bool, measure: bool, resumes: bool
) -> TrainingArguments:
    """The arguments of a training by `plan` whose checkpoints go to `folder`. Raises InputError.

    All epochs of the plan are one to Trainer, so "epoch" in a strategy becomes so many steps. `measure`: there are
    examples held out.
    """
    ours: dict[str, object] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 1,  # a pack
        "gradient_accumulation_steps": plan.packs_per_step // processes(),
        "num_train_epochs": 1,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "bf16": bf16,
        "remove_unused_columns": False,
        "eval_on_start": measure and not resumes,
        "train_sampling_strategy": "sequential",  # the plan has shuffled
    }
    told = _told(settings, plan)
    values = _defaults(plan, measure, told.get("max_steps")) | told | ours
    with refusals():
        arguments = TrainingArguments(**values)  # pyright: ignore[reportArgumentType]
        get_reporting_integration_callbacks(arguments.report_to)  # refused here rather than after hours
    if arguments.fsdp:
        check_plugin(cast(dict[str, object] | None, arguments.fsdp_plugin_args))
    arguments._n_gpu = min(1, arguments.n_gpu)  # pyright: ignore[reportPrivateUsage]  # a process a GPU: torchrun
    return arguments


def _defaults(plan: Plan, measure: bool, most: object) -> dict[str, object]:
    """What a user can set otherwise. `most` is a user's limit of steps, if there is one."""
    steps = min(len(plan.steps), most) if isinstance(most, int) and most > 0 else len(plan.steps)
    return {
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1 if steps >= 10 else 0,  # a share of all; the first of them has a rate of 0
        "max_grad_norm": 1.0,
        "logging_steps": max(1, min(10, steps // 50)),
        "logging_nan_inf_filter": False,  # such a loss is refused, and looking at each would wait for a GPU
        "save_strategy": "steps",
        "save_steps": min(100, plan.steps_per_epoch, max(1, steps // 4)),  # a short training is not lost either
        "save_total_limit": 2,
        "eval_strategy": "steps" if measure else "no",
        "eval_steps": plan.steps_per_epoch,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": training_device().type == "cpu",
        "dataloader_pin_memory": False,
        "ddp_find_unused_parameters": False,
    }


def _told(settings: TrainSettings, plan: Plan) -> dict[str, object]:
    """What the user set, in Trainer's terms."""
    told: dict[str, object] = dict(settings.arguments)
    for strategy in ("save", "eval", "logging"):
        if told.get(f"{strategy}_strategy") is False:  # what YAML makes of no
            told[f"{strategy}_strategy"] = "no"
        if told.get(f"{strategy}_strategy") == "epoch":
            told[f"{strategy}_strategy"] = "steps"
            told[f"{strategy}_steps"] = plan.steps_per_epoch
    if told.get("deepspeed") == "zero2":
        told["deepspeed"] = str(resources.files("cso.train").joinpath("deepspeed", "zero2.json"))
    if told.get("fsdp"):
        told |= _fsdp2(told) if told["fsdp"] == "fsdp2" else {}
        # else each process would keep the whole model's gradients between the packs of a step
        told["accelerator_config"] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    return told


def _fsdp2(told: Mapping[str, Any]) -> dict[str, object]:
    """FSDP2 as we ship it; entries of a user's `fsdp_config` come before ours, and a file of theirs instead of ours."""
    theirs = told.get("fsdp_config") or {}
    if isinstance(theirs, str):
        return {"fsdp": True, "fsdp_config": theirs}
    text = resources.files("cso.train").joinpath("fsdp", "fsdp2.json").read_text(encoding="utf-8")
    names = {name.removeprefix("fsdp_"): value for name, value in cast(dict[str, object], theirs).items()}
    return {"fsdp": True, "fsdp_config": json.loads(text) | names}

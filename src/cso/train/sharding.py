"""Fully sharded training by FSDP2: each process keeps a share of the weights, gradients and optimizer states."""

# pyright: reportUnknownMemberType=false, reportPrivateUsage=false, reportMissingTypeStubs=false

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from accelerate import Accelerator, DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin
from accelerate.state import PartialState
from torch.distributed.fsdp import MixedPrecisionPolicy

from cso.errors import InputError

LAUNCH = "torchrun --nproc_per_node 8 -m cso train RUN ..."
BY_ENVIRONMENT = "ACCELERATE_USE_FSDP"  # how accelerate's launcher asks for it


def check_sharding(told: Mapping[str, Any], processes: int) -> None:
    """Raises InputError for what `train.arguments` says of sharding that would be refused later, or not be done."""
    fsdp = told.get("fsdp")
    if fsdp not in (None, False, True, "fsdp2"):
        raise InputError(f"train.arguments.fsdp: expected fsdp2 (or true, with an fsdp_config), found {fsdp}")
    if told.get("fsdp_config") and not fsdp:
        raise InputError("train.arguments.fsdp_config: expected train.arguments.fsdp=fsdp2 beside it, found nothing")
    if fsdp and told.get("deepspeed"):
        raise InputError("train.arguments: expected fsdp or deepspeed, found both")
    if fsdp and processes == 1:
        raise InputError(f"train.arguments.fsdp: expected several processes to shard over, found one; start {LAUNCH}")
    if not fsdp and os.environ.get(BY_ENVIRONMENT, "").lower() == "true":
        raise InputError(
            f"{BY_ENVIRONMENT} asks for FSDP beside our settings; add train.arguments.fsdp=fsdp2, and start {LAUNCH}"
        )


def check_plugin(told: Mapping[str, Any] | None) -> None:
    """Raises InputError for an `fsdp_config` of another version. `told`: what transformers makes of it."""
    if told is None or told["fsdp_version"] != 2:
        found = "that of XLA" if told is None else told["fsdp_version"]
        raise InputError(f"train.arguments.fsdp_config.version: expected 2, found {found}")


def shard(accelerator: Accelerator, told: Mapping[str, Any]) -> None:
    """Have `accelerator`, which was asked for FSDP2, do it: on CPUs as well, and in the precision of DDP.

    On CPUs accelerate drops the plugin and trains a whole copy in each process, without a word. Where it computes in
    bfloat16, it would round weights, and what layers hand on, as well; here autocast alone decides, so that log-
    probabilities are those of the reference, which is scored before the model is sharded.
    """
    state = accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**told)
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    if not accelerator.is_fsdp2:
        raise InputError(f"train.arguments.fsdp: accelerate made it {state.distributed_type.value}; start {LAUNCH}")
    plugin_of(accelerator).mixed_precision_policy = MixedPrecisionPolicy()
    os.environ.pop(BY_ENVIRONMENT, None)  # set by Accelerator; the next training in this process may be another


def plugin_of(accelerator: Accelerator) -> FullyShardedDataParallelPlugin:
    """What decides how `accelerator` shards."""
    return cast(FullyShardedDataParallelPlugin, accelerator.state.fsdp_plugin)


def spread(accelerator: Accelerator) -> str:
    """How the training is spread, as it is and not as it was asked for."""
    match accelerator.distributed_type:
        case DistributedType.FSDP:
            how = "each with a share of weights, gradients and optimizer states (FSDP2)"
        case DistributedType.DEEPSPEED:
            how = f"by DeepSpeed ZeRO-{cast(DeepSpeedPlugin, accelerator.state.deepspeed_plugin).zero_stage}"
        case _:
            how = "each with the whole model (DDP)"
    return f"{accelerator.num_processes} processes, {how}"

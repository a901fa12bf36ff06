"""Training over several processes: models are really sharded, weights come out the same; and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, TrainingArguments

from cso.errors import InputError
from cso.settings import TrainSettings
from cso.train import train
from cso.train.arguments import training_arguments
from cso.train.plan import Plan
from small_training import furthest, save_model, save_pairs, settings, weights

JOBS: dict[str, dict[str, Any]] = {
    "full": {"arguments": {"fsdp": "fsdp2", "fsdp_config": {"activation_checkpointing": True}}},  # in bfloat16
    "lora": {"tuning": "lora", "learning_rate": 0.05, "arguments": {"fsdp": "fsdp2"}},
    "tied": {"objective": "kto", "validation": 0.2, "arguments": {"fsdp": "fsdp2", "save_steps": 2}},
    "deepspeed": {"arguments": {"deepspeed": "zero2"}},
}
PACKING = {"packing": {"token_budget": 60}, "epochs": 1}  # several packs a process and step


@dataclass(frozen=True)
class Trained:
    """A training by two processes, the same by one, and what either of the two saw."""

    two: Path
    one: Path
    base: Path
    seen: list[dict[str, Any]]

    def distance(self) -> float:
        """The largest difference between the weights of two processes and of one, as a share of the largest step."""
        one, two = weights(self.one), weights(self.two)
        if (self.one / "adapter_model.safetensors").exists():  # of adapters the second factors begin at 0
            moved = max(float(value.abs().max()) for name, value in one.items() if "lora_B" in name)
        else:
            moved = furthest(one, weights(self.base))
        return furthest(one, two) / moved


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """Every job by two processes, started once: that is most of the time."""
    root = tmp_path_factory.mktemp("distributed")
    plain, tied = save_model(root / "plain"), save_model(root / "with-tied-weights", tie_word_embeddings=True)
    pairs = save_pairs(root / "pairs.jsonl", trees=6)
    names = [name for name in JOBS if name != "deepspeed" or find_spec("deepspeed") is not None]
    models = {name: tied if name == "tied" else plain for name in names}
    told = {
        name: JOBS[name]
        | PACKING
        | {"model": {"name": str(models[name]), "precision": "bf16" if name == "full" else "fp32"}}
        for name in names
    }
    jobs = [{"name": name, "changes": told[name], "stop": None} for name in names]
    jobs.insert(names.index("tied"), {"name": "tied", "changes": told["tied"], "stop": 3})  # and then it goes on
    (root / "two").mkdir()
    in_two_processes("distributed_training.py", json.dumps(jobs), plain, pairs, root / "two")
    found: dict[str, Trained] = {}
    for name in names:
        alone = settings(plain).model_dump() | told[name] | {"arguments": {}}
        train(pairs, root / "one" / name, TrainSettings.model_validate(alone))
        seen = [json.loads((root / "two" / f"{name}.{process}.json").read_text()) for process in range(2)]
        found[name] = Trained(root / "two" / name, root / "one" / name, models[name], seen)
    return found


def in_two_processes(script: str, *arguments: object) -> None:
    tests = Path(__file__).parent
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    process = subprocess.Popen(
        [*launcher, str(tests / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tests), "DS_ACCELERATOR": "cpu"},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-5000:]


SHARDED = ["full", "lora", "tied"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SHARDED)
def test_fsdp2_leaves_each_of_two_processes_half_of_weights_and_states(name: str, trained: dict[str, Trained]) -> None:
    for seen in trained[name].seen:
        assert seen["world_size"] == 2
        assert seen["backend"] == "gloo"
        assert seen["root_is_fsdp2"]
        assert [f"layers.{layer}" in " ".join(seen["sharded"]) for layer in range(2)] == [True, True]
        assert seen["weights_here"] * 2 == seen["weights"]
        assert seen["states_are_sharded"]
    assert trained[name].seen[0]["notes"][-1].startswith("2 processes, each with a share of weights, gradients and")
    assert trained[name].seen[1]["notes"] == []


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SHARDED)
def test_fsdp2_comes_to_the_weights_of_one_process(name: str, trained: dict[str, Trained]) -> None:
    """After a stop and in bfloat16 as well, where log-probabilities begin as the reference's: a loss of log 2."""
    assert trained[name].distance() < (1e-2 if name == "full" else 1e-4)
    logs = [read_log(trained[name].one), read_log(trained[name].two)]
    for ours, theirs in zip(*logs, strict=True):
        for key in ("loss", "grad_norm", "rewards/margins", "eval_loss", "eval_rewards/accuracies"):
            assert ours.get(key, 0.0) == pytest.approx(theirs.get(key, 0.0), rel=1e-3, abs=1e-4)
    if name != "tied":
        assert logs[1][0]["loss"] == pytest.approx(0.693147, abs=1e-6)


def read_log(folder: Path) -> list[dict[str, float]]:
    """Without the averages over all steps, which a training that went on does not log."""
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [entry for entry in entries if "train_loss" not in entry]


@pytest.mark.slow
@pytest.mark.long
def test_a_sharded_training_that_was_stopped_goes_on_from_its_checkpoint(trained: dict[str, Trained]) -> None:
    assert "checkpoint-2" in trained["tied"].seen[0]["notes"][0]
    assert list((trained["tied"].two / "checkpoints").glob("*/pytorch_model_fsdp_0/.metadata"))  # in shards
    steps = [entry["step"] for entry in read_log(trained["tied"].two) if "loss" in entry]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SHARDED)
def test_what_fsdp2_saves_is_whole(name: str, trained: dict[str, Trained]) -> None:
    folder = trained[name].two
    kind = AutoPeftModelForCausalLM if name == "lora" else AutoModelForCausalLM
    ids = torch.arange(1, 40)[None]
    with torch.no_grad():
        one, two = (kind.from_pretrained(each)(input_ids=ids).logits for each in (trained[name].one, folder))
    assert torch.allclose(one, two, atol=1e-4)
    assert len(list(folder.glob("*.safetensors"))) == 1
    assert ("lm_head.weight" in weights(folder)) == (name == "full")  # tied weights are saved once


@pytest.mark.slow
@pytest.mark.long
def test_deepspeed_zero_2_trains_by_its_own_engine_and_comes_to_the_weights_of_one_process(
    trained: dict[str, Trained],
) -> None:
    if "deepspeed" not in trained:
        pytest.skip("there is no deepspeed")
    for seen in trained["deepspeed"].seen:
        assert seen["world_size"] == 2
        assert seen["wrapper"] == "deepspeed.runtime.engine.DeepSpeedEngine"
        assert seen["optimizer"] == "deepspeed.runtime.zero.stage_1_and_2.DeepSpeedZeroOptimizer"
        assert seen["zero_stage"] == 2
    assert trained["deepspeed"].seen[0]["notes"][-1] == "2 processes, by DeepSpeed ZeRO-2"
    assert trained["deepspeed"].distance() < 1e-4


# How it is asked for, and what is refused


def arguments_of(tmp_path: Path, told: dict[str, Any]) -> TrainingArguments:
    plan = Plan([[[0]]], 1, 1, 0)
    said = settings("tiny", arguments=told)
    return training_arguments(said, tmp_path, plan, bf16=False, measure=False, resumes=False)


def test_fsdp2_is_a_name_for_a_configuration_whose_entries_can_be_set(tmp_path: Path) -> None:
    told = arguments_of(tmp_path, {"fsdp": "fsdp2", "fsdp_config": {"fsdp_activation_checkpointing": True}})
    assert told.fsdp_plugin_args == {
        "fsdp_version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "reshard_after_forward": True,
        "state_dict_type": "SHARDED_STATE_DICT",
        "cpu_ram_efficient_loading": False,
        "activation_checkpointing": True,
    }
    assert told.to_dict()["accelerator_config"]["gradient_accumulation_kwargs"] == {"sync_each_batch": True}


def test_a_configuration_of_one_s_own_is_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"reshard_after_forward": false}')
    told = arguments_of(tmp_path, {"fsdp": True, "fsdp_config": str(tmp_path / "own.json")})
    assert told.fsdp_plugin_args is not None
    assert told.fsdp_plugin_args["fsdp_version"] == 2
    assert told.fsdp_plugin_args["reshard_after_forward"] is False


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"fsdp": "fsdp2"}, "expected several processes to shard over, found one; start torchrun"),
        ({"fsdp": "full_shard auto_wrap"}, "train.arguments.fsdp: expected fsdp2"),
        ({"fsdp_config": {"cpu_offload": True}}, "expected train.arguments.fsdp=fsdp2 beside it, found nothing"),
        ({"fsdp": "fsdp2", "deepspeed": "zero2"}, "expected fsdp or deepspeed, found both"),
    ],
)
def test_sharding_that_cannot_be_is_refused(told: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=complaint):
        train(save_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out", settings("tiny", arguments=told))


def test_fsdp_that_only_accelerate_s_launcher_asks_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="ACCELERATE_USE_FSDP asks for FSDP beside our settings"):
        train(save_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out", settings("tiny"))


@pytest.mark.parametrize(("told", "found"), [({"version": 1}, "1"), ({"xla": True}, "that of XLA")])
def test_other_kinds_of_fsdp_are_refused(told: dict[str, Any], found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"fsdp_config\.version: expected 2, found {found}"):
        arguments_of(tmp_path, {"fsdp": "fsdp2", "fsdp_config": told})

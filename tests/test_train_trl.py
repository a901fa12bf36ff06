"""Loss, gradients and steps are those of TRL, whose trainers pad each reply to a row of its own, where ours pack tries.

All in float32 on a CPU. TRL's trainers are the oracle as they come: they tokenise, collate and compute by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import pytest
import torch
from accelerate.utils import is_peft_model
from datasets.utils.logging import disable_progress_bar
from peft import LoraConfig, get_peft_model_state_dict
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, Trainer

import cso.train.arguments as arguments
from cso.settings import LoraSettings, ModelSettings, PackingSettings, TrainSettings
from cso.train import train
from cso.train.backbone import Backbone
from cso.train.batch import Examples, make_batch
from cso.train.encode import Encoded, encode
from cso.train.examples import Example
from cso.train.objectives import Dpo, Ipo, Kto, Objective, Orpo, Sft, SimPo
from cso.train.pack import build_pack
from cso.train.plan import make_plan
from cso.train.reference import known
from cso.train.trainer import PackTrainer
from models_for_tests import FAMILIES, awkward, dataset, model_of, perturbed, tokenizer_of, trees
from small_training import furthest, weights

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

disable_progress_bar()

EXACT = 1e-5
BUDGET = 200  # tokens of a pack: the trees need several
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Found(NamedTuple):
    """A step's loss, and the gradient of each parameter that has one."""

    loss: float
    gradients: Mapping[str, Tensor]


def found(loss: Any, model: PreTrainedModel) -> Found:
    loss.backward()
    named = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return Found(float(loss.detach()), named)


def assert_same(ours: Found, theirs: Found) -> None:
    assert ours.loss == pytest.approx(theirs.loss, rel=0, abs=EXACT)
    assert max(float(gradient.abs().max()) for gradient in theirs.gradients.values()) > 1000 * EXACT
    assert furthest(dict(ours.gradients), dict(theirs.gradients)) < EXACT


# Ours


def facts_of(
    family: str, examples: Sequence[Example], objective: Objective, reference: PreTrainedModel | None
) -> Examples:
    """The examples as tokens, with what the reference says of them."""
    tokenizer = tokenizer_of(family)
    tokens = encode(tokenizer, examples, max_length=1024, max_target_length=256).encoded
    scorer = reference if reference is not None else model_of(family)
    backbone = Backbone(tokenizer, scorer, scorer, CPU, False)
    everyone = range(len(tokens))
    return known(tokens, everyone, tokens, objective=objective, backbone=backbone, token_budget=BUDGET, seed=0)


def ours(family: str, policy: PreTrainedModel, facts: Examples, objective: Objective, folder: Path) -> Found:
    """A step of our trainer, in as many packs as the budget asks for."""
    plan = make_plan(facts.encoded, epochs=1, batch_size=1000, trees_per_step=1, token_budget=BUDGET)
    assert (plan.packs_per_step > 1) == (len({tuple(example.prompt) for example in facts.encoded}) > 1)
    model = deepcopy(policy)
    trainer = PackTrainer(
        model,
        arguments.training_arguments(TrainSettings(), folder, plan, bf16=False, measure=False, resumes=False),
        base=model,
        objective=objective,
        plan=plan,
        training=facts,
        validation=Examples([], []),
        token_budget=BUDGET,
        multiple=1,
        refuse=refuse,
        tokenizer=tokenizer_of(family),
        callbacks=[],
    )
    (packs,) = plan.steps
    batches, _ = trainer.get_batch_samples(
        iter([make_batch(facts, members, objective) for members in packs]), len(packs), CPU
    )
    return found(sum((trainer.compute_loss(model, batch) for batch in batches), torch.zeros(())), model)


def refuse(examples: Sequence[Example]) -> None:
    pytest.fail(f"the loss is not finite: {examples}")


# TRL's


def told(kind: Any, folder: Path, **changes: Any) -> Any:
    """A configuration of TRL that leaves nothing but the computation: no bfloat16, no truncation."""
    plain: dict[str, Any] = {
        "output_dir": str(folder),
        "bf16": False,
        "use_cpu": True,
        "activation_checkpointing": False,
        "max_length": 4096,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "per_device_train_batch_size": 100,  # all
        "dataloader_pin_memory": False,
    }
    return kind(**plain | changes)


def rows_of(trainer: Trainer) -> list[dict[str, Any]]:
    """The examples as TRL has tokenised them."""
    return list(cast(Sequence[dict[str, Any]], trainer.train_dataset))


def theirs(trainer: Trainer, rows: Sequence[dict[str, Any]]) -> Found:
    """TRL's loss of all rows as one batch."""
    model = cast(PreTrainedModel, trainer.model)
    return found(trainer.compute_loss(model, cast(Any, trainer.data_collator)(rows)), model)


def dpo_trainer(
    family: str, models: Sequence[PreTrainedModel], examples: Sequence[Example], config: DPOConfig
) -> DPOTrainer:
    policy, reference = map(deepcopy, models)
    data = dataset(family, examples, "chosen", "rejected")
    return DPOTrainer(policy, reference, config, train_dataset=data, processing_class=deepcopy(tokenizer_of(family)))


def assert_same_tokens(pairs: Sequence[Encoded], rows: Sequence[dict[str, Any]]) -> None:
    for pair, row in zip(pairs, rows, strict=True):
        assert (row["prompt_ids"], [row["chosen_ids"], row["rejected_ids"]]) == (pair.prompt, pair.replies)


# A batch


@pytest.mark.parametrize("kind", ["trees", "awkward", "one pair"])
@pytest.mark.parametrize("family", FAMILIES)
def test_dpo_is_that_of_trl(family: str, kind: str, tmp_path: Path) -> None:
    examples = {"trees": trees(), "awkward": awkward(family), "one pair": trees()[:1]}[kind]
    reference = model_of(family)
    policy = perturbed(reference)
    trainer = dpo_trainer(family, (policy, reference), examples, told(DPOConfig, tmp_path, beta=0.1))
    facts = facts_of(family, examples, Dpo(beta=0.1), reference)
    rows = rows_of(trainer)
    assert_same_tokens(facts.encoded, rows)
    assert_same(ours(family, policy, facts, Dpo(beta=0.1), tmp_path), theirs(trainer, rows))


def test_dpo_with_the_loss_of_sft_is_that_of_trl(tmp_path: Path) -> None:
    objective = Dpo(beta=0.1, sft_weight=0.7)
    reference = model_of("llama")
    policy = perturbed(reference)
    config = told(DPOConfig, tmp_path, beta=0.1, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.7])
    trainer = dpo_trainer("llama", (policy, reference), trees(), config)
    facts = facts_of("llama", trees(), objective, reference)
    assert_same(ours("llama", policy, facts, objective, tmp_path), theirs(trainer, rows_of(trainer)))


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_trl_where_a_prompt_is_cut(family: str, tmp_path: Path) -> None:
    """With a tokenizer that ends a prompt in one token, whose beginning alone precedes a reply (only Llama's does)."""
    tokenizer = deepcopy(tokenizer_of(family))
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    config = told(DPOConfig, tmp_path)
    data = dataset(family, trees(), "chosen", "rejected")
    trainer = DPOTrainer(model_of(family), model_of(family), config, train_dataset=data, processing_class=tokenizer)
    encoding = encode(tokenizer, trees(), max_length=1024, max_target_length=256)
    assert encoding.prompt_cut == (len(trees()) if family == "llama" else 0)
    assert_same_tokens(encoding.encoded, rows_of(trainer))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_awkward_pair_is_a_reply_that_begins_the_other(family: str) -> None:
    first = facts_of(family, awkward(family), SimPo(), None).encoded[0]
    assert first.replies[1][: len(first.replies[0])] == first.replies[0]
    assert len(first.replies[1]) > len(first.replies[0])


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_ipo_is_that_of_trl(family: str, tmp_path: Path) -> None:
    """Of log-probabilities averaged over a reply's tokens, as IPO's authors advise; their paper has sums."""
    reference = model_of(family)
    policy = perturbed(reference)
    trainer = dpo_trainer(family, (policy, reference), trees(), told(DPOConfig, tmp_path, beta=0.3, loss_type="ipo"))
    facts = facts_of(family, trees(), Ipo(beta=0.3), reference)
    assert_same(ours(family, policy, facts, Ipo(beta=0.3), tmp_path), theirs(trainer, rows_of(trainer)))


@pytest.mark.parametrize("kind", ["trees", "awkward"])
@pytest.mark.parametrize("objective", ["simpo", "orpo"])
def test_simpo_and_orpo_are_those_of_trl(objective: str, kind: str, tmp_path: Path) -> None:
    """TRL divides gamma by beta before it multiplies by beta, so gamma is ours.

    ORPO with the likelihood of prompts. For Llama only: TRL appends an end of turn where a template ends otherwise,
    as those of Gemma and Qwen do (in a line break).
    """
    examples = trees() if kind == "trees" else awkward("llama")
    policy = model_of("llama")
    data, tokenizer = dataset("llama", examples, "chosen", "rejected"), deepcopy(tokenizer_of("llama"))
    if objective == "simpo":
        mine: Objective = SimPo(beta=2.0, gamma=0.7)
        config = told(CPOConfig, tmp_path, loss_type="simpo", beta=2.0, simpo_gamma=0.7, cpo_alpha=0.0)
        trainer: Trainer = CPOTrainer(deepcopy(policy), config, train_dataset=data, processing_class=tokenizer)
    else:
        mine = Orpo(beta=0.4, prompt_likelihood=True)
        config = told(ORPOConfig, tmp_path, beta=0.4)
        trainer = ORPOTrainer(deepcopy(policy), config, train_dataset=data, processing_class=tokenizer)
    facts = facts_of("llama", examples, mine, None)
    rows = rows_of(trainer)
    for pair, row in zip(facts.encoded, rows, strict=True):
        assert row["chosen_input_ids"] == pair.prompt + pair.replies[0]
        assert row["rejected_labels"] == [-100] * len(pair.prompt) + pair.replies[1]
    assert_same(ours("llama", policy, facts, mine, tmp_path), theirs(trainer, rows))


@pytest.mark.parametrize("above_zero", [True, False])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_kto_is_that_of_trl(family: str, above_zero: bool, tmp_path: Path) -> None:
    """On our mismatched replies, from other trees: TRL takes the batch's previous reply, to the same prompt perhaps.

    Whether their divergence is estimated as above 0, or below and cut there.
    """
    sides = [(pair, reply) for pair in trees() for reply in pair.replies][:-1]
    examples = [replace(pair, replies=(reply,), desirable=reply == pair.replies[0]) for pair, reply in sides]
    mine = Kto(beta=0.1, chosen_weight=1.5, rejected_weight=0.5)
    policy, reference = perturbed(model_of(family)), model_of(family)
    if (divergence(family, policy, facts_of(family, examples, mine, reference)) > 0) != above_zero:
        policy, reference = reference, policy
    facts = facts_of(family, examples, mine, reference)
    assert (divergence(family, policy, facts) > 0) == above_zero
    config = told(KTOConfig, tmp_path, beta=0.1, desirable_weight=1.5, undesirable_weight=0.5)
    data = dataset(family, examples, "completion", label=[example.desirable for example in examples])
    tokenizer = deepcopy(tokenizer_of(family))
    trainer = KTOTrainer(deepcopy(policy), deepcopy(reference), config, train_dataset=data, processing_class=tokenizer)
    rows = rows_of(trainer)
    for one, row in zip(facts.encoded, rows, strict=True):
        assert (row["prompt_ids"], [row["completion_ids"]]) == (one.prompt, one.replies)
    crossed = [row | {"KL_completion_ids": fact.mismatch} for row, fact in zip(rows, facts.known, strict=True)]
    assert_same(ours(family, policy, facts, mine, tmp_path), theirs(trainer, crossed))


def divergence(family: str, policy: PreTrainedModel, facts: Examples) -> float:
    """The policy's mean gain over the reference on mismatched replies."""
    crossed = [(one.prompt, fact.mismatch or []) for one, fact in zip(facts.encoded, facts.known, strict=True)]
    logps = Backbone(tokenizer_of(family), policy, policy, CPU, False).score(build_pack(crossed))
    return float((logps - torch.tensor([fact.mismatch_reference for fact in facts.known])).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_sft_is_that_of_trl(family: str, tmp_path: Path) -> None:
    examples = [replace(pair, replies=pair.replies[:1]) for pair in trees()]
    policy = model_of(family)
    trainer = SFTTrainer(
        deepcopy(policy),
        told(SFTConfig, tmp_path),
        train_dataset=dataset(family, examples, "completion"),
        processing_class=deepcopy(tokenizer_of(family)),
    )
    facts = facts_of(family, examples, Sft(), None)
    rows = rows_of(trainer)
    for one, row in zip(facts.encoded, rows, strict=True):
        assert row["input_ids"] == one.prompt + one.replies[0]
        assert row["labels"] == [-100] * len(one.prompt) + one.replies[0]
    assert_same(ours(family, policy, facts, Sft(), tmp_path), theirs(trainer, rows))


# Steps


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_steps_move_the_weights_as_those_of_trl_do(
    family: str, tuning: Literal["full", "lora"], tmp_path: Path
) -> None:
    """Three of AdamW, each of all pairs, with gradients clipped. The same seed gives the same adapter to begin from.

    Weights differ by at most a thousandth of the furthest move. Adam's epsilon is raised from 1e-8, by which gradients
    that are rounding alone would make steps as long as any.
    """
    rate = 1e-3 if tuning == "full" else 1e-2
    shared: dict[str, Any] = {"lr_scheduler_type": "constant", "warmup_steps": 0, "optim": "adamw_torch"}
    shared |= {"adam_epsilon": 1e-5, "max_grad_norm": 0.1}
    model_of(family).save_pretrained(tmp_path / "model")
    tokenizer_of(family).save_pretrained(tmp_path / "model")
    settings = TrainSettings(
        model=ModelSettings(name=str(tmp_path / "model"), precision="fp32"),
        tuning=tuning,
        lora=LoraSettings(rank=4, alpha=8),
        packing=PackingSettings(token_budget=BUDGET),
        epochs=3,
        batch_size=100,
        learning_rate=rate,
        seed=3,
        arguments=shared,
    )
    trained = train(trees(), tmp_path / "ours", settings)
    config = told(DPOConfig, tmp_path / "theirs", num_train_epochs=3, learning_rate=rate, seed=3, **shared)
    trainer = step_trainer(family, tuning, AutoTokenizer.from_pretrained(tmp_path / "model"), config)
    before = state_of(trainer)
    trainer.train()
    after, mine = state_of(trainer), weights(trained.folder)
    after = {name: after[name] for name in mine}  # tied weights are saved once
    moved = furthest({name: before[name] for name in mine}, after)
    assert moved > rate
    assert furthest(mine, after) < 1e-3 * moved
    assert_same_log(trained.log, trainer.state.log_history)


def step_trainer(family: str, tuning: str, tokenizer: Any, config: DPOConfig) -> DPOTrainer:
    full = tuning == "full"
    adapter = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear")
    return DPOTrainer(
        model_of(family),
        model_of(family) if full else None,
        config,
        train_dataset=dataset(family, trees(), "chosen", "rejected"),
        processing_class=tokenizer,
        peft_config=None if full else adapter,
    )


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    """A copy of what is trained: the adapter's tensors or the model's."""
    model = cast(PreTrainedModel, trainer.model)
    state = get_peft_model_state_dict(model) if is_peft_model(model) else model.state_dict()
    return {name: value.clone() for name, value in state.items()}


def assert_same_log(log: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]) -> None:
    names = ("step", "loss", "grad_norm", "rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected")
    assert min(entry["grad_norm"] for entry in expected[:3]) > 0.1
    for one, other in zip(log[:3], expected[:3], strict=True):
        assert [one[name] for name in names] == pytest.approx([other[name] for name in names], rel=1e-4, abs=1e-4)

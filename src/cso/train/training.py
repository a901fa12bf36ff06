"""`train`: from preferences to a trained model in a folder."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from accelerate.utils import reduce
from torch import Tensor
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from cso.errors import InputError
from cso.files import remove, write_jsonl, write_text
from cso.settings import TrainSettings
from cso.taxonomy import Taxonomy
from cso.train import arguments
from cso.train.backbone import Backbone, load_backbone, load_tokenizer
from cso.train.batch import Batch, Known
from cso.train.card import model_card
from cso.train.encode import Encoded, encode
from cso.train.exact import check_packing
from cso.train.examples import Example, read_examples
from cso.train.identity import CHECKPOINTS, DONE, begin, identity_of, last_checkpoint
from cso.train.metrics import Entry, MetricsFile
from cso.train.objectives import Objective, make_objective
from cso.train.plan import make_plan
from cso.train.reference import known_of, mismatches, score_all
from cso.train.trainer import Examples, PackTrainer

METRICS = "metrics.jsonl"
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
REFUSED = "refused_batch.jsonl"

Say = Callable[[str], None]
Observe = Callable[[Entry, int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in `folder`, and every entry of its log."""

    folder: Path
    log: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class _Data:
    """What is trained on, and what is held out and measured."""

    training: list[Encoded]
    validation: list[Encoded]


def train(
    preferences: Path | Sequence[Example],
    folder: Path,
    settings: TrainSettings,
    *,
    taxonomy: Taxonomy | None = None,
    restart: bool = False,
    say: Say = lambda _: None,
    observe: Observe = lambda entry, steps: None,
) -> Trained:
    """Train a model on `preferences`, a file in one of TRL's formats or examples, and save it in `folder`.

    A training that was stopped goes on from its last checkpoint and comes to the same weights; one that is done is left
    as it is. With `restart` what is there goes. `taxonomy`: strategies that the file names must be of it. `say` is told
    what a user should know; `observe` is given each entry of the log and the number of steps in all. Several processes
    (torchrun) each call it alike. Raises InputError and StoreError.
    """
    if arguments.process_index() > 0:
        say, observe = lambda _: None, lambda entry, steps: None
    objective = make_objective(settings.objective, settings.parameters)
    arguments.check_arguments(settings)
    tokenizer = load_tokenizer(settings.model, say)
    examples = _examples(preferences, objective, taxonomy)
    packing = settings.packing
    encoding = encode(tokenizer, examples, max_length=packing.max_length, max_target_length=packing.max_target_length)
    for note in encoding.notes():
        say(note)
    data = split(encoding.encoded, settings.validation, seed=settings.seed)
    identity = identity_of(settings, [*data.training, *data.validation], arguments.processes())
    if begin(folder, identity, restart=restart):
        say(f"{folder} holds this training already, done")
        return Trained(folder, _log(folder))
    set_seed(settings.seed)
    backbone = load_backbone(settings, tokenizer, arguments.training_device())
    with _memory_advice(settings):
        return _train(folder, settings, objective, data, backbone, say, observe)


def split(examples: Sequence[Encoded], share: float, *, seed: int) -> _Data:
    """Hold out the examples of `share` of the trees, drawn by `seed`, but neither all nor none. 0 holds out none."""
    trees = sorted({example.example.tree for example in examples})
    if share == 0:
        return _Data(list(examples), [])
    if len(trees) < 2:
        raise InputError("train.validation: expected examples of at least two dialogues, to hold one out")
    count = min(max(1, round(share * len(trees))), len(trees) - 1)
    held_out = set(random.Random(seed).sample(trees, count))
    return _Data(
        [example for example in examples if example.example.tree not in held_out],
        [example for example in examples if example.example.tree in held_out],
    )


def _train(
    folder: Path,
    settings: TrainSettings,
    objective: Objective,
    data: _Data,
    backbone: Backbone,
    say: Say,
    observe: Observe,
) -> Trained:
    budget = arguments.token_budget(settings, backbone.device)
    plan = make_plan(
        data.training,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        trees_per_step=settings.packing.trees_per_step,
        token_budget=budget,
        processes=arguments.processes(),
        seed=settings.seed,
    )
    if plan.oversize:
        say(f"{plan.oversize} packs are larger than {budget} tokens: examples that alone exceed the budget")
    checkpoint = last_checkpoint(folder)
    told = arguments.training_arguments(
        settings,
        folder / CHECKPOINTS,
        plan,
        bf16=backbone.bf16,
        measure=bool(data.validation),
        resumes=checkpoint is not None,
    )
    check_packing(backbone, data.training, settings.model.name)
    if objective.uses_reference:
        say("asking the reference")
    training, validation = (
        _known(part, objective, backbone, budget, settings.seed) for part in (data.training, data.validation)
    )
    trainer = PackTrainer(
        backbone.model,
        told,
        base=backbone.base,
        objective=objective,
        plan=plan,
        training=training,
        validation=validation,
        token_budget=budget,
        multiple=backbone.multiple,
        refuse=_refusal(folder, data.training),
        tokenizer=backbone.tokenizer,
        callbacks=[MetricsFile(folder / METRICS, observe)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if checkpoint is not None:
        say(f"going on from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _save(trainer, folder, settings)
    return Trained(folder, _log(folder))


def _examples(
    preferences: Path | Sequence[Example], objective: Objective, taxonomy: Taxonomy | None
) -> Sequence[Example]:
    if not isinstance(preferences, Path):
        return preferences
    examples = read_examples(preferences, objective.kind, taxonomy=taxonomy)
    without = next((example for example in examples if not example.values), None)
    if objective.uses_values and without is not None:
        raise InputError(f"{without.source}: expected Q of each reply (chosen_q, rejected_q), which the objective uses")
    return examples


def _known(
    examples: list[Encoded], objective: Objective, backbone: Backbone, budget: int, seed: int
) -> Examples | None:
    """The examples with what the reference says of them; None where there are none."""
    if not examples:
        return None
    if not objective.uses_reference:
        return Examples(examples, [Known([]) for _ in examples])

    def reference(asked: Sequence[Encoded]) -> list[Known]:
        with backbone.without_adapter():
            logps = score_all(
                asked,
                backbone.score,
                token_budget=budget,
                multiple=backbone.multiple,
                process=arguments.process_index(),
                processes=arguments.processes(),
            )
        return known_of(asked, cast(Tensor, reduce(logps.to(backbone.device), "sum")).cpu())

    known = reference(examples)
    if objective.kind == "labelled":
        drawn = mismatches(examples, seed=seed)
        crossed = [replace(example, replies=[reply]) for example, reply in zip(examples, drawn, strict=True)]
        known = [
            Known(own.reference, reply, other.reference[0])
            for own, reply, other in zip(known, drawn, reference(crossed), strict=True)
        ]
    return Examples(examples, known)


def _refusal(folder: Path, examples: Sequence[Encoded]) -> Callable[[Batch, Tensor], None]:
    """What is done about a loss that is not finite: keep the batch, and stop."""

    def refuse(batch: Batch, logps: Tensor) -> None:
        path = folder / REFUSED
        members = [examples[index].example for index in batch.members]
        write_jsonl(
            path,
            (
                {"source": member.source, "prompt": list(member.prompt), "replies": list(member.replies)}
                for member in members
            ),
        )
        raise InputError(
            f"the loss is not finite at {', '.join(member.source for member in members[:3])} and others, kept in "
            f"{path}; a lower train.learning_rate or train.model.precision=fp32 may mend it, --restart begins anew"
        )

    return refuse


def _save(trainer: PackTrainer, folder: Path, settings: TrainSettings) -> None:
    """Weights, tokenizer, template, then the card; checkpoints that nobody asked for go."""
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        remove(folder / "training_args.bin")  # a pickle
        if "save_steps" not in settings.arguments and "save_strategy" not in settings.arguments:
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        write_text(folder / DONE, model_card(settings, _log(folder)))


def _log(folder: Path) -> list[Entry]:
    lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def _memory_advice(settings: TrainSettings) -> Iterator[None]:
    """Where memory does not suffice, say what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
            words in str(error) for words in _OUT_OF_MEMORY
        )
        if not short:
            raise
        raise InputError(
            "out of memory: lower train.packing.token_budget (the tokens of a pack), add "
            "train.arguments.gradient_checkpointing=true, or train adapters (--tuning lora) instead of all weights; "
            "the command then goes on, with --restart where it had begun"
        ) from error

"""`train`: from preferences to a trained model in a folder."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import cso.train.arguments as arguments
from cso.errors import InputError, StoreError
from cso.files import locked, read_jsonl, remove, write_jsonl, write_text
from cso.settings import TrainSettings
from cso.taxonomy import Taxonomy, dump_taxonomy
from cso.train.backbone import Backbone, in_bf16, load_backbone, load_tokenizer, positions, version_of
from cso.train.card import model_card
from cso.train.dataset import Dataset, load_dataset
from cso.train.exact import check_packing
from cso.train.examples import Example
from cso.train.identity import CHECKPOINTS, DONE, begin, identity_of, is_done, last_checkpoint
from cso.train.memory import memory_advice
from cso.train.metrics import Entry, MetricsFile
from cso.train.objectives import Objective, make_objective
from cso.train.plan import Plan, make_plan
from cso.train.reference import known
from cso.train.sharding import spread
from cso.train.trainer import PackTrainer
from cso.train.unchecked import Refuse

METRICS = "metrics.jsonl"
REFUSED = "refused_batch.jsonl"
ADVICE = (
    "lower train.packing.token_budget (the tokens of a pack), add train.arguments.gradient_checkpointing=true, or "
    "train adapters (--tuning lora) instead of all weights; add --restart, since other settings make another training"
)

Say = Callable[[str], None]
Observe = Callable[[Entry, int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in `folder`, and every entry of its log."""

    folder: Path
    log: Sequence[Entry]


def train(
    preferences: Path | str | Sequence[Example],
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
    preferences = Path(preferences) if isinstance(preferences, str) else preferences
    dataset = load_dataset(
        preferences, objective, tokenizer, settings, taxonomy, say, positions=positions(settings.model)
    )
    device = arguments.training_device()
    machine = arguments.machine(settings, device, bf16=in_bf16(settings.model, device))
    identity = identity_of(settings, version_of(settings.model), [*dataset.training, *dataset.validation], machine)
    first = arguments.process_index() == 0
    with locked(folder) if first else nullcontext(), memory_advice(ADVICE):  # the first process holds it for all
        if begin(folder, identity, restart=restart) if first else not restart and is_done(folder):
            say(f"{folder} holds this training already, done")
            return Trained(folder, _log(folder))
        set_seed(settings.seed)
        backbone = load_backbone(settings, tokenizer, device)
        check_packing(backbone, dataset.training, settings.model.name)
        checkpoint = None if restart else last_checkpoint(folder)
        if checkpoint is not None:
            say(f"going on from {checkpoint}")
        trainer = _trainer(folder, settings, objective, dataset, backbone, checkpoint, say, observe)
        if arguments.processes() > 1:
            say(spread(trainer.accelerator))
        _run(trainer, folder, checkpoint)
        _save(trainer, folder, settings, taxonomy)
    return Trained(folder, trainer.state.log_history)


def _trainer(
    folder: Path,
    settings: TrainSettings,
    objective: Objective,
    dataset: Dataset,
    backbone: Backbone,
    checkpoint: Path | None,
    say: Say,
    observe: Observe,
) -> PackTrainer:
    """A trainer that is ready to train."""
    budget = arguments.token_budget(settings, backbone.device)
    plan = _plan(settings, dataset, budget, say)
    told = arguments.training_arguments(
        settings,
        folder / CHECKPOINTS,
        plan,
        bf16=backbone.bf16,
        measure=bool(dataset.validation),
        resumes=checkpoint is not None,
    )
    learn = partial(known, objective=objective, backbone=backbone, token_budget=budget, seed=settings.seed)
    training = learn(dataset.training, plan.members, dataset.training)
    everything = [*dataset.training, *dataset.validation]
    validation = learn(dataset.validation, range(len(dataset.validation)), everything)
    with arguments.refusals():
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
            refuse=_refusal(folder),
            tokenizer=backbone.tokenizer,
            callbacks=[MetricsFile(folder / METRICS, observe)],
        )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _run(trainer: PackTrainer, folder: Path, checkpoint: Path | None) -> None:
    """All steps from the checkpoint on. Raises StoreError where one cannot be saved."""
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{folder}: cannot be written or read: {error}; free some space, and go on") from error
    except ImportError as error:
        raise InputError(f"train.arguments: {error}") from error


def _plan(settings: TrainSettings, dataset: Dataset, budget: int, say: Say) -> Plan:
    plan = make_plan(
        dataset.training,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        trees_per_step=settings.packing.trees_per_step,
        token_budget=budget,
        tokens=settings.tokens,
        processes=arguments.processes(),
        seed=settings.seed,
    )
    if plan.oversize:
        say(f"{plan.oversize} examples alone are larger than a pack's {budget} tokens; each is a pack by itself")
    return plan


def _refusal(folder: Path) -> Refuse:
    """What is done about a loss that is not finite: keep the examples of its pack, and stop."""

    def refuse(examples: Sequence[Example]) -> None:
        path = folder / REFUSED
        rows = (
            {
                "source": member.source,
                "prompt": list(member.prompt),
                "replies": list(member.replies),
                "weight": member.weight,
                "q": list(member.values),
            }
            for member in examples
        )
        write_jsonl(path, rows)
        raise InputError(
            f"the loss is not finite at {', '.join(member.source for member in examples[:3])}"
            f"{' and others' * (len(examples) > 3)}, kept in {path}; a lower train.learning_rate, smaller weights or "
            f"Q, or train.model.precision=fp32 may help, with --restart"
        )

    return refuse


def _save(trainer: PackTrainer, folder: Path, settings: TrainSettings, taxonomy: Taxonomy | None) -> None:
    """Weights, tokenizer, template, known strategies, then the card; checkpoints that nobody asked for go.

    Raises InputError where the last step has left weights that are no numbers.
    """
    trainer.check_weights()
    try:
        trainer.save_model(str(folder))
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{folder}: the model cannot be saved: {error}; free some space, and go on") from error
    if trainer.is_world_process_zero():
        remove(folder / "training_args.bin")  # a pickle
        if taxonomy is not None:
            write_text(folder / "taxonomy.yaml", dump_taxonomy(taxonomy))
        write_text(folder / DONE, model_card(settings, _log(folder), taxonomy=taxonomy))
        if "save_steps" not in settings.arguments and "save_strategy" not in settings.arguments:
            for checkpoint in (folder / CHECKPOINTS).glob("checkpoint-*"):
                shutil.rmtree(checkpoint, ignore_errors=True)
            with suppress(OSError):  # where something else is kept, such as TensorBoard's files
                (folder / CHECKPOINTS).rmdir()


def _log(folder: Path) -> Sequence[Entry]:
    return read_jsonl(folder / METRICS)

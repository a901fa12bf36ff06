"""A `transformers.Trainer` whose micro-batches are packs: everything else (LoRA, DDP, DeepSpeed, logs) is its own."""

# pyright: reportUnknownMemberType=false, reportIncompatibleMethodOverride=false, reportMissingTypeStubs=false

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, cast

import torch
from accelerate import AutocastKwargs
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments

from cso.errors import InputError
from cso.train.arguments import refusals
from cso.train.batch import Batch, Examples, make_batch
from cso.train.logps import reply_logps
from cso.train.measures import SUMS, means, measures
from cso.train.objectives import Objective
from cso.train.plan import Members, Plan, make_packs
from cso.train.sharding import plugin_of, shard
from cso.train.unchecked import Refuse, UncheckedLosses


class Batches(Dataset[Batch]):
    """Batches made as they are asked for."""

    def __init__(self, examples: Examples, packs: Sequence[Members], objective: Objective, multiple: int) -> None:
        self._examples, self._packs, self._objective, self._multiple = examples, packs, objective, multiple

    def __len__(self) -> int:
        return len(self._packs)

    def __getitem__(self, index: int) -> Batch:
        return make_batch(self._examples, self._packs[index], self._objective, multiple=self._multiple)


class PackTrainer(Trainer):
    """Minimises an objective over the steps of a plan.

    A step's loss is the sum of its examples' losses, each times its weight, over their number (what is a mean over
    tokens: over the tokens), however many packs and processes share it.
    """

    loss_is_scaled_for_ga = True  # compute_loss divides by what the whole step holds

    def __init__(
        self,
        model: PreTrainedModel | nn.Module,
        args: TrainingArguments,
        *,
        base: PreTrainedModel,
        objective: Objective,
        plan: Plan,
        training: Examples,
        validation: Examples,
        token_budget: int,
        multiple: int,
        refuse: Refuse,
        tokenizer: PreTrainedTokenizerBase,
        callbacks: list[TrainerCallback],
    ) -> None:
        """`base` is the transformer inside `model`; `refuse` is called with examples whose loss is not finite."""
        packs = [pack for step in plan.steps for pack in step]
        super().__init__(
            model,
            args,
            data_collator=cast(Any, _the_one),  # Trainer itself expects dicts
            train_dataset=Batches(training, packs, objective, multiple),
            eval_dataset=Batches(validation, [], objective, multiple),
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        self._base, self._objective, self._plan = base, objective, plan
        self._held_out = len(validation.encoded)
        self._validation = self._validation_batches(validation, token_budget, multiple)
        self._sums = self._no_sums()
        self._counts = torch.ones(2, dtype=torch.float64)  # examples and tokens of the step
        self._divergence = torch.zeros(())
        self._losses = UncheckedLosses(self.accelerator, refuse)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp:
            shard(self.accelerator, cast(dict[str, object], self.args.fsdp_plugin_args))
            self.is_fsdp_enabled = True

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager[Any]:
        """Autocast under FSDP2, where accelerate has none; a cache of rounded weights would outlive their gathering."""
        if not self.is_fsdp_enabled:
            return cast(AbstractContextManager[Any], super().autocast_smart_context_manager(cache_enabled))
        return self.accelerator.autocast(AutocastKwargs(cache_enabled=False))

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """As Trainer does. Raises InputError for arguments that the optimizer refuses."""
        with refusals():
            return super().create_optimizer(model)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """As Trainer does. Raises InputError for arguments that the schedule refuses."""
        with refusals():
            return super().create_scheduler(num_training_steps, optimizer)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As Trainer does; what is saved at the end is whole where checkpoints are shards."""
        if self.is_fsdp_enabled and not _internal_call:
            plugin_of(self.accelerator).set_state_dict_type("FULL_STATE_DICT")
        super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """As Trainer does; weights that are tied, which gathering has made two of, are saved once."""
        if state_dict is not None:
            state_dict = {name: state_dict[name] for name in state_dict if name not in self._base.all_tied_weights_keys}
        super()._save(output_dir, state_dict)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As Trainer does, but no weights that a loss or a gradient has spoilt: a training would go on from them."""
        self._losses.check()
        self.check_weights()
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:
            if "inline_container" not in str(error):  # what torch says where a disk is full
                raise
            raise OSError(f"checkpoint-{self.state.global_step} is not whole ({str(error).splitlines()[0]})") from error

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor]:
        """The packs of a step, having counted what all processes hold of it and estimated KTO's divergence."""
        batches = list(islice(epoch_iterator, num_batches))
        self._counts, self._divergence = self._step_totals(batches)
        return batches, self._counts

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """This pack's part of the step's loss, times the number of processes, over whom gradients are averaged."""
        loss, sums = self._loss(model, inputs)
        self._sums += sums
        return loss * self.accelerator.num_processes

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Loss and measures on the examples held out; nothing where there are none."""
        if not self._held_out:
            return {}
        model = self._called()
        model.eval()
        sums = self._no_sums()
        with torch.no_grad(), self.compute_loss_context_manager():
            self._counts, self._divergence = self._step_totals(self._validation)
            for batch in self._validation:
                sums += self._loss(model, batch)[1]
        sums = self._over_processes(sums)
        found = {"eval_loss": float(sums[SUMS.index("loss")])}
        found |= {f"eval_{name}": value for name, value in means(sums).items() if not name.startswith("tokens")}
        self.log(found)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)  # pyright: ignore
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With the measures since the last log. Epochs are counted as the plan has them.

        Raises InputError where gradients are too large to be numbers: clipping makes nothing of them, without a word.
        """
        self._losses.check()
        if not math.isfinite(logs.get("grad_norm", 0.0)):
            raise InputError(
                f"the gradient is not finite at step {self.state.global_step}, so nothing is learned; lower "
                f"train.learning_rate, train.parameters or the weights of the preferences, with --restart"
            )
        if "loss" in logs:
            logs |= means(self._over_processes(self._sums))
            self._sums.zero_()
        if self.is_in_train:
            self.state.epoch = self.state.global_step / max(1, self._plan.steps_per_epoch)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Batch) -> int:
        return 0  # Trainer's own estimate knows no packs

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        return inputs.to(self.args.device)

    def _loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """This pack's part of the step's loss, and its measures."""
        logps, zero = reply_logps(model, batch.pack, self._base)
        if not batch.examples:
            self._losses.add(zero, batch.weight, ())
            return zero, self._no_sums()
        scores = batch.scores(logps, self._divergence)
        examples, tokens = self._objective.losses(scores)
        loss, each = zero, torch.zeros_like(batch.weight)
        for losses, count in zip((examples, tokens), self._counts, strict=True):
            if losses is not None:
                weighted = batch.weight * losses
                loss = loss + weighted.sum() / count.float()
                each = each + weighted.detach()
        self._losses.add(loss, each, batch.examples)
        return loss, measures(self._objective, batch, scores, loss)

    def check_weights(self) -> None:
        """Raises InputError where weights are not finite, of sharded ones those of this process."""
        for weights in self._called().parameters():
            own = cast(Tensor, getattr(weights, "to_local", lambda weights=weights: weights)())
            if not torch.isfinite(own).all():
                raise InputError(
                    f"the weights are not finite after step {self.state.global_step}; lower train.learning_rate, with "
                    f"--restart"
                )

    def _no_sums(self) -> Tensor:
        return torch.zeros(len(SUMS), dtype=torch.float64, device=self.args.device)

    def _step_totals(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Examples and tokens of a step over all processes, at least 1; and the divergence where KTO needs it."""
        counts = [sum(len(batch.examples) for batch in batches), sum(batch.token_count for batch in batches)]
        known = torch.tensor(counts, dtype=torch.float64).to(self.args.device, non_blocking=True)
        gain = sum((self._mismatched_gain(batch) for batch in batches), torch.zeros_like(known[:1]))
        totals = self._over_processes(torch.cat([known, gain]))
        held = totals[:2].clamp(min=1)
        return held, (totals[2] / held[0]).clamp(min=0).float()

    def _mismatched_gain(self, batch: Batch) -> Tensor:
        """How much likelier than by the reference replies of other trees are, summed over the batch."""
        if batch.mismatch is None or batch.mismatch_reference is None:
            return self._no_sums()[:1]
        model = self._called()
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            logps, _ = reply_logps(model, batch.mismatch.to(self.args.device), self._base)
        return (logps - batch.mismatch_reference.to(self.args.device)).double().sum(0, keepdim=True)

    def _called(self) -> nn.Module:
        """The model as Trainer has wrapped it by now."""
        return cast(nn.Module, self.model_wrapped)

    def _over_processes(self, numbers: Tensor) -> Tensor:
        """Summed over all processes."""
        return cast(Tensor, self.accelerator.reduce(numbers, "sum"))

    def _validation_batches(self, examples: Examples, token_budget: int, multiple: int) -> list[Batch]:
        """This process's share, filled up with empty batches."""
        size, process = self.accelerator.num_processes, self.accelerator.process_index
        packs = make_packs(examples.encoded, range(len(examples.encoded)), token_budget)
        packs += [[] for _ in range(-len(packs) % size)]
        batches = Batches(examples, packs[process::size], self._objective, multiple)
        return [batches[index].to(self.args.device) for index in range(len(batches))]


def _the_one(batches: list[Batch]) -> Batch:
    (batch,) = batches
    return batch

"""What a model and a loss are given at once: a pack of some examples, with all that is known of their replies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from cso.train.encode import Encoded
from cso.train.examples import Example
from cso.train.objectives import Objective, Scores
from cso.train.pack import Pack, build_pack
from cso.train.trie import Tokens


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an example before training: by the reference model, and a reply to another prompt for KTO."""

    reference: list[float]  # log-probability of each reply by the reference; empty where an objective uses none
    mismatch: Tokens | None = None  # a reply from another tree
    mismatch_reference: float = 0.0  # its log-probability after this example's prompt, by the reference


@dataclass(frozen=True, slots=True)
class Examples:
    """Encoded examples, with what is known of each."""

    encoded: Sequence[Encoded]
    known: Sequence[Known]


@dataclass(frozen=True, slots=True)
class Batch:
    """`B` examples, none perhaps, whose replies are scored by one pack."""

    pack: Pack
    place: Tensor  # [B, R], of a reply among the pack's; -1 where the example has fewer
    reference: Tensor  # [B, R]
    values: Tensor  # [B, R]
    desirable: Tensor  # [B], bool
    weight: Tensor  # [B]
    examples: tuple[Example, ...]
    token_count: int  # tokens that a loss a token is averaged over
    unshared: int  # tokens of the same sequences one by one
    scores_prompts: bool  # whether the pack scores the tokens of prompts as well
    mismatch: Pack | None = None  # KTO: each prompt with a reply of another tree
    mismatch_reference: Tensor | None = None  # [B]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same on another device. It never waits for one, whatever is asked for (accelerate does): ordinary memory
        may change as soon as it is copied from.
        """

        def moved(value: object) -> object:
            match value:
                case Tensor() | Pack():
                    return value.to(device, non_blocking=True)
                case _:
                    return value

        return replace(self, **{field.name: moved(getattr(self, field.name)) for field in fields(self)})

    def scores(self, logps: Tensor, divergence: Tensor) -> Scores:
        """`logps`: what `reply_logps` said of the pack."""
        present = self.place >= 0
        place = self.place.clamp(min=0)
        lengths = self.pack.lengths
        shift = len(lengths) // 2  # to the prompts' scores, which follow the replies'
        prompts = logps[place + shift] if self.scores_prompts else torch.zeros_like(self.reference)
        return Scores(
            policy=torch.where(present, logps[place], 0),
            reference=self.reference,
            lengths=torch.where(present, lengths[place], 0),
            values=self.values,
            present=present,
            desirable=self.desirable,
            divergence=divergence,
            prompts=torch.where(present, prompts, 0),
        )


def make_batch(examples: Examples, members: Sequence[int], objective: Objective, *, multiple: int = 1) -> Batch:
    """The batch of the examples `members`; a pack's length is made a multiple of `multiple`."""
    chosen = [examples.encoded[index] for index in members]
    facts = [examples.known[index] for index in members]
    labelled = objective.kind == "labelled"
    most = max((len(example.replies) for example in chosen), default=1)
    sequences = [(example.prompt, reply) for example in chosen for reply in example.replies]
    mismatched = [
        (example.prompt, fact.mismatch)
        for example, fact in zip(chosen, facts, strict=True)
        if fact.mismatch is not None
    ]
    return Batch(
        pack=build_pack(sequences, prompts=objective.scores_prompts, multiple=multiple),
        place=_rows(_places(chosen), most, filling=-1).long(),
        reference=_rows([fact.reference for fact in facts], most),
        values=_rows([example.example.values for example in chosen], most),
        desirable=torch.tensor([example.example.desirable for example in chosen], dtype=torch.bool),
        weight=torch.tensor([example.example.weight for example in chosen], dtype=torch.float32),
        examples=tuple(example.example for example in chosen),
        token_count=sum(objective.token_count(example) for example in chosen),
        unshared=sum(len(prompt) + len(reply) for prompt, reply in sequences),
        scores_prompts=objective.scores_prompts,
        mismatch=build_pack(mismatched, multiple=multiple) if labelled else None,
        mismatch_reference=torch.tensor([fact.mismatch_reference for fact in facts]) if labelled else None,
    )


def _places(examples: Sequence[Encoded]) -> list[list[int]]:
    """Of each example: where its replies are, counted over all examples."""
    places: list[list[int]] = []
    count = 0
    for example in examples:
        places.append(list(range(count, count + len(example.replies))))
        count += len(example.replies)
    return places


def _rows(rows: Sequence[Sequence[float]], width: int, *, filling: float = 0.0) -> Tensor:
    """[B, width], shorter rows being filled up."""
    filled = [[*row, *([filling] * (width - len(row)))] for row in rows]
    return torch.tensor(filled, dtype=torch.float32).reshape(len(rows), width)

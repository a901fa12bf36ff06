"""What is trained on, and what is held out: from a file to tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from cso.errors import InputError
from cso.settings import TrainSettings
from cso.taxonomy import Taxonomy
from cso.train.encode import Encoded, encode
from cso.train.examples import Example, Kind, agreed, read_examples
from cso.train.objectives import Objective
from cso.transcript import opening


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples as tokens; those of one tree are all trained on, or all held out and measured."""

    training: list[Encoded]
    validation: list[Encoded]


def load_dataset(
    preferences: Path | Sequence[Example],
    objective: Objective,
    tokenizer: PreTrainedTokenizerBase,
    settings: TrainSettings,
    taxonomy: Taxonomy | None,
    say: Callable[[str], None],
    *,
    positions: int | None = None,
) -> Dataset:
    """The examples that the objective compares, `settings.validation` of the trees held out. Raises InputError.

    `positions`: how many tokens the model can read at most, where there is such a limit.
    """
    if isinstance(preferences, Path):
        preferences = read_examples(preferences, objective.kind, taxonomy=taxonomy)
    odd = next((each for each in preferences if not _fits(len(each.replies), objective.kind)), None)
    if odd is not None:
        raise InputError(f"{odd.source}: expected {objective.kind}, found an example of {len(odd.replies)} replies")
    without = next((example for example in preferences if not example.values), None)
    if objective.uses_values and without is not None:
        raise InputError(f"{without.source}: expected Q of each reply (chosen_q, rejected_q), which the objective uses")
    packing = settings.packing
    longest = min(packing.max_length, positions or packing.max_length)
    if longest < packing.max_length:
        say(f"{settings.model.name} has learned {longest} positions: nothing is longer than so many tokens")
    whole = settings.target == "reply"
    if not whole:
        preferences = [_strategies(example, taxonomy) for example in preferences]
        preferences = agreed(preferences) if objective.kind in ("demonstrations", "labelled") else preferences
    encoding = encode(
        tokenizer,
        preferences,
        max_length=longest,
        max_target_length=packing.max_target_length,
        closed=whole,
    )
    for note in encoding.notes():
        say(note)
    return split(encoding.encoded, settings.validation, seed=settings.seed)


def _strategies(example: Example, taxonomy: Taxonomy | None) -> Example:
    """What an example says of strategies alone: each reply's tag, as the taxonomy writes it where there is one."""
    tags = [opening(reply, taxonomy) for reply in example.replies]
    found = tuple(each for each in tags if each is not None)
    if len(found) < len(tags):
        reply = example.replies[tags.index(None)]
        raise InputError(
            f"{example.source}: with train.target=strategy, expected replies that open with a strategy "
            f"{f'of {taxonomy.name} ' if taxonomy else ''}in brackets, found {reply[:40]!r}; train.target=reply "
            f"trains whole replies"
        )
    if len(set(found)) < len(found):
        raise InputError(
            f"{example.source}: with train.target=strategy, expected replies by differing strategies, found "
            f"{', '.join(found)}; train.target=reply trains whole replies"
        )
    return replace(example, replies=found)


def _fits(replies: int, kind: Kind) -> bool:
    """Whether an example of that kind has so many replies."""
    match kind:
        case "pairs":
            return replies == 2
        case "rankings":
            return replies >= 2
        case _:
            return replies == 1


def split(examples: Sequence[Encoded], share: float, *, seed: int) -> Dataset:
    """Hold out the examples of `share` of the trees, drawn by `seed`, but neither all nor none. 0 holds out none."""
    trees = sorted({example.example.tree for example in examples})
    if share == 0:
        return Dataset(list(examples), [])
    if len(trees) < 2:
        raise InputError("train.validation: expected examples of at least two dialogues, to hold one out")
    count = min(max(1, round(share * len(trees))), len(trees) - 1)
    held_out = set(random.Random(seed).sample(trees, count))
    return Dataset(
        [example for example in examples if example.example.tree not in held_out],
        [example for example in examples if example.example.tree in held_out],
    )

"""Log-probabilities by the model that training begins from, computed once, in packs as large as the budget allows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cso.errors import InputError
from cso.train.batch import Known
from cso.train.encode import Encoded
from cso.train.pack import Pack, build_pack
from cso.train.plan import make_packs
from cso.train.trie import Tokens

Score = Callable[[Pack], Tensor]  # the log-probability of each reply of a pack: [C]


def mismatches(examples: Sequence[Encoded], *, seed: int) -> list[Tokens]:
    """A reply for each example, drawn from another tree: what KTO's divergence is estimated on.

    Raises InputError where there is one tree only.
    """
    draw = random.Random(seed)
    if len({example.example.tree for example in examples}) < 2:
        raise InputError("kto: expected replies from at least two dialogues, to estimate the policy's divergence on")
    found: list[Tokens] = []
    for example in examples:
        other = draw.choice(examples)
        while other.example.tree == example.example.tree:
            other = draw.choice(examples)
        found.append(draw.choice(other.replies))
    return found


def score_all(
    examples: Sequence[Encoded],
    score: Score,
    *,
    token_budget: int,
    multiple: int = 1,
    process: int = 0,
    processes: int = 1,
) -> Tensor:
    """The log-probability of every reply, `[replies of all examples]`, float64.

    Of several processes each scores its share, the others being 0: their sum is the whole. All call `score` equally
    often, as wrapped models require.
    """
    first = [0]
    for example in examples:
        first.append(first[-1] + len(example.replies))
    logps = torch.zeros(first[-1], dtype=torch.float64)
    packs = make_packs(examples, range(len(examples)), token_budget)
    packs += [[] for _ in range(-len(packs) % processes)]
    with torch.no_grad():
        for members in packs[process::processes]:
            sequences = [(examples[index].prompt, reply) for index in members for reply in examples[index].replies]
            places = [place for index in members for place in range(first[index], first[index + 1])]
            logps[places] = score(build_pack(sequences, multiple=multiple)).double().cpu()
    return logps


def known_of(examples: Sequence[Encoded], logps: Tensor) -> list[Known]:
    """What `score_all` found, example by example."""
    numbers: list[float] = logps.tolist()
    known: list[Known] = []
    at = 0
    for example in examples:
        known.append(Known(numbers[at : at + len(example.replies)]))
        at += len(example.replies)
    return known

"""Log-probabilities by the model that training begins from, computed once, in packs as large as the budget allows."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from accelerate.utils import reduce
from torch import Tensor

from cso.errors import InputError
from cso.train.arguments import process_index, processes
from cso.train.backbone import Backbone
from cso.train.batch import Examples, Known
from cso.train.encode import Encoded
from cso.train.objectives import Objective
from cso.train.pack import Pack, build_pack
from cso.train.plan import make_packs
from cso.train.trie import Tokens

Score = Callable[[Pack], Tensor]  # the log-probability of each reply of a pack: [C]


def mismatches(examples: Sequence[Encoded], pool: Sequence[Encoded], *, seed: int) -> list[Tokens]:
    """A reply for each example, drawn from another tree of `pool`: what KTO's divergence is estimated on.

    Raises InputError where there is one tree only.
    """
    draw = random.Random(seed)
    if len({example.example.tree for example in pool}) < 2:
        raise InputError("kto: expected replies from at least two dialogues, to estimate the policy's divergence on")
    found: list[Tokens] = []
    for example in examples:
        other = draw.choice(pool)
        while other.example.tree == example.example.tree:
            other = draw.choice(pool)
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
    found: list[tuple[list[int], Tensor]] = []
    with torch.no_grad():
        for members in packs[process::processes]:
            sequences = [(examples[index].prompt, reply) for index in members for reply in examples[index].replies]
            places = [place for index in members for place in range(first[index], first[index + 1])]
            found.append((places, score(build_pack(sequences, multiple=multiple))))
        for places, scores in found:  # each waits for the GPU, so only when all are under way
            logps[places] = scores.double().cpu()
    return logps


def known(
    examples: Sequence[Encoded],
    asked: Sequence[int],
    pool: Sequence[Encoded],
    *,
    objective: Objective,
    backbone: Backbone,
    token_budget: int,
    seed: int,
) -> Examples:
    """The examples, and what the backbone, its adapter off, says of those `asked` for; for KTO also of replies drawn
    from `pool`.
    """
    if not objective.uses_reference:
        return Examples(examples, [Known([]) for _ in examples])

    def reference(scored: Sequence[Encoded]) -> list[list[float]]:
        with backbone.without_adapter():
            logps = score_all(
                scored,
                backbone.score,
                token_budget=token_budget,
                multiple=backbone.multiple,
                process=process_index(),
                processes=processes(),
            )
        everyones = cast(Tensor, reduce(logps.to(backbone.device), "sum"))
        numbers = iter(map(float, everyones.cpu()))
        return [[next(numbers) for _ in example.replies] for example in scored]

    chosen = [examples[index] for index in asked]
    own = reference(chosen)
    if objective.kind != "labelled" or not chosen:
        found = [Known(logps) for logps in own]
    else:
        drawn = mismatches(chosen, pool, seed=seed)
        crossed = reference([replace(example, replies=[reply]) for example, reply in zip(chosen, drawn, strict=True)])
        found = [Known(logps, reply, other[0]) for logps, reply, other in zip(own, drawn, crossed, strict=True)]
    by_index = dict(zip(asked, found, strict=True))
    return Examples(examples, [by_index.get(index, Known([])) for index in range(len(examples))])

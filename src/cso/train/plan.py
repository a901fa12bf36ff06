"""Which examples make an optimizer step, and in which packs: all decided before training begins.

Examples of one tree stay together in runs, so that a step shares tokens; `trees_per_step` runs make a step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from cso.train.encode import Encoded
from cso.train.trie import TrieSize

Members = list[int]  # the examples of a pack, by index


@dataclass(frozen=True, slots=True)
class Plan:
    """Every step of a training, epoch after epoch: its packs, each step having the same number of them.

    Steps that need fewer are filled with empty packs, so that each process of a group has one for each of the others'.
    """

    steps: list[list[Members]]
    steps_per_epoch: int
    packs_per_step: int
    oversize: int  # examples that alone are larger than the budget

    @property
    def members(self) -> list[int]:
        """The examples that come at all: fewer than there are where the plan is cut off by `tokens`."""
        return sorted({index for step in self.steps for pack in step for index in pack})


def make_plan(
    examples: Sequence[Encoded],
    *,
    epochs: int,
    batch_size: int,
    trees_per_step: int,
    token_budget: int,
    tokens: int | None = None,
    processes: int = 1,
    seed: int = 0,
) -> Plan:
    """A plan in which every example comes once an epoch. The last step of an epoch may be smaller.

    With `tokens` the plan has as many epochs as it takes, and ends with the step that reaches so many tokens.
    """
    draw = random.Random(seed)
    steps: list[list[Members]] = []
    planned = 0  # tokens
    oversize: set[int] = set()
    per_epoch = -(-len(examples) // batch_size)
    while len(steps) < per_epoch * epochs if tokens is None else planned < tokens:
        order = shuffled(examples, run=-(-batch_size // trees_per_step), draw=draw)
        for at in range(0, len(order), batch_size):
            steps.append(make_packs(examples, order[at : at + batch_size], token_budget))
            sizes = [pack_size(examples, pack) for pack in steps[-1]]
            oversize |= {pack[0] for pack, size in zip(steps[-1], sizes, strict=True) if size > token_budget}
            planned += sum(sizes)
            if tokens is not None and planned >= tokens:
                break
    most = max(map(len, steps), default=0)
    packs = -(-most // processes) * processes
    filled = [step + [[] for _ in range(packs - len(step))] for step in steps]
    return Plan(filled, min(per_epoch, len(steps)), packs, len(oversize))


def shuffled(examples: Sequence[Encoded], *, run: int, draw: random.Random) -> list[int]:
    """All examples in an order drawn anew: runs of `run` neighbours, in the order of their prompts, from one tree.

    A run goes on into another tree where a tree's number of examples is no multiple of `run`.
    """
    trees: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        trees.setdefault(example.example.tree, []).append(index)
    order = list(trees.values())
    draw.shuffle(order)
    flat = [index for tree in order for index in sorted(tree, key=lambda index: examples[index].prompt)]
    runs = [flat[at : at + run] for at in range(0, len(flat), run)]
    draw.shuffle(runs)
    return [index for part in runs for index in part]


def make_packs(examples: Sequence[Encoded], batch: Sequence[int], token_budget: int) -> list[Members]:
    """`batch` in packs whose tries have at most `token_budget` tokens, as far as that can be.

    Examples of one prompt stay together where they fit. An example that alone is larger has a pack to itself.
    """
    order = sorted(batch, key=lambda index: examples[index].prompt)
    packs: list[Members] = []
    size = TrieSize()
    for _, same_prompt in groupby(order, key=lambda index: examples[index].prompt):
        group = list(same_prompt)
        whole = size.with_(_sequences(examples, group))
        if packs and whole.nodes <= token_budget:
            packs[-1] += group
            size = whole
            continue
        alone = TrieSize(_sequences(examples, group))
        if alone.nodes <= token_budget:
            packs.append(group)
            size = alone
            continue
        for index in group:  # too large a group: one example after the other
            more = size.with_(_sequences(examples, [index]))
            if packs and more.nodes <= token_budget:
                packs[-1].append(index)
                size = more
            else:
                packs.append([index])
                size = TrieSize(_sequences(examples, [index]))
    return packs


def pack_size(examples: Sequence[Encoded], pack: Members) -> int:
    """Tokens of the pack's trie."""
    return TrieSize(_sequences(examples, pack)).nodes


def _sequences(examples: Sequence[Encoded], indices: Sequence[int]) -> list[list[int]]:
    return [examples[index].prompt + reply for index in indices for reply in examples[index].replies]

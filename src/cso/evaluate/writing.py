"""Replies to many prompts at once: what prompts share is read once, and stays shared while replies grow.

Prompts are read as one trie. Those of one dialogue are most of each other: as a group they keep one copy of its keys
and values, which each step compares with all their new tokens together.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from cso.train.attention import Paths, added, attend, attended, refuse_unknown
from cso.train.pack import build_pack
from cso.train.trie import Tokens, build_trie, common_prefix

NAME = "growing"  # what transformers knows the attention by


def write(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    *,
    room: int,
    ends: Collection[int],
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Tokens]:
    """The reply to each prompt: at most `room` tokens, the last one of `ends` where it came to an end.

    Prompts are in lexicographic order, and the model computes attention as NAME. `temperature` 0: the likeliest token;
    else tokens are drawn, for each prompt by a generator of its own, whatever it is written together with.
    """
    draws = [random.Random(f"{seed} {each}") for each in prompts]
    growing = Growing(prompts, room, model.device)
    replies: list[Tokens] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    logits = growing.read(model)
    while True:
        tokens = drawn_tokens(logits, temperature, [draws[place] for place in alive])
        for place, token in zip(alive, cast(list[int], tokens.tolist()), strict=True):
            replies[place].append(token)
        going = [row for row, place in enumerate(alive) if replies[place][-1] not in ends]
        alive = [alive[row] for row in going]
        if not alive or len(replies[alive[0]]) == room:
            return replies
        logits = growing.step(model, alive, tokens[going])


def drawn_tokens(logits: Tensor, temperature: float, draws: Sequence[random.Random]) -> Tensor:
    """[n]: a token each; from a distribution the one at which its running sum passes a number drawn from [0, 1)."""
    if not temperature:
        return logits.argmax(-1)
    sums = (logits.double() / temperature).softmax(-1).cumsum(-1)
    passed = sums <= sums.new_tensor([[draw.random()] for draw in draws]) * sums[:, -1:]
    return passed.sum(-1).clamp(max=sums.shape[-1] - 1)


@dataclass(slots=True)
class _Group:
    """Prompts `first` to `stop`, and what their next tokens may see: nodes of the trie, then new tokens."""

    first: int
    stop: int
    nodes: Tensor  # [T] of the trie, rising
    on_path: Tensor  # [prompts, T]
    depth: Tensor  # [T and room]
    owner: Tensor  # [room], the prompt, by its place in the group, that a new token belongs to
    new: int = 0  # tokens
    kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict[int, tuple[Tensor, Tensor]])  # by layer

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Keys and values of the nodes, with room."""
        both = [each.new_empty(1, each.shape[1], len(self.depth), each.shape[3]) for each in (key, value)]
        for kept, each in zip(both, (key, value), strict=True):
            kept[:, :, : len(self.nodes)] = each[:, :, self.nodes]
        self.kept[layer] = both[0], both[1]


@dataclass(slots=True)
class _Step:
    """A group's new tokens, one each of some of its prompts: their places among all, and what they see."""

    group: _Group
    part: slice
    seen: Tensor  # [n, keys]
    distance: Tensor  # [n, keys], in tokens
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(
        default_factory=dict[tuple[int | None, torch.dtype], Tensor]
    )

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        if (window, dtype) not in self.masks:
            seen = self.seen if window is None else self.seen & (self.distance < window)
            self.masks[window, dtype] = added(seen, dtype)
        return self.masks[window, dtype]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, window: int | None, **told: Any) -> Tensor:
        keys, values = self.group.kept[layer]
        end = self.seen.shape[1]
        begin = end - (self.part.stop - self.part.start)
        keys[:, :, begin:end], values[:, :, begin:end] = key[:, :, self.part], value[:, :, self.part]
        mask = self.mask(window, query.dtype)
        return attended(query[:, :, self.part], keys[:, :, :end], values[:, :, :end], mask, **told)


class Growing:
    """Prompts and their replies, as far as they are written: what a model's attention sees of them."""

    def __init__(self, prompts: Sequence[Tokens], room: int, device: torch.device) -> None:
        self._pack = build_pack([(each, []) for each in prompts]).to(device)
        self._paths = Paths.of(self._pack)
        paths = build_trie(prompts).paths
        self._last = torch.tensor([path[-1] for path in paths], device=device)
        self._lengths = torch.tensor([len(each) for each in prompts], device=device)
        borders = [*_borders(prompts), len(prompts)]
        self._groups = [self._group(paths[first:stop], first, room) for first, stop in pairwise(borders)]
        self._steps: list[_Step] = []  # none: the prompts are being read
        self._written = 0

    def read(self, model: PreTrainedModel) -> Tensor:
        """[prompts, vocabulary]: the logits of what follows each prompt."""
        pack = self._pack
        return self._logits(model, pack.input_ids, pack.position_ids, logits_to_keep=self._last)

    def step(self, model: PreTrainedModel, alive: Sequence[int], tokens: Tensor) -> Tensor:
        """[alive, vocabulary]: the logits of what follows after one more token of each prompt that is alive."""
        depths = self._lengths[list(alive)] + self._written
        self._steps = []
        at = 0
        for group in self._groups:
            rows = [place - group.first for place in alive if group.first <= place < group.stop]
            if rows:
                self._steps.append(self._step(group, rows, slice(at, at + len(rows)), depths))
                at += len(rows)
        self._written += 1
        return self._logits(model, tokens, depths)

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, window: int | None, told: dict[str, Any]
    ) -> Tensor:
        """[1, heads, n, size] of one layer, whose keys and values are kept."""
        if not self._steps:
            for group in self._groups:
                group.keep(layer, key, value)
            return attend(nn.Module(), query, key, value, None, paths=self._paths, sliding_window=window, **told)[0]
        parts = [step.attend(layer, query, key, value, window, **told) for step in self._steps]
        return torch.cat(parts, 2).transpose(1, 2).contiguous()

    def _logits(self, model: PreTrainedModel, tokens: Tensor, depths: Tensor, **told: Any) -> Tensor:
        out = cast(Any, model)(input_ids=tokens[None], position_ids=depths[None], use_cache=False, growing=self, **told)
        return out.logits[0]

    def _group(self, paths: Sequence[Sequence[int]], first: int, room: int) -> _Group:
        device = self._last.device
        nodes = torch.tensor(sorted({node for path in paths for node in path}), device=device)
        on_path = torch.stack([torch.isin(nodes, torch.tensor(path, device=device)) for path in paths])
        space = len(paths) * room
        depth = torch.cat([self._pack.position_ids[nodes], nodes.new_zeros(space)])
        return _Group(first, first + len(paths), nodes, on_path, depth, nodes.new_full((space,), -1))

    def _step(self, group: _Group, rows: list[int], part: slice, depths: Tensor) -> _Step:
        own = torch.tensor(rows, device=depths.device)
        before, group.new = group.new, group.new + len(rows)
        end = len(group.nodes) + group.new
        group.owner[before : group.new] = own
        group.depth[end - len(rows) : end] = depths[part]
        new = group.owner[None, : group.new] == own[:, None]
        return _Step(
            group, part, torch.cat([group.on_path[own], new], 1), depths[part][:, None] - group.depth[None, :end]
        )


def _borders(prompts: Sequence[Tokens]) -> list[int]:
    """Where groups begin: at prompts of which less than half is what the prompt before begins with."""
    return [0] + [
        place
        for place, (before, prompt) in enumerate(pairwise(prompts), 1)
        if common_prefix(before, prompt) * 2 < len(prompt)
    ]


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    growing: Growing,
    scaling: float,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """As transformers calls it."""
    refuse_unknown(others, "writing replies")
    layer = cast(int, module.layer_idx)
    told = {"scaling": scaling, "softcap": softcap}
    return growing.attend(layer, query, key, value, sliding_window, told), None


AttentionInterface.register(NAME, _attention)

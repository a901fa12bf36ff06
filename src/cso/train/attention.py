"""Attention over a pack on a CPU: each block of queries against the keys that it can see, and no others.

Depth first, what a block of queries sees is the path to its first node and the block itself. So the work grows with
the lengths of paths, as if replies were computed one after the other, and not with the square of a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface

from cso.errors import InputError
from cso.train.pack import Pack

NAME = "paths"  # what transformers knows it by
BLOCK = 128  # queries


class Block(NamedTuple):
    """Queries `start` to `stop`, and the keys that one of them sees."""

    start: int
    stop: int
    keys: Tensor  # [k], rising


Blocks = Sequence[tuple[Block, Tensor]]  # each with what is added to its scores
Attended = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Paths:
    """What each query of a pack sees: the nodes on its path."""

    pack: Pack
    blocks: list[Block]
    _masks: dict[tuple[int | None, torch.dtype], list[Tensor]] = field(
        default_factory=dict[tuple[int | None, torch.dtype], list[Tensor]]
    )

    @classmethod
    def of(cls, pack: Pack, *, size: int | None = None) -> Paths:
        """The paths of `pack`, in blocks of `size` queries."""
        size = size or BLOCK
        index = torch.arange(pack.tokens, device=pack.end.device)
        blocks: list[Block] = []
        for start in range(0, pack.tokens, size):
            stop = min(start + size, pack.tokens)
            above = index[:start][pack.end[:start] > start]
            blocks.append(Block(start, stop, torch.cat([above, index[start:stop]])))
        return cls(pack, blocks)

    def masks(self, window: int | None, dtype: torch.dtype) -> list[Tensor]:
        """Of each block, [queries, keys]: what is added to scores. `window` is a layer's, None where it has none."""
        if (window, dtype) not in self._masks:
            self._masks[window, dtype] = [added(self._seen(block, window), dtype) for block in self.blocks]
        return self._masks[window, dtype]

    def _seen(self, block: Block, window: int | None) -> Tensor:
        end, depth = self.pack.end, self.pack.position_ids
        query = torch.arange(block.start, block.stop, device=end.device)[:, None]
        key = block.keys[None]
        seen = (key <= query) & (query < end[key])
        if window is not None:
            seen &= depth[query] - depth[key] < window
        return seen


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    paths: Paths,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """As transformers calls it: `query` [1, heads, n, size], `key` and `value` with as many heads or fewer."""
    refuse_unknown(others, "paths")
    masks = paths.masks(sliding_window, query.dtype)
    alone = partial(attended, scaling=scaling, softcap=softcap, dropout=dropout)
    blocks = list(zip(paths.blocks, masks, strict=True))
    out = cast(Tensor, _Attention.apply(query, key, value, blocks, alone))  # pyright: ignore[reportUnknownMemberType]
    return out.transpose(1, 2).contiguous(), None


class _Attention(Function):
    """Block by block, keeping what it is given only: the backward pass gathers and attends once more.

    What is gathered for all blocks is many times as large as keys and values, and spreading its gradient one block at a
    time by autograd would go over all tokens for each.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: Blocks, alone: Attended) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.blocks, ctx.alone, ctx.random = blocks, alone, torch.get_rng_state()
        ctx.bf16 = torch.is_autocast_enabled("cpu")
        return torch.cat([alone(*_of(block, query, key, value), mask) for block, mask in blocks], 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        saved = ctx.saved_tensors
        found = [torch.zeros_like(each) for each in saved]
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=ctx.bf16), _random_from(ctx.random):
            for block, mask in ctx.blocks:
                parts = [each.detach().requires_grad_() for each in _of(block, *saved)]
                out = ctx.alone(*parts, mask)
                query, *others = torch.autograd.grad(out, parts, gradient[:, :, block.start : block.stop])
                found[0][:, :, block.start : block.stop] = query
                for whole, part in zip(found[1:], others, strict=True):
                    whole.index_add_(2, block.keys, part)
        return *found, None, None


def _of(block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The block's queries, and the keys and values that they see."""
    return query[:, :, block.start : block.stop], key.index_select(2, block.keys), value.index_select(2, block.keys)


@contextmanager
def _random_from(state: Tensor) -> Generator[None]:
    """Meanwhile what is drawn is drawn as from `state`: dropout again as it was."""
    own = torch.get_rng_state()
    torch.set_rng_state(state)
    try:
        yield
    finally:
        torch.set_rng_state(own)


def repeated(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values for each head of the queries, where several share theirs."""
    groups = query.shape[1] // key.shape[1]
    return (key, value) if groups == 1 else (key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1))


def refuse_unknown(others: Mapping[str, object], attention: str) -> None:
    """Raises InputError for a model whose attention has a part that `attention` does not compute."""
    if found := [name for name in ("s_aux", "position_bias") if others.get(name) is not None]:
        raise InputError(
            f"train.model.attention: {attention} computes no {found[0]}, as this model has; expected eager"
        )


def added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores where keys are seen, and where not."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    scaling: float,
    softcap: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """[1, heads, n, size]: each of `query` [1, heads, n, size] against keys [1, heads or fewer, k, size].

    `mask` [n, k] is added to scores.
    """
    key, value = repeated(query, key, value)
    if softcap is None:
        return F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scaling)
    scores = torch.tanh(query @ key.transpose(2, 3) * (scaling / softcap)) * softcap + mask
    return F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), dropout) @ value


AttentionInterface.register(NAME, attend)  # pyright: ignore[reportUnknownMemberType]

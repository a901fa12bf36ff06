"""Attention over a pack, mostly on a CPU: each block of queries against the keys that it can see, and no others.

Depth first, what a block of queries sees is the path to its first node and the block itself. So the work grows with
the lengths of paths, as if replies were computed one after the other, and not with the square of a pack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
aten = torch.ops.aten


class Block(NamedTuple):
    """Queries `start` to `stop`, and the keys that one of them sees."""

    start: int
    stop: int
    keys: Tensor  # [k], rising


Blocks = Sequence[tuple[Block, Tensor]]  # each with what is added to its scores


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
        query = torch.arange(block.start, block.stop, device=block.keys.device)
        return sees(self.pack, query[:, None], block.keys[None], window)


def sees(pack: Pack, query: Tensor, key: Tensor, window: int | None) -> Tensor:
    """Whether nodes see others, by index: those on their paths and themselves, as far back as a layer's window."""
    seen = (key <= query) & (query < pack.end[key])
    if window is not None:
        seen &= pack.position_ids[query] - pack.position_ids[key] < window
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
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast these may be float32, and values not
    blocks = list(zip(paths.blocks, paths.masks(sliding_window, query.dtype), strict=True))
    fused = softcap is None and not dropout and query.shape[-1] == value.shape[-1]
    if fused and query.device.type == "cpu":  # elsewhere, as when replies are written on a GPU, there is no such kernel
        out = cast(Tensor, _Attention.apply(query, key, value, blocks, scaling))  # pyright: ignore[reportUnknownMemberType]
    else:
        alone = partial(attended, scaling=scaling, softcap=softcap, dropout=dropout)
        out = torch.cat([alone(*_of(block, query, key, value), mask) for block, mask in blocks], 2)
    return out.transpose(1, 2).contiguous(), None


class _Attention(Function):
    """Block by block, keeping what it is given and what it gives: the backward pass gathers once more.

    What is gathered for all blocks is many times as large as keys and values, and spreading its gradient one block at a
    time by autograd would go over all tokens for each. The two operators are those of `scaled_dot_product_attention`.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: Blocks, scaling: float) -> Tensor:
        query = query if query.stride(-1) == 1 else query.contiguous()  # as the kernel takes it for granted
        out = torch.empty_like(query)
        logsumexps: list[Tensor] = []
        for block, mask in blocks:
            parts = _repeated(*_of(block, query, key, value))
            part, logsumexp = aten._scaled_dot_product_flash_attention_for_cpu(*parts, attn_mask=mask, scale=scaling)
            out[:, :, block.start : block.stop] = part
            logsumexps.append(logsumexp)
        ctx.save_for_backward(query, key, value, out, *logsumexps)
        ctx.blocks, ctx.scaling = blocks, scaling
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        query, key, value, out, *logsumexps = ctx.saved_tensors
        wide = torch.promote_types(query.dtype, torch.float32)  # bfloat16 would round each of a key's many parts
        gradients = [torch.zeros_like(each, dtype=wide) for each in (query, key, value)]
        for (block, mask), logsumexp in zip(ctx.blocks, logsumexps, strict=True):
            own = slice(block.start, block.stop)
            parts = _repeated(*_of(block, query, key, value))
            of_query, *of_others = aten._scaled_dot_product_flash_attention_for_cpu_backward(
                gradient[:, :, own], *parts, out[:, :, own], logsumexp, 0.0, False, attn_mask=mask, scale=ctx.scaling
            )
            gradients[0][:, :, own] = of_query
            for whole, part in zip(gradients[1:], of_others, strict=True):
                shared = part.to(wide).unflatten(1, (whole.shape[1], -1)).sum(2)  # over heads that share a key
                whole.index_add_(2, block.keys, shared)
        return *(each.to(query.dtype) for each in gradients), None, None


def _of(block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The block's queries, and the keys and values that they see."""
    return query[:, :, block.start : block.stop], key.index_select(2, block.keys), value.index_select(2, block.keys)


def _repeated(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return query, *repeated(query, key, value)


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


def added(seen: Tensor, dtype: torch.dtype, *, hidden: float = float("-inf")) -> Tensor:
    """What is added to scores: 0 where keys are seen, `hidden` where not."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, hidden)


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

"""Attention masks of a pack: a token sees its ancestors in the trie and itself, in a model's window of attention.

A mask is one tensor, or one for each kind of layer where a model alternates full and sliding attention (Gemma-2 and 3).
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PretrainedConfig

from cso.train.attention import added, sees
from cso.train.flex import BLOCK
from cso.train.pack import Pack

Mask = TypeVar("Mask")
HIDDEN = torch.finfo(torch.bfloat16).min  # added to a hidden score; finite in every precision that is used


def dense_mask(pack: Pack, config: PretrainedConfig, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
    """[1, 1, n, n]: 0 where a query (row) sees a key (column), else `HIDDEN`, added to scores by sdpa and eager."""
    index = torch.arange(pack.tokens, device=pack.end.device)

    def mask(window: int | None) -> Tensor:
        return added(sees(pack, index[:, None], index[None, :], window), dtype, hidden=HIDDEN)[None, None]

    return _by_layer(config, mask)


def block_mask(pack: Pack, config: PretrainedConfig) -> object:
    """The same for FlexAttention, which computes the blocks that are seen only: a BlockMask, or one a kind of layer."""
    from torch.nn.attention.flex_attention import BlockMask  # imported late: it takes seconds

    end, depth, size = pack.end, pack.position_ids, pack.tokens

    def mask(window: int | None) -> object:
        least = torch.zeros_like(depth) if window is None else depth - window + 1  # one kernel for both kinds of layer

        def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (key <= query) & (query < end[key]) & (depth[key] >= least[query])

        some, whole = _blocks(pack, window)
        ordered = (*_ordered(some & ~whole), *_ordered(whole))
        return BlockMask.from_kv_blocks(*ordered, BLOCK_SIZE=BLOCK, mask_mod=seen, seq_lengths=(size, size))

    return _by_layer(config, mask)


def _blocks(pack: Pack, window: int | None) -> tuple[Tensor, Tensor]:
    """[b, b]: of each block of queries, the blocks of keys that are seen in part or whole, and those seen whole.

    Not from pairs of tokens, of which there are as many as a pack's length squared: of an earlier block of keys, one is
    seen if an `end` is past the first query, and all are by all if each is past the last. With a window, some blocks
    are among the former in which nothing is seen.
    """
    count = -(-pack.tokens // BLOCK)
    short = count * BLOCK - pack.tokens
    first = torch.arange(0, count * BLOCK, BLOCK, device=pack.end.device)
    last = (first + BLOCK).clamp(max=pack.tokens) - 1
    end = F.pad(pack.end, (0, short)).view(count, BLOCK)
    before = first[None] < first[:, None]
    some = before & (end.amax(1)[None] > first[:, None])
    whole = before & (end.amin(1)[None] > last[:, None])
    if window is not None:
        depth = F.pad(pack.position_ids, (0, short)).view(count, BLOCK)
        some &= depth.amin(1)[:, None] - depth.amax(1)[None] < window
        whole &= depth.amax(1)[:, None] - depth.amin(1)[None] < window
    return some | torch.eye(count, dtype=torch.bool, device=first.device), whole


def _ordered(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of keys each block of queries has, [1, 1, b], and all of them, those first: [1, 1, b, b]."""
    order = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32)[None, None], order.int()[None, None]


def _by_layer(config: PretrainedConfig, mask: Callable[[int | None], Mask]) -> Mask | dict[str, Mask]:
    """The one mask that all layers want, or a mask for each kind of them. The window is counted along the path."""
    text = config.get_text_config()
    kinds: list[str] = sorted(set(getattr(text, "layer_types", None) or []))
    window: int | None = getattr(text, "sliding_window", None)
    if getattr(text, "use_sliding_window", True) is False:
        window = None
    match kinds:
        case [] | ["sliding_attention"]:
            return mask(window)
        case ["full_attention"]:
            return mask(None)
        case _:
            return {kind: mask(window if kind == "sliding_attention" else None) for kind in kinds}

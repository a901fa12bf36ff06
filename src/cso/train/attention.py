"""Attention over a pack on a CPU: each block of queries against the keys that it can see, and no others.

Depth first, what a block of queries sees is the path to its first node and the block itself. So the work grows with
the lengths of paths, as if replies were computed one after the other, and not with the square of a pack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
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


@dataclass(frozen=True, slots=True)
class Paths:
    """What each query of a pack sees: the nodes on its path."""

    pack: Pack
    blocks: list[Block]
    keys: Tensor  # those of all blocks, one after the other: gathered at once, so that their gradient is as well
    sizes: list[int]  # how many keys each block has
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
        return cls(pack, blocks, torch.cat([block.keys for block in blocks]), [len(block.keys) for block in blocks])

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
    refuse_unknown(others)
    queries = torch.split(query, [block.stop - block.start for block in paths.blocks], 2)
    key, value = (for_all_heads(each, query) for each in (key, value))
    keys, values = key.index_select(2, paths.keys), value.index_select(2, paths.keys)
    blocks = zip(queries, torch.split(keys, paths.sizes, 2), torch.split(values, paths.sizes, 2), strict=True)
    masks = paths.masks(sliding_window, query.dtype)
    with _gathered_again(paths.keys, (key, keys), (value, values)):
        parts = [
            attended(*block, mask, scaling=scaling, softcap=softcap, dropout=dropout)
            for block, mask in zip(blocks, masks, strict=True)
        ]
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


def _gathered_again(places: Tensor, *pairs: tuple[Tensor, Tensor]) -> saved_tensors_hooks:
    """Meanwhile no part of what was gathered is kept for the backward pass, which gathers it once more.

    `pairs`: a tensor, and what of it lies at `places` of its third axis. It is many times as large.
    """

    known = {  # by address, since these functions live as long as what is kept: nothing here may hold what was gathered
        gathered.untyped_storage().data_ptr(): (source.detach(), gathered.stride()) for source, gathered in pairs
    }

    def keep(saved: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        source, stride = known.get(saved.untyped_storage().data_ptr(), (saved, ()))
        if saved.stride() != stride or saved.shape[:2] != source.shape[:2]:
            return saved  # no slice of what was gathered
        start = int(saved.storage_offset()) // saved.shape[3]
        return source, places[start : start + saved.shape[2]]

    def gather(kept: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept[0].index_select(2, kept[1])

    return saved_tensors_hooks(keep, gather)


def for_all_heads(grouped: Tensor, query: Tensor) -> Tensor:
    """Keys or values [1, heads or fewer, k, size], one for each head of `query`: groups of heads share one."""
    groups = query.shape[1] // grouped.shape[1]
    return grouped.repeat_interleave(groups, 1) if groups > 1 else grouped


def refuse_unknown(others: Mapping[str, object]) -> None:
    """Raises InputError for a model whose attention has a part that is not computed here."""
    if found := [name for name in ("s_aux", "position_bias") if others.get(name) is not None]:
        raise InputError(f"train.model.attention: paths computes no {found[0]}, as this model has; expected eager")


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
    key, value = (for_all_heads(each, query) for each in (key, value))
    if softcap is None:
        return F.scaled_dot_product_attention(query, key, value, mask, dropout, scale=scaling)
    scores = torch.tanh(query @ key.transpose(2, 3) * (scaling / softcap)) * softcap + mask
    return F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), dropout) @ value


AttentionInterface.register(NAME, attend)  # pyright: ignore[reportUnknownMemberType]

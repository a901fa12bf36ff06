"""Attention over a pack on a GPU: FlexAttention, which computes the blocks of a pack's mask that are seen only.

transformers has one as well, which compiles anew whenever a model changes between training and evaluation and, under
autocast, is given queries and keys in float32 beside values in bfloat16. A kernel compiled too often is run uncompiled.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from cso.errors import InputError
from cso.train.attention import refuse_unknown

NAME = "flex_paths"  # what transformers knows it by
BLOCK = 128  # tokens: what the kernel goes by


class _Kernel(Protocol):
    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, softcap: float | None
    ) -> Tensor: ...


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    *,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """As transformers calls it: `query` [1, heads, n, size], `key` and `value` with as many heads or fewer.

    `attention_mask` is what `block_mask` makes, windows included. Raises InputError for what the kernel has not.
    """
    refuse_unknown(others)
    if dropout:
        raise InputError("train.model.attention: flex_attention has no dropout, as this model does; expected sdpa")
    if (groups := query.shape[1] // key.shape[1]) > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    query, key = query.to(value.dtype), key.to(value.dtype)
    with torch.autocast(query.device.type, enabled=False):  # which would be one more thing to compile for
        out = _kernel()(query, key, value, attention_mask, scaling, softcap)
    return out.transpose(1, 2).contiguous(), None


@cache
def _kernel() -> _Kernel:
    from torch.nn.attention.flex_attention import flex_attention  # imported late: it takes seconds

    def attention(
        query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, softcap: float | None
    ) -> Tensor:
        if softcap is None:
            return flex_attention(query, key, value, None, mask, scaling)

        def capped(score: Tensor, *_: Tensor) -> Tensor:
            return torch.tanh(score / softcap) * softcap

        return flex_attention(query, key, value, capped, mask, scaling)

    return cast(_Kernel, torch.compile(attention))


AttentionInterface.register(NAME, attend)

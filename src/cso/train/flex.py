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
from transformers import AttentionInterface, PreTrainedModel

from cso.errors import InputError
from cso.train.attention import refuse_unknown, repeated

NAME = "flex_paths"  # what transformers knows it by
BLOCK = 128  # tokens: what the kernel goes by
LEAST = 16  # numbers of a head


class _Kernel(Protocol):
    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, softcap: float | None
    ) -> Tensor: ...


def can_attend(model: PreTrainedModel) -> bool:
    """Whether the kernel computes what this model's attention is, and the model lets it be exchanged."""
    text = model.config.get_text_config()
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    exchanged = model._supports_attention_backend and model._supports_flex_attn  # pyright: ignore[reportPrivateUsage]
    return exchanged and size >= LEAST and not getattr(text, "attention_dropout", 0.0)


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
    from torch.nn.attention.flex_attention import BlockMask  # imported late: it takes seconds

    refuse_unknown(others, "flex_attention")
    if dropout:
        raise InputError("train.model.attention: flex_attention has no dropout, as this model has; expected auto")
    if not isinstance(attention_mask, BlockMask):
        raise TypeError(f"expected the BlockMask of a pack, found {type(attention_mask).__name__}")
    key, value = repeated(query, key, value)
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

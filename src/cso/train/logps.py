"""Log-probabilities of replies, from one forward pass over a pack."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

import cso.train.attention as attention
import cso.train.flex as flex
from cso.train.masks import block_mask, dense_mask
from cso.train.pack import Pack


def reply_logps(model: nn.Module, pack: Pack, base: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """The log-probability of each reply given its prompt, in nats, summed over its tokens: `[C]`; and a zero.

    With prompts scored, `[2C]`: those of the prompts follow. `model` is what is called (a wrapper, perhaps), `base` the
    transformer inside it. The zero depends on the logits, so that a pack which scores nothing has gradients as well.
    In float32, whatever the model computes in; differentiable.
    """
    logits = _logits(model, pack, base).float()
    node_logps = logits[pack.row, pack.token] - logits.logsumexp(-1)[pack.row]
    sums = torch.zeros(len(pack.lengths), dtype=torch.float32, device=logits.device)
    return sums.index_add(0, pack.reply, node_logps[pack.node]), logits[0].sum() * 0


def _logits(model: nn.Module, pack: Pack, base: PreTrainedModel) -> Tensor:
    """[m, vocabulary]: the logits at `pack.keep`, by the model's own forward, as wrappers of it require."""
    inputs: dict[str, object] = {
        "input_ids": pack.input_ids[None],
        "position_ids": pack.position_ids[None],
        "use_cache": False,
    }
    match base.config._attn_implementation:  # pyright: ignore[reportPrivateUsage]
        case attention.NAME:
            inputs["paths"] = attention.Paths.of(pack)
        case flex.NAME:
            inputs["attention_mask"] = block_mask(pack, base.config)
        case _:
            inputs["attention_mask"] = dense_mask(pack, base.config, base.dtype)
    if "logits_to_keep" in inspect.signature(base.forward).parameters:
        return model(**inputs, logits_to_keep=pack.keep).logits[0]
    return model(**inputs).logits[0, pack.keep]

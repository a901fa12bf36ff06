"""What is logged of a training: sums that can be added over packs and processes, and the means they come to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cso.train.batch import Batch
from cso.train.objectives import Objective, Scores

SUMS = (  # one number each, in this order
    "loss",  # of the whole step: already a mean over its examples or tokens
    "examples",
    "chosen",  # replies that the log counts as chosen, and below what they sum to
    "rejected",
    "chosen_reward",
    "rejected_reward",
    "chosen_logp",
    "rejected_logp",
    "pairs",
    "margin",
    "accurate",  # pairs whose chosen reply has the higher reward
    "likelier",  # pairs whose chosen reply is the likelier one
    "tokens",
    "unshared",
)


def measures(objective: Objective, batch: Batch, scores: Scores, loss: Tensor) -> Tensor:
    """[len(SUMS)], float64, without gradient.

    Chosen and rejected are the replies of a pair, the best and the worst of a ranking, desirable and undesirable
    labelled replies; demonstrations are all chosen.
    """
    with torch.no_grad():
        rewards, logps = objective.rewards(scores).double(), scores.policy.double()
        first = scores.present[:, 0]
        last = (scores.present.sum(-1, keepdim=True) - 1).clamp(min=0)
        paired = scores.present.sum(-1) > 1
        chosen = first & scores.desirable
        rejected = paired | (first & ~scores.desirable)
        last_reward, last_logp = rewards.gather(-1, last)[:, 0], logps.gather(-1, last)[:, 0]
        margin = torch.where(paired, rewards[:, 0] - last_reward, 0)
        sums: dict[str, Tensor | float] = {
            "loss": loss.detach().double(),
            "examples": len(batch.examples),
            "chosen": chosen.sum(),
            "rejected": rejected.sum(),
            "chosen_reward": torch.where(chosen, rewards[:, 0], 0).sum(),
            "rejected_reward": torch.where(rejected, last_reward, 0).sum(),
            "chosen_logp": torch.where(chosen, logps[:, 0], 0).sum(),
            "rejected_logp": torch.where(rejected, last_logp, 0).sum(),
            "pairs": paired.sum(),
            "margin": margin.sum(),
            "accurate": (margin > 0).sum(),
            "likelier": (paired & (logps[:, 0] > last_logp)).sum(),
            "tokens": batch.pack.tokens,
            "unshared": batch.unshared,
        }
        return torch.stack([_number(sums[name], rewards.device) for name in SUMS])


def _number(value: Tensor | float, device: torch.device) -> Tensor:
    """`value` on the device, made there: a copy to a GPU would wait for it."""
    if isinstance(value, Tensor):
        return value.double()
    return torch.full((), value, dtype=torch.float64, device=device)


def means(sums: Tensor) -> dict[str, float]:
    """The log's numbers; what there is none of, such as margins of demonstrations, is left out.

    `tokens` were trained on, without the passes that have no gradient (the reference's, and KTO's over replies of other
    trees); `tokens_saved` is the share that sharing saved of the tokens of all replies one by one.
    """
    total: Mapping[str, float] = dict(zip(SUMS, map(float, sums.cpu()), strict=True))
    found: dict[str, float] = {}
    for side in ("chosen", "rejected"):
        if total[side]:
            found[f"rewards/{side}"] = total[f"{side}_reward"] / total[side]
            found[f"logps/{side}"] = total[f"{side}_logp"] / total[side]
    if total["pairs"]:
        found["rewards/margins"] = total["margin"] / total["pairs"]
        found["rewards/accuracies"] = total["accurate"] / total["pairs"]
        found["logps/accuracies"] = total["likelier"] / total["pairs"]
    if total["unshared"]:
        found["tokens"] = total["tokens"]
        found["tokens_saved"] = 1 - total["tokens"] / total["unshared"]
    return found

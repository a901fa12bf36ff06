"""The losses of preference optimization as functions of log-probabilities, each with its paper.

Shapes: `B` examples (pairs, demonstrations, labelled replies or rankings) of up to `R` replies. All log-probabilities
are in nats. A function gives one loss an example, `[B]`; whoever calls it weighs them and takes the mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Logps(NamedTuple):
    """Log-probabilities of the two replies of each pair given its dialogue, `[B]`: summed over tokens, or averaged."""

    chosen: Tensor
    rejected: Tensor


def dpo(policy: Logps, reference: Logps, *, beta: float) -> Tensor:
    """Eq. 7-8 (Rafailov et al., 2023), of sums; log 2 where policy and reference agree."""
    return -F.logsigmoid(beta * _margin(policy, reference))


def q_margin(policy: Logps, reference: Logps, values: Logps, *, beta: float, alpha: float) -> Tensor:
    """DPO whose margin must exceed `alpha` times the difference of the replies' Q. Ours, after Amini et al. (2024).

    `values` are Q in [-3, 1]. With `alpha` 0 it is DPO.
    """
    offset = alpha * (values.chosen - values.rejected)
    return -F.logsigmoid(beta * _margin(policy, reference) - offset)


def ipo(policy: Logps, reference: Logps, *, beta: float) -> Tensor:
    """Azar et al. (2024), Eq. 17 with tau = `beta`: the squared distance of the margin from 1 / (2 beta)."""
    return (_margin(policy, reference) - 1 / (2 * beta)) ** 2


def simpo(policy: Logps, *, beta: float, gamma: float) -> Tensor:
    """Meng et al. (2024), Eq. 6, of averages; `gamma` is the margin that the rewards are to have."""
    return -F.logsigmoid(beta * (policy.chosen - policy.rejected) - gamma)


def odds_ratio(policy: Logps) -> Tensor:
    """Hong et al. (2024), Eq. 7: -log sigmoid of the log odds ratio, of averages (so in (-inf, 0))."""
    return -F.logsigmoid(_log_odds(policy.chosen) - _log_odds(policy.rejected))


def kto(
    policy: Tensor,
    reference: Tensor,
    desirable: Tensor,
    divergence: Tensor,
    *,
    beta: float,
    chosen_weight: float,
    rejected_weight: float,
) -> Tensor:
    """Ethayarajh et al. (2024), Eq. 8, of sums: lambda - v(x, y), in (0, lambda).

    `policy`, `reference`: `[B]`, of one reply an example; `desirable`: `[B]`, bool. `divergence`: z_0, one number of at
    least 0 that has no gradient: the policy's divergence from the reference, estimated on replies to other prompts.
    """
    gain = beta * (policy - reference - divergence)
    good = chosen_weight * torch.sigmoid(-gain)
    bad = rejected_weight * torch.sigmoid(gain)
    return torch.where(desirable, good, bad)


def plackett_luce(rewards: Tensor, values: Tensor, present: Tensor) -> Tensor:
    """The negative log-likelihood of the order of `values` if replies are picked by softmax of `rewards`. Ours.

    All are `[B, R]`; where `present` is False there is no reply. The best is picked first, then the best of the rest,
    and so on (Plackett, 1975). Replies of equal value are each picked from all that are not better (Breslow's ties);
    the worst, with nothing to be better than, are not picked. With two replies of differing value it is DPO.
    """
    remaining = (values[:, None, :] <= values[:, :, None]) & present[:, None, :]  # [B, picked, remaining]
    remaining = remaining | torch.eye(rewards.shape[1], dtype=torch.bool, device=rewards.device)
    among = rewards[:, None, :].masked_fill(~remaining, -torch.inf)
    worse = (values[:, None, :] < values[:, :, None]) & present[:, None, :]
    picks = present & worse.any(-1)  # the last has nothing left to be better than
    surprise = torch.where(picks, among.logsumexp(-1) - rewards, 0)
    return surprise.sum(-1)


def _margin(policy: Logps, reference: Logps) -> Tensor:
    """How much further policy than reference prefers the chosen reply."""
    return (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)


def _log_odds(average: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(average), in either half by what is precise there."""
    average = average.clamp(max=-1e-7)  # p below 1, as float32 can tell
    near_one = torch.log(-torch.expm1(average))
    far_from_one = torch.log1p(-torch.exp(average))
    return average - torch.where(average > -math.log(2), near_one, far_from_one)

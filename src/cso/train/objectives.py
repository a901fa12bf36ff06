"""Training objectives as values that carry their parameters: `Dpo(beta=0.1)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

import cso.train.losses as losses
from cso.errors import InputError
from cso.settings import Objective as Name
from cso.train.encode import Encoded
from cso.train.examples import Kind
from cso.train.losses import Logps


class Scores(NamedTuple):
    """What a model says of `B` examples of up to `R` replies; all is 0 where `present` is False."""

    policy: Tensor  # [B, R], log-probability of each reply, in nats, summed over its tokens
    reference: Tensor  # [B, R], the same by the model that training began from; 0 where an objective uses none
    lengths: Tensor  # [B, R], tokens of each reply
    values: Tensor  # [B, R], Q; 0 where it is not known
    present: Tensor  # [B, R], bool
    desirable: Tensor  # [B], bool: KTO's label
    divergence: Tensor  # [], KTO's z_0; 0 elsewhere
    prompts: Tensor  # [B, R], log-probability of the prompt, summed; 0 where an objective does not score it


class Losses(NamedTuple):
    """Two parts: one is averaged over the examples of an optimizer step, one over its tokens."""

    examples: Tensor | None  # [B]
    tokens: Tensor | None  # [B], summed over the example's `token_count` tokens


class Objective(Protocol):
    """What is minimised."""

    kind: ClassVar[Kind]  # of the examples it compares
    uses_reference: ClassVar[bool]
    uses_values: ClassVar[bool]

    @property
    def scores_prompts(self) -> bool:
        """Whether prompts are scored as well."""
        ...

    def losses(self, scores: Scores) -> Losses: ...

    def rewards(self, scores: Scores) -> Tensor:
        """[B, R]: the implicit reward of each reply, for the log."""
        ...

    def token_count(self, example: Encoded) -> int:
        """Tokens that the example adds to the average over tokens."""
        ...


@dataclass(frozen=True, slots=True)
class _Preference:
    """What most objectives share: pairs, a reference, one loss an example."""

    kind: ClassVar[Kind] = "pairs"
    uses_reference: ClassVar[bool] = True
    uses_values: ClassVar[bool] = False
    beta: float = 0.1  # how strongly the policy is held to the reference

    @property
    def scores_prompts(self) -> bool:
        return False

    def rewards(self, scores: Scores) -> Tensor:
        return self.beta * (scores.policy - scores.reference)

    def token_count(self, example: Encoded) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Sft:
    """Supervised fine-tuning on demonstrations: the mean negative log-likelihood of their tokens."""

    kind: ClassVar[Kind] = "demonstrations"
    uses_reference: ClassVar[bool] = False
    uses_values: ClassVar[bool] = False

    @property
    def scores_prompts(self) -> bool:
        return False

    def losses(self, scores: Scores) -> Losses:
        return Losses(None, -scores.policy[:, 0])

    def rewards(self, scores: Scores) -> Tensor:
        return scores.policy

    def token_count(self, example: Encoded) -> int:
        return len(example.replies[0])


@dataclass(frozen=True, slots=True)
class Dpo(_Preference):
    """Direct preference optimization, Eq. 7-8; with `sft_weight`, plus so many times the loss of sft on chosen replies.

    What is added is RPO's term (Pang et al., 2024), averaged over tokens as TRL's `loss_type=["sigmoid", "sft"]` does.
    """

    sft_weight: float = 0.0

    def losses(self, scores: Scores) -> Losses:
        preference = losses.dpo(_pair(scores.policy), _pair(scores.reference), beta=self.beta)
        return Losses(preference, -self.sft_weight * scores.policy[:, 0] if self.sft_weight else None)

    def token_count(self, example: Encoded) -> int:
        return len(example.replies[0]) if self.sft_weight else 0


@dataclass(frozen=True, slots=True)
class QMargin(_Preference):
    """DPO with a margin by Q; ours. See `losses.q_margin`."""

    uses_values: ClassVar[bool] = True
    alpha: float = 1.0

    def losses(self, scores: Scores) -> Losses:
        policy, reference, values = _pair(scores.policy), _pair(scores.reference), _pair(scores.values)
        return Losses(losses.q_margin(policy, reference, values, beta=self.beta, alpha=self.alpha), None)


@dataclass(frozen=True, slots=True)
class Ipo(_Preference):
    """Identity preference optimization.

    `average` takes log-probabilities a token, as its authors advise for replies of unequal length and TRL does; 0 takes
    the sums of their paper.
    """

    average: bool = True

    def losses(self, scores: Scores) -> Losses:
        policy, reference = scores.policy, scores.reference
        if self.average:
            policy, reference = policy / _at_least_one(scores.lengths), reference / _at_least_one(scores.lengths)
        return Losses(losses.ipo(_pair(policy), _pair(reference), beta=self.beta), None)


@dataclass(frozen=True, slots=True)
class SimPo(_Preference):
    """Simple preference optimization, without reference."""

    uses_reference: ClassVar[bool] = False
    beta: float = 2.0
    gamma: float = 0.5

    def losses(self, scores: Scores) -> Losses:
        return Losses(losses.simpo(_pair(_average(scores)), beta=self.beta, gamma=self.gamma), None)

    def rewards(self, scores: Scores) -> Tensor:
        return self.beta * _average(scores)


@dataclass(frozen=True, slots=True)
class Orpo(_Preference):
    """Odds ratio preference optimization: `beta` times the odds ratio loss, and the likelihood of the chosen reply.

    The likelihood is averaged over a reply's tokens, then over pairs, as in the paper. With `prompt_likelihood` it is
    averaged over all tokens of prompts and chosen replies at once, as TRL does.
    """

    uses_reference: ClassVar[bool] = False
    prompt_likelihood: bool = False

    @property
    def scores_prompts(self) -> bool:
        return self.prompt_likelihood

    def losses(self, scores: Scores) -> Losses:
        average = _pair(_average(scores))
        preference = self.beta * losses.odds_ratio(average)
        if self.prompt_likelihood:
            return Losses(preference, -(scores.prompts + scores.policy)[:, 0])
        return Losses(preference - average.chosen, None)

    def rewards(self, scores: Scores) -> Tensor:
        return self.beta * _average(scores)

    def token_count(self, example: Encoded) -> int:
        return len(example.prompt) - 1 + len(example.replies[0]) if self.prompt_likelihood else 0


@dataclass(frozen=True, slots=True)
class Kto(_Preference):
    """Kahneman-Tversky optimization on labelled replies. z_0 is estimated once a step, on replies of other trees."""

    kind: ClassVar[Kind] = "labelled"
    chosen_weight: float = 1.0
    rejected_weight: float = 1.0

    def losses(self, scores: Scores) -> Losses:
        loss = losses.kto(
            scores.policy[:, 0],
            scores.reference[:, 0],
            scores.desirable,
            scores.divergence,
            beta=self.beta,
            chosen_weight=self.chosen_weight,
            rejected_weight=self.rejected_weight,
        )
        return Losses(loss, None)


@dataclass(frozen=True, slots=True)
class PlackettLuce(_Preference):
    """All replies in the pairs of a turn, in the order of their Q; ours. See `losses.plackett_luce`."""

    kind: ClassVar[Kind] = "rankings"
    uses_values: ClassVar[bool] = True

    def losses(self, scores: Scores) -> Losses:
        return Losses(losses.plackett_luce(self.rewards(scores), scores.values, scores.present), None)


OBJECTIVES: Mapping[Name, type[Sft | Dpo | Ipo | SimPo | Orpo | Kto | PlackettLuce | QMargin]] = {
    "sft": Sft,
    "dpo": Dpo,
    "ipo": Ipo,
    "simpo": SimPo,
    "orpo": Orpo,
    "kto": Kto,
    "plackett_luce": PlackettLuce,
    "q_margin": QMargin,
}


def make_objective(name: Name, parameters: Mapping[str, float]) -> Objective:
    """The objective of that name; what `parameters` leaves out has its default. Raises InputError."""
    kind = OBJECTIVES[name]
    known = {field.name: field.type for field in fields(kind)}
    for key, value in parameters.items():
        if key not in known:
            raise InputError(f"train.parameters: {name} has {', '.join(known) or 'no parameters'}; found {key}")
        if value < 0 or (key == "beta" and value == 0):
            raise InputError(f"train.parameters.{key}: expected a number above 0 (or 0, but for beta), found {value}")
    switches = {key: bool(value) for key, value in parameters.items() if known[key] == "bool"}
    return kind(**{**parameters, **switches})  # pyright: ignore[reportArgumentType]


def _pair(values: Tensor) -> Logps:
    return Logps(values[:, 0], values[:, 1])


def _average(scores: Scores) -> Tensor:
    return scores.policy / _at_least_one(scores.lengths)


def _at_least_one(lengths: Tensor) -> Tensor:
    return torch.clamp(lengths, min=1)

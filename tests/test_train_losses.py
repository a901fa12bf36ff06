"""Losses by hand, by gradcheck, and against choix."""

from __future__ import annotations

import math
from collections.abc import Callable

import choix
import pytest
import torch
from torch import Tensor

from cso.errors import InputError
from cso.train import losses
from cso.train.losses import Logps
from cso.train.objectives import OBJECTIVES, Scores, make_objective


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


POLICY = Logps(numbers(-10.0, -20.0), numbers(-12.0, -15.0))
REFERENCE = Logps(numbers(-11.0, -19.0), numbers(-11.0, -18.0))  # margins 2 and -4
MEANS = Logps(numbers(-0.5, -1.0), numbers(-0.8, -0.3))


def test_dpo_is_log_two_where_policy_and_reference_agree() -> None:
    assert losses.dpo(POLICY, POLICY, beta=0.5).tolist() == pytest.approx([math.log(2)] * 2)


def test_dpo_by_hand() -> None:
    expected = [math.log(1 + math.exp(-0.5 * 2)), math.log(1 + math.exp(0.5 * 4))]
    assert losses.dpo(POLICY, REFERENCE, beta=0.5).tolist() == pytest.approx(expected)


def test_q_margin_asks_for_the_difference_of_the_values() -> None:
    values = Logps(numbers(0.8, 0.6), numbers(0.3, 0.6))
    expected = [math.log(1 + math.exp(-(0.5 * 2 - 2 * 0.5))), math.log(1 + math.exp(0.5 * 4))]
    assert losses.q_margin(POLICY, REFERENCE, values, beta=0.5, alpha=2).tolist() == pytest.approx(expected)


def test_ipo_by_hand() -> None:
    assert losses.ipo(POLICY, REFERENCE, beta=0.25).tolist() == pytest.approx([0.0, 36.0])


def test_simpo_by_hand() -> None:
    expected = [math.log(1 + math.exp(-(2 * 0.3 - 0.5))), math.log(1 + math.exp(-(2 * -0.7 - 0.5)))]
    assert losses.simpo(MEANS, beta=2, gamma=0.5).tolist() == pytest.approx(expected)


def test_odds_ratio_by_hand() -> None:
    def odds(average: float) -> float:
        return math.exp(average) / (1 - math.exp(average))

    expected = [math.log(1 + odds(-0.8) / odds(-0.5)), math.log(1 + odds(-0.3) / odds(-1.0))]
    assert losses.odds_ratio(MEANS).tolist() == pytest.approx(expected)


def test_odds_are_finite_where_a_reply_is_certain() -> None:
    certain = torch.zeros(1, requires_grad=True)  # float32: probability one
    loss = losses.odds_ratio(Logps(certain, torch.tensor([-1.0])))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_kto_by_hand() -> None:
    loss = losses.kto(
        numbers(-10.0, -10.0),
        numbers(-12.0, -12.0),
        torch.tensor([True, False]),
        torch.tensor(0.5),
        beta=0.1,
        chosen_weight=1.0,
        rejected_weight=0.5,
    )
    gain = 0.1 * (2 - 0.5)
    expected = [1 - 1 / (1 + math.exp(-gain)), 0.5 * (1 - 1 / (1 + math.exp(gain)))]
    assert loss.tolist() == pytest.approx(expected)


def test_plackett_luce_of_two_replies_is_dpo() -> None:
    gains = torch.stack([POLICY.chosen - REFERENCE.chosen, POLICY.rejected - REFERENCE.rejected], dim=1)
    values = torch.tensor([[0.9, 0.1], [0.2, 0.1]], dtype=torch.float64)
    listwise = losses.plackett_luce(0.5 * gains, values, torch.ones(2, 2, dtype=torch.bool))
    assert listwise.tolist() == pytest.approx(losses.dpo(POLICY, REFERENCE, beta=0.5).tolist())


def test_plackett_luce_is_the_likelihood_of_a_ranking_as_choix_has_it() -> None:
    rewards = torch.randn(1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = torch.tensor([[0.3, 0.9, -0.5, 0.1, 0.7, -2.0]], dtype=torch.float64)
    order = values[0].argsort(descending=True).tolist()
    expected = -choix.log_likelihood_rankings([tuple(order)], rewards[0].numpy())
    loss = losses.plackett_luce(rewards, values, torch.ones(1, 6, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected)


def test_plackett_luce_does_not_see_absent_replies_nor_the_order_of_equal_ones() -> None:
    rewards, values = torch.tensor([[0.2, -1.0, 0.7, 5.0]]), torch.tensor([[0.9, 0.4, 0.4, 0.0]])
    present = torch.tensor([[True, True, True, False]])
    swapped = losses.plackett_luce(rewards[:, [0, 2, 1, 3]], values[:, [0, 2, 1, 3]], present)
    assert losses.plackett_luce(rewards, values, present).tolist() == pytest.approx(swapped.tolist())
    by_hand = math.log(sum(map(math.exp, (0.2, -1.0, 0.7)))) - 0.2  # the two worst are equal: nothing to pick
    assert swapped.item() == pytest.approx(by_hand)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "dpo": lambda a, b, c, d: losses.dpo(Logps(a, b), Logps(c, d), beta=0.3),
    "q_margin": lambda a, b, c, d: losses.q_margin(Logps(a, b), Logps(c, d), MEANS, beta=0.3, alpha=0.5),
    "ipo": lambda a, b, c, d: losses.ipo(Logps(a, b), Logps(c, d), beta=0.3),
    "simpo": lambda a, b, c, d: losses.simpo(Logps(a, b), beta=2.0, gamma=0.5),
    "orpo": lambda a, b, c, d: losses.odds_ratio(Logps(-a.exp(), -b.exp())),
    "kto": lambda a, b, c, d: losses.kto(
        a, c, torch.tensor([True, False]), torch.tensor(0.4), beta=0.3, chosen_weight=1.0, rejected_weight=0.7
    ),
    "plackett_luce": lambda a, b, c, d: losses.plackett_luce(
        torch.stack([a, b, c], 1), torch.tensor([[0.3, 0.1, 0.2], [0.5, 0.5, 0.0]]), torch.ones(2, 3, dtype=torch.bool)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    draw = torch.Generator().manual_seed(1)
    inputs = [torch.randn(2, dtype=torch.float64, generator=draw).requires_grad_() for _ in range(4)]
    assert torch.autograd.gradcheck(FUNCTIONS[name], inputs)


def test_no_gradient_flows_to_what_there_is_not() -> None:
    rewards = torch.tensor([[0.2, -1.0, 0.0]], requires_grad=True)
    values, present = torch.tensor([[0.9, 0.4, 0.0]]), torch.tensor([[True, True, False]])
    losses.plackett_luce(rewards, values, present).sum().backward()
    assert rewards.grad is not None
    assert rewards.grad[0, 2] == 0
    assert rewards.grad.isfinite().all()


def scores(policy: list[float], reference: list[float], lengths: list[float]) -> Scores:
    def row(values: list[float]) -> Tensor:
        return torch.tensor([values])

    return Scores(
        policy=row(policy),
        reference=row(reference),
        lengths=row(lengths),
        values=torch.zeros(1, 2),
        present=torch.ones(1, 2, dtype=torch.bool),
        desirable=torch.ones(1, dtype=torch.bool),
        divergence=torch.zeros(()),
        prompts=torch.zeros(1, 2),
    )


def test_ipo_averages_over_tokens_unless_told_to_sum() -> None:
    given = scores([-10, -12], [-11, -11], [2, 4])
    averaged = make_objective("ipo", {"beta": 0.5}).losses(given).examples
    summed = make_objective("ipo", {"beta": 0.5, "average": 0}).losses(given).examples
    assert averaged is not None
    assert summed is not None
    assert averaged.item() == pytest.approx((1 / 2 + 1 / 4 - 1) ** 2)
    assert summed.item() == pytest.approx((1 + 1 - 1) ** 2)


def test_orpo_adds_the_chosen_reply_s_likelihood() -> None:
    given = scores([-10, -12], [0, 0], [5, 4])
    loss = make_objective("orpo", {"beta": 0.3}).losses(given).examples
    assert loss is not None
    expected = 2.0 + 0.3 * losses.odds_ratio(Logps(torch.tensor([-2.0]), torch.tensor([-3.0]))).item()
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_unknown_parameter_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match="temperature"):
        make_objective(name, {"temperature": 1.0})  # type: ignore[arg-type]


def test_beta_must_be_above_zero() -> None:
    with pytest.raises(InputError, match=r"beta: expected a number above 0.*, found 0"):
        make_objective("dpo", {"beta": 0})

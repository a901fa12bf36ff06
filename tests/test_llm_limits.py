"""Limits: requests in flight, the pace, and budgets that are never exceeded."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cso.errors import BudgetSpent, InputError, RequestError
from cso.llm import Budget, BudgetedChat, Completion, Limiter, Message, Request, ScriptedChat, Usage
from cso.llm.limits import Price, estimated_prompt_tokens
from cso.llm.prices import listed_price

QUESTION = Request(model="m", messages=(Message("user", "x" * 276),), temperature=0, max_tokens=100)
TOKENS = 100  # of the question, estimated
PRICES: dict[str, Price | None] = {"m": (1.0, 10.0)}


class Model:
    """Answers after some turns of the event loop, with the tokens that it is told to count."""

    def __init__(self, prompt: int = 100, completion: int = 10, *, fails: bool = False) -> None:
        self.answer = Completion("words", "stop", prompt, completion)
        self.fails = fails
        self.calls = 0
        self.in_flight = 0
        self.most = 0

    async def __call__(self, request: Request) -> Completion:
        self.calls += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        for _ in range(3):
            await asyncio.sleep(0)
        self.in_flight -= 1
        if self.fails:
            raise RequestError("no")
        return self.answer


def spend(budget: Budget, model: Model, asked: int) -> list[Completion | BaseException]:
    """`asked` calls at once."""

    async def work() -> list[Completion | BaseException]:
        chat = BudgetedChat(model, budget)
        return await asyncio.gather(*(chat(QUESTION) for _ in range(asked)), return_exceptions=True)

    return asyncio.run(work())


def test_the_estimate_of_a_prompt_is_a_third_of_its_bytes() -> None:
    assert estimated_prompt_tokens(QUESTION) == TOKENS


def test_usage_is_counted_by_model() -> None:
    budget, model = Budget(PRICES), Model()
    spend(budget, model, 3)
    assert budget.usage == {"m": Usage(3, 300, 30, budget.cost)}
    assert budget.cost == pytest.approx(0.0006)


def test_a_model_without_a_price_has_no_cost_and_neither_has_the_run() -> None:
    budget = Budget({"m": None, "other": (1, 1)})
    spend(budget, Model(), 1)
    assert budget.usage["m"].cost is None
    assert budget.cost is None


def test_a_server_that_counts_no_tokens_is_counted_by_estimate() -> None:
    budget = Budget(PRICES)
    spend(budget, Model(0, 0), 1)
    assert (budget.usage["m"].prompt_tokens, budget.usage["m"].completion_tokens) == (TOKENS, 1)


@pytest.mark.parametrize("most", [0, 1, 5, 12])
def test_no_more_calls_are_made_than_allowed_and_those_are_finished(most: int) -> None:
    model = Model()
    outcomes = spend(Budget(PRICES, max_calls=most), model, 12)
    assert model.calls == most == sum(isinstance(outcome, Completion) for outcome in outcomes)
    assert sum(isinstance(outcome, BudgetSpent) for outcome in outcomes) == 12 - most


@pytest.mark.parametrize("limits", [{"max_tokens": 1000}, {"max_cost": 0.002}])
def test_a_budget_is_never_exceeded_and_nearly_used_up(limits: dict[str, Any]) -> None:
    budget, model = Budget(PRICES, **limits), Model(100, 60)
    outcomes = spend(budget, model, 50)
    usage = budget.usage["m"]
    used = usage.prompt_tokens + usage.completion_tokens if "max_tokens" in limits else usage.cost or 0
    most = limits.get("max_tokens") or limits["max_cost"]
    in_worst_case = 200 if "max_tokens" in limits else 0.0011  # 100 in at $1, 100 out at $10 for a million
    assert most - in_worst_case < used <= most
    assert any(isinstance(outcome, BudgetSpent) for outcome in outcomes)


def test_what_calls_in_flight_might_take_is_kept_back() -> None:
    model = Model(100, 10)
    spend(Budget(PRICES, max_tokens=399), model, 2)  # 200 each at most
    assert (model.calls, model.most) == (2, 1)


def test_failed_calls_cost_nothing() -> None:
    budget, model = Budget(PRICES, max_calls=1), Model(fails=True)
    assert [type(outcome) for outcome in spend(budget, model, 3)] == [RequestError] * 3
    assert budget.usage["m"] == Usage(cost=0.0)


def test_the_message_says_which_limit_is_reached() -> None:
    (outcome,) = spend(Budget(PRICES, max_tokens=150), Model(), 1)
    assert "limits.max_tokens = 150" in str(outcome)


def test_a_cost_limit_without_a_price_is_refused_before_anything_is_spent() -> None:
    with pytest.raises(InputError, match=r"limits\.max_cost: the price of a, b is not known"):
        Budget({"m": (1, 1), "b": None, "a": None}, max_cost=1)


def test_no_more_are_in_flight_than_the_concurrency() -> None:
    model, limiter = Model(), Limiter(3)

    async def one() -> None:
        async with limiter.slot():
            await model(QUESTION)

    async def work() -> None:
        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(work())
    assert (model.calls, model.most) == (20, 3)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that passes when somebody sleeps, and for them alone."""
    clock = SimpleNamespace(now=100.0, slept=[])

    async def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


def take_turns(limiter: Limiter, *tokens: int) -> None:
    async def work() -> None:
        for n in tokens:
            async with limiter.slot(n):
                pass

    runner = asyncio.new_event_loop()
    runner.run_until_complete(work())
    runner.close()


def test_requests_are_spaced_evenly_over_the_minute(clock: SimpleNamespace) -> None:
    take_turns(Limiter(9, requests_per_minute=120), 0, 0, 0)
    assert clock.slept == pytest.approx([0.5, 0.5])


def test_tokens_are_paid_off_before_the_next_request(clock: SimpleNamespace) -> None:
    take_turns(Limiter(9, tokens_per_minute=6000), 300, 100, 0)
    assert clock.slept == pytest.approx([3, 1])


def test_tokens_that_were_estimated_too_high_are_given_back(clock: SimpleNamespace) -> None:
    limiter = Limiter(9, tokens_per_minute=6000)
    take_turns(limiter, 300)
    limiter.correct(estimated=300, used=100)
    take_turns(limiter, 0)
    assert clock.slept == pytest.approx([1])


def test_a_scripted_chat_is_a_function_of_the_request() -> None:
    schema = {"properties": {name: {"enum": [0, 1, 2, 3, 4]} for name in "EIHS"}}
    scored = replace(QUESTION, schema=schema)
    for chat, request in (
        (ScriptedChat("seeker"), QUESTION),
        (ScriptedChat("supporter"), QUESTION),
        (ScriptedChat("strategist"), scored),
        (ScriptedChat("judge"), scored),
    ):
        questions = [replace(request, messages=(Message("user", f"Supporter: {n}"),)) for n in range(30)]
        answers = [chat.answer(question) for question in questions]
        assert answers == [chat.answer(question) for question in questions]
        assert len(set(answers)) > 1
        assert answers != [chat.answer(replace(question, sample=1)) for question in questions]
        assert answers != [replace(chat, seed=1).answer(question) for question in questions]


def test_a_scripted_seeker_ends_as_often_as_told_once_enough_was_said() -> None:
    def share(rounds: int, end: float) -> float:
        prompt = "\n".join(["Seeker: a\nSupporter: b"] * rounds)
        messages = (Message("user", prompt),)
        samples = [replace(QUESTION, messages=messages, sample=sample) for sample in range(400)]
        return (
            sum(ScriptedChat("seeker", end=end, min_rounds=3).answer(sample) == "</end/>" for sample in samples) / 400
        )

    assert share(rounds=2, end=1) == 0
    assert share(rounds=3, end=1) == 1
    assert 0.2 < share(rounds=3, end=0.3) < 0.4


def test_without_the_list_of_prices_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert listed_price("unheard-of-1", None) is None


def test_a_listed_price_is_for_a_million_tokens_at_the_providers_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def calc_price(usage: SimpleNamespace, model: str, *, provider_api_url: str) -> SimpleNamespace:
        if (model, provider_api_url) != ("listed-1", "https://api.openai.com/v1"):
            raise LookupError(model)
        return SimpleNamespace(input_price=usage.input_tokens * 2e-6, output_price=usage.output_tokens * 8e-6)

    listing = ModuleType("genai_prices")
    listing.__dict__.update(calc_price=calc_price, Usage=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "genai_prices", listing)
    assert listed_price("listed-1", None) == pytest.approx((2, 8))
    assert listed_price("listed-1", "http://127.0.0.1:1/v1") is None
    assert listed_price("unlisted-1", None) is None

"""The client, against a real server on this machine that does what servers do on bad days."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cso.errors import CsoError, EndpointError, InputError, RequestError
from cso.llm import Completion, Limiter, Message, Request
from cso.llm.endpoints import Endpoints
from cso.llm.openai import OpenAIChat
from cso.llm.retry import Patience
from server import Call, Reply, Script, Server, completion, failure, in_turn

KEY = "sk-secret-0123456789-abcdef"
FAST = Patience(timeout=5, total=0.1, stranger=0.1, first_wait=0.01, longest_wait=0.02)
STEADY = replace(FAST, total=20, stranger=20)  # for what is expected to work in the end
SCHEMA = {"type": "object", "properties": {"E": {"type": "integer", "enum": [0, 1]}}}
HELLO = Completion("hello", "stop", 30, 10)
QUESTION = Request(
    model="m", messages=(Message("system", "rules"), Message("user", "words")), temperature=0.7, max_tokens=50
)
SCORED = replace(QUESTION, schema=SCHEMA)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


async def ask(server: Server, *requests: Request, patience: Patience = STEADY) -> list[Completion]:
    """Each after the other, by one client."""
    async with OpenAIChat(server.base_url, "TEST_KEY", patience=patience) as chat:
        return [await chat(request) for request in requests]


def answers(script: Script, *requests: Request, patience: Patience = STEADY) -> tuple[list[Completion], Server]:
    with Server(script) as server:
        return asyncio.run(ask(server, *(requests or (QUESTION,)), patience=patience)), server


def error_of(script: Script, *requests: Request, patience: Patience = FAST) -> tuple[CsoError, Server]:
    with Server(script) as server, pytest.raises(CsoError) as caught:
        asyncio.run(ask(server, *(requests or (QUESTION,)), patience=patience))
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value, server


def test_a_request_carries_all_it_should_and_the_completion_comes_back() -> None:
    (answer,), server = answers(in_turn(completion("hello")))
    assert answer == HELLO
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "words"}],
            "temperature": 0.7,
            "max_tokens": 50,
        }
    ]


def test_further_samples_are_sent_with_a_seed() -> None:
    _, server = answers(in_turn(completion("hello")), replace(QUESTION, sample=3))
    assert server.bodies[0]["seed"] == 3


def test_a_schema_is_enforced() -> None:
    _, server = answers(in_turn(completion("{}")), SCORED)
    assert server.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }


def used(prompt: int, said: int) -> Reply:
    """A server that counts tokens in its own way."""
    usage = {"prompt_tokens": prompt, "completion_tokens": said}
    choice = {"message": {"content": "x"}, "finish_reason": "stop"}
    return Reply(json.dumps({"choices": [choice], "usage": usage}).encode())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (completion(""), Completion("", "stop", 30, 10)),
        (completion(None), Completion("", "stop", 30, 10)),
        (completion("half a", finish="length"), Completion("half a", "length", 30, 10)),
        (completion("I can't", finish="content_filter"), Completion("I can't", "refusal", 30, 10)),
        (completion(None, refusal="I won't."), Completion("I won't.", "refusal", 30, 10)),
        (completion("x", usage=False), Completion("x", "stop", 0, 0)),
        (used(-5, 3), Completion("x", "stop", 0, 0)),
        (used(True, 3), Completion("x", "stop", 0, 0)),
        (used(10**400, 3), Completion("x", "stop", 0, 0)),
        (completion("half \ud83d emoji 😀"), Completion("half \ufffd emoji 😀", "stop", 30, 10)),
    ],
)
def test_what_a_server_says_of_its_answer_is_kept(reply: Reply, expected: Completion) -> None:
    (answer,), server = answers(in_turn(reply))
    assert answer == expected
    assert len(server.calls) == 1


def test_content_in_parts_is_joined() -> None:
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}}]}
    (answer,), _ = answers(in_turn(Reply(json.dumps(body).encode())))
    assert answer.text == "hello"


BROKEN = [
    pytest.param(Reply(b"not json at all"), id="not JSON"),
    pytest.param(Reply(b"[" * 100_000), id="deep JSON"),
    pytest.param(Reply(b"<html>busy</html>", headers={"content-type": "text/html"}), id="a web page"),
    pytest.param(Reply(b"{}"), id="no choices"),
    pytest.param(Reply(b'{"choices": []}'), id="empty choices"),
    pytest.param(Reply(b'{"choices": [{"message": null}]}'), id="no message"),
    pytest.param(Reply(b'{"choices": [{"message": {"content": 7}}]}'), id="content that is a number"),
    pytest.param(Reply(b""), id="empty body"),
    pytest.param(Reply(b"\xff\xfe\xfd"), id="not text"),
    pytest.param(Reply(b'{"error": {"code": 503, "message": "later"}}'), id="an error sent as a success"),
    pytest.param(completion("hello").cut(), id="cut before the answer"),
    pytest.param(completion("hello").cut(30), id="cut in the answer"),
    *(pytest.param(failure(status), id=str(status)) for status in (408, 409, 429, 500, 502, 503, 504)),
]


LASTING = [
    failure(500),
    failure(429),
    completion("hello").cut(),
    completion("hello").cut(30),
    Reply(b"<html>busy</html>"),
]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_passing_fault_is_ridden_out(fault: Reply) -> None:
    (answer,), server = answers(in_turn(fault, fault, completion("hello")))
    assert answer == HELLO
    assert len(server.calls) == 3


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_of_a_silent_endpoint_is_the_endpoints(fault: Reply) -> None:
    error, server = error_of(in_turn(fault))
    assert isinstance(error, EndpointError)
    assert server.base_url in str(error)


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_of_one_request_is_its_own_while_others_are_answered(fault: Reply) -> None:
    def script(call: Call) -> Reply:
        return fault if call.body["messages"][1]["content"] == "poison" else completion("hello")

    async def work(server: Server) -> None:
        poison = replace(QUESTION, messages=(Message("system", "rules"), Message("user", "poison")))
        async with OpenAIChat(server.base_url, "TEST_KEY", patience=replace(FAST, total=0.4)) as chat:
            doomed = asyncio.create_task(chat(poison))
            while not doomed.done():
                assert await chat(QUESTION) == HELLO
                await asyncio.sleep(0.005)
            with pytest.raises(RequestError, match="no answer to one request to m"):
                await doomed

    with Server(script) as server:
        asyncio.run(work(server))


def test_a_body_that_is_no_completion_counts_against_the_request_once_the_endpoint_has_answered() -> None:
    error, _ = error_of(in_turn(completion("hello"), Reply(b"{}")), QUESTION, QUESTION)
    assert isinstance(error, RequestError)


def test_a_server_that_hangs_is_asked_again_and_given_up() -> None:
    slow = completion("slow").after(30)
    (answer,), server = answers(in_turn(slow, completion("hello")), patience=replace(STEADY, timeout=0.2))
    assert answer == HELLO
    assert len(server.calls) >= 2
    error, _ = error_of(in_turn(slow), patience=replace(FAST, timeout=0.1))
    assert isinstance(error, EndpointError)
    assert "no answer within 0.1 s" in str(error)


def test_a_cut_connection_that_dribbles_does_not_hold_a_request_up_for_ever() -> None:
    long = completion("hello").cut(10)
    error, _ = error_of(in_turn(replace(long, headers={"content-length": "1000"}).after(0.01)))
    assert isinstance(error, EndpointError)


@pytest.mark.timeout(30)  # of 600 s of patience with an endpoint that is known
def test_nobody_there_is_told_soon() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"

        async def work() -> None:
            async with OpenAIChat(address, "TEST_KEY", patience=replace(FAST, total=600, stranger=0.2)) as chat:
                await chat(QUESTION)

        with pytest.raises(EndpointError, match=address):
            asyncio.run(work())


def test_an_endpoint_that_goes_away_for_a_while_is_waited_for() -> None:
    (first, second), server = answers(
        in_turn(completion("hello"), *[completion("").cut()] * 6, completion("hello")),
        QUESTION,
        QUESTION,
        patience=replace(STEADY, stranger=0.01),
    )
    assert first == second == HELLO
    assert len(server.calls) == 8


def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    def script(call: Call) -> Reply:
        times.append(time.monotonic())
        return failure(429, "slow down", retry_after="0.5") if call.number == 0 else completion("hello")

    times: list[float] = []
    answers(script)
    assert times[1] - times[0] >= 0.5


def test_a_wait_longer_than_patience_is_not_begun() -> None:
    error, server = error_of(in_turn(failure(429, "come back tomorrow", retry_after="86400")))
    assert isinstance(error, EndpointError)
    assert "come back tomorrow" in str(error)
    assert len(server.calls) == 1


@pytest.mark.parametrize("nonsense", ["soon", "-5", "nan", ""])
def test_a_wait_that_cannot_be_read_is_ours_to_choose(nonsense: str) -> None:
    (answer,), _ = answers(in_turn(failure(429, retry_after=nonsense), completion("hello")))
    assert answer == HELLO


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_at_once_and_names_the_variable_not_the_key(status: int) -> None:
    error, server = error_of(in_turn(failure(status, f"Incorrect API key provided: {KEY}. Bearer {KEY}")))
    assert isinstance(error, EndpointError)
    assert "$TEST_KEY was not accepted" in str(error)
    assert len(server.calls) == 1


def test_a_missing_key_is_said_to_be_missing_where_the_server_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    error, _ = error_of(in_turn(failure(401)))
    assert "$TEST_KEY is not set" in str(error)


def test_openai_itself_is_not_asked_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "  ")
    with pytest.raises(InputError, match="TEST_KEY"):
        OpenAIChat(None, "TEST_KEY")


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    assert answers(in_turn(completion("hello")))[0] == [HELLO]


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-abc\nX-Evil: 1")
    with pytest.raises(InputError) as caught:
        OpenAIChat("http://127.0.0.1:1/v1", "TEST_KEY")
    assert "sk-abc" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost/v1", "ftp://x/v1", "http://", "http://x:port/v1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="base_url"):
        OpenAIChat(address, "TEST_KEY")


def test_secrets_in_an_address_are_not_shown() -> None:
    with Server(in_turn(failure(403))) as server:
        address = server.base_url.replace("http://", "http://me:hidden@") + "?token=hidden"

        async def work() -> None:
            async with OpenAIChat(address, "TEST_KEY", patience=FAST) as chat:
                await chat(QUESTION)

        with pytest.raises(EndpointError) as caught:
            asyncio.run(work())
    assert "hidden" not in str(caught.value)
    assert server.base_url in str(caught.value)


@pytest.mark.parametrize(
    "refusal",
    [
        failure(404, "The model `m` does not exist", code="model_not_found"),
        failure(404, "Not Found"),
        failure(400, "model 'm' not found, try pulling it first"),
    ],
)
def test_an_unknown_model_stops_at_once_and_is_named(refusal: Reply) -> None:
    error, server = error_of(in_turn(refusal))
    assert isinstance(error, EndpointError)
    assert "'m'" in str(error)
    assert server.base_url in str(error)
    assert len(server.calls) == 1


@pytest.mark.parametrize("refusal", [failure(429, "quota", code="insufficient_quota"), failure(402, "top up")])
def test_an_account_without_credit_is_not_waited_for(refusal: Reply) -> None:
    error, server = error_of(in_turn(refusal))
    assert isinstance(error, EndpointError)
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_for_good_is_its_own_fault(status: int) -> None:
    error, server = error_of(in_turn(failure(status, "maximum context length is 8192 tokens")))
    assert isinstance(error, RequestError)
    assert "maximum context length" in str(error)
    assert len(server.calls) == 1


def form(body: dict[str, Any]) -> str:
    return body.get("response_format", {}).get("type", "prompt")


def takes(accepted: Callable[[dict[str, Any]], bool], refusal: Reply) -> Script:
    return lambda call: completion("hello") if accepted(call.body) else refusal


@pytest.mark.parametrize("status", [400, 422, 501])
@pytest.mark.parametrize("most", ["json_object", "prompt"])
def test_the_form_that_a_server_can_enforce_is_found_once(status: int, most: str) -> None:
    forms = ["json_schema", "json_object", "prompt"]
    script = takes(lambda body: forms.index(form(body)) >= forms.index(most), failure(status, "unknown field"))
    _, server = answers(script, SCORED, SCORED, SCORED)
    assert [form(body) for body in server.bodies] == [*forms[: forms.index(most)], most, most, most]


def test_a_server_error_that_names_the_schema_lowers_the_form() -> None:
    script = takes(lambda body: form(body) != "json_schema", failure(500, "response_format is not implemented"))
    _, server = answers(script, SCORED)
    assert [form(body) for body in server.bodies] == ["json_schema", "json_object"]


def test_a_request_that_no_form_helps_does_not_lower_it_for_others() -> None:
    def script(call: Call) -> Reply:
        return failure(400, "too long") if call.body["messages"][1]["content"] == "long" else completion("{}")

    async def work(server: Server) -> None:
        long = replace(SCORED, messages=(Message("system", "rules"), Message("user", "long")))
        async with OpenAIChat(server.base_url, "TEST_KEY", patience=FAST) as chat:
            with pytest.raises(RequestError, match="too long"):
                await chat(long)
            await chat(SCORED)

    with Server(script) as server:
        asyncio.run(work(server))
    assert [form(body) for body in server.bodies] == ["json_schema", "json_object", "prompt", "json_schema"]


def test_each_model_has_its_own_form() -> None:
    script = takes(lambda body: body["model"] == "able" or form(body) == "prompt", failure(400))
    _, server = answers(script, SCORED, replace(SCORED, model="able"))
    assert form(server.bodies[-1]) == "json_schema"


@pytest.mark.parametrize(
    ("message", "accepted"),
    [
        ("Use 'max_completion_tokens' instead.", lambda body: body.get("max_completion_tokens") == 50),
        ("'temperature' does not support 0.7 with this model.", lambda body: "temperature" not in body),
        ("Extra inputs are not permitted: seed", lambda body: "seed" not in body),
        (
            "System role not supported",
            lambda body: body["messages"] == [{"role": "user", "content": "rules\n\nwords"}],
        ),
    ],
)
def test_what_a_model_does_not_take_is_found_out_once(message: str, accepted: Callable[[dict[str, Any]], bool]) -> None:
    question = replace(SCORED, sample=1)
    _, server = answers(takes(accepted, failure(400, message)), question, question)
    assert len(server.calls) == 3
    assert form(server.bodies[-1]) == "json_schema"


def test_a_complaint_is_read_without_the_request_that_it_repeats() -> None:
    problem = {
        "loc": ["body", "response_format"],
        "msg": "unknown",
        "input": "the temperature of max_completion_tokens",
    }
    refusal = Reply(json.dumps({"detail": [problem]}).encode(), 422)
    _, server = answers(takes(lambda body: form(body) == "prompt", refusal), SCORED)
    assert all("temperature" in body and "max_tokens" in body for body in server.bodies)


def test_no_more_requests_are_in_flight_than_the_limit_and_waiting_takes_no_slot() -> None:
    def script(call: Call) -> Reply:
        return failure(503, retry_after="15") if call.number < 4 else completion("hello").after(0.01)

    async def work(server: Server) -> None:
        async with OpenAIChat(server.base_url, "TEST_KEY", patience=STEADY, limiter=Limiter(4)) as chat:
            waiting = [asyncio.create_task(chat(QUESTION)) for _ in range(4)]
            while len(server.calls) < 4:
                await asyncio.sleep(0.01)
            await asyncio.gather(*(chat(QUESTION) for _ in range(20)))
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    with Server(script) as server:
        asyncio.run(work(server))
    assert server.most_in_flight <= 4


def test_more_requests_than_one_client_takes_are_in_flight_at_once() -> None:
    async def work(server: Server) -> None:
        async with OpenAIChat(server.base_url, "TEST_KEY", patience=STEADY, limiter=Limiter(80)) as chat:
            await asyncio.gather(*(chat(QUESTION) for _ in range(80)))

    with Server(in_turn(completion("hello").after(0.7))) as server:
        asyncio.run(work(server))
    assert server.most_in_flight == 80


def test_roles_at_one_endpoint_share_a_client() -> None:
    async def work() -> None:
        async with Endpoints(patience=FAST, limiter=Limiter(1)) as endpoints:
            one = endpoints.chat("http://127.0.0.1:1/v1", "TEST_KEY")
            assert endpoints.chat("http://127.0.0.1:1/v1", "TEST_KEY") is one
            assert endpoints.chat("http://127.0.0.1:2/v1", "TEST_KEY") is not one

    asyncio.run(work())


def test_cancelled_requests_leave_the_client_usable() -> None:
    slow = replace(QUESTION, messages=(Message("system", "rules"), Message("user", "slowly")))

    def script(call: Call) -> Reply:
        return completion("hello").after(20 if call.body["messages"][1]["content"] == "slowly" else 0)

    async def work(server: Server) -> None:
        async with OpenAIChat(server.base_url, "TEST_KEY", patience=STEADY, limiter=Limiter(8)) as chat:
            tasks = [asyncio.create_task(chat(slow)) for _ in range(8)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await chat(QUESTION) == HELLO

    with Server(script) as server:
        asyncio.run(work(server))

"""Models in this process by vLLM, against a stand-in for its engine: it needs a GPU, which tests do not have."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cso.errors import InputError, RequestError
from cso.llm.chat import Message, Request
from cso.llm.limits import Limiter
from cso.llm.vllm import VLLMChat


@dataclass
class Engine:
    """Says how many tokens it was given; refuses more than 20."""

    model: str
    told: list[tuple[Any, str]] = field(default_factory=list)

    async def get_tokenizer(self) -> Any:
        def template(messages: Sequence[dict[str, str]], **told: Any) -> list[int]:
            assert told == {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
            return [1 for message in messages for _ in message["content"].split()]

        return SimpleNamespace(apply_chat_template=template)

    async def generate(self, prompt: dict[str, list[int]], params: Any, *, request_id: str) -> AsyncGenerator[Any]:
        tokens = prompt["prompt_token_ids"]
        if len(tokens) > 20:
            raise ValueError("longer than the model's 20 tokens")
        self.told.append((params, request_id))
        for said in ("I", f"I heard {len(tokens)}"):
            words = said.split()[: params.max_tokens]
            reason = "length" if len(words) < len(said.split()) else "stop"
            yield SimpleNamespace(
                outputs=[SimpleNamespace(text=" ".join(words), token_ids=words, finish_reason=reason)]
            )


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    made: list[Engine] = []

    def from_engine_args(told: Any) -> Engine:
        if told.model == "missing":
            raise OSError("no such model")
        made.append(Engine(told.model))
        return made[-1]

    vllm, sampling = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    parts: dict[str, Any] = {
        "AsyncEngineArgs": SimpleNamespace,
        "SamplingParams": SimpleNamespace,
        "AsyncLLMEngine": SimpleNamespace(from_engine_args=from_engine_args),
    }
    for name, part in parts.items():
        setattr(vllm, name, part)
    setattr(sampling, "StructuredOutputsParams", SimpleNamespace)  # noqa: B010
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
    monkeypatch.setattr("cso.llm.vllm.find_spec", lambda name: object())  # pyright: ignore
    return made


def request(words: str = "how are you", **more: Any) -> Request:
    told: dict[str, Any] = {"model": "m", "temperature": 0.5, "max_tokens": 9, **more}
    return Request(messages=(Message("system", "be kind"), Message("user", words)), **told)


def test_an_engine_is_loaded_once_and_told_what_the_request_says(engines: list[Engine]) -> None:
    chat = VLLMChat(Limiter(4))
    schema = {"type": "object"}

    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(chat(request(sample=sample, schema=schema)) for sample in range(3))))

    found = asyncio.run(ask())
    assert [engine.model for engine in engines] == ["m"]
    assert {(each.text, each.finish, each.prompt_tokens, each.completion_tokens) for each in found} == {
        ("I heard 5", "stop", 5, 3)
    }
    told = [params for params, _ in engines[0].told]
    assert [params.seed for params in told] == [0, 1, 2]
    assert {(params.temperature, params.max_tokens) for params in told} == {(0.5, 9)}
    assert [params.structured_outputs.json for params in told] == [schema] * 3
    assert len({number for _, number in engines[0].told}) == 3


def test_an_answer_that_is_cut_off_is_told(engines: list[Engine]) -> None:
    found = asyncio.run(VLLMChat(Limiter(1))(request(max_tokens=2)))
    assert (found.text, found.finish) == ("I heard", "length")


def test_what_vllm_cannot_do_is_an_error_of_ours(engines: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="longer than the model's 20 tokens"):
        asyncio.run(VLLMChat(Limiter(1))(request("word " * 30)))
    with pytest.raises(InputError, match="model missing: expected one that vLLM can load"):
        asyncio.run(VLLMChat(Limiter(1))(request(model="missing")))
    monkeypatch.setattr("cso.llm.vllm.find_spec", lambda name: None)  # pyright: ignore
    with pytest.raises(InputError, match="pip install vllm"):
        VLLMChat(Limiter(1))

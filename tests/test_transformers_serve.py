"""A real server with a real model that has learned nothing: noise is the worst answer there is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import cso
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import AnswerError
from cso.llm import Answers, Chat, Limiter, RememberedChat
from cso.llm.openai import OpenAIChat
from cso.llm.retry import Patience
from cso.roles import chat_roles, load_rubric
from cso.search import Cast
from cso.settings import Role, Settings, settings_from
from cso.store import Run
from cso.taxonomy import load_taxonomy
from serving import served

pytestmark = [pytest.mark.slow, pytest.mark.long]
pytest.importorskip("torch", reason="needs torch and transformers[serving]")
pytest.importorskip("transformers", reason="needs torch and transformers[serving]")

ESC8 = load_taxonomy("esc8")
SAVE = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {token: place for place, token in enumerate(["<s>", "</s>", *letters])}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
fast.chat_template = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\\n{% endfor %}assistant: "
)
fast.save_pretrained(sys.argv[1])
config = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=16384, bos_token_id=0, eos_token_id=1,
)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address and the model's name of `transformers serve` on this machine."""
    folder = tmp_path_factory.mktemp("serve")
    model = folder / "tiny"
    subprocess.run([sys.executable, "-c", SAVE, str(model)], check=True, capture_output=True)
    with served(model, folder) as address:
        yield address, str(model)


def test_noise_ends_every_role_with_a_value_or_a_typed_reason(server: tuple[str, str], tmp_path: Path) -> None:
    address, model = server
    settings = settings_from({"cast": {"kind": "llm", "default": {"model": model, "max_tokens": 16}}}, source="test")
    roles = chat_roles(settings.cast, ESC8, load_rubric("esc"))
    path = tmp_path / "answers.jsonl"
    outcomes = asyncio.run(ask_everything(address, roles.cast, path))
    assert len(outcomes) == 8
    for outcome in outcomes:
        assert not isinstance(outcome, AnswerError) or outcome.reason in ("unreadable", "empty", "cut off")
    assert any(isinstance(outcome, AnswerError) for outcome in outcomes)  # no scores come out of noise
    nowhere = "http://127.0.0.1:9/v1"
    assert [str(outcome) for outcome in asyncio.run(ask_everything(nowhere, roles.cast, path))] == [*map(str, outcomes)]


def test_a_search_on_noise_ends_by_itself_with_typed_reasons(server: tuple[str, str], tmp_path: Path) -> None:
    address, model = server
    run = tmp_path / "run"
    told = ("--base-url", address, "--model", model, "--set", "cast.default.max_tokens=8")
    done = cso("search", "bundled", "--limit", 2, "--out", run, *told)
    assert done.returncode == 1, done.stderr
    for path in (run / "trees").iterdir():
        assert "no usable answer in 3 attempts; the last was" in json.loads(path.read_text())["failure"]["message"]
    assert "2 failed" in done.stdout or "0 of 2 trees grown" in done.stdout


def test_a_served_model_is_evaluated_and_a_noisy_judge_is_refused(server: tuple[str, str], tmp_path: Path) -> None:
    address, model = server
    Run.create(tmp_path / "run", Settings(), ESC8).save_seeds([])
    few = ("evaluate.per_stage=1", "evaluate.max_tokens=12", "evaluate.temperature=1", "evaluate.draws=20")
    told = ("--model", model, "--base-url", address, "--name", "noise")
    done = cso("evaluate", tmp_path / "run", *told, *(part for each in few for part in ("--set", each)))
    assert done.returncode == 0, done.stderr
    assert "no reply had a readable strategy" in done.stdout
    rows = (tmp_path / "run/evaluation/noise/replies.jsonl").read_text().splitlines()
    assert len(rows) == 6
    judged = cso("judge", tmp_path / "run", "noise", "--model", model, "--base-url", address)
    assert judged.returncode == 2
    assert "expected marks, could read none in 6 answers" in judged.stderr


async def ask_everything(address: str, cast_for: Callable[[Callable[[Role], Chat]], Cast], path: Path) -> list[object]:
    """Two samples of each role's answer, by what is remembered at `path` or by the server."""
    patience = Patience(timeout=60, total=60)
    async with OpenAIChat(address, None, patience=patience, limiter=Limiter(4)) as chat:
        answers = Answers(path)
        cast = cast_for(lambda role: RememberedChat(chat, answers, role))
        return await asyncio.gather(*(outcome(call) for sample in range(2) for call in calls(cast, sample)))


def calls(cast: Cast, sample: int) -> list[Coroutine[Any, Any, object]]:
    turns = (Turn(Speaker.SEEKER, "I failed."), Turn(Speaker.SUPPORTER, "At what?", "Affirmation"))
    heard = Dialogue("d", turns, "An exam.", "shame")
    spoken = heard.with_turns((*turns, Turn(Speaker.SEEKER, "At everything.")))
    return [
        cast.seeker(heard, sample=sample),
        cast.supporter(spoken, ESC8.strategies[0], sample=sample),
        cast.strategist(spoken, sample=sample),
        cast.judge(heard, sample=sample),
    ]


async def outcome(call: Coroutine[Any, Any, object]) -> object:
    """What a role says, or why it cannot; any other error is one of ours."""
    try:
        return await call
    except AnswerError as error:
        return error

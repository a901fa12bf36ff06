"""On a GPU: FlexAttention computes what eager attention does, and training, scores and replies are as on a CPU."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from cso.evaluate.local import load_local
from cso.settings import ModelSettings
from cso.taxonomy import load_taxonomy
from cso.train import train
from cso.train.flex import BLOCK, NAME
from cso.train.logps import reply_logps
from cso.train.pack import Pack, build_pack
from small_training import furthest, save_model, save_pairs, settings, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

VOCABULARY = 100
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # the kernel has none below
    "pad_token_id": 0,
}
SLIDING: dict[str, Any] = {"sliding_window": 50, "query_pre_attn_scalar": 16}
KINDS = ["sliding_attention", "full_attention"]


def model_of(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    match name:
        case "llama":
            model = LlamaForCausalLM(LlamaConfig(**SIZES))
        case "qwen3":
            model = Qwen3ForCausalLM(Qwen3Config(**SIZES))
        case "gemma2":  # caps scores
            model = Gemma2ForCausalLM(Gemma2Config(**SIZES, **SLIDING))
        case _:
            model = Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **SLIDING, layer_types=KINDS))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # far from uniform, so that a wrong mask shows
    return model.eval().to("cuda")  # pyright: ignore[reportCallIssue, reportArgumentType, reportReturnType, reportUnknownMemberType]


def pack(prompt: int, *, seed: int = 0) -> Pack:
    """Two trees of five replies, one of which begins another."""
    draw = random.Random(seed)

    def words(count: int) -> list[int]:
        return [draw.randrange(1, VOCABULARY) for _ in range(count)]

    replies = [words(20) for _ in range(4)]
    trees = [(words(prompt), [*replies, replies[0][:9]]) for _ in range(2)]
    sequences = [(opening, reply) for opening, group in trees for reply in group]
    return build_pack(sequences, multiple=BLOCK).to("cuda")


def logps_and_gradients(model: PreTrainedModel, attention: str, *, bf16: bool) -> tuple[Tensor, list[Tensor]]:
    model.set_attn_implementation(attention)
    model.zero_grad()
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        logps, _ = reply_logps(model, pack(200), model)
    (logps * torch.linspace(-1, 1, len(logps), device="cuda")).sum().backward()
    return logps.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.fixture(autouse=True)
def no_silent_fallback() -> Iterator[None]:
    """A kernel that is compiled too often would be run uncompiled, slowly and without a word."""
    import torch._dynamo as dynamo

    dynamo.reset()
    with dynamo.config.patch(fail_on_recompile_limit_hit=True):  # pyright: ignore
        yield


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2", "gemma3"])
def test_flex_attention_has_the_log_probabilities_and_gradients_of_eager_attention(name: str, bf16: bool) -> None:
    model = model_of(name)
    expected, slopes = logps_and_gradients(model, "eager", bf16=bf16)
    found, ours = logps_and_gradients(model, NAME, bf16=bf16)
    assert torch.allclose(found, expected, rtol=2e-2 if bf16 else 1e-4)
    scale = max(float(slope.abs().max()) for slope in slopes)
    for one, other in zip(ours, slopes, strict=True):
        assert float((one - other).abs().max()) < (0.1 if bf16 else 1e-3) * scale


def test_packs_of_many_lengths_need_few_kernels() -> None:
    model = model_of("gemma2").train()
    model.set_attn_implementation(NAME)
    for length in range(40, 1200, 100):
        for grad in (True, False):
            with torch.set_grad_enabled(grad), torch.autocast("cuda", torch.bfloat16):
                logps, _ = reply_logps(model, pack(length, seed=length), model)
            if grad:
                logps.sum().backward()
            assert logps.isfinite().all()


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_a_training_in_bfloat16_follows_that_of_a_cpu(
    objective: str, tuning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_model(tmp_path / "model", hidden_size=64, intermediate_size=96)
    pairs = save_pairs(tmp_path / "pairs.jsonl", trees=8)
    rate = 1e-3 if tuning == "full" else 1e-2
    told = settings(model, objective=objective, tuning=tuning, learning_rate=rate, validation=0.2)
    on_gpu = train(pairs, tmp_path / "gpu", told)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = train(pairs, tmp_path / "cpu", told)
    (losses, expected) = ([entry["loss"] for entry in each.log if "loss" in entry] for each in (on_gpu, on_cpu))
    assert losses == pytest.approx(expected, rel=0.02)
    after = weights(on_cpu.folder)
    moved = (
        furthest(after, weights(model))
        if tuning == "full"
        else max(float(after[name].abs().max()) for name in after if "lora_B" in name)  # which begins at 0
    )
    assert furthest(weights(on_gpu.folder), after) < moved, "an untrained one is as far as that"


def test_strategies_and_replies_are_those_of_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path / "model", hidden_size=64, intermediate_size=96)
    asked = [[{"role": "user", "content": f"I cannot sleep, {'and again ' * count}"}] for count in range(9)]
    esc8 = load_taxonomy("esc8")
    found: list[tuple[list[Any], list[Any]]] = []
    for gpu in (True, False):
        if not gpu:
            monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        local = load_local(ModelSettings(name=str(folder), precision="fp32"), esc8, max_length=512)
        prompts = local.prompts(asked)  # pyright: ignore[reportArgumentType]
        found.append((sorted(local.choose(prompts, esc8)), sorted(local.write(prompts, max_tokens=12))))
    (chosen, written), (expected, texts) = found
    assert written == texts
    for (_, one), (_, other) in zip(chosen, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4)

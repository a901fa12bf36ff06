"""A model of a few thousand parameters and preferences of a few made-up trees, to train in a second."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cso.corpora import read_corpus
from cso.settings import ModelSettings, TrainSettings
from cso.taxonomy import load_taxonomy
from cso.train.tiny import make_tokenizer

STRATEGIES = load_taxonomy("esc8").names
WORDS = "I feel you can talk about work and home what helps when it is hard to sleep or to say no".split()  # noqa: SIM905


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    esc8 = load_taxonomy("esc8")
    return make_tokenizer(read_corpus("bundled", esc8).dialogues[:10], esc8)


def save_model(folder: Path, **changes: Any) -> Path:
    """A random Llama with tokenizer and chat template."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer()),
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    LlamaForCausalLM(LlamaConfig(**sizes | changes)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def rows(trees: int = 5, turns: int = 3, rejected: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs as `cso extract` writes them: at each turn the chosen reply against several rejected ones."""
    draw = random.Random(seed)

    def words() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randrange(2, 7)))

    def reply(strategy: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": f"({strategy}) {words()}"}]

    found: list[dict[str, Any]] = []
    for tree in range(trees):
        prompt = [{"role": "system", "content": "Support."}, {"role": "user", "content": words()}]
        for turn in range(turns):
            good, *others = draw.sample(STRATEGIES, rejected + 1)
            chosen = reply(good)
            found += [
                {
                    "prompt": list(prompt),
                    "chosen": chosen,
                    "rejected": reply(bad),
                    "dialogue": f"tree-{tree}",
                    "turn": turn + 1,
                    "chosen_strategy": good,
                    "rejected_strategy": bad,
                    "chosen_q": 0.9 - 0.1 * place,
                    "rejected_q": 0.2 - 0.3 * place,
                }
                for place, bad in enumerate(others)
            ]
            prompt += [*chosen, {"role": "user", "content": words()}]
    return found


def save_pairs(path: Path, **shape: int) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(**shape)), encoding="utf-8")
    return path


def settings(model: Path | str, **changes: Any) -> TrainSettings:
    values: dict[str, Any] = {
        "model": ModelSettings(name=str(model)),
        "tuning": "full",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 3e-3,
    }
    return TrainSettings(**values | changes)


def weights(folder: Path) -> dict[str, Tensor]:
    """What was saved: the model's or the adapter's tensors."""
    adapter = folder / "adapter_model.safetensors"
    return load_file(adapter if adapter.exists() else folder / "model.safetensors")


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference between two models."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)

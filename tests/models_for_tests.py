"""Random models of four families with tokenizers that have the official chat templates (TRL ships them); and pairs.

Attention is grouped; Gemma-2's slides over fewer tokens than any prompt has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from cso.train.examples import Example
from cso.transcript import Message

SYSTEM = "You are an emotional supporter. Reply with a strategy in brackets and one sentence."
VOCABULARY = 420
WINDOW = 16
TEXTS = (
    SYSTEM,
    "I lost my job and I feel so tired. I cannot sleep at night. My sister does not call me any more.",
    "(Question) What happened? (Reflection) That sounds hard. (Suggestions) You could rest. (Others) Oh no.",
    "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024",
    "user assistant model <think>\n\n</think>\n\n",
)


@dataclass(frozen=True, slots=True)
class Family:
    """What the tokenizers of a family have of their own."""

    template: str  # its name among those of TRL
    begin: str | None  # the token that the template and the tokenizer begin with
    end_of_turn: str
    pad: str
    others: tuple[str, ...] = ()


FAMILIES: Mapping[str, Family] = {
    "llama": Family(
        "llama3_1",
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
        ("<|start_header_id|>", "<|end_header_id|>"),
    ),
    "qwen2": Family("qwen2_5", None, "<|im_end|>", "<|endoftext|>", ("<|im_start|>",)),
    "gemma2": Family("gemma", "<bos>", "<end_of_turn>", "<pad>", ("<start_of_turn>",)),
    "qwen3": Family("qwen3", None, "<|im_end|>", "<|endoftext|>", ("<|im_start|>", "<think>", "</think>")),
}


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE which, as the families' own, adds the token that begins a text unless told not to."""
    family = FAMILIES[name]
    special = [token for token in (family.pad, family.begin, family.end_of_turn, *family.others) if token is not None]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\r\n]+| ?[^\s]+|\s+"), "isolated"),  # no token holds lines and words
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if family.begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.begin} $A", special_tokens=[(family.begin, tokenizer.token_to_id(family.begin))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=family.begin,
        eos_token=family.end_of_turn,
        pad_token=family.pad,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = official_template(family.template)
    return fast


def official_template(name: str) -> str:
    """A chat template that is installed with TRL."""
    trl = find_spec("trl")
    assert trl is not None
    assert trl.origin is not None
    return (Path(trl.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def model_of(name: str, seed: int = 0) -> PreTrainedModel:
    """Two layers of grouped-query attention in float32; what it says is far from uniform."""
    tokenizer = tokenizer_of(name)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": 0.08,
    }
    torch.manual_seed(seed)
    match name:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**sizes))
        case "qwen2":
            del sizes["head_dim"]
            return Qwen2ForCausalLM(Qwen2Config(**sizes))
        case "gemma2":
            sizes |= {"sliding_window": WINDOW, "query_pre_attn_scalar": 8, "attn_implementation": "eager"}
            return Gemma2ForCausalLM(Gemma2Config(**sizes))
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**sizes))
        case _:
            raise ValueError(name)


def perturbed(model: PreTrainedModel, *, seed: int = 1, scale: float = 0.02) -> PreTrainedModel:
    """A copy whose weights have moved a little, each by noise of its own."""
    copy = deepcopy(model)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=scale)
    return copy


def said(role: Literal["system", "user", "assistant"], content: str) -> Message:
    return {"role": role, "content": content}


def trees() -> list[Example]:
    """Pairs of two dialogues: at each turn one reply chosen over two; and a turn on the branch of a rejected reply."""
    found: list[Example] = []

    def turn(tree: str, prompt: list[Message], user: str, *replies: str) -> list[Message]:
        asked = [*prompt, said("user", user)]
        for other in replies[1:]:
            source = f"row {len(found) + 1}"
            found.append(Example(prompt=tuple(asked), replies=(replies[0], other), tree=tree, source=source))
        return asked

    opening = [said("system", SYSTEM)]
    good, bad, best = "(Question) What happened?", "(Question) When did you sleep?", "(Reflection) That sounds hard."
    asked = turn("job", opening, "I lost my job and I feel so tired.", good, bad, "(Others) Oh no.")
    then = [*asked, said("assistant", good)]
    asked = turn("job", then, "They closed the shop.", best, "(Others) Shops close.", "(Question) Why?")
    turn(
        "job", [*asked, said("assistant", best)], "It is.", "(Question) Who can help?", "(Others) Yes.", "(Others) No."
    )
    turn("job", [*then[:-1], said("assistant", bad)], "At four.", "(Reflection) So late.", "(Others) Hm.")
    asked = turn("sister", opening, "My sister does not call me any more.", best, "(Others) Mine does.", good)
    turn("sister", [*asked, said("assistant", best)], "We fought.", "(Question) What about?", "(Others) I see.")
    return found


def awkward(family: str) -> list[Example]:
    """Pairs of one prompt: what begins the other, the same words, the same pair twice and once the other way round."""
    prompt = (said("system", SYSTEM), said("user", "I cannot sleep at night."))
    end = FAMILIES[family].end_of_turn
    replies = [
        ("You could rest.", f"You could rest.{end}\nNow."),  # with the end of its turn, the first begins the other
        ("(Question) What happened? You could rest.", "(Question) What happened?"),
        ("(Question) You could rest.", "(Suggestions) You could rest."),
        ("(Suggestions) You could rest.", "(Question) You could rest."),
        ("I", "You could rest."),
        ("I", "You could rest."),
    ]
    return [
        Example(prompt=prompt, replies=pair, tree="sleep", source=f"row {row}") for row, pair in enumerate(replies, 1)
    ]


def dataset(family: str, examples: Sequence[Example], *columns: str, **more: Sequence[object]) -> Dataset:
    """In TRL's form: the prompt, the replies in `columns`, and other columns.

    Gemma's template refuses a system message; as we do, its text is put before the first user message.
    """
    rows: list[dict[str, object]] = []
    for place, example in enumerate(examples):
        prompt = [{"role": message["role"], "content": message["content"]} for message in example.prompt]
        if family == "gemma2":
            system, first, *rest = prompt
            prompt = [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest]
        replies = [[{"role": "assistant", "content": reply}] for reply in example.replies]
        others = {name: values[place] for name, values in more.items()}
        rows.append({"prompt": prompt, **dict(zip(columns, replies, strict=True)), **others})
    return Dataset.from_list(rows)

"""The embedded backbone: a small Llama with its own tokenizer and chat template, trained on the bundled corpus.

It lets everything run with no download. It chooses strategies, poorly; its sentences are not English. Each strategy's
tag is one token, so another taxonomy has a backbone of its own, which `tiny_for` makes.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import math
import os
import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from filelock import FileLock
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker, dialogue_to_json
from cso.errors import InputError, StoreError
from cso.taxonomy import Taxonomy, load_taxonomy
from cso.train.logps import reply_logps
from cso.train.pack import build_pack
from cso.train.trie import Tokens
from cso.transcript import prompt, system_message, utterance

PAD, END, SYSTEM, USER, ASSISTANT = "<pad>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TINY = "tiny"
MOST = 200  # dialogues that a backbone is made from: more take long, and it learns little from them
VOCABULARY = 2048
HIDDEN, LAYERS, HEADS = 128, 2, 2
EPOCHS, DIALOGUES_PER_STEP, LEARNING_RATE = 8, 2, 3e-3
TAG_WEIGHT = 1.0  # of the mean loss of strategy tags beside that of all tokens
VERSION = 1  # to be raised when anything here changes what is made


def is_tiny(name: str) -> bool:
    """Whether a model's name is `tiny`, or one that `tiny_for` gives."""
    return re.fullmatch(rf"{TINY}(-[0-9a-f]{{12}})?", name) is not None


def tiny_folder(name: str = TINY, say: Callable[[str], None] = lambda _: None) -> Path:
    """Where a backbone lies: in $CSO_CACHE, else in the user's cache. `tiny` is made where it is not there yet.

    Raises StoreError where it cannot be kept, InputError for one that `tiny_for` has not made on this machine.
    """
    if name == TINY:
        taxonomy = load_taxonomy("esc8")
        return _kept(taxonomy, read_corpus("bundled", taxonomy).dialogues, say)
    if not (folder := _cache() / name).exists():
        raise InputError(
            f"model {name}: expected it in {folder}, where the commands on a run put it, found none; give that run and "
            f"`{TINY}`, and it is made again"
        )
    return folder


def tiny_for(taxonomy: Taxonomy, dialogues: Sequence[Dialogue], say: Callable[[str], None] = lambda _: None) -> str:
    """The name of a backbone that has a token for each strategy's tag: `tiny` where the strategies are those of `esc8`,
    else one that is made from `dialogues`, at most 200 of them, where it is not there yet. Raises StoreError.
    """
    if system_message(taxonomy) == system_message(load_taxonomy("esc8")):
        return TINY
    drawn = dialogues if len(dialogues) <= MOST else random.Random(0).sample(dialogues, MOST)
    return _kept(taxonomy, drawn, say).name


def _cache() -> Path:
    return Path(os.environ.get("CSO_CACHE") or Path.home() / ".cache" / "cso")


def _kept(taxonomy: Taxonomy, dialogues: Sequence[Dialogue], say: Callable[[str], None]) -> Path:
    """The folder of the backbone that is made of these, and of nothing else."""
    content = [VERSION, [dialogue_to_json(dialogue) for dialogue in dialogues], system_message(taxonomy)]
    cache = _cache()
    folder = cache / f"{TINY}-{hashlib.sha256(repr(content).encode()).hexdigest()[:12]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "tiny.lock"):
            if not folder.exists():
                say(f"making the embedded backbone, once, in {folder}: a minute or two")
                draft = folder.with_name(f"{folder.name}.tmp")
                shutil.rmtree(draft, ignore_errors=True)
                make_tiny(dialogues, taxonomy, draft)
                draft.rename(folder)
    except OSError as error:
        raise StoreError(f"{cache}: cannot be written: {error.strerror or error}; set CSO_CACHE to another") from error
    return folder


def make_tiny(
    dialogues: Sequence[Dialogue], taxonomy: Taxonomy, folder: Path, *, epochs: int = EPOCHS, seed: int = 0
) -> None:
    """Train tokenizer and model on `dialogues` and save them in `folder`. `seed`: of the weights and the order."""
    tokenizer = make_tokenizer(dialogues, taxonomy)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=HIDDEN,
                intermediate_size=HIDDEN * 5 // 2,
                num_hidden_layers=LAYERS,
                num_attention_heads=HEADS,
                num_key_value_heads=HEADS,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=cast(int, tokenizer.eos_token_id),
                pad_token_id=cast(int, tokenizer.pad_token_id),
            )
        )
    _fit(model, [_lesson(dialogue, taxonomy, tokenizer) for dialogue in dialogues], epochs, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer(dialogues: Sequence[Dialogue], taxonomy: Taxonomy) -> PreTrainedTokenizerFast:
    """Byte-level BPE, with a token of its own for each role, the end of a message and each strategy's tag."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = [message["content"] for dialogue in dialogues for message in prompt(dialogue, taxonomy)[1:]]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, SYSTEM, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*[system_message(taxonomy)["content"]] * len(dialogues), *words], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    fast.add_tokens([f"({name})" for name in taxonomy.names])
    fast.chat_template = TEMPLATE
    return fast


Sequence_ = tuple[Tokens, Tokens]  # what is given, what is learned after it


def _lesson(
    dialogue: Dialogue, taxonomy: Taxonomy, tokenizer: PreTrainedTokenizerFast
) -> tuple[Sequence_, list[Sequence_]]:
    """The whole dialogue after the system message; and each strategy's tag after all before it.

    Both lie in one trie, so the tags cost nothing.
    """

    def ids(messages: Sequence[dict[str, str]]) -> Tokens:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False)
        return tokenizer(str(text), add_special_tokens=False)["input_ids"]

    given = ids([system_message(taxonomy)])
    tokens = list(given)
    tags: list[Sequence_] = []
    for turn in dialogue.turns:
        said = ids([utterance(turn)])
        if turn.speaker is Speaker.SUPPORTER and turn.strategy is not None:
            tags.append((tokens + said[:1], said[1:2]))
        tokens = tokens + said
    return (given, tokens[len(given) :]), tags


def _fit(model: LlamaForCausalLM, lessons: Sequence[tuple[Sequence_, list[Sequence_]]], epochs: int, seed: int) -> None:
    """AdamW with a short warm-up and a cosine to nothing."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.1)
    per_epoch = math.ceil(len(lessons) / DIALOGUES_PER_STEP)
    steps = epochs * per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 20, 0.5 * (1 + math.cos(math.pi * step / steps)))
    )
    draw = random.Random(seed)
    model.train()
    for _ in range(epochs):
        order = draw.sample(list(lessons), len(lessons))
        for at in range(0, len(order), DIALOGUES_PER_STEP):
            _loss(model, order[at : at + DIALOGUES_PER_STEP]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    model.eval()


def _loss(model: LlamaForCausalLM, lessons: Sequence[tuple[Sequence_, list[Sequence_]]]) -> Tensor:
    whole = [lesson for lesson, _ in lessons]
    tags = [tag for _, each in lessons for tag in each]
    pack = build_pack([*whole, *tags])
    logps, _ = reply_logps(model, pack, model)
    tokens = int(pack.lengths[: len(whole)].sum())
    words = -logps[: len(whole)].sum() / tokens
    choices = -logps[len(whole) :].sum() / max(1, len(tags))
    return words + TAG_WEIGHT * choices

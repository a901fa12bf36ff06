"""What evaluating costs: replies one by one by plain `generate`, and in batches; tags one by one, and in tries.

python benchmarks/evaluation.py [--model tiny|7M|36M|45M] [--turns 64] [--threads 2]

Both write the same replies, greedily, at most 64 tokens each, to turns of the bundled test part.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch

from cso.corpora import read_corpus
from cso.evaluate import items
from cso.evaluate.local import LocalModel, load_local
from cso.settings import ModelSettings
from cso.taxonomy import Taxonomy, load_taxonomy
from cso.train.conversation import Prompt
from cso.transcript import prompt, tag
from random_models import MODELS, save_model

TOKENS = 64
Found = TypeVar("Found")


def one_by_one(model: LocalModel, prompts: list[Prompt]) -> list[str]:
    """As a loop over `generate` does it."""
    base, tokenizer = model.backbone.base, model.backbone.tokenizer
    own = str(base.config._attn_implementation)
    base.set_attn_implementation("sdpa")
    replies: list[str] = []
    for each in prompts:
        ids = torch.tensor([each.tokens])
        with torch.no_grad():
            out = base.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)  # type: ignore[operator]
        replies.append(str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)))
    base.set_attn_implementation(own)
    return replies


def in_batches(model: LocalModel, prompts: list[Prompt]) -> list[str]:
    found = dict(model.write(prompts, max_tokens=TOKENS))
    return [found[place] for place in range(len(prompts))]


def tags_one_by_one(model: LocalModel, prompts: list[Prompt], names: tuple[str, ...]) -> list[int]:
    """A forward pass for each prompt with each tag."""
    base, tokenizer = model.backbone.base, model.backbone.tokenizer
    own = str(base.config._attn_implementation)
    base.set_attn_implementation("sdpa")
    chosen: list[int] = []
    for each in prompts:
        logps: list[float] = []
        for name in names:
            ids = tokenizer(each.text + tag(name), add_special_tokens=False, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                scores = base(input_ids=ids).logits[0].log_softmax(-1)
            places = range(len(each.tokens), ids.shape[1])
            logps.append(sum(float(scores[place - 1, ids[0, place]]) for place in places))
        chosen.append(logps.index(max(logps)))
    base.set_attn_implementation(own)
    return chosen


def tags_in_tries(model: LocalModel, prompts: list[Prompt], esc8: Taxonomy) -> list[int]:
    return [chances.index(max(chances)) for _, chances in sorted(model.choose(prompts, esc8))]


def timed(name: str, run: Callable[[], list[Found]], count: int) -> tuple[list[Found], float]:
    start = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - start
    print(f"{name:28}{seconds:8.1f} s{count / seconds:10.1f} a second")
    return found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--turns", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    esc8 = load_taxonomy("esc8")
    with TemporaryDirectory() as folder:
        if told.model in MODELS:
            save_model(told.model, Path(folder))
        name = folder if told.model in MODELS else told.model
        model = load_local(ModelSettings(name=name), esc8, max_length=2048, say=print)
    asked = items(read_corpus("bundled:test", esc8).dialogues)[: told.turns]
    prompts = model.prompts([prompt(item.history, esc8) for item in asked])
    one_by_one(model, prompts[:1])  # what is loaded late is loaded now
    in_batches(model, prompts[:2])
    tags_one_by_one(model, prompts[:1], esc8.names)
    tags_in_tries(model, prompts[:1], esc8)
    alone, slow = timed("replies one by one", lambda: one_by_one(model, prompts), len(prompts))
    together, fast = timed("replies in batches", lambda: in_batches(model, prompts), len(prompts))
    same = sum(one == other for one, other in zip(alone, together, strict=True))
    print(f"{slow / fast:.1f} times faster; the same text in {same} of {len(prompts)}")
    single, slow = timed("tags one by one", lambda: tags_one_by_one(model, prompts, esc8.names), len(prompts))
    shared, fast = timed("tags in tries", lambda: tags_in_tries(model, prompts, esc8), len(prompts))
    print(f"{slow / fast:.1f} times faster; same choices: {single == shared}")


if __name__ == "__main__":
    main()

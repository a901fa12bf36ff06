"""What training costs: TRL's DPOTrainer, a careful loop over pairs, and ours, on the same pairs of a real search.

python benchmarks/training.py PAIRS.jsonl [--model 7M] [--pairs 96] [--threads 2]
python benchmarks/training.py PAIRS.jsonl --scaling

DPO of all weights in fp32, one epoch, steps of 32 pairs, on a random Llama. Seconds go from loaded
libraries to trained weights, its reference included; each runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from random_models import MODELS, save_model

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "DS_ACCELERATOR": "cpu"}

BATCH, RATE = 32, 1e-5


def by_trl(model: Path, pairs: Path, *, checkpointing: bool = False) -> dict[str, float]:
    """DPOTrainer with the reference computed ahead and nothing cut off; by default it checkpoints gradients."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    data = Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows])
    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = [
        len(tokenizer.apply_chat_template(row["prompt"] + row[side], tokenize=True)["input_ids"])
        for row in rows
        for side in ("chosen", "rejected")
    ]
    with TemporaryDirectory() as folder:
        told = DPOConfig(
            folder,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=BATCH // 4,
            learning_rate=RATE,
            num_train_epochs=1,
            precompute_ref_log_probs=True,
            gradient_checkpointing=checkpointing,
            bf16=False,
            max_length=None,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            use_cpu=True,
            disable_tqdm=True,
        )
        start = time.perf_counter()
        trainer = DPOTrainer(
            AutoModelForCausalLM.from_pretrained(model), args=told, train_dataset=data, processing_class=tokenizer
        )
        trainer.train()
        seconds = time.perf_counter() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": seconds, "tokens": sum(lengths), "first": losses[0], "last": losses[-1]}


def by_loop(model_folder: Path, pairs: Path) -> dict[str, float]:
    """Padded micro-batches of four pairs, sorted by length; the head computes where replies are scored only."""
    import torch
    import torch.nn.functional as F
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cso.train import read_examples
    from cso.train.encode import Encoded, encode

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    start = time.perf_counter()
    examples = encode(tokenizer, read_examples(pairs, "pairs"), max_length=4096, max_target_length=4096).encoded
    tokens = 0

    def logps(batch: Sequence[Encoded]) -> Any:
        sequences = [(example.prompt, reply) for example in batch for reply in example.replies]
        ids = pad_sequence([torch.tensor(prompt + reply) for prompt, reply in sequences], batch_first=True)
        places = [
            (row, len(prompt) + place - 1, token)
            for row, (prompt, reply) in enumerate(sequences)
            for place, token in enumerate(reply)
        ]
        rows, columns, said = (torch.tensor(each) for each in zip(*places, strict=True))
        mask = torch.arange(ids.shape[1])[None] < torch.tensor([[len(p) + len(r)] for p, r in sequences])
        hidden = model.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
        scored = model.lm_head(hidden[rows, columns]).log_softmax(-1).gather(-1, said[:, None])[:, 0]
        return torch.zeros(len(sequences)).index_add(0, rows, scored).view(-1, 2), ids.numel()

    def micro_batches(batch: Sequence[Encoded]) -> list[list[Encoded]]:
        order = sorted(batch, key=lambda example: len(example.prompt))
        return [order[at : at + 4] for at in range(0, len(order), 4)]

    reference: dict[int, Any] = {}
    with torch.no_grad():
        for batch in micro_batches(examples):
            for example, pair in zip(batch, logps(batch)[0], strict=True):
                reference[id(example)] = pair
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0)
    losses: list[float] = []
    for at in range(0, len(examples), BATCH):
        step = examples[at : at + BATCH]
        total = 0.0
        for batch in micro_batches(step):
            pairs_of_batch, size = logps(batch)
            tokens += size
            gain = pairs_of_batch - torch.stack([reference[id(example)] for example in batch])
            loss = -F.logsigmoid(0.1 * (gain[:, 0] - gain[:, 1])).sum() / len(step)
            loss.backward()
            total += float(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return {"seconds": time.perf_counter() - start, "tokens": tokens, "first": losses[0], "last": losses[-1]}


def ours(trees_per_step: int) -> Callable[[Path, Path], dict[str, float]]:
    def run(model: Path, pairs: Path) -> dict[str, float]:
        from cso.settings import ModelSettings, PackingSettings, TrainSettings
        from cso.train import train

        told = TrainSettings(
            model=ModelSettings(name=str(model)),
            tuning="full",
            epochs=1,
            batch_size=BATCH,
            learning_rate=RATE,
            packing=PackingSettings(trees_per_step=trees_per_step, max_length=4096, max_target_length=4096),
            arguments={"logging_steps": 1, "save_strategy": "no"},
        )
        with TemporaryDirectory() as folder:
            start = time.perf_counter()
            log = train(pairs, Path(folder) / "model", told).log
            seconds = time.perf_counter() - start
        entries = [entry for entry in log if "loss" in entry]
        tokens = sum(entry["tokens"] for entry in entries)
        return {"seconds": seconds, "tokens": tokens, "first": entries[0]["loss"], "last": entries[-1]["loss"]}

    return run


CONTENDERS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "TRL, checkpointing": partial(by_trl, checkpointing=True),
    "TRL DPOTrainer": by_trl,
    "loop over pairs": by_loop,
    "ours, 4 trees a step": ours(4),
    "ours, 1 tree a step": ours(1),
}


def measured(name: str, model: Path, pairs: Path, threads: int) -> dict[str, float]:
    """What a contender says, and its peak memory, from a process of its own."""
    command = [sys.executable, __file__, str(pairs), "--contender", name, "--folder", str(model)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def first_trees(pairs: Path, count: int, to: Path) -> int:
    """Copy pairs of whole dialogues until there are `count`; how many there are."""
    lines = pairs.read_text(encoding="utf-8").splitlines()
    kept: list[str] = []
    for line in lines:
        if len(kept) >= count and json.loads(line)["dialogue"] != json.loads(kept[-1])["dialogue"]:
            break
        kept.append(line)
    to.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return len(kept)


def compare(pairs: Path, model: str, count: int, threads: int) -> None:
    with TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        chosen = Path(folder) / "pairs.jsonl"
        print(f"{model}, {first_trees(pairs, count, chosen)} pairs of {pairs}, {threads} threads")
        found = {name: measured(name, Path(folder), chosen, threads) for name in CONTENDERS}
    base = found["ours, 4 trees a step"]
    print(f"{'':22}{'seconds':>9}{'tokens':>9}{'peak MB':>9}   to ours: seconds, tokens, memory   loss, first and last")
    for name, one in found.items():
        ratios = "".join(f"{one[what] / base[what]:>9.2f}" for what in ("seconds", "tokens", "memory"))
        numbers = f"{one['seconds']:>9.1f}{one['tokens']:>9,.0f}{one['memory']:>9.0f}"
        print(f"{name:22}{numbers}{ratios}      {one['first']:.5f} {one['last']:.5f}")


def scaling(pairs: Path, threads: int) -> None:
    """Seconds and memory of ours for more and more trees, and for longer and longer histories."""
    lines = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    trees = list(dict.fromkeys(line["dialogue"] for line in lines))
    chosen = {
        f"{count} trees": [line for line in lines if line["dialogue"] in trees[:count]] for count in (1, 10, 100)
    } | {f"histories of {turns} turns": histories(lines, turns)[:48] for turns in (5, 15, 29)}
    with TemporaryDirectory() as folder:
        save_model("7M", Path(folder))
        for name, kept in chosen.items():
            path = Path(folder) / "pairs.jsonl"
            path.write_text("\n".join(map(json.dumps, kept)) + "\n", encoding="utf-8")
            one = measured("ours, 4 trees a step", Path(folder), path, threads)
            rate = 1000 * one["seconds"] / one["tokens"]
            print(
                f"{name:22} {len(kept):5} pairs: {one['tokens']:9,.0f} tokens, {one['seconds']:7.1f} s, "
                f"{rate:.2f} s per 1,000 tokens, {one['memory']:.0f} MB"
            )


def histories(lines: Sequence[dict[str, Any]], turns: int) -> list[dict[str, Any]]:
    """Pairs after so many turns; after 29, of those after 15, whose first 14 come twice: longer ones are rare."""
    found = [line for line in lines if len(line["prompt"]) == 1 + min(turns, 15)]
    if turns <= 15:
        return found
    return [line | {"prompt": line["prompt"][:-1] + line["prompt"][1:]} for line in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", choices=MODELS, default="7M")
    parser.add_argument("--pairs", dest="count", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.contender:
        numbers = CONTENDERS[told.contender](told.folder, told.pairs)
        print(json.dumps(numbers | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    elif told.scaling:
        scaling(told.pairs, told.threads)
    else:
        compare(told.pairs, told.model, told.count, told.threads)


if __name__ == "__main__":
    main()

"""What training costs: TRL's DPOTrainer, a careful loop over pairs, and ours, on the same pairs of a real search.

python benchmarks/training.py PAIRS.jsonl [--model 7M] [--pairs 96] [--threads 2]
python benchmarks/training.py PAIRS.jsonl --scaling
python benchmarks/training.py PAIRS.jsonl --gpu --model 0.5B

DPO of all weights, one epoch, steps of 32 pairs, on a random Llama: in fp32, or on a GPU in bf16. Seconds go from
loaded libraries to trained weights on disk, its reference included; each runs in a process of its own, so that peak
memory is its own.
On a GPU each trains on a few pairs before, which compiles kernels. TFLOP/s count the layers' matrices only, on the
tokens of the table, 8 operations a weight: 6 of training and 2 of the reference; checkpointing counts as none.
"""

from __future__ import annotations

import argparse
import gc
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

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
GPU = "--gpu" in sys.argv
if not GPU:
    os.environ |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}

Contender = Callable[[Path, Path], dict[str, float]]
BATCH, RATE = 32, 1e-5
AT_ONCE = 8 if GPU else 4  # pairs
PACK = 16_384 if GPU else 4096  # tokens


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
            per_device_train_batch_size=AT_ONCE,
            gradient_accumulation_steps=BATCH // AT_ONCE,
            learning_rate=RATE,
            num_train_epochs=1,
            precompute_ref_log_probs=True,
            gradient_checkpointing=checkpointing,
            bf16=GPU,
            max_length=None,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            use_cpu=not GPU,
            disable_tqdm=True,
        )
        start = time.perf_counter()
        trainer = DPOTrainer(
            AutoModelForCausalLM.from_pretrained(model), args=told, train_dataset=data, processing_class=tokenizer
        )
        trainer.train()
        trainer.save_model(folder)
        seconds = time.perf_counter() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": seconds, "tokens": sum(lengths), "first": losses[0], "last": losses[-1]}


def by_loop(model_folder: Path, pairs: Path) -> dict[str, float]:
    """Padded micro-batches of pairs, sorted by length; the head computes where replies are scored only."""
    import torch
    import torch.nn.functional as F
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cso.train import read_examples
    from cso.train.encode import Encoded, encode

    device = torch.device("cuda" if GPU else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    start = time.perf_counter()
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    model.to(device)
    examples = encode(tokenizer, read_examples(pairs, "pairs"), max_length=4096, max_target_length=4096).encoded
    tokens = 0

    def logps(batch: Sequence[Encoded]) -> Any:
        sequences = [(example.prompt, reply) for example in batch for reply in example.replies]
        ids = pad_sequence([torch.tensor(prompt + reply) for prompt, reply in sequences], batch_first=True).to(device)
        places = [
            (row, len(prompt) + place - 1, token)
            for row, (prompt, reply) in enumerate(sequences)
            for place, token in enumerate(reply)
        ]
        rows, columns, said = (torch.tensor(each, device=device) for each in zip(*places, strict=True))
        lengths = torch.tensor([[len(prompt) + len(reply)] for prompt, reply in sequences], device=device)
        mask = torch.arange(ids.shape[1], device=device)[None] < lengths
        with torch.autocast(device.type, torch.bfloat16, enabled=GPU):
            hidden = model.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[rows, columns]).float()
        scored = logits.log_softmax(-1).gather(-1, said[:, None])[:, 0]
        return torch.zeros(len(sequences), device=device).index_add(0, rows, scored).view(-1, 2), ids.numel()

    def micro_batches(batch: Sequence[Encoded]) -> list[list[Encoded]]:
        order = sorted(batch, key=lambda example: len(example.prompt))
        return [order[at : at + AT_ONCE] for at in range(0, len(order), AT_ONCE)]

    reference: dict[int, Any] = {}
    with torch.no_grad():
        for batch in micro_batches(examples):
            for example, pair in zip(batch, logps(batch)[0], strict=True):
                reference[id(example)] = pair
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0)
    losses: list[float] = []
    for at in range(0, len(examples), BATCH):
        step = examples[at : at + BATCH]
        total = torch.zeros((), device=device)
        for batch in micro_batches(step):
            pairs_of_batch, size = logps(batch)
            tokens += size
            gain = pairs_of_batch - torch.stack([reference[id(example)] for example in batch])
            loss = -F.logsigmoid(0.1 * (gain[:, 0] - gain[:, 1])).sum() / len(step)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total))
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
    return {"seconds": time.perf_counter() - start, "tokens": tokens, "first": losses[0], "last": losses[-1]}


def ours(trees_per_step: int) -> Contender:
    def run(model: Path, pairs: Path) -> dict[str, float]:
        from cso.settings import ModelSettings, PackingSettings, TrainSettings
        from cso.train import train

        told = TrainSettings(
            model=ModelSettings(name=str(model)),
            tuning="full",
            epochs=1,
            batch_size=BATCH,
            learning_rate=RATE,
            packing=PackingSettings(
                trees_per_step=trees_per_step, token_budget=PACK, max_length=4096, max_target_length=4096
            ),
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


OURS = "ours, 4 trees a step"  # what the others are held against
CONTENDERS: dict[str, Contender] = {
    OURS: ours(4),
    "ours, 1 tree a step": ours(1),
    "loop over pairs": by_loop,
    "TRL DPOTrainer": by_trl,
    "TRL, checkpointing": partial(by_trl, checkpointing=True),
}


def run(contender: Contender, model: Path, pairs: Path) -> dict[str, float]:
    """What a contender says, and its peak memory in MB: the process's, or what was allocated on the GPU."""
    if not GPU:
        numbers = contender(model, pairs)
        return numbers | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    import torch

    few = pairs.with_name("few.jsonl")
    first_trees(pairs, 2 * BATCH, few)
    warm_up = contender(model, few)["seconds"]
    gc.collect()  # the first model is in a cycle of references
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    numbers = contender(model, pairs)
    memory = torch.cuda.max_memory_allocated() / 2**20
    rate = matrix_rate()
    from transformers import AutoConfig

    weights = weights_in_matrices(AutoConfig.from_pretrained(model))
    used = 8 * weights * numbers["tokens"] / numbers["seconds"]
    return numbers | {"memory": memory, "warm_up": warm_up, "tflops": used / 1e12, "share": used / rate}


def weights_in_matrices(config: Any) -> int:
    """Of a Llama as they are made here, less the two of its vocabulary."""
    return config.num_hidden_layers * config.hidden_size * (4 * config.hidden_size + 3 * config.intermediate_size)


def matrix_rate() -> float:
    """Operations a second of a product of two matrices in bf16, the card's own speed."""
    import torch

    size, times = 8192, 20
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        torch.mm(one, other)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        torch.mm(one, other)
    torch.cuda.synchronize()
    return times * 2 * size**3 / (time.perf_counter() - start)


def measured(name: str, model: Path, pairs: Path, threads: int) -> dict[str, float]:
    """What a contender says, and its peak memory, from a process of its own."""
    command = [sys.executable, __file__, str(pairs), "--contender", name, "--folder", str(model)]
    command += ["--gpu"] if GPU else []
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


def compare(pairs: Path, model: str, count: int, threads: int, names: Sequence[str]) -> None:
    with TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        chosen = Path(folder) / "pairs.jsonl"
        print(f"{model}, {first_trees(pairs, count, chosen)} pairs of {pairs}, {threads} threads")
        print(
            f"{'':22}{'seconds':>9}{'tokens':>9}{'peak MB':>9}   ratios: seconds, tokens, memory   loss, first and last"
        )
        base = measured(OURS, Path(folder), chosen, threads)
        show(OURS, base, base)
        for name in names:
            show(name, measured(name, Path(folder), chosen, threads), base)


def show(name: str, one: dict[str, float], base: dict[str, float]) -> None:
    ratios = "".join(f"{one[what] / base[what]:>9.2f}" for what in ("seconds", "tokens", "memory"))
    numbers = f"{one['seconds']:>9.1f}{one['tokens']:>9,.0f}{one['memory']:>9.0f}"
    print(f"{name:22}{numbers}{ratios}      {one['first']:.5f} {one['last']:.5f}", flush=True)
    if GPU:
        print(
            f"{'':22}{one['tflops']:.0f} TFLOP/s in the layers' matrices, {one['share']:.0%} of the card's rate; "
            f"{one['warm_up']:.1f} s for a few pairs before",
            flush=True,
        )


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
            one = measured(OURS, Path(folder), path, threads)
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
    parser.add_argument("--gpu", action="store_true", help="on a GPU, in bf16")
    others = [name for name in CONTENDERS if name != OURS]
    parser.add_argument("--against", nargs="+", choices=others, default=others, help="all, if not given")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.scaling and told.against != others:
        parser.error("--scaling compares with nobody: leave --against out")
    if told.contender:
        print(json.dumps(run(CONTENDERS[told.contender], told.folder, told.pairs)))
    elif told.scaling:
        scaling(told.pairs, told.threads)
    else:
        compare(told.pairs, told.model, told.count, told.threads, told.against)


if __name__ == "__main__":
    main()

"""What a search costs: calls per pair, CPU per call, wall time, speculation, memory, the embedded cast.

python benchmarks/search.py [calls|overhead|speculation|memory|embedded]...   (all of them by default)

Every figure is printed beside the one it is compared with, from the same run. The endpoint is `endpoint.py` in another
process, with 50 ms latency.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cso.casting import casting
from cso.corpora import read_corpus
from cso.dialogue import Dialogue
from cso.extract import pairs
from cso.rating import Rating
from cso.search import Cast, Utterance, grow_forest
from cso.settings import ExtractSettings, SearchSettings, Settings, settings_from
from cso.store import Run
from cso.taxonomy import Strategy, load_taxonomy
from cso.tree import Tree

PORT, LATENCY = 8900, 0.05
TAXONOMY = load_taxonomy("esc8")
SEEDS = read_corpus("bundled", TAXONOMY).dialogues


def settings(concurrency: int = 32, **search: Any) -> Settings:
    base = {"base_url": f"http://127.0.0.1:{PORT}/v1", "api_key_env": None}
    roles = {role: {"model": f"bench-{role}"} for role in ("seeker", "supporter", "strategist", "judge")}
    cast = {"kind": "llm", "default": base, **roles}
    return settings_from({"cast": cast, "search": search, "limits": {"concurrency": concurrency}}, source="benchmark")


@contextmanager
def endpoint() -> Iterator[None]:
    command = [sys.executable, str(Path(__file__).with_name("endpoint.py")), "--port", str(PORT)]
    with subprocess.Popen([*command, "--latency", str(LATENCY)]) as process:
        try:
            for _ in range(100):
                try:
                    served()
                    break
                except OSError:
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()


def served() -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/calls") as response:
        return json.load(response)["calls"]


def grown(seeds: Sequence[Dialogue], told: Settings) -> tuple[list[Tree], int, float, float]:
    """The trees, the calls that the endpoint answered, and seconds of wall and CPU time."""
    trees: list[Tree] = []

    async def run(folder: Path) -> None:
        async with casting(Run.create(folder, told, TAXONOMY)) as cast:
            await grow_forest(seeds, cast.cast_for, TAXONOMY, told.search, grown=trees.append)

    before, wall, cpu = served(), time.perf_counter(), time.process_time()
    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
    return trees, served() - before, time.perf_counter() - wall, time.process_time() - cpu


def calls() -> None:
    print("## calls per pair: ours, and as published (revisit_ends, fresh_rollouts); 10 seeds, 100 iterations")
    rates: list[float] = []
    for name, more in (("ours", {}), ("published", {"revisit_ends": True, "fresh_rollouts": True})):
        trees, asked, wall, _ = grown(SEEDS[:10], settings(256, **more))
        found = len(pairs(trees, ExtractSettings()))
        iterations = sum(tree.iterations for tree in trees)
        rates.append(asked / found)
        print(
            f"{name}: {asked} calls, {iterations} iterations, {found} pairs, {wall:.0f} s; {rates[-1]:.1f} calls a pair"
        )
    print(f"ratio {rates[0] / rates[1]:.2f} (wanted: at most 0.5)")


def overhead() -> None:
    print("## CPU a call; 120 seeds, 4 iterations")
    for concurrency in (32, 256):
        _, asked, wall, cpu = grown(SEEDS, settings(concurrency, iterations=4))
        ideal = asked * LATENCY / concurrency
        print(f"concurrency {concurrency}: {asked} calls, {1000 * cpu / asked:.2f} ms CPU a call (wanted: at most 3)")
        print(f"  wall {wall:.1f} s; calls x latency / concurrency {ideal:.1f} s")
    print(
        "## wall time; 10 seeds, 30 iterations: against calls x latency / concurrency, and the longest tree by itself"
    )
    alone = max(grown([seed], settings(256, iterations=30))[2] for seed in SEEDS[:10])
    for concurrency in (4, 256):
        _, asked, wall, _ = grown(SEEDS[:10], settings(concurrency, iterations=30))
        bound = max(alone, asked * LATENCY / concurrency)
        print(
            f"concurrency {concurrency}: wall {wall:.1f} s of {bound:.1f} s: {wall / bound:.2f} (wanted: 1.2 at most)"
        )


def speculation() -> None:
    print("## four trees, one at a time, 100 iterations: 0, 2 and 4 selections asked ahead")
    seeds = SEEDS[:32:8]
    plain = [grown([seed], settings(32)) for seed in seeds]
    for ahead in (2, 4):
        runs = [grown([seed], settings(32, speculate=ahead)) for seed in seeds]
        same = all(run[0] == before[0] for run, before in zip(runs, plain, strict=True))
        faster = sum(run[2] for run in plain) / sum(run[2] for run in runs)
        more = sum(run[1] for run in runs) / sum(run[1] for run in plain) - 1
        print(f"{ahead}: same trees: {same}; {faster:.2f} times faster (wanted: 2.5), {more:+.1%} calls (wanted: +10%)")


def memory() -> None:
    print("## 1,000 trees of 1,000 nodes at once")

    async def scores(history: Dialogue, *, sample: int = 0) -> dict[str, float]:
        await asyncio.sleep(0)
        return dict.fromkeys(TAXONOMY.names, 5.0)

    async def reply(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return f"A reply by {strategy.name} after {len(history.turns)} turns, of about the usual length: {history.id}."

    async def answer(history: Dialogue, *, sample: int = 0) -> Utterance:
        return Utterance(f"What a seeker says after {len(history.turns)} turns, of about the usual length.", ends=False)

    async def judge(history: Dialogue, *, sample: int = 0) -> Rating:
        return Rating(2, 2, 3, 3)

    cast = Cast(answer, reply, scores, judge)
    seeds = [replace(SEEDS[number % len(SEEDS)], id=str(number)) for number in range(1000)]
    trees: list[Tree] = []
    told = SearchSettings(iterations=120, rollout_rounds=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asyncio.run(grow_forest(seeds, lambda seed: cast, TAXONOMY, told, grown=trees.append, at_once=1000))
    nodes = sum(len(tree.nodes) for tree in trees) / len(trees)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(trees)} trees of {nodes:.0f} nodes: peak {peak:.0f} MB, {before:.0f} MB before (wanted: under 1,500)")


def embedded() -> None:
    print("## cso search bundled, 100 iterations, as a process")
    with TemporaryDirectory() as folder:
        begun = time.perf_counter()
        cso = Path(sys.executable).with_name("cso")
        subprocess.run([cso, "search", "bundled", "--out", f"{folder}/run"], check=True)
        print(f"{time.perf_counter() - begun:.1f} s (wanted: at most 60)")


if __name__ == "__main__":
    parts = {part.__name__: part for part in (memory, embedded, calls, overhead, speculation)}
    chosen = sys.argv[1:] or list(parts)
    with endpoint():
        for name in chosen:
            parts[name]()

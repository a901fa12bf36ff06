"""A search by Ray's actors on this machine, of a cast that answers at once: what the driver costs, and the memory.

    python benchmarks/cluster.py [--dialogues 10000] [--iterations 4] [--actors 2]

The cast draws from a hash of what it is asked, so that nothing but the search itself is measured. Every few seconds:
trees, calls a second, the driver's share of a core, its memory, and that of the largest actor.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from cso.casting import Casting
from cso.cluster.searching import RaySearch, SearchActor
from cso.corpora import read_corpus
from cso.dialogue import Dialogue
from cso.growing import Growing, Grown
from cso.rating import Rating
from cso.roles import remembered
from cso.search import Cast, Utterance
from cso.settings import load_settings
from cso.store import Run
from cso.taxonomy import Strategy, load_taxonomy

ESC8 = load_taxonomy("esc8")
SECONDS = 10


def drawn(role: str, history: Dialogue, sample: int, more: str = "") -> bytes:
    said = "\n".join(turn.text for turn in history.turns)
    return hashlib.blake2b(f"{role} {sample} {more} {history.id} {said}".encode(), digest_size=16).digest()


@dataclass(frozen=True)
class HashedCast:
    """Answers anything at once."""

    async def seeker(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        found = drawn("seeker", history, sample)
        return Utterance(f"I feel {found.hex()}", ends=found[0] < 40)

    async def supporter(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return f"You say so: {drawn('supporter', history, sample, strategy.name).hex()}"

    async def strategist(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        found = drawn("strategist", history, sample)
        return {name: found[place] % 11 for place, name in enumerate(ESC8.names)}

    async def judge(self, history: Dialogue, *, sample: int = 0) -> Rating:
        found = drawn("judge", history, sample)
        return Rating(*(mark % 3 + 2 for mark in found[:4]))


class HashedActor(SearchActor):
    async def open(self) -> None:
        cast = HashedCast()
        roles = Cast(cast.seeker, cast.supporter, cast.strategist, cast.judge)
        assert isinstance(self._at, Path)
        self._cast = Casting(Run.open(self._at), lambda seed, answers: remembered(roles, answers, "hashed"))
        self._growing = Growing(self._cast, reached=self._reached.__setitem__)


class HashedSearch(RaySearch):
    actor = HashedActor


class Watch:
    """Prints a line every few seconds."""

    def __init__(self, search: RaySearch) -> None:
        self._search, self._process = search, psutil.Process()
        self._began = self._said = time.perf_counter()
        self._trees = self._calls = 0
        self._cpu = self._first = sum(self._process.cpu_times()[:2])

    def grown(self, tree: Grown) -> None:
        assert tree.failure is None
        self._trees += 1
        now = time.perf_counter()
        if now - self._said >= SECONDS:
            calls, cpu = self._search.spent().calls, sum(self._process.cpu_times()[:2])
            rate = (calls - self._calls) / (now - self._said)
            share = (cpu - self._cpu) / (now - self._said)
            own, actor = self._process.memory_info().rss / 2**20, largest() / 2**20
            print(
                f"{now - self._began:5.0f} s {self._trees:6,} trees {rate:7,.0f} calls/s, driver {share:.1%}, "
                f"{own:,.0f} MiB, largest actor {actor:,.0f} MiB"
            )
            self._said, self._calls, self._cpu = now, calls, cpu

    def end(self) -> None:
        seconds = time.perf_counter() - self._began
        calls, cpu = self._search.spent().calls, sum(self._process.cpu_times()[:2]) - self._first
        print(
            f"{self._trees:,} trees, {calls:,} calls in {seconds:.0f} s: {calls / seconds:,.0f} calls/s; "
            f"driver: {cpu:.1f} s of CPU, {100_000 * cpu / calls:.2f} % of a core at 1,000 calls/s (wanted: below 5)"
        )


def largest() -> int:
    """Bytes that the largest actor holds."""
    sizes = [0]
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        if "ray::HashedActor" in " ".join(process.info["cmdline"] or []):
            sizes.append(process.info["memory_info"].rss)
    return max(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dialogues", type=int, default=10_000)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--actors", type=int, default=2)
    told = parser.parse_args()
    bundled = read_corpus("bundled", ESC8).dialogues
    seeds = [replace(bundled[place % len(bundled)], id=f"{place:06}") for place in range(told.dialogues)]
    settings = load_settings(None, [f"search.iterations={told.iterations}", f"ray.actors={told.actors}"])
    with TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", settings, ESC8)
        search = HashedSearch(run)
        watch = Watch(search)
        search.grow(seeds, grown=watch.grown)
        watch.end()


if __name__ == "__main__":
    main()

"""What raises the pairs of a search, or their quality, at equal calls, in worlds whose best strategies are known.

    python benchmarks/data_per_call.py [--trees 40]

Two worlds: one learned from the bundled train part with the embedded judge; one learned from the test part, with other
seeds and another judge (strict about the turn before, and noisy). A pair is right where the world's strategist puts
the chosen strategy above the rejected one after the same history. Calls are distinct questions to any role.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from cso.corpora import read_corpus
from cso.corpus_cast import World
from cso.corpus_cast.simulation import simulate
from cso.dialogue import Dialogue
from cso.extract import extract
from cso.llm import Answers
from cso.preference import Pair
from cso.rating import Rating
from cso.roles import remembered
from cso.search import Cast, Judge, grow_forest
from cso.settings import ExtractSettings, SearchSettings
from cso.taxonomy import Strategy, load_taxonomy
from cso.tree import Tree

ESC8 = load_taxonomy("esc8")


@dataclass(frozen=True)
class Variant:
    """A way to spend calls."""

    search: Mapping[str, object]
    contrast: bool = False
    judge: bool = False


VARIANTS = {
    "as in the paper": Variant({}),
    "half the iterations": Variant({"iterations": 50}),
    "a quarter of the iterations": Variant({"iterations": 25}),
    "first_play=judged": Variant({"first_play": "judged"}),
    "settled=15": Variant({"settled": 15}),
    "judge_selected": Variant({"judge_selected": True}),
    "rollout_rounds=2": Variant({"rollout_rounds": 2}),
    "pairs the judge does not contradict": Variant({}, judge=True),
    "contrast": Variant({}, contrast=True),
    "contrast, half the iterations": Variant({"iterations": 50}, contrast=True),
    "contrast, a quarter of the iterations": Variant({"iterations": 25}, contrast=True),
    "contrast, a quarter, judged": Variant({"iterations": 25, "first_play": "judged"}, contrast=True),
}


@dataclass(frozen=True)
class StrictJudge:
    """Another judge: the embedded one, less a mark of S where the last strategy is repeated, each mark off by one at
    times, by the words.
    """

    judge: Judge

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        marks = await self.judge(history, sample=sample)
        strategies = [turn.strategy for turn in history.turns if turn.strategy is not None]
        again = len(strategies) > 1 and strategies[-1] == strategies[-2]
        noise = [(sum(map(ord, history.turns[-1].text)) // divisor) % 4 for divisor in (1, 4, 16, 64)]
        moved = [mark + (each == 0) - (each == 1) for mark, each in zip(marks, noise, strict=True)]
        moved[3] -= again
        return Rating(*(max(0, min(4, mark)) for mark in moved))


@dataclass(frozen=True)
class Laboratory:
    world: World
    seeds: Sequence[Dialogue]
    strict: bool

    def cast(self, seed: Dialogue, answers: Answers) -> Cast:
        cast = self.world.cast(seed)
        return remembered(replace(cast, judge=StrictJudge(cast.judge)) if self.strict else cast, answers, "world")

    async def right(self, pair: Pair) -> bool | None:
        """None where the world finds both strategies equally good."""
        scores = await self.world.cast().strategist(pair.history)
        chosen, rejected = scores[pair.chosen.strategy], scores[pair.rejected.strategy]
        return None if chosen == rejected else chosen > rejected


async def measured(laboratory: Laboratory, variant: Variant) -> dict[str, float]:
    memory = {seed.id: Answers() for seed in laboratory.seeds}
    casts = {seed.id: laboratory.cast(seed, memory[seed.id]) for seed in laboratory.seeds}
    trees: list[Tree] = []
    await grow_forest(
        laboratory.seeds,
        lambda seed: casts[seed.id],
        ESC8,
        SearchSettings.model_validate(dict(variant.search)),
        grown=trees.append,
    )

    async def reply(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return await casts[history.id].supporter(history, strategy, sample=sample)

    async def rate(history: Dialogue, *, sample: int = 0) -> Rating:
        return await casts[history.id].judge(history, sample=sample)

    made = await extract(
        trees,
        ExtractSettings(min_margin=0.0 if variant.judge else None),
        taxonomy=ESC8,
        judge=rate if variant.judge else None,
        contrast=(reply, rate) if variant.contrast else None,
    )
    calls = sum((answers.new for answers in memory.values()), Counter[str]()).total()
    verdicts = [await laboratory.right(pair) for pair in made.pairs]
    told = [verdict for verdict in verdicts if verdict is not None]
    turns = {(pair.history.id, pair.chosen.node) for pair in made.pairs}
    return {
        "calls": calls,
        "pairs": len(made.pairs),
        "turns": len(turns),
        "right": sum(told) / max(1, len(told)),
        "right pairs per 1,000 calls": 1000 * sum(told) / calls,
        "turns per 1,000 calls": 1000 * len(turns) / calls,
    }


def laboratories(count: int) -> dict[str, Laboratory]:
    train, test = (read_corpus(part, ESC8).dialogues for part in ("bundled", "bundled:test"))
    one, other = World.fit(train, ESC8), World.fit(test, ESC8, seed=1)
    return {
        "train part, embedded judge": Laboratory(
            one, simulate(one, train, ESC8, count=count, seed=2, prefix="seed"), strict=False
        ),
        "test part, another judge": Laboratory(
            other, simulate(other, test, ESC8, count=count, seed=7, prefix="other"), strict=True
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trees", type=int, default=40)
    told = parser.parse_args()
    screen = Console(width=160)
    for name, laboratory in laboratories(told.trees).items():
        table = Table(
            name, "calls", "pairs", "turns", "right", "right pairs / 1,000 calls", "turns / 1,000 calls", box=None
        )
        for title, variant in VARIANTS.items():
            found = asyncio.run(measured(laboratory, variant))
            table.add_row(
                title,
                *(f"{found[each]:,.0f}" for each in ("calls", "pairs", "turns")),
                f"{found['right']:.1%}",
                f"{found['right pairs per 1,000 calls']:.1f}",
                f"{found['turns per 1,000 calls']:.1f}",
            )
        screen.print(table)


if __name__ == "__main__":
    main()

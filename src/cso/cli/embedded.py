"""`cso study embedded`: the method in a world whose best strategies are known, from a base biased on purpose."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cso.cli.extract import extract_command
from cso.cli.search import search
from cso.corpora import read_corpus
from cso.corpora.jsonl import write_dialogues
from cso.corpus_cast import STAND_IN_NOTICE, World
from cso.corpus_cast.simulation import simulate
from cso.store import Run
from cso.taxonomy import load_taxonomy

BASE, SEEDS, TEST = 2500, 300, 420  # dialogues; the test's have more than 3,000 supporter turns
LEANING = (1.5, 0.5, 0.0, 1.0)  # of the base's supporters, to the first strategies: log-odds beside the world's own
WANDER = 0.1  # share of the base's turns with a strategy drawn evenly
SETTINGS = (
    "extract.balance=weights",
    "train.tuning=full",
    "evaluate.choose=score",
    "evaluate.write=false",
)


def prepare(screen: Console, folder: Path, said: list[str]) -> tuple[str, str]:
    """A run with trees and preferences, its base model, and its held-out dialogues; what is there stays.

    Base and seeds begin as dialogues of the bundled train part, the held-out ones as those of the test part. In seeds
    and held-out dialogues the supporter follows the world's best strategy; the base learns from biased ones.
    """
    esc8 = load_taxonomy("esc8")
    train, test = (read_corpus(part, esc8).dialogues for part in ("bundled", "bundled:test"))
    made = folder.parent / f"{folder.name}-world"
    base, seeds, held_out = made / "base", made / "seeds.jsonl", made / "test.jsonl"
    if not held_out.exists():
        screen.print(STAND_IN_NOTICE)
        world = World.fit(train, esc8)
        write_dialogues(simulate(world, train, esc8, count=SEEDS, seed=2, prefix="seed"), seeds)
        write_dialogues(simulate(world, test, esc8, count=TEST, seed=4, prefix="test"), held_out)
    if not base.exists():
        from cso.train.tiny import make_tiny  # here, because it takes seconds to import

        leaning = dict(zip(esc8.names, LEANING, strict=False))
        learned = simulate(
            World.fit(train, esc8), train, esc8, count=BASE, wander=WANDER, leaning=leaning, seed=1, prefix="base"
        )
        screen.print(f"making the base from {BASE} simulated dialogues, which takes minutes")
        draft = made / "base.tmp"
        make_tiny(learned, esc8, draft, epochs=1)
        draft.replace(base)
    shaping = [each for each in said if each.startswith(("search.", "extract."))]
    search(str(seeds), folder, None, [*SETTINGS, *shaping])
    if not (Run.open(folder).preferences / "README.md").exists():
        extract_command(folder, random=True)
    return str(base), str(held_out)

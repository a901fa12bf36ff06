"""What a report costs: time to make it, its size, how soon Chromium can use it and opens a tree, by number of trees.

python benchmarks/report.py [TREES]...   (25, 50, 100 and 200 by default; trees of about 1,000 nodes)

The words are drawn at random from the bundled corpus, some thirty a turn, so no two turns are alike and packing has
nothing to gain from repeated replies. Chromium runs headless; needs Debian's `chromium` and the package playwright.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, sync_playwright

from cso.cli.extract import extract_command
from cso.cli.report import report_command
from cso.corpora import read_corpus
from cso.dialogue import Dialogue
from cso.rating import Rating
from cso.search import Cast, Utterance, grow_forest
from cso.settings import SearchSettings, load_settings
from cso.store import Run
from cso.taxonomy import Strategy, load_taxonomy
from cso.tree import Tree

TAXONOMY = load_taxonomy("esc8")
SEEDS = read_corpus("bundled", TAXONOMY).dialogues
WORDS = " ".join(turn.text for seed in SEEDS for turn in seed.turns).split()
ITERATIONS = 118  # of eight nodes each, beside the planted ones
OPENED = 20  # trees whose opening is timed


def cast(rng: random.Random) -> Cast:
    def said() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(20, 40)))

    async def seeker(history: Dialogue, *, sample: int = 0) -> Utterance:
        return Utterance(said(), len(history.turns) > 12 and rng.random() < 0.3)

    async def supporter(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return said()

    async def strategist(history: Dialogue, *, sample: int = 0) -> dict[str, float]:
        return {name: rng.random() * 10 for name in TAXONOMY.names}

    async def judge(history: Dialogue, *, sample: int = 0) -> Rating:
        return Rating(*(rng.randint(2, 4) for _ in range(4)))

    return Cast(seeker, supporter, strategist, judge)


def grown(folder: Path, trees: int) -> int:
    """A run with so many trees; how many nodes they have."""
    told = SearchSettings(iterations=ITERATIONS, ends=10_000)
    run = Run.create(folder, load_settings(None, []), TAXONOMY)
    seeds = [
        Dialogue(f"seed-{place}", seed.turns, seed.situation, seed.emotion, seed.scene)
        for place, seed in enumerate((SEEDS * (1 + trees // len(SEEDS)))[:trees])
    ]
    run.save_seeds(seeds)
    rng, nodes = random.Random(0), 0

    def keep(tree: Tree) -> None:
        nonlocal nodes
        nodes += len(tree.nodes)
        run.save_tree(tree)

    asyncio.run(grow_forest(seeds, lambda seed: cast(rng), TAXONOMY, told, grown=keep))
    return nodes


def seconds_to_use(page: Page, address: str) -> float:
    """From asking for the page until its list of trees is there."""
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(f"{address}#trees")
    page.wait_for_selector("#trees-table tbody tr")
    return time.perf_counter() - started


def seconds_to_open(page: Page, trees: int) -> list[float]:
    """Of each tree, opened for the first time, up to the next frame: at its opening, with all that is shown there."""
    return [
        page.evaluate(
            """async (name) => {
                const started = performance.now();
                location.hash = address({ tree: name });
                while (explorer?.line.name !== name || !explorer.state) await new Promise((soon) => setTimeout(soon));
                await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
                if (!document.querySelector(".row")) throw new Error("no row is drawn");
                return (performance.now() - started) / 1000;
            }""",
            f"seed-{place}",
        )
        for place in range(0, trees, max(1, trees // OPENED))
    ]


def measure(trees: int) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        nodes = grown(folder, trees)
        with redirect_stdout(StringIO()):
            extract_command(folder)
            started = time.perf_counter()
            report_command(folder)
        made = time.perf_counter() - started
        target = folder / "report.html"
        pairs = (folder / "preferences" / "pairs.jsonl").read_text(encoding="utf-8").count("\n")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            seconds_to_use(page, target.as_uri())  # once to warm up
            usable = median(seconds_to_use(page, target.as_uri()) for _ in range(5))
            opened = seconds_to_open(page, trees)
            chromium.close()
        print(
            f"{trees} trees, {nodes} nodes, {pairs} pairs: made in {made:.1f} s, {target.stat().st_size / 1e6:.1f} MB, "
            f"usable in {usable:.2f} s, a tree opens in {1000 * median(opened):.0f} ms "
            f"(slowest {1000 * max(opened):.0f})",
            flush=True,
        )


if __name__ == "__main__":
    for each in map(int, sys.argv[1:] or ("25", "50", "100", "200")):
        measure(each)

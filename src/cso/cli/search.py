"""`cso search`: from seed dialogues to trees, in a run directory."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cso.cli.casting import Casting, casting, wording
from cso.cli.estimate import estimate
from cso.cli.options import Assignments, BaseUrl, Config, Model, assignments, console
from cso.cli.progress import SearchProgress
from cso.corpora import read_corpus
from cso.dialogue import Dialogue
from cso.errors import InputError, StoreError
from cso.files import locked
from cso.search import grow_forest
from cso.settings import Settings, load_settings
from cso.store import Run
from cso.taxonomy import Taxonomy, load_taxonomy
from cso.tree import Tree

SECONDS_OF_A_TREE, SECONDS_OF_ANY = 3.0, 0.3  # between two snapshots


def search(
    seeds: Annotated[str, typer.Argument(help="A file of dialogues (see `cso corpus`), `bundled` or `bundled:test`.")],
    out: Annotated[Path, typer.Option(help="The run directory; one that is there is gone on with.")],
    config: Config = None,
    set_: Assignments = None,
    base_url: BaseUrl = None,
    model: Model = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only so many dialogues, from the first.")] = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="Stop before more calls than this (resumable).")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="Stop before more tokens than this.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before more USD than this.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask nobody: estimate calls, tokens and cost.")] = False,
    regrow: Annotated[
        bool, typer.Option("--regrow", help="Grow the trees of a run again under other settings, keeping its answers.")
    ] = False,
) -> None:
    """Grow a tree of conversations from each seed dialogue."""
    budgets = {"limits.max_calls": max_calls, "limits.max_tokens": max_tokens, "limits.max_cost": max_cost}
    said = assignments(set_, base_url, model) + [
        f"{key}={value}" for key, value in budgets.items() if value is not None
    ]
    settings = load_settings(config, said)
    taxonomy = load_taxonomy(settings.taxonomy)
    screen = console()
    dialogues = read_seeds(screen, seeds, taxonomy, settings)
    if dry_run:
        asyncio.run(estimate(screen, dialogues[:limit], settings, taxonomy))
        return
    with locked(out):
        run = Run.create(out, settings, taxonomy, wording(settings, taxonomy), replace=regrow)
        run.save_seeds(dialogues)
        failed = asyncio.run(_search(screen, run, dialogues[:limit]))
    if failed:
        raise typer.Exit(1)


def read_seeds(screen: Console, source: str, taxonomy: Taxonomy, settings: Settings) -> Sequence[Dialogue]:
    """The dialogues that can be seeds, what became of the others being said. Raises InputError where there are none."""
    corpus = read_corpus(source, taxonomy, drop_unlabelled=settings.drop_unlabelled)
    screen.print(corpus.summary())
    for dropped in corpus.dropped[:3]:
        screen.print(f"  dropped as {dropped.reason.value}: {dropped}")
    if len(corpus.dropped) > 3:
        screen.print(f"  and {len(corpus.dropped) - 3} more; `cso corpus {source}` lists them")
    if not corpus.dialogues:
        raise InputError(
            f"{source}: no dialogue can be a seed with taxonomy {taxonomy.name} (--set taxonomy=... sets another); "
            f"`cso corpus {source}` says why"
        )
    return corpus.dialogues


async def _search(screen: Console, run: Run, seeds: Sequence[Dialogue]) -> int:
    """Grow what is not there yet; the number of trees that failed."""
    pending = [seed for seed in seeds if not run.has_tree(seed)]
    if len(pending) < len(seeds):
        screen.print(f"{len(seeds) - len(pending)} of {len(seeds)} trees are in {run.folder} already")
    if not pending:
        return 0
    failed: list[Tree] = []
    kinds: Counter[str] = Counter()
    async with casting(run) as cast:
        if cast.notice:
            screen.print(cast.notice)
        told = run.settings.search
        progress = SearchProgress(screen, trees=len(pending), iterations=told.iterations, spent=cast.spent)

        def grown(tree: Tree) -> None:
            run.save_tree(tree)
            cast.dismiss(tree.seed)
            kinds.update(type(node.state).__name__.lower() for node in tree.nodes)
            if tree.failure is not None:
                failed.append(tree)
            progress.grown(tree)

        snapshots = _Snapshots(run)

        def observe(tree: Tree) -> None:
            progress.observe(tree)
            snapshots.observe(tree)

        try:
            with progress:
                await grow_forest(pending, cast.cast_for, run.taxonomy, told, grown=grown, observe=observe)
        finally:
            _summarise(screen, run, len(pending), failed, kinds, cast)
    return len(failed)


class _Snapshots:
    """Writes trees on their way now and then, for `cso view`: seldom enough to cost the search nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._written: dict[str, float] = {}  # when each tree was last written, or first seen
        self._latest = time.monotonic()

    def observe(self, tree: Tree) -> None:
        now = time.monotonic()
        written = self._written.setdefault(tree.seed.id, now)
        if now - written >= SECONDS_OF_A_TREE and now - self._latest >= SECONDS_OF_ANY:
            self._written[tree.seed.id] = self._latest = now
            try:
                self._run.save_growing(tree)
            except StoreError:
                self._latest = math.inf  # nobody can look on, and the search goes on


def _why(tree: Tree) -> str:
    return f"{tree.failure.reason}: {tree.failure.message}" if tree.failure else ""


def _summarise(
    screen: Console, run: Run, wanted: int, failed: Sequence[Tree], kinds: Counter[str], cast: Casting
) -> None:
    trees = kinds["root"]
    nodes = kinds.total()
    screen.print(f"{trees - len(failed)} of {wanted} trees grown: {nodes} nodes, {kinds['end']} of them ends")
    screen.print(cast.spent())
    for tree in failed:
        screen.print(f"  failed after {tree.iterations} iterations: {tree.seed.id}: {_why(tree)}")
    screen.print(f"trees: {run.folder / 'trees'}")
    screen.print(f"answers: {run.folder / 'answers'}")

"""`cso search`: from seed dialogues to trees, in a run directory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cso.casting import casting, wording
from cso.cli.estimate import estimate
from cso.cli.options import Assignments, BaseUrl, Config, Model, Strategies, assignments, console, loadable, need, quiet
from cso.cli.progress import SearchProgress
from cso.corpora import read_corpus
from cso.corpus_cast import STAND_IN_NOTICE
from cso.dialogue import Dialogue
from cso.errors import InputError, StoreError
from cso.files import locked
from cso.growing import Growing, Grown
from cso.settings import Settings, changes, load_settings
from cso.store import Run
from cso.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from cso.cluster.mirror import Mirror


def search(
    seeds: Annotated[str, typer.Argument(help="A file of dialogues (see `cso corpus`), `bundled` or `bundled:test`.")],
    out: Annotated[
        str,
        typer.Option(help="The run directory; one that is there is gone on with. With Ray also s3://..., gs://..."),
    ],
    config: Config = None,
    set_: Assignments = None,
    taxonomy: Strategies = None,
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
    said = assignments(set_, base_url=base_url, model=model, taxonomy=taxonomy)
    settings = load_settings(config, said)
    now = load_settings(config, [*said, *(f"{key}={each}" for key, each in budgets.items() if each is not None)])
    if settings.cast.policy.model is not None:
        need("cast.policy", ("torch", "transformers", "accelerate"))
        loadable(settings.cast.policy.model, None)
        quiet()
    strategies = load_taxonomy(settings.taxonomy)
    screen = console()
    dialogues = read_seeds(screen, seeds, strategies, settings)
    if dry_run:
        asyncio.run(estimate(screen, dialogues[:limit], now, strategies))
        return
    with _place(out, settings) as (folder, address), locked(folder):
        before = Run.open(folder).settings if (folder / "settings.yaml").exists() else settings
        run = Run.create(folder, settings, strategies, wording(settings, strategies), replace=regrow)
        _say_changes(screen, before, settings)
        run.settings = now  # budgets are of this invocation alone
        _keep_seeds(screen, run, seeds, dialogues)
        failed = _search(screen, run, dialogues[:limit], address)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _place(out: str, settings: Settings) -> Generator[tuple[Path, Mirror | None]]:
    """The folder of the run; where it has an address, a folder that is gone at the end, and what copies from and to it.

    Raises InputError for an address without Ray.
    """
    if "://" not in out:
        yield Path(out), None
        return
    if settings.search.executor != "ray":
        raise InputError(f"--out {out}: expected a folder, or search.executor=ray, whose actors can write there")
    need("search.executor=ray", ("ray", "fsspec"), extra="ray")
    from cso.cluster.mirror import SHARED, Mirror  # here, because they need the extra

    with TemporaryDirectory(prefix="cso-") as folder:
        mirror = Mirror(out, Path(folder))
        grown = [name for name in mirror.names() if name.startswith("trees/")]
        mirror.fetch(*SHARED, *grown[:1])  # a tree, so that other settings than those there are found out
        try:
            yield Path(folder), mirror
        except StoreError as error:  # about the run, which is there, not here
            raise StoreError(str(error).replace(folder, out)) from error


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
            f"{source}: no dialogue can be a seed with taxonomy {taxonomy.name} (--taxonomy takes another); "
            f"`cso corpus {source}` says why"
        )
    return corpus.dialogues


def _say_changes(screen: Console, before: Settings, settings: Settings) -> None:
    """What the run had been told otherwise; of the trees' own settings it is what --regrow changed."""
    if changed := changes(before, settings):
        screen.print(f"the run's settings are now as told: {changed}")


def _keep_seeds(screen: Console, run: Run, source: str, dialogues: Sequence[Dialogue]) -> None:
    """Make these the run's seeds, beside those it had: what trees were grown from is never held-out data."""
    named = {dialogue.id for dialogue in dialogues}
    others = [seed for seed in run.load_seeds() if seed.id not in named] if run.has_seeds else []
    if others:
        screen.print(f"{run.folder} had {len(others)} other seeds than those of {source}: they stay, with their trees")
    run.save_seeds([*others, *dialogues])


def _search(screen: Console, run: Run, seeds: Sequence[Dialogue], mirror: Mirror | None = None) -> int:
    """Grow what is not there yet; the number of trees that failed."""
    pending = [seed for seed in seeds if not run.has_tree(seed)]
    place = mirror.address if mirror else str(run.folder)
    if len(pending) < len(seeds):
        screen.print(f"{len(seeds) - len(pending)} of {len(seeds)} trees are in {place} already")
    if not pending:
        return 0
    if run.settings.cast.kind == "corpus":
        screen.print(STAND_IN_NOTICE)
    outcome = Outcome(screen, run, len(pending), place)
    try:
        if run.settings.search.executor == "ray":
            _on_ray(run, pending, outcome, mirror)
        else:
            asyncio.run(_here(run, pending, outcome))
    finally:
        outcome.show()
    return len(outcome.failed)


class Outcome:
    """What becomes of a search: shown while it goes on, and in a few lines at its end."""

    def __init__(self, screen: Console, run: Run, wanted: int, place: str) -> None:
        self._screen, self._wanted, self._place = screen, wanted, place
        self._kinds: Counter[str] = Counter()
        self.failed: list[Grown] = []
        self.spent: Callable[[], object] | None = None  # until the roles are filled
        self.progress = SearchProgress(
            screen, trees=wanted, iterations=run.settings.search.iterations, spent=lambda: self.spent and self.spent()
        )

    def grown(self, tree: Grown) -> None:
        self._kinds.update(tree.kinds)
        if tree.failure is not None:
            self.failed.append(tree)
        self.progress.grown(tree)

    def show(self) -> None:
        """Nothing where it has not begun."""
        if self.spent is None:
            return
        say, trees = self._screen.print, self._kinds["root"]
        say(
            f"{trees - len(self.failed)} of {self._wanted} trees grown: {self._kinds.total()} nodes, "
            f"{self._kinds['end']} of them ends"
        )
        say(str(self.spent()))
        for tree in self.failed:
            why = f"{tree.failure.reason}: {tree.failure.message}" if tree.failure else ""
            say(f"  failed after {tree.iterations} iterations: {tree.id}: {why}")
        if any(tree.failure and tree.failure.reason == "unreadable" for tree in self.failed):
            say("answers that cannot be read are remembered: to ask afresh, remove the dialogue's file of answers")
        say(f"trees: {self._place}/trees")
        say(f"answers: {self._place}/answers")


async def _here(run: Run, seeds: Sequence[Dialogue], outcome: Outcome) -> None:
    """Grow the trees in this process."""
    async with casting(run) as cast:
        outcome.spent = cast.spent
        with outcome.progress:
            await Growing(cast, reached=outcome.progress.reached).grow(seeds, outcome.grown)


def _on_ray(run: Run, seeds: Sequence[Dialogue], outcome: Outcome, mirror: Mirror | None) -> None:
    """Grow the trees by actors of a Ray cluster."""
    need("search.executor=ray", ("ray",), extra="ray")
    from cso.cluster.mirror import SHARED
    from cso.cluster.searching import RaySearch  # here, because it takes seconds to import

    if mirror is not None:
        mirror.send(*SHARED)
    search = RaySearch(run, None if mirror is None else mirror.address)
    outcome.spent = search.spent
    with outcome.progress:
        search.grow(seeds, grown=outcome.grown, reached=outcome.progress.reached)

"""`cso extract`: from the trees of a run to a preference dataset, in the same run directory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cso.casting import casting
from cso.cli.options import Assignments, Config, console
from cso.dialogue import Dialogue
from cso.errors import InputError, StoreError
from cso.extract import Preferences, Statistics, extract
from cso.extract.write import Origin, Written, write_preferences
from cso.files import locked, write_text
from cso.rating import Rating
from cso.settings import Settings, changes, dump_settings, load_settings
from cso.store import Run
from cso.taxonomy import Strategy
from cso.tree import Tree


def extract_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with trees.")],
    config: Config = None,
    set_: Assignments = None,
    judge: Annotated[
        bool, typer.Option("--judge", help="Ask the judge for the own-turn ratings that replies of pairs lack.")
    ] = False,
    random: Annotated[
        bool,
        typer.Option(
            "--random", help="Also make ESC-Pro-Random: each reply of a valid path against a random strategy's."
        ),
    ] = False,
    contrast: Annotated[
        bool,
        typer.Option("--contrast", help="Also reject unvisited siblings whose reply, asked for now, is judged poor."),
    ] = False,
    min_margin: Annotated[
        float | None, typer.Option(help="Drop pairs whose own-turn rewards differ by less (extract.min_margin).")
    ] = None,
) -> None:
    """Make a preference dataset of the trees of a run."""
    screen = console()
    there = Run.open(run_folder)
    with locked(run_folder):
        said = [*(set_ or []), *([] if min_margin is None else [f"extract.min_margin={min_margin}"])]
        run = Run(run_folder, _settings(there.settings, config, said), there.taxonomy, there.wording)
        trees = _usable(screen, there)
        _say_changes(screen, run)
        made = asyncio.run(_extract(screen, run, trees, judge=judge, random=random, contrast=contrast))
        written = write_preferences(
            run.preferences,
            trees,
            made,
            run.settings.extract,
            Origin(taxonomy=run.taxonomy, reward=run.settings.search.reward, notes=_notes(run)),
        )
        write_text(run.preferences / "settings.yaml", dump_settings(run.settings))
    _summarise(screen, made, written)


def _settings(told: Settings, config: Path | None, said: list[str]) -> Settings:
    """The run's settings, with what extraction may be told otherwise. Raises InputError for what the search decided."""
    settings = load_settings(config, said, base=told)
    if settings.model_copy(update={"extract": told.extract, "cast": told.cast, "limits": told.limits}) != told:
        raise InputError(
            "extraction can be told extract.*, cast.* and limits.*; all else was decided when the trees were grown: "
            "`cso search --regrow` decides it anew"
        )
    return settings


def _usable(screen: Console, run: Run) -> list[Tree]:
    """The trees that were grown to the end, the others being named."""
    trees = list(run.trees())
    others = len(list((run.folder / "trees").glob("*.json"))) - len(trees)
    if others:
        screen.print(f"left out, since they were grown under other settings: {others} trees")
    for tree in trees:
        if tree.failure is not None:
            screen.print(f"left out, since its search failed: {tree.seed.id}: {tree.failure.message}")
    whole = [tree for tree in trees if tree.failure is None]
    if not whole:
        raise StoreError(f"{run.folder / 'trees'}: no tree that was grown to the end; run `cso search` first")
    return whole


def _say_changes(screen: Console, run: Run) -> None:
    """What the preferences that are there, which are made anew, were told otherwise."""
    path = run.preferences / "settings.yaml"
    try:
        before = load_settings(path) if path.exists() else run.settings
    except InputError:  # of another version
        return
    if changed := changes(before, run.settings):
        screen.print(f"extracted otherwise before: {changed} (--set says it again)")


async def _extract(
    screen: Console, run: Run, trees: Sequence[Tree], *, judge: bool, random: bool, contrast: bool
) -> Preferences:
    settings = run.settings
    reward = settings.search.reward
    if not (judge or random or contrast):
        return await extract(trees, settings.extract, taxonomy=run.taxonomy, reward=reward)
    seeds = {tree.seed.id: tree.seed for tree in trees}
    async with casting(run) as cast:

        async def rate(history: Dialogue, *, sample: int = 0) -> Rating:
            return await cast.cast_for(seeds[history.id]).judge(history, sample=sample)

        async def reply(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
            return await cast.cast_for(seeds[history.id]).supporter(history, strategy, sample=sample)

        made = await extract(
            trees,
            settings.extract,
            taxonomy=run.taxonomy,
            reward=reward,
            judge=rate if judge else None,
            supporter=reply if random else None,
            contrast=(reply, rate) if contrast else None,
        )
        screen.print(f"asked: {cast.spent()}")
        return made


def _notes(run: Run) -> dict[str, str]:
    settings = run.settings
    if settings.cast.kind == "corpus":
        players = "the embedded cast, a stand-in for language models"
    else:
        players = ", ".join(f"{role}: {player.model}" for role, player in settings.cast.players().items())
    if (policy := settings.cast.policy).model is not None:
        players += f"; {' and '.join(policy.plays)} played by {Path(policy.model).name}, trained by cso"
    return {"cast": players, "taxonomy": run.taxonomy.name, "iterations a tree": str(settings.search.iterations)}


def _summarise(screen: Console, made: Preferences, written: Written) -> None:
    numbers: Statistics = written.statistics
    five = numbers.table5
    screen.print(
        f"{five.seed_dialogues.dialogues} seed dialogues became {five.dialogues.dialogues} "
        f"of {five.dialogues.mean_utterances:.2f} utterances"
    )
    for name, amount in _amounts(made):
        screen.print(f"  {name}: {amount:,}")
    if not made.pairs:
        screen.print("no pairs, so nothing to prefer: lower extract.threshold, or search longer (search.iterations)")
    table = Table("strategy", "chosen", "rejected", box=None, pad_edge=False)
    for count in numbers.strategies:
        table.add_row(count.strategy, f"{count.chosen:,}", f"{count.rejected:,}")
    screen.print(table)
    folder = written.files[-1].parent
    screen.print(f"preferences: {folder} ({', '.join(str(file.relative_to(folder)) for file in written.files)})")
    if not written.figures:
        screen.print("no figure: matplotlib is missing (pip install 'chain-of-strategy[figures]')")


def _amounts(made: Preferences) -> list[tuple[str, int]]:
    amounts = [
        ("pairs", len(made.pairs)),
        ("labelled replies (KTO)", len(made.labelled)),
        ("demonstrations (SFT)", len(made.demonstrations)),
    ]
    if made.random is not None:
        amounts.append(("pairs against random strategies", len(made.random)))
    dropped = made.dropped
    reasons = [
        ("dropped as duplicates", dropped.duplicate_pairs),
        ("dropped below the margin", dropped.below_margin),
        ("dropped without a rating", dropped.unrated),
        ("dropped for balance", dropped.balance),
        ("dropped for balance, against random strategies", dropped.random_balance),
        ("left out of KTO, chosen here and rejected there", dropped.contradictory_labels),
        ("replies that the judge did not rate", dropped.judge_unanswered),
        ("turns without a reply by a random strategy", dropped.random_unanswered),
        ("contrasts without an answer", dropped.contrast_unanswered),
    ]
    return amounts + [(name, amount) for name, amount in reasons if amount]

"""`cso report`: a run as one page."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

from cso.casting import prices
from cso.cli.options import console
from cso.cli.shelf import Shelf
from cso.errors import InputError, StoreError
from cso.evaluate import compare, load_answers
from cso.files import remove, write_text
from cso.report import Facts, figure_files, gather, page
from cso.report.chart import is_ours
from cso.report.facts import Comparison, Evaluation
from cso.report.overview_results import test_set
from cso.store import Run

REFERENCES = ("base", "sft")  # evaluations that the others are held against
MOST_PAIRED = 4  # evaluations of which every two are compared, where there is no reference

Stamped = tuple[Path, int, int]  # a file, when it was changed, and its size


def report_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
) -> None:
    """Write RUN/report.html: scores, figures, preferences, training and cost, on one page; and RUN/figures/*.svg.

    Figures of an earlier report that this one does not draw are removed.
    """
    run = Run.open(run_folder)
    shelf = Shelf(run)
    data = shelf.everything()
    facts = facts_of(shelf)
    files = figure_files(facts)
    for name, svg in files.items():
        write_text(run_folder / "figures" / name, svg)
    _remove_old(run_folder / "figures", files)
    target = run_folder / "report.html"
    write_text(target, page(facts, data))
    console().print(f"report: {target}" + (f"; its figures as SVG: {run_folder / 'figures'}" if files else ""))


def _remove_old(folder: Path, files: Collection[str]) -> None:
    """What an earlier report drew and this one does not is gone; what others have put there stays."""
    for path in sorted(folder.glob("*.svg")):
        with suppress(OSError, UnicodeDecodeError):  # what cannot be read is not ours
            if path.name not in files and is_ours(path.read_text(encoding="utf-8"), path.stem):
                remove(path)


def facts_of(shelf: Shelf) -> Facts:
    """What a report of the run shows. Of trees, what the shelf's latest index has: none of other settings."""
    run = shelf.run
    stand_in = run.settings.cast.kind == "corpus"
    facts = gather(
        run.folder,
        strategies=run.taxonomy.names,
        speakers=run.taxonomy.speakers,
        stand_in=stand_in,
        prices={} if stand_in else prices(run.settings.cast),
    )
    comparisons, unread = _comparisons(run, facts.evaluations)
    failed = {tree["id"] for tree in shelf.trees if tree["failed"]}
    unfinished = sum(tree["unfinished"] for tree in shelf.trees)
    return replace(
        facts,
        trees=len(shelf.trees) - unfinished,
        unfinished=unfinished,
        failed=[each for each in facts.failed if each.dialogue in failed],
        unreadable=list(dict.fromkeys([*facts.unreadable, *shelf.unreadable, *unread])),
        comparisons=comparisons,
    )


def _comparisons(run: Run, evaluations: Mapping[str, Evaluation]) -> tuple[list[Comparison], list[str]]:
    """Of evaluations of the same turns, and the replies that cannot be read."""
    found: list[Comparison] = []
    unread: list[str] = []
    told = run.settings.evaluate
    for one, other in _paired(evaluations):
        files = [run.evaluation(name) / "replies.jsonl" for name in (one, other)]
        try:
            scores = _compared(*map(_stamped, files), tuple(run.taxonomy.names), told.draws, told.seed)
        except (StoreError, InputError, OSError):
            unread += [str(file.relative_to(run.folder)) for file in files if not _readable(file)]
        else:
            found.append(Comparison(one, other, scores))
    return found, unread


def _paired(evaluations: Mapping[str, Evaluation]) -> Iterator[tuple[str, str]]:
    """Each against `base` and against `sft`; where neither is there, every two of a few."""
    references = [name for name in REFERENCES if name in evaluations]
    pairs = [(one, other) for other in references for one in evaluations if one != other and (one, other) != REFERENCES]
    if not references and len(evaluations) <= MOST_PAIRED:
        pairs = list(combinations(evaluations, 2))
    return ((one, other) for one, other in pairs if test_set(evaluations[one]) == test_set(evaluations[other]))


@lru_cache(maxsize=1000)
def _compared(
    one: Stamped, other: Stamped, names: tuple[str, ...], draws: int, seed: int
) -> Mapping[str, tuple[float, float, float, float]]:
    """Of two files of replies; they are not compared again while neither changes."""
    found = compare(load_answers(one[0].parent), load_answers(other[0].parent), names, draws=draws, seed=seed)
    return {name: (each.value, each.low, each.high, each.p) for name, each in found.items()}


def _stamped(file: Path) -> Stamped:
    there = file.stat()
    return file, there.st_mtime_ns, there.st_size


def _readable(file: Path) -> bool:
    try:
        return bool(load_answers(file.parent))
    except StoreError:
        return False

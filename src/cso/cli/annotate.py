"""`cso annotate`: pages on which people judge replies."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cso.annotate import (
    OF_MODELS,
    OF_PAIRS,
    OF_REPLIES,
    Annotation,
    Item,
    chosen_criteria,
    draw,
    of_evaluations,
    of_pairs,
    of_replies,
    write,
)
from cso.annotate.writing import rater_names
from cso.cli.numbers import counted
from cso.cli.options import console
from cso.errors import InputError
from cso.evaluate import Answer, load_answers
from cso.files import locked
from cso.store import Run, file_name

QUOTED = (
    "A stand-in for a language model took most of these replies word for word from a small corpus, so that many do not "
    "fit what was said before."
)


def annotate_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; pages go to RUN/annotation.")],
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two evaluations of the run, whose replies are compared."),
    ] = None,
    single: Annotated[
        bool, typer.Option("--single", help="Single replies, marked 1 to 5: of the seeds, chosen, and rejected.")
    ] = False,
    criteria: Annotated[
        str | None, typer.Option(help="Names between commas; if not given, those of the paper for what is judged.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="How many items, the same for all raters.")] = 50,
    raters: Annotated[str, typer.Option(help="How many, or their names between commas.")] = "3",
    seed: Annotated[int, typer.Option(min=0, help="Of items, orders and sides.")] = 0,
    name: Annotated[str | None, typer.Option(help="Of the folder; if not given, by what is judged.")] = None,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Also write tasks.json and config.xml for Label Studio.")
    ] = False,
) -> None:
    """Make a page for each rater: which of two replies is better (the run's pairs, if nothing else is told), or marks.

    Pages open from disk and say nothing of whose a reply is; key.json does. Raters send back the file they save.
    """
    if compare and single:
        raise InputError("--single marks replies of the run's own data: expected no --compare beside it")
    screen = console()
    run = Run.open(run_folder)
    names = rater_names(raters)
    usual = OF_REPLIES if single else OF_MODELS if compare else OF_PAIRS
    asked = chosen_criteria(criteria.split(",") if criteria is not None else usual, run.taxonomy)
    groups, what = _candidates(run, compare, single=single)
    annotation = draw(groups, asked, count=items, seed=seed, of=what)
    if run.settings.cast.kind == "corpus" and not compare:
        annotation = replace(annotation, notice=QUOTED)
    folder = run.folder / "annotation" / file_name(name or what.replace(" ", "-"))
    with locked(folder):
        pages = write(folder, annotation, names, run.taxonomy, label_studio=label_studio)
    screen.print(_drawn(annotation, sum(map(len, groups)) - annotation.same, items))
    screen.print(f"pages, one for each rater: {', '.join(map(str, pages))}")
    if label_studio:
        screen.print(f"for Label Studio: {folder / 'tasks.json'}, {folder / 'config.xml'}")
    screen.print(f"not for raters: {folder / 'key.json'}")
    screen.print(f"with the files that raters save: cso agreement FILES --key {shlex.quote(str(folder / 'key.json'))}")
    if annotation.notice:
        screen.print(f"said on the pages too: {annotation.notice}")


def _candidates(run: Run, compare: tuple[str, str] | None, *, single: bool) -> tuple[list[list[Item]], str]:
    """All that could be drawn, in groups, and what it is."""
    if compare:
        one, other = compare
        items = of_evaluations(one, _answers(run, one), other, _answers(run, other))
        return [items], f"{one} against {other}"
    pairs = of_pairs(run.view("dpo"), run.taxonomy)
    return (of_replies(pairs, run.load_seeds()), "single") if single else ([pairs], "pairs")


def _answers(run: Run, name: str) -> list[Answer]:
    if not (run.evaluation(name) / "scores.json").exists():
        there = sorted(path.parent.name for path in run.folder.glob("evaluation/*/scores.json"))
        raise InputError(
            f"--compare: expected an evaluation of {run.folder} ({', '.join(there) or 'it has none yet'}), found "
            f"{name!r}; `cso evaluate {run.folder} --model MODEL` makes one"
        )
    return load_answers(run.evaluation(name))


def _drawn(annotation: Annotation, candidates: int, asked: int) -> str:
    dialogues = len({item.history.id for item in annotation.items})
    one, more = ("pair", "pairs") if annotation.kind == "pair" else ("reply", "replies")
    said = [f"{len(annotation.items)} of {candidates:,} {one if candidates == 1 else more}"]
    if annotation.kind == "single":
        sources = [item.replies[0].source for item in annotation.items]
        said[0] += f" ({', '.join(f'{name}: {sources.count(name)}' for name in dict.fromkeys(sources))})"
    said[0] += f", of {counted(dialogues, 'dialogue')}, by {', '.join(each.name for each in annotation.criteria)}"
    if len(annotation.items) < asked:
        withheld = len(annotation.items) < candidates
        why = "since one item must not give another away" if withheld else "since there are no others"
        said.append(f"no more of the {asked} asked for, {why}")
    if annotation.same:
        said.append(f"left out since both replies read the same: {counted(annotation.same, 'pair')}")
    return "; ".join(said)

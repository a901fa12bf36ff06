"""`cso judge`: a chat model's marks of evaluated replies, or its verdicts between two models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from cso.cli.evaluate import say_unanswered
from cso.cli.numbers import plain
from cso.cli.options import Assignments, Config, console
from cso.evaluate import load_answers
from cso.evaluate.judging import Marks, Verdicts, better, mark
from cso.evaluate.results import load_scores
from cso.files import locked, write_json
from cso.llm import Answers
from cso.llm.endpoints import Endpoint
from cso.roles.ask import Asking
from cso.settings import Settings, load_settings
from cso.store import Run, file_name

T = TypeVar("T")
TOKENS = 300  # of a judge's answer, where no number is told


def judge_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with evaluations.")],
    one: Annotated[str, typer.Argument(metavar="A", help="An evaluation whose replies are judged.")],
    other: Annotated[str | None, typer.Argument(metavar="B", help="Another: which model's reply is better?")] = None,
    model: Annotated[
        str | None, typer.Option(help="The judge; if not given, cast.judge.model, or else gpt-4o-mini.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint that serves the judge.")] = None,
    config: Config = None,
    set_: Assignments = None,
) -> None:
    """Have a chat model judge replies: marks by criteria, or with B which of two is better, in both orders."""
    screen = console()
    run = Run.open(run_folder)
    settings = load_settings(config, set_ or [], base=run.settings)
    player = settings.cast.player("judge")
    model = model or player.model or "gpt-4o-mini"
    base_url = player.addresses[0] if base_url is None else base_url
    folder = run.evaluation(one)
    answers = load_answers(folder)
    named = [one, *([] if other is None else [other])]
    say_unanswered(screen, {name: load_scores(run.evaluation(name))["identity"] for name in named})
    drawn = {"draws": settings.evaluate.draws, "seed": settings.evaluate.seed}
    with locked(folder):
        if other is None:
            marks = asyncio.run(
                _judged(settings, folder, model, base_url, lambda j: mark(answers, j, run.taxonomy, **drawn))
            )
            write_json(folder / f"marks-{file_name(model)}.json", {"judge": model, **asdict(marks)})
            _show_marks(screen, f"{one}, by {model}", marks)
            return
        others = load_answers(run.evaluation(other))
        found = asyncio.run(
            _judged(settings, folder, model, base_url, lambda j: better(answers, others, j, run.taxonomy, **drawn))
        )
        write_json(
            folder / f"verdicts-{file_name(other)}-{file_name(model)}.json",
            {"judge": model, "other": other, **asdict(found)},
        )
    _show_verdicts(screen, f"{one} against {other}, by {model}", found)


def _show_marks(screen: Console, title: str, marks: Marks) -> None:
    table = Table(title, "mean, 1 to 5", box=None, pad_edge=False)
    for name, value in marks.means.items():
        table.add_row(name, plain(value))
    screen.print(table)
    screen.print(f"{marks.judged} replies judged, {marks.unread} without readable marks")


def _show_verdicts(screen: Console, title: str, found: Verdicts) -> None:
    table = Table(title, "share", box=None, pad_edge=False)
    for name, value in (("win", found.win), ("lose", found.lose), ("tie", found.tie)):
        table.add_row(name, plain(value))
    screen.print(table)
    said = [f"{found.judged} pairs judged in both orders, {found.unread} without readable verdicts"]
    if found.same:
        said.append(f"{found.same} pairs of equal replies are ties")
    if found.agreement is not None:
        said.append(f"the judge agrees with itself on {found.agreement:.0%}")
    if found.first is not None:
        said.append(f"of its verdicts for one reply {found.first:.0%} are for the one shown first (50% is even)")
    screen.print("; ".join(said))


async def _judged(
    settings: Settings, folder: Path, model: str, base_url: str | None, judge: Callable[[Asking], Awaitable[T]]
) -> T:
    """What `judge` finds, its answers being remembered in the evaluation's folder."""
    player = settings.cast.player("judge")
    price = player.price if player.model == model else None
    endpoint = Endpoint(base_url, player.api_key_env, price, settings.limits)
    async with endpoint.chat(model, Answers(folder / "judge.jsonl"), "judge") as chat:
        heat, most = player.temperature or 0.0, player.max_tokens or TOKENS
        return await judge(Asking(role="judge", chat=chat, model=model, temperature=heat, max_tokens=most))

"""`cso evaluate` and `cso compare`: how well models choose strategies on held-out dialogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import cso.evaluate
from cso.casting import embedded_backbone
from cso.cli.numbers import percent, plain
from cso.cli.options import Assignments, Config, console, loadable, need, quiet
from cso.cli.progress import counting
from cso.corpora import bundled_corpora, read_corpus
from cso.errors import InputError
from cso.evaluate import (
    Answer,
    Endpoint,
    Item,
    Scores,
    compare,
    drawn,
    held_out,
    items,
    load_answers,
    load_scores,
    rounds,
    score,
    short_name,
)
from cso.evaluate.intervals import Difference, Interval
from cso.settings import Settings, load_settings
from cso.store import Run

ALIKE = ("choose", "temperature")  # settings that make a difference which is not the models'
Run_ = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; results go to RUN/evaluation.")]


def evaluate_command(
    run_folder: Run_,
    model: Annotated[
        str, typer.Option(help="A model of RUN/models, `tiny`, a folder, a name on the hub, or one of an endpoint.")
    ],
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint that serves the model.")] = None,
    corpus: Annotated[
        str, typer.Option(help="Dialogues that were not trained on: `bundled:test`, or a file.")
    ] = "bundled:test",
    split: Annotated[str | None, typer.Option(help="Of the bundled corpus: train or test.")] = None,
    choose: Annotated[
        str | None, typer.Option(help="free: read the strategy from the reply; score: the likeliest tag.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="plain, direct-refine, self-refine or example (evaluate.baseline).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the result; if not given, the model's and baseline's.")] = None,
    config: Config = None,
    set_: Assignments = None,
) -> None:
    """Score a model's strategies on held-out dialogues."""
    screen = console()
    run = Run.open(run_folder)
    short = {"evaluate.choose": choose, "evaluate.baseline": baseline}
    said = [f"{key}={value}" for key, value in short.items() if value is not None] + list(set_ or [])
    settings = load_settings(config, said, base=run.settings)
    if split is not None:
        corpus = _part(corpus, split)
    name = name or "-".join(
        [short_name(model), *([] if settings.evaluate.baseline == "plain" else [settings.evaluate.baseline])]
    )
    evaluate(screen, run, settings, model, base_url=base_url, corpus=corpus, name=name)
    if load_scores(run.evaluation(name))["identity"].get("failed"):
        raise typer.Exit(1)


def _part(corpus: str, split: str) -> str:
    parts = {"train": "bundled", "test": "bundled:test"}
    if corpus not in parts.values() or split not in parts:
        raise InputError(f"--split {split}: expected train or test, of the bundled corpus (--corpus {corpus})")
    return parts[split]


def evaluate(
    screen: Console, run: Run, settings: Settings, model: str, *, base_url: str | None = None, corpus: str, name: str
) -> None:
    """Evaluate one model, unless that is done, and show its scores."""
    asked = test_items(screen, run, settings, corpus)
    place = loadable(model, run) if base_url is None else model
    folder = run.evaluation(name)
    answers = evaluated(screen, run, settings, asked, place, folder, base_url=base_url)
    told = settings.evaluate
    show(screen, {name: score(answers, run.taxonomy.names, draws=told.draws, seed=told.seed)})
    screen.print(f"evaluation: {folder}")


def evaluated(
    screen: Console,
    run: Run,
    settings: Settings,
    asked: Sequence[Item],
    place: str,
    folder: Path,
    *,
    base_url: str | None = None,
) -> list[Answer]:
    """A model's answers, from `folder` if it was evaluated alike; else asked for, scored and kept there."""
    endpoint, told = None, settings.train.model.model_copy(update={"name": place})
    if base_url is None:
        need("evaluating a model in this process", ("torch", "transformers", "accelerate", "peft"))
        if settings.evaluate.executor == "ray":
            need("evaluate.executor=ray", ("ray",), extra="ray")
        quiet()
        told = embedded_backbone(told, run, screen.print)
    else:
        player = settings.cast.default
        price = player.price if player.model == place else None
        endpoint = Endpoint(base_url, player.api_key_env, price, settings.limits)
    screen.print(f"evaluating {f'{place} at {base_url}' if base_url else place} on {len(asked)} turns")
    with counting(screen, len(asked) * rounds(settings.evaluate)) as observe:
        return cso.evaluate.evaluate(
            told,
            asked,
            folder,
            run.taxonomy,
            settings.evaluate,
            endpoint=endpoint,
            examples=run.load_seeds() if settings.evaluate.baseline == "example" else (),
            ray=settings.ray if settings.evaluate.executor == "ray" else None,
            say=screen.print,
            observe=observe,
        )


def compare_command(
    run_folder: Run_,
    one: Annotated[str, typer.Argument(metavar="A", help="An evaluation of the run.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another, on the same turns.")],
    draws: Annotated[int, typer.Option(min=1, max=100_000, help="Of the bootstrap and of the test.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
) -> None:
    """Compare two evaluated models on the same turns: A minus B, with intervals and paired tests."""
    screen = console()
    run = Run.open(run_folder)
    answers = load_answers(run.evaluation(one)), load_answers(run.evaluation(other))
    found = compare(*answers, run.taxonomy.names, draws=draws, seed=seed)
    known = {name: load_scores(run.evaluation(name))["identity"] for name in (one, other)}
    asked = [each["settings"] for each in known.values()]
    if differing := [f"{key} {asked[0][key]} and {asked[-1][key]}" for key in ALIKE if asked[0][key] != asked[-1][key]]:
        screen.print(f"not asked alike, so that more than the models differs: {', '.join(differing)}")
    say_unanswered(screen, known)
    show_difference(screen, one, other, found)
    screen.print(
        f"{len(answers[0])} turns of {len({each.item.dialogue for each in answers[0]})} dialogues; dialogues are drawn "
        f"whole, p is two-sided, by exchanging the models' answers to whole dialogues"
    )


def say_unanswered(screen: Console, identities: Mapping[str, Mapping[str, Any]]) -> None:
    """By evaluation, where some of its requests failed."""
    for name, identity in identities.items():
        if failed := identity.get("failed"):
            screen.print(f"{failed} requests of {name} have no answer and count as wrong: evaluate it again first")


def test_items(screen: Console, run: Run, settings: Settings, corpus: str) -> list[Item]:
    """The turns of held-out dialogues. Those that the run was grown from are left out, and that is said."""
    read = read_corpus(corpus, run.taxonomy, drop_unlabelled=settings.drop_unlabelled)
    screen.print(read.summary())
    unseen = held_out(read.dialogues, run.load_seeds())
    if len(unseen) < len(read.dialogues):
        screen.print(f"left out, since they are seeds of this run: {len(read.dialogues) - len(unseen)} dialogues")
    found = drawn(items(unseen), per_stage=settings.evaluate.per_stage, seed=settings.evaluate.seed)
    if not found:
        raise InputError(
            f"{corpus}: expected held-out dialogues whose supporter turns have strategies of {run.taxonomy.name}, "
            f"found none; --corpus FILE names others, bundled are {', '.join(bundled_corpora())}"
        )
    return found


def show(screen: Console, found: Mapping[str, Scores]) -> None:
    """The table of scores: Q, Q_W and shares in percent, B as it is, each with its 95 % interval."""
    table = Table("model", "Q", "B", "Q_W", "accuracy", "unreadable", "R-L", "B-2", box=None, pad_edge=False)
    for name, scores in found.items():
        strategies, texts = scores.strategies, scores.texts
        table.add_row(
            name,
            percent(strategies["Q"]),
            plain(strategies["B"]) if strategies["unreadable"].value < 1 else "-",
            *(percent(strategies[each]) for each in ("Q_W", "accuracy")),
            f"{100 * strategies['unreadable'].value:.1f}",
            *(_words(texts.get(each)) for each in ("R-L", "BLEU-2")),
        )
    screen.print(table)
    if all(scores.strategies["unreadable"].value == 1 for scores in found.values()):
        screen.print("no reply had a readable strategy: is this model asked in the form that it was trained for?")


def show_difference(screen: Console, one: str, other: str, found: Mapping[str, Difference]) -> None:
    """A model less another in each score: the difference in percentage points, B's as it is, its interval, and p."""
    table = Table(f"{one} - {other}", "difference", "95 % interval", "p", box=None, pad_edge=False)
    for name, each in found.items():
        factor, places = (1, 2) if name == "B" else (100, 1)
        value, low, high = (f"{factor * number:+.{places}f}" for number in (each.value, each.low, each.high))
        table.add_row(name, value, f"[{low}, {high}]", f"{each.p:.3f}" if each.p >= 0.0005 else "<0.001")
    screen.print(table)
    screen.print("differences in percentage points, that of B as it is")


def _words(value: float | Interval | None) -> str:
    match value:
        case None:
            return "-"
        case Interval():
            return percent(value)
        case share:
            return f"{100 * share:.1f}"

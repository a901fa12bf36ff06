"""`cso run`: the whole method as one command. Every step goes on from what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cso.cli.embedded import SETTINGS
from cso.cli.evaluate import evaluate, show, show_difference
from cso.cli.extract import extract_command
from cso.cli.options import Assignments, Strategies, assignment, assignments, console, loadable, need
from cso.cli.report import report_command
from cso.cli.search import search
from cso.cli.train import for_sft, train_command, train_settings
from cso.corpora import read_corpus
from cso.errors import InputError
from cso.evaluate import check_settings, compare, items, load_answers, score
from cso.settings import Settings, load_settings
from cso.store import Run
from cso.taxonomy import load_taxonomy

EMBEDDED = (*SETTINGS, "train.objective=orpo")  # of all objectives the best for the embedded backbone: docs/results.md


def run_command(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="Settings as a YAML file, which then says all; without, the embedded default, which balances pairs "
            "by weights, trains all weights, CSO by ORPO, and scores strategies by the probability of their tags."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The run directory; one that is there is gone on with.")] = Path("runs/cso"),
    seeds: Annotated[str, typer.Option(help="Dialogues to grow trees from: a file, or `bundled`.")] = "bundled",
    test: Annotated[str, typer.Option(help="Held-out dialogues: a file, or `bundled:test`.")] = "bundled:test",
    recipe: Annotated[str | None, typer.Option(help="Training settings by name, see `cso recipes`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only so many seeds, from the first.")] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Search again with the model just trained as strategist and supporter, so often.")
    ] = 1,
    taxonomy: Strategies = None,
    set_: Assignments = None,
) -> None:
    """Search, extract, train SFT and CSO, evaluate both and their base, and report: all of it.

    Each further round is a run of its own in RUN/rounds: its search is guided by the model of the round before, and its
    training goes on from there.
    """
    screen = console()
    need("`cso run`", ("torch", "transformers", "accelerate", "peft"))
    said = [*(EMBEDDED if config is None else ()), *assignments(set_, taxonomy=taxonomy)]
    settings = load_settings(config, said)
    trainings = {"sft": ("sft", for_sft(_of(said, "train"))), "cso": (settings.train.objective, _of(said, "train"))}
    base = _check(screen, settings, recipe, config, trainings, test)
    told = Told(config, recipe, seeds, test, limit, merge=settings.train.tuning == "lora" and rounds > 1)
    failed = _round(screen, out, told, said, settings, trainings, base)
    places = [out]
    for number in range(2, rounds + 1):
        policy = (places[-1] / "models" / "cso" / ("merged" if told.merge else "")).resolve()
        places.append(out / "rounds" / str(number))
        _step(screen, f"round {number}, guided by {policy}")
        mute = ["cast.policy.plays=[strategist]"] if settings.cast.kind == "corpus" else []  # it says no sentences
        again = [*mute, *said, assignment("cast.policy.model", policy), assignment("train.model.name", policy)]
        later = replace(told, recipe=told.recipe or ("tiny" if base == "tiny" else None))
        cso = {"cso": (settings.train.objective, _of(again, "train"))}
        failed |= _round(screen, places[-1], later, again, load_settings(config, again), cso, str(policy))
    if rounds > 1:
        _step(screen, "rounds")
        _compare_rounds(screen, places, settings)
    raise typer.Exit(failed)


@dataclass(frozen=True, slots=True)
class Told:
    """What every round is told."""

    config: Path | None
    recipe: str | None
    seeds: str
    test: str
    limit: int | None
    merge: bool  # adapters are folded in, for the next round to begin from


def _round(
    screen: Console,
    out: Path,
    told: Told,
    said: list[str],
    settings: Settings,
    trainings: Mapping[str, tuple[str, list[str]]],
    base: str,
) -> int:
    """One round, all of it; the exit status of its search."""
    _step(screen, "search")
    failed = _search(screen, told.seeds, out, told.config, said, told.limit)
    _step(screen, "extract")
    extract_command(out)  # the search has put all that was said into the run
    for name, (objective, own) in trainings.items():
        _step(screen, f"train {name}")
        merge = told.merge and name == "cso"
        train_command(out, objective, name=name, recipe=told.recipe, config=told.config, set_=own, merge=merge)
    models = ["base", *trainings]
    for name in models:
        _step(screen, f"evaluate {name}")
        evaluate(screen, Run.open(out), settings, base if name == "base" else name, corpus=told.test, name=name)
    _step(screen, "report")
    _summarise(screen, Run.open(out), settings, models)
    report_command(out)
    return failed


def _check(
    screen: Console,
    settings: Settings,
    recipe: str | None,
    config: Path | None,
    trainings: Mapping[str, tuple[str, list[str]]],
    test: str,
) -> str:
    """The model that training begins from. What would stop a later step stops here: raises InputError."""
    from cso.train import make_objective  # here, like the next, because they take seconds to import
    from cso.train.arguments import check_arguments, training_device
    from cso.train.backbone import check_loadable, load_tokenizer
    from cso.train.conversation import folds_system

    check_settings(settings.evaluate)
    if not items(read_corpus(test, load_taxonomy(settings.taxonomy)).dialogues):
        raise InputError(f"--test {test}: expected dialogues with strategies of {settings.taxonomy}, found none")
    told = settings.train
    for objective, said in trainings.values():
        told = train_settings(settings, recipe, config, [*said, f"train.objective={objective}"])
        make_objective(told.objective, told.parameters)
        check_arguments(told)
    if told.model.name != "tiny":  # that one is made where it is not there yet
        loadable(told.model.name, None)
        tokenizer = load_tokenizer(told.model, screen.print)
        folds_system(tokenizer)
        check_loadable(told, tokenizer, training_device())
    return told.model.name


def _search(screen: Console, seeds: str, out: Path, config: Path | None, said: Sequence[str], limit: int | None) -> int:
    """Grow the trees; those that fail are named, and the others go on. The exit status: 1 where some failed."""
    try:
        search(seeds, str(out), config, list(said), limit=limit)
    except typer.Exit as end:
        screen.print("some trees failed: the other ones go on")
        return end.exit_code
    return 0


def _summarise(screen: Console, run: Run, settings: Settings, models: Sequence[str]) -> None:
    names, told = run.taxonomy.names, settings.evaluate
    answers = {name: load_answers(run.evaluation(name)) for name in models}
    show(screen, {name: score(each, names, draws=told.draws, seed=told.seed) for name, each in answers.items()})
    for other in ("sft", "base"):
        if other in answers:
            found = compare(answers["cso"], answers[other], names, draws=told.draws, seed=told.seed)
            show_difference(screen, "cso", other, found)


def _compare_rounds(screen: Console, places: Sequence[Path], settings: Settings) -> None:
    """Each round's model, and the last against the first."""
    names, told = Run.open(places[0]).taxonomy.names, settings.evaluate
    answers = {
        f"round {number}": load_answers(Run.open(place).evaluation("cso")) for number, place in enumerate(places, 1)
    }
    show(screen, {name: score(each, names, draws=told.draws, seed=told.seed) for name, each in answers.items()})
    last = f"round {len(places)}"
    found = compare(answers[last], answers["round 1"], names, draws=told.draws, seed=told.seed)
    show_difference(screen, last, "round 1", found)


def _of(said: Sequence[str], stage: str) -> list[str]:
    """The assignments that a stage takes."""
    return [each for each in said if each.startswith(f"{stage}.")]


def _step(screen: Console, name: str) -> None:
    screen.print(f"\n== {name}")

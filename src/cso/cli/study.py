"""`cso study`: the paper's experiments on a run's data, trained with several seeds and scored on the same turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from cso.cli.embedded import SETTINGS as EMBEDDED
from cso.cli.embedded import prepare
from cso.cli.evaluate import evaluated, test_items
from cso.cli.options import Assignments, Config, console, need
from cso.cli.train import train_settings
from cso.errors import InputError
from cso.evaluate import Answer, Item, matrices
from cso.evaluate.intervals import Interval, mean_difference, mean_interval
from cso.evaluate.scores import bias, macro_f1, weighted_f1
from cso.files import locked, write_json, write_text
from cso.settings import Objective, Settings, TrainSettings, load_settings
from cso.store import Run, file_name

Name = Literal["main", "ablation", "volume", "objectives", "embedded"]
SCORES = {"Q": macro_f1, "B": bias, "Q_W": weighted_f1}
OBJECTIVES: tuple[Objective, ...] = ("sft", "dpo", "ipo", "simpo", "orpo", "kto")  # Tables 9 to 11
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the dialogues, Figure 4


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to train: an objective on a file of preferences, all of it or a share of its dialogues."""

    name: str
    objective: Objective
    file: str  # of RUN/preferences
    share: float = 1.0


def study_command(
    name: Annotated[
        Name,
        typer.Argument(
            help="main: SFT and CSO (Table 2); ablation: with ESC-Pro-Random (Table 4); volume: shares of the data "
            "(Figure 4); objectives: all six (Tables 9-11); embedded: ablation in a simulated world, made in RUN."
        ),
    ],
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run with preferences.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant, with seeds from 0 on.")] = 3,
    corpus: Annotated[str, typer.Option(help="Held-out dialogues: `bundled:test`, or a file.")] = "bundled:test",
    recipe: Annotated[str | None, typer.Option(help="Training settings by name, see `cso recipes`.")] = None,
    config: Config = None,
    set_: Assignments = None,
) -> None:
    """Repeat one of the paper's experiments: train variants, score them, and print means and intervals."""
    screen = console()
    need("`cso study`", ("torch", "transformers", "accelerate", "peft"))
    said = list(set_ or [])
    if name == "embedded":
        base_model, corpus = prepare(screen, run_folder, said)
        said = [*EMBEDDED, f"train.model.name={base_model}", *said]
        recipe = recipe or "tiny"
    run = Run.open(run_folder)
    settings = load_settings(config, said, base=run.settings)
    variants = _variants(name, run, settings)
    folder = run_folder / "studies" / name
    asked = test_items(screen, run, settings, corpus)
    with locked(folder):
        base = evaluated(screen, run, settings, asked, settings.train.model.name, folder / "evaluation" / "base")
        found = {"base": [base]}
        for seed, variant in product(range(seeds), variants):
            with_seed = [*said, f"train.objective={variant.objective}", f"train.seed={seed}"]
            told = train_settings(run.settings, recipe, config, with_seed)
            answers = _trained(screen, run, settings, asked, variant, told, folder)
            found.setdefault(variant.name, []).append(answers)
    _show(screen, folder, name, found, run.taxonomy.names, settings)


def _variants(name: Name, run: Run, settings: Settings) -> list[Variant]:
    chosen = settings.train.objective if settings.train.objective != "sft" else "dpo"
    sft, cso = Variant("SFT", "sft", "sft"), Variant("CSO", chosen, _file(chosen))
    match name:
        case "main":
            return [sft, cso]
        case "ablation" | "embedded":
            if not (run.preferences / "random.jsonl").exists():
                raise InputError(f"{run.preferences}: no random.jsonl; `cso extract {run.folder} --random` makes it")
            return [sft, Variant("CSO-Random", chosen, "random"), cso]
        case "volume":
            return [Variant(f"CSO, {share:.0%}", chosen, _file(chosen), share) for share in SHARES]
        case "objectives":
            return [Variant(objective, objective, _file(objective)) for objective in OBJECTIVES]


def _file(objective: Objective) -> str:
    return {"sft": "sft", "kto": "kto"}.get(objective, "pairs")


def _source(run: Run, variant: Variant, folder: Path) -> Path:
    """The variant's preferences: the run's own file, or one with the first dialogues of it only."""
    source = run.preferences / f"{variant.file}.jsonl"
    if not source.exists():
        raise InputError(f"{source}: no such file; `cso extract {run.folder}` makes it")
    if variant.share == 1:
        return source
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    names = [str(json.loads(line)["dialogue"]) for line in lines]
    order = list(dict.fromkeys(names))
    kept = set(order[: max(1, round(variant.share * len(order)))])
    target = folder / f"{variant.file}-{variant.share:g}.jsonl"
    text = "".join(line for line, name in zip(lines, names, strict=True) if name in kept)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        write_text(target, text)
    return target


def _trained(
    screen: Console,
    run: Run,
    settings: Settings,
    asked: Sequence[Item],
    variant: Variant,
    told: TrainSettings,
    folder: Path,
) -> list[Answer]:
    """The answers of one training, which is done only where it is not there yet."""
    from cso.train import train  # here, because it takes seconds to import

    name = file_name(f"{variant.name}-{told.seed}")
    screen.print(f"{variant.name}, seed {told.seed}")
    source, model = _source(run, variant, folder), folder / "models" / name
    train(source, model, told, taxonomy=run.taxonomy, say=screen.print)
    return evaluated(screen, run, settings, asked, str(model), folder / "evaluation" / name)


def _show(
    screen: Console,
    folder: Path,
    name: str,
    found: dict[str, list[list[Answer]]],
    names: Sequence[str],
    settings: Settings,
) -> None:
    told = settings.evaluate
    totals = {variant: np.stack([matrices(answers, names) for answers in each]) for variant, each in found.items()}
    reference = "SFT" if "SFT" in totals else "base"
    table = Table(name, "trainings", *SCORES, *(f"{score} - {reference}" for score in SCORES), box=None, pad_edge=False)
    rows: dict[str, dict[str, Any]] = {}
    for variant, each in totals.items():
        means = {
            score: mean_interval(each, statistic, draws=told.draws, seed=told.seed)
            for score, statistic in SCORES.items()
        }
        differences = {
            score: mean_difference(each, totals[reference], statistic, draws=told.draws, seed=told.seed)
            for score, statistic in SCORES.items()
        }
        against = ["" if variant == reference else _shown(score, value) for score, value in differences.items()]
        table.add_row(variant, str(len(each)), *(_shown(score, value) for score, value in means.items()), *against)
        rows[variant] = {
            "trainings": len(each),
            "means": {score: asdict(value) for score, value in means.items()},
            f"less {reference}": {score: asdict(value) for score, value in differences.items()},
            "by training": {
                score: [float(value) for value in statistic(each.sum(1))] for score, statistic in SCORES.items()
            },
        }
    screen.print(table)
    turns = len(next(iter(found.values()))[0])
    screen.print(f"{turns} turns; means over trainings, 95 % intervals over trainings and dialogues both")
    write_json(folder / "results.json", {"study": name, "turns": turns, "variants": rows})
    screen.print(f"study: {folder / 'results.json'}")


def _shown(score: str, value: Interval) -> str:
    scale = 1 if score == "B" else 100
    digits = 2 if score == "B" else 1
    return f"{scale * value.value:.{digits}f} [{scale * value.low:.{digits}f}, {scale * value.high:.{digits}f}]"

"""`cso train`: from the preferences of a run, or of a file, to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from cso.casting import embedded_backbone
from cso.cli.options import Assignments, Config, assignment, console, loadable, need, quiet
from cso.cli.progress import TrainProgress
from cso.cli.variants import preferences as preferences_for
from cso.errors import InputError
from cso.recipe import load_recipe
from cso.settings import Settings, TrainSettings, flat, load_settings, settings_from, values_told
from cso.store import Run
from cso.taxonomy import Taxonomy

if TYPE_CHECKING:
    from cso.train import Trained


def train_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; models go to RUN/models.")],
    objective: Annotated[
        str | None, typer.Option(help="sft, dpo, ipo, simpo, orpo, kto, plackett_luce or q_margin (train.objective).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model of RUN/models, `tiny`, a folder, or a name on the hub (train.model.name)."),
    ] = None,
    tuning: Annotated[str | None, typer.Option(help="lora or full (train.tuning).")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Settings by name, see `cso recipes`, or as a YAML file. The model is its own too."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the model's folder; if not given, the objective.")] = None,
    preferences: Annotated[
        Path | None, typer.Option(help="Train on this file (JSONL or Parquet in TRL's formats) instead of the run's.")
    ] = None,
    config: Config = None,
    set_: Assignments = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Also save the model with its adapter folded in, in `merged`.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew where the model's folder is in use.")] = False,
) -> None:
    """Train a model on preferences."""
    screen = console()
    need("training", ("torch", "transformers", "accelerate", "peft"))
    run = Run.open(run_folder) if preferences is None or (run_folder / "settings.yaml").exists() else None
    short = {"train.objective": objective, "train.model.name": model, "train.tuning": tuning}
    said = [assignment(key, value) for key, value in short.items() if value is not None] + list(set_ or [])
    told = train_settings(run.settings if run else Settings(), recipe, config, said)
    if merge and told.tuning == "full":
        raise InputError("--merge: there is no adapter to fold in with --tuning full")
    folder = run_folder / "models" / _checked_name(name or told.objective)
    source = preferences or preferences_for(cast(Run, run), told.objective)
    told = told.model_copy(update={"model": told.model.model_copy(update={"name": loadable(told.model.name, run)})})
    if run:
        told = told.model_copy(update={"model": embedded_backbone(told.model, run, screen.print)})
    _train(screen, source, folder, told, run.taxonomy if run else None, merge=merge, restart=restart)


def _train(
    screen: Console,
    source: Path,
    folder: Path,
    told: TrainSettings,
    taxonomy: Taxonomy | None,
    *,
    merge: bool,
    restart: bool,
) -> None:
    from torch import distributed  # here, like the next, because they take seconds to import

    from cso.train import is_merged, merge_adapter, train

    quiet()
    first = os.environ.get("RANK", "0") == "0"
    with TrainProgress(screen if first else Console(quiet=True)) as progress:
        progress.say(f"training {told.model.name} by {told.objective} ({told.tuning}) on {source}")
        trained = train(
            source, folder, told, taxonomy=taxonomy, restart=restart, say=progress.say, observe=progress.observe
        )
        if merge and told.tuning == "lora" and first and not is_merged(folder):
            progress.say("folding the adapter in")
            merge_adapter(folder, trust_remote_code=told.model.trust_remote_code)
    if first:
        _summarise(screen, trained)
    if distributed.is_initialized():
        distributed.destroy_process_group()  # else its threads may abort the process as it ends


def train_settings(base: Settings, recipe: str | None, config: Path | None, said: list[str]) -> TrainSettings:
    """The run's own settings or the defaults, or a recipe in their place; then the file, then what was said.

    `tiny` has a recipe without being told, for all that the run leaves as it is by default. Parameters are of the
    objective that they were told for: another one has its own. Epochs that are told count, whatever tokens were before.
    """
    written, asked = load_settings(config, base=base).train, load_settings(config, said, base=base).train
    start = base.model_copy(update={"train": _start(base.train, recipe, asked)})
    told = load_settings(config, said, base=start).train
    keys = flat(values_told(config, said))
    if "train.epochs" in keys and "train.tokens" not in keys:
        told = told.model_copy(update={"tokens": None})
    if asked.objective == written.objective:
        return told
    own = [each for each in said if each.startswith("train.parameters")]
    return told.model_copy(update={"parameters": load_settings(None, own, base=start).train.parameters})


def for_sft(said: Sequence[str]) -> list[str]:
    """Without what is said of the other objective: its name, and its parameters, of which SFT has none."""
    return [each for each in said if not each.startswith(("train.parameters", "train.objective"))]


def _start(own: TrainSettings, recipe: str | None, asked: TrainSettings) -> TrainSettings:
    """What file and command line are laid over, for the objective, tuning and model that are asked for."""
    alike = own.objective == asked.objective
    if recipe is not None:
        return load_recipe(recipe).settings(asked.objective, asked.tuning)
    if asked.model.name != "tiny":
        return own if alike else own.model_copy(update={"parameters": {}})
    row = load_recipe("tiny").settings(asked.objective, asked.tuning)
    told = own.model_dump(exclude_defaults=True, exclude={"model": {"name"}, "objective": True, "tuning": True})
    if not alike:
        told.pop("parameters", None)
    if "epochs" in told:
        told.setdefault("tokens", None)
    return settings_from({"train": told}, source="settings of the run", base=Settings(train=row)).train


def _checked_name(name: str) -> str:
    if not name or name != Path(name).name or name.startswith("."):
        raise InputError(f"--name {name}: expected the name of a folder")
    return name


def _summarise(screen: Console, trained: Trained) -> None:
    """From what to what; on training examples over the last tenth of the steps, since a step has a few of them only."""
    for title, prefix, share in (("training examples", "", 0.1), ("examples held out", "eval_", 0)):
        entries = [entry for entry in trained.log if f"{prefix}loss" in entry]
        if not entries:
            continue
        closing = entries[-max(1, round(share * len(entries))) :]
        numbers = [f"loss {entries[0][f'{prefix}loss']:.3f} -> {_mean(closing, f'{prefix}loss'):.3f}"]
        if f"{prefix}rewards/accuracies" in closing[-1]:  # at first there is nothing to be right about
            numbers.append(f"accuracy {_mean(closing, f'{prefix}rewards/accuracies'):.0%}")
        if (likelier := f"{prefix}logps/accuracies") in closing[-1]:
            numbers.append(
                f"chosen likelier than rejected {entries[0][likelier]:.0%} -> {_mean(closing, likelier):.0%}"
            )
        screen.print(f"{title}: {', '.join(numbers)}")
    screen.print(f"model: {trained.folder}")


def _mean(entries: Sequence[Mapping[str, float]], name: str) -> float:
    return fmean(entry[name] for entry in entries)

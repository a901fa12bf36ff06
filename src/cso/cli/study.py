"""`cso study`: the paper's experiments on a run's data, trained with several seeds and scored on the same turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from cso.casting import embedded_backbone
from cso.cli import embedded
from cso.cli.evaluate import evaluated, test_items
from cso.cli.options import Assignments, Config, console, loadable, need
from cso.cli.rounds import Rounds, VariantsOf
from cso.cli.study_table import show_study
from cso.cli.train import for_sft, train_settings
from cso.cli.variants import Variant, trained_in, variants_of
from cso.errors import InputError
from cso.evaluate import Answer, Item
from cso.files import locked, write_text
from cso.settings import Settings, TrainSettings, load_settings
from cso.store import Run, file_name
from cso.taxonomy import load_taxonomy

WHAT = (
    "main: SFT, CSO and prompting (Table 2); ablation: with ESC-Pro-Random (Table 4); volume: shares of the data "
    "(Figure 4); objectives: all six (Tables 9-11); embedded: in a simulated world, made in RUN; rounds: whether, in "
    "that world, a second round is worth its calls."
)
Name = Literal["main", "ablation", "volume", "objectives", "embedded", "rounds"]
SIMULATED = ("embedded", "rounds")  # in a world that is made for the study
BASELINES = ("direct-refine", "self-refine", "example")  # by prompting, of Table 2


def study_command(
    name: Annotated[
        Name,
        typer.Argument(help=WHAT),
    ],
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run with preferences.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant, with seeds from 0 on.")] = 3,
    corpus: Annotated[
        str | None, typer.Option(help="Held-out dialogues: `bundled:test` (if not given), or a file.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--variant", help="Train only this, as the table names it; repeat it for more.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Hold the others against this one, as the table names it, rather than SFT.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Training settings by name, see `cso recipes`.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Train anew what was trained otherwise.")] = False,
    config: Config = None,
    set_: Assignments = None,
) -> None:
    """Repeat one of the paper's experiments: train variants, score them, and print means and intervals."""
    screen = console()
    need("`cso study`", ("torch", "transformers", "accelerate", "peft"))
    said, part = list(set_ or []), _Part(tuple(only or ()), against)
    _check(name, corpus, config, said, part)
    corpora, laboratory = {"": corpus or "bundled:test"}, None
    if name in SIMULATED:
        laboratory = _prepared(screen, name, run_folder, said, part)
        said, recipe = [*embedded.SETTINGS, *said], recipe or "tiny"
        corpora = {"": str(laboratory.held_out), "-bundled": "bundled:test"}
    run = Run.open(run_folder)
    settings = load_settings(config, said, base=run.settings)
    asked = {place: test_items(screen, run, settings, each) for place, each in corpora.items()}
    asked_for = _asking(run, recipe, config, said)
    study = _Study(screen, run, settings, run_folder / "studies" / name, asked, asked_for, laboratory)
    once = None if name == "rounds" else _variants(name, run, settings, laboratory, part)
    _check_trainings(once(0) if once else (), part, asked_for)
    tokens = None if once else study.told(*study.begin(0)).tokens
    variants = once or Rounds(screen, run, study.folder, tokens, said, restart=restart).variants
    with locked(study.folder):
        found = study.found(variants, range(seeds), part, prompting=name == "main", restart=restart)
    for place, each in corpora.items():
        path, title = study.folder / f"results{place}.json", f"{name}, {Path(each).name}"
        show_study(screen, path, title, found[place], run, settings, against)


def _asking(run: Run, recipe: str | None, config: Path | None, said: list[str]) -> Callable[..., TrainSettings]:
    """What gives the settings of a training from assignments of its own."""

    def asked_for(*more: str) -> TrainSettings:
        own = for_sft(said) if "train.objective=sft" in more else said
        return train_settings(run.settings, recipe, config, [*own, *more])

    return asked_for


@dataclass(frozen=True, slots=True)
class _Part:
    """Variants that are trained, all where none is named, and the one that the others are held against."""

    only: tuple[str, ...]
    against: str | None

    def check(self, name: Name, offered: Sequence[str]) -> None:
        """Raises InputError for a variant that the study has not."""
        if unknown := [each for each in self.only if each not in offered]:
            raise InputError(f"--variant: the study {name} has {'; '.join(offered)}; found {'; '.join(unknown)}")
        if self.against not in (None, "base", *offered):
            raise InputError(f"--against: the study {name} has base; {'; '.join(offered)}; found {self.against}")

    def trains(self, variant: str) -> bool:
        return not self.only or variant in self.only


def _check(name: Name, corpus: str | None, config: Path | None, said: list[str], part: _Part) -> None:
    """Raises InputError for what a study makes itself, and for a part of what has none."""
    if name in SIMULATED and any(each.startswith("train.model.name=") for each in said):
        raise InputError(f"--set train.model.name: the study {name} makes the bases that it begins from; leave it out")
    if name == "rounds" and part.only:
        raise InputError("--variant: what the study rounds trains builds on one another; leave it out")
    if name == "rounds" and part.against:
        raise InputError("--against: the study rounds holds all against one round; leave it out")
    if name in SIMULATED and corpus is not None:
        raise InputError(f"--corpus: the study {name} makes its own held-out dialogues; leave it out")
    if name in SIMULATED and config is not None:
        raise InputError(f"--config: the study {name} has settings of its own; change some of them by --set")


def _prepared(screen: Console, name: Name, run_folder: Path, said: list[str], part: _Part) -> embedded.Laboratory:
    """The simulated world, its run, and what else `part` needs. Raises InputError as that does."""
    laboratory = embedded.Laboratory.beside(run_folder)
    if name == "rounds":
        embedded.prepare(screen, run_folder, laboratory, said)
        return laboratory
    run = Run(run_folder, load_settings(None, said), load_taxonomy("esc8"))  # as it will be
    offered = [variant.name for variant in embedded.variants(run, laboratory)]
    part.check(name, offered)
    embedded.prepare(screen, run_folder, laboratory, said, part.only or offered)
    return laboratory


def _variants(
    name: Name, run: Run, settings: Settings, laboratory: embedded.Laboratory | None, part: _Part
) -> VariantsOf:
    """The same ones whatever the seed.

    Raises InputError as `part` does, and where there are no preferences for what it trains.
    """
    found = embedded.variants(run, laboratory) if laboratory else variants_of(name, run, settings)
    part.check(name, [variant.name for variant in found])
    for each in found:
        if part.trains(each.name):
            each.require()
    return lambda seed: found


def _check_trainings(variants: Iterable[Variant], part: _Part, asked_for: Callable[..., TrainSettings]) -> None:
    """Raises InputError for settings that one of the trainings could not have, before the first one begins."""
    from cso.train import make_objective  # here, like the next, because they take seconds to import
    from cso.train.arguments import check_arguments

    for variant in variants:
        if part.trains(variant.name):
            settings = asked_for(f"train.objective={variant.objective}", *variant.said)
            make_objective(settings.objective, settings.parameters)
            check_arguments(settings)


@dataclass(frozen=True, slots=True)
class _Study:
    """What is trained and evaluated in `folder`, on the turns of one corpus or several, by a name of each."""

    screen: Console
    run: Run
    settings: Settings
    folder: Path
    asked: Mapping[str, Sequence[Item]]
    asked_for: Callable[..., TrainSettings]  # with more assignments
    laboratory: embedded.Laboratory | None  # of a study in a simulated world

    def told(self, *more: str) -> TrainSettings:
        """The settings of a training, its model being one that loads."""
        found = self.asked_for(*more)
        model = found.model.model_copy(update={"name": loadable(found.model.name, self.run)})
        return found.model_copy(update={"model": embedded_backbone(model, self.run, self.screen.print)})

    def begin(self, seed: int) -> tuple[str, ...]:
        """Assignments that a seed brings: in a simulated world, the model to begin from."""
        return () if self.laboratory is None else (self.laboratory.begin(self.screen, seed),)

    def found(
        self, variants: VariantsOf, seeds: Sequence[int], part: _Part, *, prompting: bool, restart: bool
    ) -> dict[str, dict[str, list[list[Answer]]]]:
        """By corpus and variant, the answers of each training; of each base, and in Table 2 of prompting it.

        Of variants that `part` leaves out, those whose trainings are all there.
        """
        bases = list(dict.fromkeys(self.told(*self.begin(seed)).model.name for seed in seeds))
        base = bases[0]
        names = ["base"] if self.laboratory is None else [f"base-{Path(each).name}" for each in bases]
        found: dict[str, dict[str, list[list[Answer]]]] = {
            place: {"base": [self._answers(each, name, place) for each, name in zip(bases, names, strict=True)]}
            for place in self.asked
        }
        for baseline in BASELINES if prompting and self.settings.evaluate.choose == "free" else ():
            for place, each in found.items():
                each[baseline] = [self._answers(base, baseline, place, baseline)]
        for seed in seeds:
            for variant in variants(seed):
                if part.trains(variant.name):
                    model = self._trained(variant, seed, restart=restart)
                else:
                    model = self._there(variant, seed)
                if model is None:
                    continue
                for place, each in found.items():
                    each.setdefault(variant.name, []).append(self._answers(str(model), model.name, place))
        return {
            place: {name: each[name] for name in each if name in ("base", *BASELINES) or len(each[name]) == len(seeds)}
            for place, each in found.items()
        }

    def _trained(self, variant: Variant, seed: int, *, restart: bool) -> Path:
        """The model of one training, which is done only where it is not there yet. Raises OtherTraining."""
        from cso.train import train  # here, like the next, because they take seconds to import
        from cso.train.identity import OtherTraining

        model = trained_in(self.folder, variant.name, seed)
        told = self.told(*self.begin(seed), f"train.objective={variant.objective}", f"train.seed={seed}", *variant.said)
        self.screen.print(f"{variant.name}, seed {seed}")
        source = variant.source
        if (changed := variant.text()) is not None:
            source = self.folder / f"{file_name(variant.name)}.jsonl"
            if not source.exists() or source.read_text(encoding="utf-8") != changed:
                write_text(source, changed)
        try:
            train(source, model, told, taxonomy=self.run.taxonomy, say=self.screen.print)
        except OtherTraining:
            if not restart:
                raise
            train(source, model, told, taxonomy=self.run.taxonomy, restart=True, say=self.screen.print)
        return model

    def _there(self, variant: Variant, seed: int) -> Path | None:
        """The model of a training that nobody asked for; None where it is not there, or was trained otherwise."""
        from cso.train.identity import OtherTraining, is_done

        if not (is_done(trained_in(self.folder, variant.name, seed)) and variant.source.exists()):
            return None
        try:
            return self._trained(variant, seed, restart=False)
        except OtherTraining:
            return None

    def _answers(self, model: str, name: str, place: str, baseline: str = "plain") -> list[Answer]:
        evaluate = self.settings.evaluate.model_copy(update={"baseline": baseline})
        settings = self.settings.model_copy(update={"evaluate": evaluate})
        folder = self.folder / "evaluation" / f"{name}{place}"
        return evaluated(self.screen, self.run, settings, self.asked[place], model, folder)

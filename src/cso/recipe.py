"""Recipes: training settings for one backbone, as data. `recipes/*.yaml` has the paper's and one for `tiny`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from cso.errors import InputError
from cso.files import bundled, bundled_or_own, parse_yaml
from cso.settings import Objective, TrainSettings, Tuning, settings_from

Row = tuple[Tuning, Objective]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings by tuning and objective, and where they come from."""

    name: str
    model: str  # `tiny`, a folder, or a name on the Hugging Face hub
    source: str
    rows: Mapping[Row, TrainSettings]

    def settings(self, objective: Objective, tuning: Tuning) -> TrainSettings:
        """The row for this objective and tuning. Raises InputError where there is none."""
        if (tuning, objective) not in self.rows:
            there = ", ".join(f"{tuning} {objective}" for tuning, objective in self.rows)
            raise InputError(f"recipe {self.name}: has no row for {tuning} {objective}; it has {there}")
        return self.rows[tuning, objective]


def bundled_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with cso."""
    return bundled("recipes")


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe that comes with cso, by name, or a YAML file of one's own. Raises InputError."""
    text = bundled_or_own("recipes", name_or_path, what="recipe")
    try:
        content: object = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"recipe {name_or_path}: not YAML; {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"recipe {name_or_path}: expected `model`, `full` and `lora`, found {type(content).__name__}")
    told = cast(dict[str, Any], content)
    tunings: tuple[Tuning, ...] = get_args(Tuning)
    if unknown := sorted(map(str, told.keys() - {"model", "source", *tunings})):
        raise InputError(
            f"recipe {name_or_path}: has no place for {', '.join(unknown)}; expected model, source, full, lora"
        )
    model = told.get("model")
    if not isinstance(model, str) or not model:
        raise InputError(f"recipe {name_or_path}: expected `model`, the name or folder of a model, found {model!r}")
    rows: dict[Row, TrainSettings] = {
        (tuning, objective): _row(f"recipe {name_or_path}, {tuning}", tuning, objective, row, model)
        for tuning in tunings
        for objective, row in _of_tuning(told.get(tuning), f"recipe {name_or_path}, {tuning}").items()
    }
    if not rows:
        raise InputError(f"recipe {name_or_path}: has no rows; expected some under `full` or `lora`, by objective")
    name = str(name_or_path) if str(name_or_path) in bundled_recipes() else Path(name_or_path).stem
    return Recipe(name, model, str(told.get("source", "")), rows)


def _of_tuning(rows: object, place: str) -> dict[Objective, Any]:
    if rows is not None and not isinstance(rows, dict):
        raise InputError(f"{place}: expected rows by objective, found {rows!r}")
    return cast(dict[Objective, Any], rows or {})


def _row(place: str, tuning: Tuning, objective: Objective, row: object, model: str) -> TrainSettings:
    if objective not in get_args(Objective):
        raise InputError(f"{place}: expected an objective ({', '.join(get_args(Objective))}), found {objective}")
    if not isinstance(row, dict):
        raise InputError(f"{place}, {objective}: expected settings of train, found {row!r}")
    told = cast(dict[str, Any], row)
    own: object = told.get("model") or {}
    if not isinstance(own, dict) or "name" in own or told.keys() & {"objective", "tuning"}:
        raise InputError(f"{place}, {objective}: objective, tuning and model name are said above a row, not in it")
    fixed = {"objective": objective, "tuning": tuning, "model": {**cast(dict[str, Any], own), "name": model}}
    return settings_from({"train": told | fixed}, source=f"{place}, {objective}").train

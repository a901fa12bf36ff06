"""Options that several commands share, and the console they write to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from warnings import filterwarnings

import typer
from rich.console import Console

from cso.errors import InputError
from cso.files import is_folder
from cso.store import Run

Config = Annotated[Path | None, typer.Option("--config", help="Settings as a YAML file.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, such as search.iterations=50 or evaluate.seed=1; settings.yaml of a run names them all.",
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible endpoint that plays all four roles (cast.default.base_url).")
]
Model = Annotated[str | None, typer.Option(help="The model that plays all four roles (cast.default.model).")]


Strategies = Annotated[
    str | None, typer.Option("--taxonomy", help="Strategies: esc8, extes15, esconv8, or a YAML file (taxonomy).")
]


def assignments(
    given: list[str] | None, *, base_url: str | None = None, model: str | None = None, taxonomy: str | None = None
) -> list[str]:
    """What was said by `--set` and by its short forms, as assignments."""
    short = {"cast.default.base_url": base_url, "cast.default.model": model}
    said = [assignment(key, value) for key, value in short.items() if value is not None]
    said = [*(["cast.kind=llm"] if said else []), *said]
    return [*said, *([] if taxonomy is None else [assignment("taxonomy", taxonomy)]), *(given or [])]


def assignment(key: str, value: object) -> str:
    """What sets `key` to a text, whatever YAML would take the text for."""
    return f"{key}={json.dumps(str(value), ensure_ascii=False)}"


def console() -> Console:
    """What people and scripts read: words of a dialogue are printed as they are, and a pipe never folds a line."""
    out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = 10_000
    return out


def quiet() -> None:
    """No bars and warnings of transformers: what a user is to know, the commands say."""
    from transformers.utils import logging  # here, because it takes seconds to import

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    filterwarnings("ignore", category=FutureWarning)


def loadable(model: str, run: Run | None) -> str:
    """What loads a model in this process: the folder of a run's model, another folder, `tiny`, or a name on the hub.

    Raises InputError for a bare name that is none of them. The hub is not asked for it: what has a chat template there
    has an owner, and asking takes long without a network.
    """
    if run and not model.startswith(".") and is_folder(run.model(model)):
        return str(run.model(model))
    if model == "tiny" or "/" in model or is_folder(model):
        return model
    there = sorted(path.name for path in run.model("").glob("*") if path.is_dir()) if run else []
    hint = f"the run has {', '.join(there) or 'no models yet'}" if run else "a model of a run? say which run"
    raise InputError(f"model {model}: expected `tiny`, a folder, or a name on the hub as OWNER/NAME; {hint}")


def need(what: str, packages: Sequence[str], *, extra: str = "train") -> None:
    """Raises InputError, saying how to install them, where packages are missing that `what` needs."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f"{what} needs {', '.join(missing)}: pip install 'chain-of-strategy[{extra}]'")

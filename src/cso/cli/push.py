"""`cso push`: preferences or a model of a run to the Hugging Face hub, as a folder that can be looked at before."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cso.cli.options import console, need
from cso.corpora import bundled_corpora, read_corpus
from cso.errors import InputError, StoreError
from cso.evaluate.results import load_scores
from cso.files import locked, read_jsonl
from cso.hub import MODEL, PREFERENCES, Attribution, Contents, completed, model_index, prepare, results_section
from cso.hub.card import Scores, data_files, names_license
from cso.hub.contents import CARD
from cso.settings import ModelSettings, TrainSettings
from cso.store import Run
from cso.taxonomy import load_taxonomy

BUNDLED_LICENSE = "cc-by-4.0"
License = Annotated[
    str | None, typer.Option("--license", help="By the hub's name, such as mit. Known only of the bundled corpus.")
]
Language = Annotated[list[str] | None, typer.Option(help="Such as en; again for more. Known of the bundled corpus.")]
Trained = Annotated[
    list[str] | None, typer.Option(metavar="OWNER/NAME", help="What a model was trained on, on the hub.")
]
_TOLD = ("license", "language", "datasets")  # metadata by options


def push_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory; what is pushed is in RUN/hub.")],
    repo_id: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; made where it is not there.")],
    model: Annotated[
        str | None, typer.Option(help="Push this model of RUN/models; if not given, the preferences, as a dataset.")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Of an adapter, the model that `cso train --merge` folded it into.")
    ] = False,
    license_: License = None,
    language: Language = None,
    dataset: Trained = None,
    private: Annotated[bool, typer.Option("--private", help="Only you, or your organization, can see it.")] = False,
    revision: Annotated[str | None, typer.Option(help="A branch, made where it is not there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write RUN/hub and list it; upload nothing.")] = False,
) -> None:
    """Put the preferences or a model of a run on the Hugging Face hub, with their card."""
    need("pushing to a hub", ("huggingface_hub", *(() if model is None else ("torch", "transformers", "peft"))))
    from cso.hub.upload import check_repo_id, upload  # here, because it takes time to import

    screen = console()
    run = Run.open(run_folder)
    for each in (repo_id, *(dataset or [])):
        check_repo_id(each)
    if model is None and (merged or dataset):
        raise InputError("--merged and --dataset are of models: expected --model NAME with them")
    said = {key: value for key, value in zip(_TOLD, (license_, language, dataset), strict=True) if value}
    with locked(run_folder / "hub"):
        if model is None:
            contents = _preferences(run, said)
        else:
            contents = _model(screen, run, model, said, merged=merged, title=repo_id.rsplit("/", 1)[-1])
        _list(screen, contents)
        if dry_run:
            screen.print(f"nothing was uploaded; {repo_id} would get what is in {contents.folder}")
            return
        kind = "dataset" if model is None else "model"
        message = f"{model or 'preferences'} of cso"
        place = upload(contents.folder, repo_id, kind, private=private, revision=revision, message=message)
    screen.print(f"pushed: {place}")


def _preferences(run: Run, said: Mapping[str, object]) -> Contents:
    source = run.preferences
    path = source / CARD
    if not path.is_file():
        raise InputError(f"{source}: nothing to push, no preferences; `cso extract {run.folder}` makes them")
    if not any(_rows(source).values()):
        raise InputError(f"{source}: nothing to push, the preferences are empty")
    text = _read(path)
    if missing := [name for name in data_files(text, path) if not (source / name).is_file()]:
        raise InputError(f"{source}: expected {', '.join(missing)}, which the card names; extract anew")
    attribution, known = _bundled(run)
    if known and attribution and attribution.replies:  # nobody else's words are in it
        known = {"license": BUNDLED_LICENSE, **known}
    sections = [attribution.section("In this dataset are")] if attribution else []
    card = completed(text, told=said, known=known, sections=sections, source=path)
    return prepare(source, run.folder / "hub" / "preferences", PREFERENCES, card)


def _rows(source: Path) -> dict[str, int]:
    path = source / "statistics.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: expected statistics as cso writes them ({error!r}); extract anew") from error


def _model(screen: Console, run: Run, name: str, said: Mapping[str, object], *, merged: bool, title: str) -> Contents:
    source = _trained(run, name)
    weights = source / "merged" if merged else source
    if not any(weights.glob("*.safetensors")):
        raise InputError(f"{weights}: no weights; `cso train {run.folder} ... --merge` folds an adapter in")
    if not merged:
        _check_adapter(weights)
    text = _merged_card(source) if merged else _read(source / CARD)
    attribution, known = _bundled(run)
    evaluations = _evaluations(screen, run, weights)
    sections: list[str] = []
    if evaluations:
        known = {**known, "model-index": model_index(title, evaluations)}
        sections.append(results_section(evaluations))
    if attribution:
        sections.append(attribution.section("Trained on words of"))
    card = completed(text, told=said, known=known, sections=sections, source=source / CARD)
    return prepare(weights, run.folder / "hub" / (f"{name}-merged" if merged else name), MODEL, card)


def _trained(run: Run, name: str) -> Path:
    """The folder of a model whose training came to its end. Raises InputError."""
    source = run.model(name)
    done = name == Path(name).name and (source / CARD).is_file() and any(source.glob("*.safetensors"))
    if not done:
        there = sorted(path.parent.name for path in run.model("").glob(f"*/{CARD}"))
        raise InputError(
            f"--model {name}: not trained yet, or not to the end; `cso train {run.folder} --name {name}` does; "
            f"the run has {', '.join(there) or 'no models yet'}"
        )
    return source


def _check_adapter(source: Path) -> None:
    """Raises InputError for an adapter of a model that only this machine has."""
    from cso.train.card import on_hub

    path = source / "adapter_config.json"
    if not path.exists():
        return
    try:
        base = str(json.loads(_read(path))["base_model_name_or_path"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: expected an adapter as peft writes it ({error!r}); train anew") from error
    if not on_hub(base):
        raise InputError(
            f"{source}: an adapter of {base}, which only this machine has: nobody could load it. Fold it in "
            f"(`cso train ... --merge`, as it was trained), and push with --merged"
        )


def _merged_card(source: Path) -> str:
    """The card of a training, of the model that its adapter was folded into."""
    from cso.train.card import model_card

    path = source / "training.json"
    try:
        settings = TrainSettings.model_validate(json.loads(_read(path))["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: expected a training as `cso train` writes it ({error!r}); train anew") from error
    own = source / "taxonomy.yaml"
    taxonomy = load_taxonomy(own) if own.exists() else None
    return model_card(settings, read_jsonl(source / "metrics.jsonl"), merged=True, taxonomy=taxonomy)


def _evaluations(screen: Console, run: Run, weights: Path) -> dict[str, Scores]:
    """Scores of these very weights, titled. Those that a baseline's prompts brought about are not the model's."""
    from cso.train.backbone import version_of

    found: dict[str, Scores] = {}
    mine = version_of(ModelSettings(name=str(weights)))  # of an adapter alone; a version goes on with its base's
    for path in sorted((run.folder / "evaluation").glob("*/scores.json")):
        try:
            scores = load_scores(path.parent)
            identity = scores["identity"]
            choose, baseline = (identity["settings"][name] for name in ("choose", "baseline"))
        except (StoreError, KeyError, TypeError) as error:
            screen.print(f"evaluation left out: {path.parent}: {error}")
            continue
        of_files = re.split(" on | in ", str(identity.get("version")))[0]
        if of_files == mine and baseline == "plain" and not identity.get("failed"):
            how = "likeliest tag" if choose == "score" else "tag of the reply"
            found[f"{path.parent.name}, {how}"] = scores
        elif identity.get("model") == weights.name and baseline == "plain":
            screen.print(f"evaluation left out, since it is not whole, or not of these weights: {path.parent}")
    return found


def _bundled(run: Run) -> tuple[Attribution | None, dict[str, object]]:
    """What of the bundled corpus is in a run, and what is known of the seeds where all of them are of it."""
    esc8 = load_taxonomy("esc8")
    dialogues = [each for name in bundled_corpora() for each in read_corpus(name, esc8).dialogues]
    words = {turn.text for dialogue in dialogues for turn in dialogue.turns}
    seeds = [all(turn.text in words for turn in seed.turns) for seed in run.load_seeds()]
    replies = run.settings.cast.kind == "corpus"
    if not any(seeds) and not replies:
        return None, {}
    return Attribution(any(seeds), replies), {"language": ["en"]} if seeds and all(seeds) else {}


def _list(screen: Console, contents: Contents) -> None:
    width = max(map(len, contents.sizes))
    for name, size in contents.sizes.items():
        screen.print(f"  {name:<{width}}  {size:>14,} bytes")
    screen.print(f"{contents.folder}: {len(contents.sizes)} files, {sum(contents.sizes.values()):,} bytes")
    if not names_license(_read(contents.folder / CARD), contents.folder / CARD):
        screen.print("its card names no licence, so that nobody may use it: --license names one")
    if contents.left_out:
        screen.print(f"never pushed, though beside it: {', '.join(contents.left_out)}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error

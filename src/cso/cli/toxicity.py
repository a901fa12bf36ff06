"""`cso toxicity`: how toxic the texts of a run are, seeker, chosen and rejected apart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from cso.cli.options import Assignments, Config, console, need
from cso.dialogue import Dialogue, Speaker
from cso.errors import InputError, StoreError
from cso.evaluate.detectors import Guard, Known, Moderation, Words
from cso.evaluate.toxicity import Detector, Passage, Toxicity, toxicity
from cso.files import locked, read_jsonl, write_json
from cso.llm import Answers
from cso.llm.endpoints import Endpoint
from cso.settings import Settings, load_settings
from cso.store import Run, file_name
from cso.taxonomy import Taxonomy
from cso.transcript import read_reply

Backend = Literal["words", "moderation", "guard", "classifier", "file"]
OPTIONS: Mapping[Backend, tuple[str, ...]] = {
    "words": ("--file",),
    "moderation": ("--model", "--base-url"),
    "guard": ("--model", "--base-url"),
    "classifier": ("--model",),
    "file": ("--file",),
}
MODELS = {"moderation": "omni-moderation-latest", "guard": None, "classifier": "unitary/toxic-bert"}


def toxicity_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with preferences.")],
    backend: Annotated[
        Backend,
        typer.Option(
            help="words: a screen by a list, offline; moderation: OpenAI's endpoint; guard: a guard model on an "
            "endpoint; classifier: a text classifier of the hub or a folder; file: scores that you have."
        ),
    ] = "words",
    model: Annotated[str | None, typer.Option(help="Of moderation, guard or classifier.")] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible endpoint, for moderation, guard.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="For `words`: your own list (YAML); for `file`: JSON Lines of text and scores.")
    ] = None,
    config: Config = None,
    set_: Assignments = None,
) -> None:
    """Rate seed dialogues, seekers, chosen and rejected replies for toxicity, each text by itself (Table 7)."""
    for option, value in {"--model": model, "--base-url": base_url, "--file": file}.items():
        if value is not None and option not in OPTIONS[backend]:
            there = ", ".join(name for name, options in OPTIONS.items() if option in options)
            raise InputError(f"{option}: is for --backend {there}; found --backend {backend}")
    screen = console()
    run = Run.open(run_folder)
    settings = load_settings(config, set_ or [], base=run.settings)
    model = model or MODELS.get(backend)
    groups = {**_seeds(run.load_seeds()), **_preferences(run.preferences / "pairs.jsonl", run.taxonomy)}
    folder = run.folder / "toxicity"
    told = settings.evaluate
    with locked(folder):
        found = asyncio.run(_rated(groups, backend, model, base_url, file, settings, folder))
        source = model or (file.name if file else None)
        path = folder / f"{file_name('-'.join([backend, *([source] if source else [])]))}.json"
        write_json(
            path, {"backend": backend, "model": model, "file": file and file.name, "draws": told.draws, **asdict(found)}
        )
    _show(screen, found, "share" if backend == "words" else "mean")
    if backend == "words":
        screen.print("the share of texts with a word of the list: a screen, which tells no insult from a quotation")
    screen.print(f"toxicity: {path}")


async def _rated(
    groups: Mapping[str, Sequence[Passage]],
    backend: Backend,
    model: str | None,
    base_url: str | None,
    file: Path | None,
    settings: Settings,
    folder: Path,
) -> Toxicity:
    async def rated(detector: Detector) -> Toxicity:
        return await toxicity(groups, detector, draws=settings.evaluate.draws, seed=settings.evaluate.seed)

    match backend:
        case "words":
            return await rated(Words(file or "en"))
        case "file":
            if file is None:
                raise InputError("--backend file: expected --file with JSON Lines of text and scores")
            return await rated(Known(file))
        case "classifier":
            need("--backend classifier", ("torch", "transformers"))
            from cso.evaluate.classifier import Classifier  # here, because it takes seconds to import

            return await rated(Classifier(model or ""))
        case "moderation" | "guard":
            if model is None:
                raise InputError("--backend guard: expected --model, the name that the endpoint serves it by")
            from cso.llm.openai import OpenAIModeration  # here, because it takes a third of a second to import

            default = settings.cast.default
            price = (0.0, 0.0) if backend == "moderation" else default.price if default.model == model else None
            endpoint = Endpoint(base_url, default.api_key_env, price, settings.limits)
            kind, detector = (OpenAIModeration, Moderation) if backend == "moderation" else (None, Guard)
            async with endpoint.chat(model, Answers(folder / f"{backend}.jsonl"), backend, kind) as chat:
                return await rated(detector(chat, model))


def _seeds(seeds: Sequence[Dialogue]) -> dict[str, list[Passage]]:
    """What seekers and supporters of the seed dialogues say."""
    groups: dict[str, list[Passage]] = {"seed seekers": [], "seed supporters": []}
    for dialogue in seeds:
        for turn in dialogue.turns:
            name = "seed seekers" if turn.speaker is Speaker.SEEKER else "seed supporters"
            groups[name].append(Passage(dialogue.id, turn.text))
    return groups


def _preferences(pairs: Path, taxonomy: Taxonomy) -> dict[str, list[Passage]]:
    """What seekers say in the preferences' histories, and the replies, without their strategies."""
    if not pairs.exists():
        raise InputError(f"{pairs}: no such file; `cso extract` makes it")
    groups: dict[str, list[Passage]] = {"seekers": [], "chosen": [], "rejected": []}
    try:
        for row in read_jsonl(pairs):
            seekers = [message["content"] for message in row["prompt"] if message["role"] == "user"]
            groups["seekers"] += [Passage(row["dialogue"], text) for text in seekers]
            for name in ("chosen", "rejected"):
                text = read_reply(row[name][-1]["content"], taxonomy)[1]
                groups[name].append(Passage(row["dialogue"], text))
    except (KeyError, TypeError, IndexError) as error:
        raise StoreError(f"{pairs}: not pairs as cso writes them ({error!r}); extract again") from error
    if not groups["chosen"]:
        raise InputError(f"{pairs}: expected pairs, found none; `cso extract` makes them")
    return groups


def _show(screen: Console, found: Toxicity, kind: str) -> None:
    attributes = list(next(iter(found.groups.values())))
    table = Table(f"{kind}, %", "texts", *attributes, box=None, pad_edge=False)
    for name, means in found.groups.items():
        table.add_row(name, f"{found.texts[name]:,}", *(f"{100 * means[each].value:.2f}" for each in attributes))
    if found.rejected_less_chosen:
        differences = [found.rejected_less_chosen[each] for each in attributes]
        table.add_row("rejected minus chosen", "", *(f"{100 * each.value:+.2f}" for each in differences))
        table.add_row("  95 % interval", "", *(f"[{100 * d.low:+.2f}, {100 * d.high:+.2f}]" for d in differences))
    screen.print(table)
    if found.unread:
        screen.print(f"{found.unread} texts without a readable rating are left out")

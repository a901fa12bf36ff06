"""What a training in a folder is, so that only the very same one goes on from its checkpoints."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile, ZipFile

from safetensors import SafetensorError, safe_open

from cso.errors import StoreError
from cso.files import write_json
from cso.settings import TrainSettings, flat
from cso.train.encode import Encoded

FORMAT = 1
FILE = "training.json"
DONE = "README.md"  # the model card is written last
CHECKPOINTS = "checkpoints"
LOCK = "lock"  # held by the command that trains here

Identity = Mapping[str, object]


class OtherTraining(StoreError):
    """A folder holds another training than the one that was asked for."""


def identity_of(
    settings: TrainSettings, version: str, examples: Sequence[Encoded], machine: Mapping[str, object]
) -> Identity:
    """What decides the weights: settings, `version` of the model, examples as tokens, the machine."""
    digest = hashlib.sha256()
    told = settings.model_dump(mode="json")
    told["arguments"].pop("hub_token", None)  # a secret, which decides nothing
    for example in examples:
        content = [example.prompt, example.replies, example.example.weight, example.example.values]
        digest.update(json.dumps([*content, example.example.desirable, example.example.tree]).encode())
    return {
        "format": FORMAT,
        "settings": told,
        "examples": digest.hexdigest()[:16],
        "model": version,
        **machine,
    }


def begin(folder: Path, identity: Identity, *, restart: bool) -> bool:
    """Make `folder` hold this training; True where it is done already. Raises StoreError where it holds another that
    has trained anything.

    Of several processes the first calls it.
    """
    path = folder / FILE
    if restart and path.exists():
        _clear(folder)
    if not path.exists():
        if folder.exists() and any(entry.name != LOCK and entry.suffix != ".tmp" for entry in folder.iterdir()):
            raise StoreError(f"{folder} is not empty and holds no training: choose another --name")
        write_json(path, identity)
        return False
    differences = _differences(_read(path), identity)
    if differences and not _trained(folder):  # it was refused, or stopped, before its first checkpoint
        write_json(path, identity)
        return False
    if differences:
        raise OtherTraining(
            f"{folder} holds another training ({'; '.join(differences)}). Give the same settings and data to go on "
            f"with it, or remove the folder; `cso train` can have another --name, and --restart"
        )
    return is_done(folder)


def _clear(folder: Path) -> None:
    """Remove a training; what says that it is one goes last, so that a removal that was stopped can be repeated."""
    try:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in (FILE, LOCK):
                entry.unlink()
        (folder / FILE).unlink()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be cleared: {error.strerror or error}; choose another --name") from error


def is_done(folder: Path) -> bool:
    """Whether the training in `folder` came to its end, and its weights are there."""
    return (folder / DONE).exists() and any(folder.glob("*.safetensors"))


def _trained(folder: Path) -> bool:
    return is_done(folder) or any(folder.glob("*.safetensors")) or any((folder / CHECKPOINTS).glob("*"))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = [path for path in (folder / CHECKPOINTS).glob("checkpoint-*") if path.name.split("-")[1].isdigit()]
    found.sort(key=lambda path: int(path.name.split("-")[1]))
    return next((path for path in reversed(found) if _whole(path)), None)


def _whole(checkpoint: Path) -> bool:
    """Whether all that a training goes on from is there, and nothing is cut off: its state is written last.

    Folders in it hold shards, of which only those who wrote them know which there must be.
    """
    try:
        files = {entry.name for entry in checkpoint.iterdir() if entry.is_file()}
        for name in files | {"trainer_state.json"}:
            path = checkpoint / name
            if name.endswith(".safetensors"):
                with safe_open(path, "pt"):
                    pass
            elif name.endswith(".json") and not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                return False
            elif name.endswith((".pt", ".pth")):
                with ZipFile(path) as parts:
                    if parts.testzip() is not None:
                        return False
    except (OSError, ValueError, SafetensorError, BadZipFile):
        return False
    sharded = any(entry.is_dir() for entry in checkpoint.iterdir())
    weights = any(name.endswith(".safetensors") for name in files)
    chance = any(name.startswith("rng_state") for name in files)
    return sharded or (weights and chance and {"optimizer.pt", "scheduler.pt"} <= files)


def _read(path: Path) -> Identity:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("expected an object")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); --restart begins anew") from error
    return cast(dict[str, Any], content)


def _differences(there: Identity, now: Identity) -> list[str]:
    old, new = flat(there), flat(now)
    old = {"settings.target": "reply"} | old  # trainings of before it was a setting
    if old.get("model") == new.get("model"):  # the same files, wherever they lie
        old["settings.model.name"] = new["settings.model.name"]
    return [
        f"{key}: {old.get(key)} there, {new.get(key)} now" for key in {**old, **new} if old.get(key) != new.get(key)
    ]

"""The folder that the hub gets: files that are named here, and no others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from cso.errors import StoreError
from cso.files import write_text

CARD = "README.md"

# Not the settings, which may name endpoints of a private network; not the JSON Lines, which repeat the Parquet.
PREFERENCES = (
    "pairs.parquet",
    "kto.parquet",
    "sft.parquet",
    "random.parquet",
    "esc_pro.json",
    "statistics.json",
    "figures/strategy_by_stage.png",
    "figures/strategy_by_stage.svg",
)

# Not training.json, which has paths of this machine; no checkpoints, no pickles, no code.
MODEL = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
    "taxonomy.yaml",
    "metrics.jsonl",
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in `folder`, by name within it, with sizes in bytes; and what its source has besides."""

    folder: Path
    sizes: dict[str, int]
    left_out: tuple[str, ...]


def prepare(source: Path, folder: Path, wanted: Sequence[str], card: str) -> Contents:
    """Make `folder` hold the files of `source` whose names are `wanted`, and `card`; it is whole or as it was.

    Files are linked where the file system can, so that weights take no space twice. Raises StoreError.
    """
    names = sorted(str(path.relative_to(source).as_posix()) for path in source.rglob("*") if path.is_file())
    chosen = [name for name in names if any(_is(name, pattern) for pattern in wanted)]
    draft = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in chosen:
            _put(source / name, draft / name)
        write_text(draft / CARD, card)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        sizes = {name: (folder / name).stat().st_size for name in (CARD, *chosen)}
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}; free the folder") from error
    return Contents(folder, sizes, _left_out(names, chosen))


def _is(name: str, pattern: str) -> bool:
    """Whether a file is the one that is wanted: of the same folder, not below it."""
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _left_out(names: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """What stays behind, a folder of which nothing was chosen as one."""
    kept = {name.split("/")[0] for name in chosen} | {CARD}
    found = dict.fromkeys(name if (top := name.split("/")[0]) in kept or top == name else f"{top}/" for name in names)
    return tuple(name for name in found if name not in chosen and name != CARD)

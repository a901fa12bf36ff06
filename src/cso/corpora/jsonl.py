"""Writing dialogues in our own format, one object a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cso.dialogue import Dialogue, dialogue_to_json
from cso.errors import StoreError
from cso.files import write_jsonl


def write_dialogues(dialogues: Iterable[Dialogue], path: Path) -> None:
    """Write dialogues so that `read_corpus` reads the same. Raises StoreError where they cannot be written."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path}: expected a file to write to, found something else")
    write_jsonl(path.resolve(), map(dialogue_to_json, dialogues))

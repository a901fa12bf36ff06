"""Writing dialogues in our own format, one object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from cso.dialogue import Dialogue, Turn
from cso.errors import StoreError


def write_jsonl(dialogues: Iterable[Dialogue], path: Path) -> None:
    """Write dialogues so that `read_corpus` reads the same; the file is there whole or, as before, not at all.

    Raises StoreError where it cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise StoreError(f"{path}: expected a file to write to, found something else")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line(dialogue)}\n" for dialogue in dialogues)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def line(dialogue: Dialogue) -> str:
    """One dialogue as a JSON object without line breaks; what is empty is left out."""
    named = {"situation": dialogue.situation, "emotion": dialogue.emotion, "scene": dialogue.scene}
    fields = {key: value for key, value in named.items() if value}
    return json.dumps({"id": dialogue.id, **fields, "turns": [_turn(t) for t in dialogue.turns]}, ensure_ascii=False)


def _turn(turn: Turn) -> dict[str, str]:
    fields = {"speaker": turn.speaker.value, "text": turn.text}
    return fields | {"strategy": turn.strategy} if turn.strategy else fields

"""Files that are there whole, or as they were before."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from cso.errors import StoreError


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A place to write what `path` is to hold; it becomes `path` at the end, and is gone if anything went wrong.

    Folders on the way are made. OSError (a full disk, no permission) becomes StoreError.
    """
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; free the folder, or choose another"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Half a surrogate pair, which UTF-8 has no bytes for, is written as an escape of JSON."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")

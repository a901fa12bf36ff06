"""Files of the package, and files written whole or not at all.

Each is written beside its place under another name, then renamed. OSError becomes StoreError.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from filelock import FileLock, Timeout

from cso.errors import InputError, StoreError


def bundled(folder: str) -> tuple[str, ...]:
    """Names of the YAML files in a folder of the package."""
    files = resources.files("cso").joinpath(folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def bundled_or_own(folder: str, name_or_path: str | Path, *, what: str) -> str:
    """The text of a YAML file of the package by name, or of a user's own by path. Raises InputError."""
    if str(name_or_path) in bundled(folder):
        return resources.files("cso").joinpath(folder, f"{name_or_path}.yaml").read_text(encoding="utf-8")
    try:
        return Path(name_or_path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{what} {name_or_path!s}: expected one of {', '.join(bundled(folder))} or a readable YAML file; {error}"
        ) from error


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Nobody else works in the folder meanwhile; it is made if need be. Raises StoreError.

    The lock goes with the process, however that ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror or error}") from error
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise StoreError(f"{folder}: another process is at work there; wait for it, or choose another") from None
    except OSError as error:
        if error.filename is None or Path(error.filename).absolute() != (folder / "lock").absolute():
            raise
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Generator[Path]:
    """A place to write what `path` is to hold; it becomes `path` at the end, and is gone if anything went wrong.

    Folders on the way are made. `lasting`: whether it outlives a power cut, which takes milliseconds. A symlink stays,
    and what it points to is replaced; devices and pipes are never replaced, but written to as they are.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        target = path.resolve() if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        with _draft(target) as draft:
            yield draft
            if lasting:
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
            os.replace(draft, target)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; free the folder, or choose another"
        ) from error


@contextmanager
def _draft(path: Path) -> Generator[Path]:
    """Another name beside `path`, at most 50 characters of it, so that it fits where `path` does; free again after."""
    draft = path.with_name(f".{path.name[:50]}.{os.getpid()}.tmp")
    try:
        yield draft
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def is_folder(place: str | Path) -> bool:
    """Whether a folder is there; a name that no path can have is none."""
    try:
        return Path(place).is_dir()
    except OSError:  # too long a name
        return False


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as it comes takes 1e-3 for a text; in YAML 1.2 it is a number, and for everybody who writes it."""


class _Dumper(yaml.SafeDumper):
    """So that a text 1e-3 stays one."""


_POWERS = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
for _each in (_Loader, _Dumper):
    cast(Any, _each).add_implicit_resolver("tag:yaml.org,2002:float", _POWERS, list("-+0123456789"))


def parse_yaml(text: str) -> Any:
    """What the YAML text says. Raises ValueError, also for a date that there is none of."""
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error


def yaml_text(content: object) -> str:
    """YAML in the order of `content`, in readable lines."""
    dump = cast(Callable[..., str], yaml.dump)  # pyright: ignore[reportUnknownMemberType]
    return dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def write_text(path: Path, text: str, *, lasting: bool = True) -> None:
    """Half a surrogate pair, which UTF-8 has no bytes for, is written as JSON's own escape."""
    with replacing(path, lasting=lasting) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """One object a line."""
    _write_lines(path, (_line(row) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a file as `write_jsonl` writes it. Raises StoreError, naming file and line."""
    rows: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if line:
                row: object = json.loads(line)
                if not isinstance(row, dict):
                    raise StoreError(f"{path}:{number}: expected a JSON object, found {line[:80]!r}; make it anew")
                rows.append(cast(dict[str, Any], row))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: expected JSON Lines as cso writes them ({error}); make it anew") from error
    return rows


def write_json_list(path: Path, entries: Iterable[Mapping[str, object]]) -> None:
    """A JSON list with one entry a line, so that long ones need not be held in memory."""

    def parts() -> Iterator[str]:
        before = "[\n"
        for entry in entries:
            yield before + _line(entry)
            before = ",\n"
        yield "[]\n" if before == "[\n" else "\n]\n"

    _write_lines(path, parts())


def remove(path: Path) -> None:
    """The file is gone, if it was there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: left by an earlier run, cannot be removed: {error.strerror or error}") from error


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with (
        replacing(path) as draft,
        draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(lines)


def _line(entry: Mapping[str, object]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)

"""From the bytes of a file to its records, each with the place where it lies.

A file is UTF-8 text: one JSON array of records, or records one after another (JSONL, or a single object).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple, TypeAlias

from cso.errors import InputError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class Record(NamedTuple):
    """One dialogue as the file has it; `place` names file, dialogue and, outside an array, line."""

    place: str
    content: Json


def records(raw: bytes, *, source: str) -> Iterator[Record]:
    """The records of a file in order; `source` names the file in errors. Raises InputError where one is broken."""
    text = _decoded(raw, source=source)
    start = _skip(text, 0)
    if start == len(text):
        raise InputError(f"{source}: expected dialogues, found an empty file")
    if text[start] == "[":
        return _array(text, start + 1, source=source)
    return _sequence(text, start, source=source)


def _decoded(raw: bytes, *, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")  # with or without a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source}: line {line}: expected UTF-8, found the byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        ) from error


def _array(text: str, at: int, *, source: str) -> Iterator[Record]:
    at = _skip(text, at)
    if text.startswith("]", at):
        raise InputError(f"{source}: expected dialogues, found an empty list")
    for number in count(1):
        place = f"{source}: dialogue {number}"
        content, at = _value(text, at, place=place)
        yield Record(place, content)
        at = _skip(text, at)
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            raise InputError(f"{place}: not valid JSON: expected a comma or ] after it, found {_found(text, at)}")
        at = _skip(text, at + 1)
    at = _skip(text, at + 1)
    if at < len(text):
        raise InputError(f"{source}: not valid JSON: expected nothing after the list, found {_found(text, at)}")


def _sequence(text: str, at: int, *, source: str) -> Iterator[Record]:
    line, counted = 1, 0
    for number in count(1):
        line, counted = line + text.count("\n", counted, at), at
        place = f"{source}: dialogue {number} (line {line})"
        content, at = _value(text, at, place=place)
        yield Record(place, content)
        at = _skip(text, at)
        if at == len(text):
            break


def _value(text: str, at: int, *, place: str) -> tuple[Json, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        found = _found(text, error.pos)
        raise InputError(f"{place}: not valid JSON: {error.msg}, found {found}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise InputError(f"{place}: JSON that cannot be read: {error}") from error


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _found(text: str, at: int) -> str:
    if at >= len(text):
        return "the end of the file"
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"{text[at : at + 20]!r} at line {line}, column {column}"

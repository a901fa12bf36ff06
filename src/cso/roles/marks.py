"""Numbers by name in what a model sent: JSON, or what resembles it, with prose before and behind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

from cso.taxonomy import canonical

LABELS = ("strategy", "name", "label", "criterion", "question", "dimension", "metric", "id")
NUMBERS = ("score", "rating", "value", "mark", "points")
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Marks = dict[str, Json]
"""What was found under each name: a number where it can be read as one, else what stands there."""


def json_values(text: str) -> list[Json]:
    """The JSON objects and arrays in a text, in order, those inside others not counted."""
    decoder = json.JSONDecoder()
    values: list[Json] = []
    place = 0
    while (start := _next_bracket(text, place)) is not None:
        try:
            value, place = decoder.raw_decode(text, start)
            values.append(cast(Json, value))
        except ValueError:
            place = start + 1
        except RecursionError:
            break  # nobody's scores lie a thousand brackets deep
    return values


def marks_in(value: Json, names: Mapping[str, str], *, out_of: int) -> Marks:
    """What a JSON value says of the names: as an object, a list of objects, or either of them inside another.

    `names` gives, for each `canonical` writing, the name that is meant. Where two entries for one name differ,
    the mark is a text that says so: nothing is guessed.
    """
    marks: Marks = {}
    for label, content in _entries(value, names):
        name = names[label]
        mark = _mark(content, out_of)
        marks[name] = f"{marks[name]} and {mark}" if name in marks and marks[name] != mark else mark
    return marks


def lines_in(text: str, names: Mapping[str, str], *, out_of: int) -> Marks:
    """What the text says of the names as `name: 3`, one a line or many; the last word on each counts."""
    spellings = "|".join(sorted((_spelling(label) for label in names), key=len, reverse=True))
    decoration = r"[ \t\"'*_`>#•+-]{0,20}"
    numbered = r"(?:(?:question|criterion|no\.?|q)[ ]*)??(?:\d{1,2}[ ]*[.):][ ]*)??"
    label = rf"(?:^|[\n,{{|;]){decoration}{numbered}[\"'*_`]{{0,4}}({spellings})(?:[ ]*[(\[][^)\]\n]*[)\]])?"
    separator = r"[\"'*_`\s]{0,8}[:=|.)–—-][\"'*_`\s]{0,8}"
    unit = rf"(?:\s*(?:/|out of)\s*{out_of}\b)?"
    no_more = r"(?![\w%]|\.\d|\s*[/–-]\s*\d|\s*out of)"
    pattern = rf"{label}{separator}({NUMBER}){unit}{no_more}"
    found = re.finditer(pattern, text, re.IGNORECASE)
    written = ((canonical(match[1]), match[2]) for match in found)
    return {names[label]: _mark(mark, out_of) for label, mark in written if label in names}  # "ı" matches "i"


def _spelling(label: str) -> str:
    """A pattern of a canonical label: spaces may be hyphens or underscores."""
    return r"[\s_-]+".join(re.escape(word) for word in label.split(" "))


def _entries(value: Json, names: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """Known labels in a JSON value, each with what stands beside it."""
    match value:
        case {**fields}:
            entry = _labelled(fields, names)
            if entry is not None:
                yield entry
                return
            for key, content in fields.items():
                label = _known(key, names)
                if label is not None:
                    yield label, content
                else:
                    yield from _entries(content, names)
        case [*items]:
            for item in items:
                yield from _entries(item, names)
        case _:
            return


def _labelled(fields: Mapping[str, Json], names: Mapping[str, str]) -> tuple[str, Json] | None:
    """The entry that `{"strategy": ..., "score": ...}` is."""
    lower = {str(key).casefold(): content for key, content in fields.items()}
    labels = [_known(lower[key], names) for key in LABELS if key in lower]
    numbers = [lower[key] for key in NUMBERS if key in lower]
    known = [label for label in labels if label is not None]
    return (known[0], numbers[0]) if known and numbers else None


def _known(label: Json, names: Mapping[str, str]) -> str | None:
    """The canonical label, without decoration and a number in front."""
    if not isinstance(label, str | int):
        return None
    written = canonical(str(label).strip("*_`\"' "))
    bare = re.sub(r"\A\d{1,2}\s*[.):]\s*", "", written)
    return written if written in names else bare if bare in names else None


def _mark(content: Json, out_of: int) -> Json:
    """The finite number that a value is, `7`, `"7"`, `"7/10"` or `{"score": 7}`; else the value itself."""
    match content:
        case bool():
            return content
        case int():
            return content
        case float() if math.isfinite(content):
            return int(content) if content.is_integer() else content
        case str(text) if match := re.fullmatch(rf"\s*({NUMBER})\s*(?:(?:/|out of)\s*{out_of})?\s*", text):
            return _mark(float(match[1]), out_of)
        case {**fields}:
            numbers = [item for key, item in fields.items() if str(key).casefold() in NUMBERS]
            return _mark(numbers[0], out_of) if len(numbers) == 1 else content
        case _:
            return content


def _next_bracket(text: str, place: int) -> int | None:
    found = [start for start in (text.find("{", place), text.find("[", place)) if start >= 0]
    return min(found, default=None)

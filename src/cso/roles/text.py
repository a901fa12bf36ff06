"""What models put around the words that were asked for, taken off; the words themselves are left as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\A\s*```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\s*\Z", re.DOTALL)
_NEXT_TURN = re.compile(r"\n\s*\**(?:seeker|supporter)\**(?:\s*\([^()\n]*\))?\**\s*:.*\Z", re.DOTALL | re.IGNORECASE)
_QUOTES = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"))


def bare(text: str, *, speaker: str, strategies: Iterable[str] = ()) -> str:
    """One utterance, without thoughts, fences, its speaker's name, a strategy in brackets, quotes around it, and the
    turns that a model may invent after it. ValueError where nothing is left.
    """
    text = _FENCE.sub(r"\1", _THOUGHT.sub("", text)).strip()
    names = "|".join(re.escape(name) for name in strategies)
    bracket = rf"[(\[]\s*(?:strategy:\s*)?(?:{names})\s*[)\]]" if names else r"(?!)"
    label = re.compile(rf"\A(?:\**{speaker}\**(?:\s*{bracket})?\**\s*:\**\s*|\**{bracket}\**:?\s*)", re.IGNORECASE)
    while (found := label.match(text)) is not None:
        text = text[found.end() :].lstrip()
    text = _NEXT_TURN.sub("", text).strip()
    for opening, closing in _QUOTES:
        inside = text[1:-1]
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inside):
            text = inside.strip()
    if not text:
        raise ValueError("the answer is empty")
    return text


def json_values(text: str) -> Iterator[Any]:
    """Every JSON object or list that stands in the text, not inside another, from the last to the first."""
    text = _THOUGHT.sub("", text)
    decoder = json.JSONDecoder()
    found: list[Any] = []
    at = 0
    while (start := re.compile(r"[{\[]").search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, start.start())
            found.append(value)
        except (ValueError, RecursionError):
            at = start.end()
    return reversed(found)


def as_object(value: object) -> dict[str, Any] | None:
    """A JSON value as an object: itself, or what a list of {name, score} objects or of single pairs amounts to."""
    match value:
        case dict():
            return cast(dict[str, Any], value)
        case list():
            merged: dict[str, Any] = {}
            for entry in cast(list[object], value):
                if not isinstance(entry, dict):
                    return None
                fields = list(cast(dict[str, Any], entry).items())
                words = [v for _, v in fields if isinstance(v, str) and number(v) is None]
                scores = [v for _, v in fields if number(v) is not None]
                if len(words) == 1 and len(scores) == 1:
                    merged[words[0]] = scores[0]
                else:
                    merged |= dict(fields)
            return merged
        case _:
            return None


def number(value: object) -> float | None:
    """A score as a number: 7, 7.0, "7", "7/10", "7 out of 10"; None for anything else, NaN and infinity too."""
    match value:
        case bool():
            return None
        case int() | float():
            return float(value) if abs(value) < 1e9 else None
        case str():
            found = re.fullmatch(r"\s*([+-]?\d{1,6}(?:\.\d+)?)\s*(?:(?:/|out of)\s*\d+)?\s*(?:points?)?\s*", value)
            return float(found[1]) if found else None
        case _:
            return None

"""Rubrics: what the judge is told to mark, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from cso.errors import InputError
from cso.files import bundled, bundled_or_own, parse_yaml
from cso.rating import HIGHEST_MARK, Criterion, Rubric


def bundled_rubrics() -> tuple[str, ...]:
    """Names of the rubrics in the package."""
    return bundled("rubrics")


def load_rubric(name_or_path: str | Path) -> Rubric:
    """A bundled rubric by name (`esc`), or a user's own YAML file by path.

    The file has `name` and `criteria`: four, in the order of a rating's marks, each with `name`, `question` and
    `marks` (five sentences, for 0 to 4 points). Raises InputError, naming the file and the criterion.
    """
    text = bundled_or_own("rubrics", name_or_path, what="rubric")
    return parse_rubric(text, source=str(name_or_path))


def parse_rubric(text: str, *, source: str) -> Rubric:
    """A rubric from the text of its YAML file; `source` names the file in errors."""
    try:
        content: Any = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"rubric {source}: not valid YAML: {error}") from error
    match content:
        case {"name": str(name), "criteria": [one, two, three, four], **rest} if not rest:
            criteria = (
                _criterion(one, source, 1),
                _criterion(two, source, 2),
                _criterion(three, source, 3),
                _criterion(four, source, 4),
            )
        case _:
            raise InputError(
                f"rubric {source}: expected `name` and `criteria`, exactly four, the last being the "
                f"strategy's (Eq. 2 gives it a weight of its own)"
            )
    if len({criterion.name.casefold() for criterion in criteria}) < len(criteria):
        raise InputError(f"rubric {source}: two criteria have the same name")
    return Rubric(name, criteria)


def _criterion(entry: object, source: str, place: int) -> Criterion:
    fields = cast(dict[str, object], entry) if isinstance(entry, dict) else {}
    name, question, marks = (fields.get(field) for field in ("name", "question", "marks"))
    sentences = tuple(_sentence(mark) for mark in cast(list[object], marks)) if isinstance(marks, list) else ()
    if not (_sentence(name) and _sentence(question) and len(sentences) == HIGHEST_MARK + 1 and all(sentences)):
        raise InputError(
            f"rubric {source}: criterion {place}: expected `name`, `question` and `marks` ({HIGHEST_MARK + 1} "
            f"sentences, for 0 to {HIGHEST_MARK} points), found {entry!r}"
        )
    return Criterion(_sentence(name), _sentence(question), sentences)


def _sentence(text: object) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""

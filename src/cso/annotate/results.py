"""Files with ratings: those that raters saved from their pages, and exports of Label Studio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import AwareDatetime, BaseModel, ValidationError

from cso.annotate.agreement import Rating
from cso.annotate.key import Key, KeySheet, load_key
from cso.annotate.label_studio import annotation_of, exported
from cso.annotate.marks import categories
from cso.errors import InputError


class _Answer(BaseModel):
    item: str
    marks: dict[str, Any]
    at: AwareDatetime
    comment: str = ""


class _Result(BaseModel):
    """What a rater's page saves."""

    format: Literal[1]
    annotation: str
    rater: str
    answers: list[_Answer]


@dataclass(frozen=True, slots=True)
class Read:
    """One rating a rater and item, the key they belong to, and what is to be said about the files."""

    ratings: Sequence[Rating]
    key: Key
    notes: Sequence[str]


def read_ratings(paths: Sequence[Path], key: Path | None = None) -> Read:
    """Ratings of files, or of all JSON files in a folder. Raises InputError, or StoreError for a damaged key.

    The key is `key`, or is searched there if it is a folder, such as a run's; else it is key.json among the files or
    beside them. Where a rater has judged an item twice, the later mark of each criterion counts.
    """
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    contents = {path: _json(path) for path in files}
    notes = [f"{path}: left out: {why}" for path, content in contents.items() if (why := _no_result(content))]
    wanted = {path: content for path, content in contents.items() if not _is_key(content) and not _no_result(content)}
    if not wanted:
        why = "; ".join(["found none", *notes])
        raise InputError(f"{', '.join(map(str, paths))}: expected files with ratings, {why}")
    results = {path: _result(path, content) for path, content in wanted.items() if not isinstance(content, list)}
    named = {result.annotation: path for path, result in results.items()}
    given = [path for path in files if _is_key(contents[path])]
    tasks = {name for content in wanted.values() if isinstance(content, list) for name in map(annotation_of, content)}
    found = _key(files, given, key, tasks | named.keys())
    for name, path in named.items():
        if name != found.annotation:
            raise InputError(f"{path}: belongs to annotation {name}, the key to {found.annotation}; give its own key")
    ratings = [rating for path, result in results.items() for rating in _ratings(path, result, found)]
    for path, content in wanted.items():
        if isinstance(content, list):
            marked, said = exported(path, content, found)
            ratings += marked
            notes += said
    silent = dict.fromkeys(result.rater for result in results.values())
    for rater in [name for name in silent if not any(each.rater == name and each.marks for each in ratings)]:
        notes.append(f"{rater}: has marked nothing, and is not counted as a rater")
    return Read(*_latest(ratings, found, notes))


def _latest(ratings: Sequence[Rating], key: Key, notes: list[str]) -> tuple[list[Rating], Key, list[str]]:
    """Each rater's last mark of each item and criterion, and how many items have others. The last comment stands.

    No page takes a mark back, so that a later rating without one is from elsewhere, and says nothing against it.
    """
    found: dict[tuple[str, str], Rating] = {}
    contradicted: dict[str, set[str]] = {}
    for rating in sorted(ratings, key=lambda each: each.at or datetime.min.replace(tzinfo=UTC)):
        before = found.get((rating.rater, rating.item))
        marks = {**before.marks, **rating.marks} if before else rating.marks
        if before and any(marks[name] != mark for name, mark in before.marks.items()):
            contradicted.setdefault(rating.rater, set()).add(rating.item)
        found[rating.rater, rating.item] = replace(rating, marks=marks)
    said = [
        f"{rater}: items that are there twice with different marks, of which the later ones count: {len(items)}"
        for rater, items in contradicted.items()
    ]
    return list(found.values()), key, [*notes, *said]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise InputError(f"{path}: expected files that raters saved, found no .json")
    return found


def _json(path: Path) -> dict[str, Any] | list[Any]:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; expected what raters saved, or a JSON export of Label Studio"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found something else ({error}); save or export it again") from error
    if isinstance(content, dict):
        return cast(dict[str, Any], content)
    if isinstance(content, list):
        return cast(list[Any], content)
    raise InputError(f"{path}: expected a result or an export of Label Studio, found {str(content)[:60]!r}")


def _is_key(content: dict[str, Any] | list[Any]) -> bool:
    return isinstance(content, dict) and "label_studio" in content and "answers" not in content


def is_agreement(path: Path) -> bool:
    """Whether the file holds what `cso agreement` writes."""
    try:
        content = _json(path)
    except InputError:
        return False
    return isinstance(content, dict) and _is_agreement(content)


def _is_agreement(content: dict[str, Any]) -> bool:
    return {"annotation", "kind", "rows"} <= content.keys() and "answers" not in content


def _no_result(content: dict[str, Any] | list[Any]) -> str:
    """Why a file of ours beside the results is none; empty if it is one."""
    if isinstance(content, dict):
        return "it is an earlier agreement" if _is_agreement(content) else ""
    tasks = all(isinstance(task, dict) and "annotations" not in task and "data" in task for task in content)
    return "tasks that Label Studio has not been given yet" if tasks and content else ""


def _result(path: Path, content: dict[str, Any] | list[Any]) -> _Result:
    try:
        return _Result.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: expected a result as a rater's page saves it, found {first['input']!r:.80} at {place}: "
            f"{first['msg']}; ask the rater to save it again"
        ) from error


def _key(files: Sequence[Path], given: Sequence[Path], told: Path | None, wanted: set[str | None]) -> Key:
    if told is not None and told.is_dir():
        places = [told / "key.json", *sorted(told.glob("annotation/*/key.json")), *sorted(told.glob("*/key.json"))]
    elif told is not None:
        places = [told]
    else:
        places = [*given, *(path.parent / "key.json" for path in files)]
    keys = [load_key(path) for path in dict.fromkeys(places) if path == told or path.exists()]
    if not keys:
        raise InputError(
            f"{files[0]}: expected the annotation's key.json beside it, found none; add --key with the one that "
            f"`cso annotate` wrote, or with the run"
        )
    return next((key for key in keys if key.annotation in wanted), keys[0])


def _ratings(path: Path, result: _Result, key: Key) -> list[Rating]:
    sheet = key.raters.get(result.rater)
    if sheet is None:
        raise InputError(f"{path}: expected a rater of {', '.join(key.raters)}, found {result.rater!r}")
    return [_rating(path, answer, result.rater, sheet, key) for answer in result.answers]


def _rating(path: Path, answer: _Answer, rater: str, sheet: KeySheet, key: Key) -> Rating:
    swapped = answer.item in sheet.swapped
    marks = categories(path, answer.item, answer.marks, key, swapped=swapped)
    return Rating(rater, answer.item, marks, swapped, answer.at, answer.comment.strip())

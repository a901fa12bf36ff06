"""The key of an annotation: which reply is whose, and what each rater was shown where. It is not for raters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from cso.annotate.criteria import Kind
from cso.annotate.items import LABEL_STUDIO, Annotation, Sheet
from cso.errors import InputError, StoreError
from cso.files import write_json

FORMAT = 1


class KeyItem(BaseModel):
    """Where an item comes from; `sources` and `strategies` are those of its replies, in the order of the sources."""

    dialogue: str
    turn: int
    sources: Annotated[list[str], Field(min_length=1, max_length=2)]
    strategies: list[str | None]


class KeySheet(BaseModel):
    """The order of a rater's items, and those whose second reply was shown as A."""

    order: list[str]
    swapped: list[str]


class Key(BaseModel):
    """The content of key.json."""

    format: Literal[1]
    annotation: str
    kind: Kind
    criteria: Annotated[list[str], Field(min_length=1)]
    told: dict[str, str | int]
    same: int  # pairs left out since they read the same
    items: Annotated[dict[str, KeyItem], Field(min_length=1)]
    raters: dict[str, KeySheet]
    label_studio: KeySheet


def key_of(annotation: Annotation, raters: dict[str, KeySheet]) -> Key:
    """The key of an annotation with these raters' sheets."""
    return Key(
        format=FORMAT,
        annotation=annotation.id,
        kind=annotation.kind,
        criteria=[criterion.name for criterion in annotation.criteria],
        told=dict(annotation.told),
        same=annotation.same,
        items={
            item.id: KeyItem(
                dialogue=item.history.id,
                turn=item.turn,
                sources=[reply.source for reply in item.replies],
                strategies=[reply.strategy for reply in item.replies],
            )
            for item in annotation.items
        },
        raters=raters,
        label_studio=key_sheet(annotation.sheet(LABEL_STUDIO)),
    )


def key_sheet(sheet: Sheet) -> KeySheet:
    return KeySheet(order=list(sheet.order), swapped=[name for name in sheet.order if name in sheet.swapped])


def save_key(path: Path, key: Key) -> None:
    write_json(path, key.model_dump())


def load_key(path: Path) -> Key:
    """Raises InputError where there is none, StoreError where the file is none of ours."""
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
        return Key.model_validate(content)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such key; `cso annotate` writes it to RUN/annotation/NAME/key.json") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"{path}: expected a key as cso writes it, found {place or 'a file'}: {first['msg']}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: expected a key as cso writes it; it cannot be read: {error}") from error

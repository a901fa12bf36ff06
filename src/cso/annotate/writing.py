"""The folder of an annotation: pages, key and, where asked for, tasks for Label Studio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cso.annotate.items import Annotation
from cso.annotate.key import Key, key_of, key_sheet, load_key, save_key
from cso.annotate.label_studio import config, tasks
from cso.annotate.page import page
from cso.errors import InputError, StoreError
from cso.files import write_json, write_text
from cso.taxonomy import Taxonomy

_TAKEN = ("key", "tasks", "agreement", "config")  # files beside which a rater's result may lie


def write(
    folder: Path, annotation: Annotation, raters: Sequence[str], taxonomy: Taxonomy, *, label_studio: bool = False
) -> list[Path]:
    """Write key.json, then a page for each rater, which are what is returned; tasks.json and config.xml if asked for.

    What is there already stays as it is, so raters can be added. Raises StoreError where another annotation is there,
    since its raters may be at work, and InputError for names that cannot be used.
    """
    _check_names(raters)
    there = _there(folder, annotation)
    sheets = {rater: key_sheet(annotation.sheet(rater)) for rater in raters}
    save_key(folder / "key.json", key_of(annotation, (there.raters if there else {}) | sheets))
    pages = [folder / f"{rater}.html" for rater in raters]
    for rater, path in zip(raters, pages, strict=True):
        write_text(path, page(annotation, rater, taxonomy))
    if label_studio:
        write_json(folder / "tasks.json", tasks(annotation, taxonomy.speakers))
        write_text(folder / "config.xml", config(annotation))
    return pages


def rater_names(told: str) -> list[str]:
    """`3` as rater-1 to rater-3, and names as they are, between commas. Raises InputError."""
    names = [name.strip() for name in told.split(",")]
    if len(names) == 1 and names[0].isdecimal():
        if not 1 <= int(names[0]) <= 100:
            raise InputError(f"--raters {told}: expected from 1 to 100 raters, or their names between commas")
        names = [f"rater-{number}" for number in range(1, int(names[0]) + 1)]
    _check_names(names)
    return names


def _check_names(raters: Sequence[str]) -> None:
    for name in raters:
        if not re.fullmatch(r"\w[\w.@+-]{0,59}", name) or name.casefold() in _TAKEN:
            raise InputError(
                f"rater {name!r}: expected a name of letters, digits and . - + @, no longer than 60, and none of "
                f"{', '.join(_TAKEN)}: it names files"
            )
    if len({name.casefold() for name in raters}) < len(raters) or not raters:
        raise InputError(f"raters {', '.join(raters)}: expected names that differ, also apart from case")


def _there(folder: Path, annotation: Annotation) -> Key | None:
    """The key of this very annotation if it is there. Raises StoreError where another one is."""
    if not (folder / "key.json").exists():
        if any(folder.glob("*.html")):
            raise StoreError(
                f"{folder}: has pages but not their key.json, without which what raters say is lost; put it back, or "
                f"choose another --name (the same settings make the same key)"
            )
        return None
    there = load_key(folder / "key.json")
    if there.annotation != annotation.id:
        before = there.told
        changes = ((name, before.get(name), now) for name, now in annotation.told.items())
        other = [f"{name}: {old} there, {now} now" for name, old, now in changes if old != now]
        raise StoreError(
            f"{folder} holds another annotation ({'; '.join(other) or 'of other replies'}), whose raters may be at "
            f"work: choose another --name"
        )
    return there

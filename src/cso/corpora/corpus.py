"""A corpus: the dialogues of one file that can be seeds, and what became of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from cso.corpora.formats import read_dialogues
from cso.corpora.prepare import Dropped, Prepared, prepare
from cso.dialogue import Dialogue
from cso.errors import InputError
from cso.taxonomy import Taxonomy

_BUNDLED = {"bundled": "train.json", "bundled:test": "test.json"}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Seed dialogues in the file's order. `trimmed` counts the exchanges that they lost at their ends."""

    name: str
    dialogues: tuple[Dialogue, ...]
    dropped: tuple[Dropped, ...] = ()
    trimmed: int = 0

    def summary(self) -> str:
        """One line: how many dialogues can be used, how many were dropped and why, what was trimmed."""
        reasons = Counter(dropped.reason.value for dropped in self.dropped).most_common()
        why = f" ({', '.join(f'{number} {reason}' for reason, number in reasons)})" if reasons else ""
        total = len(self.dialogues) + len(self.dropped)
        return (
            f"{self.name}: {len(self.dialogues)} of {total} dialogues can be used, {len(self.dropped)} dropped{why}, "
            f"{self.trimmed} unlabelled exchanges trimmed"
        )


def bundled_corpora() -> tuple[str, ...]:
    """What `read_corpus` takes in place of a path: the train and the test part of the bundled corpus."""
    return tuple(_BUNDLED)


def read_corpus(source: str | Path, taxonomy: Taxonomy, *, drop_unlabelled: bool = False) -> Corpus:
    """The corpus at a path, or a bundled one by name, its strategies in the words of `taxonomy`.

    The format is found from the content: ExTES, ESConv or our own (see `cso.corpora.formats`). What cannot be a
    seed is dropped with its reason; `drop_unlabelled` drops what would be trimmed. Raises InputError, naming
    file, dialogue and turn, for what cannot be read at all.
    """
    raw, name = _content(source)
    read = cache(taxonomy.read)
    kept: list[Prepared] = []
    dropped: list[Dropped] = []
    for dialogue in read_dialogues(raw, source=name):
        match prepare(dialogue, read, drop_unlabelled=drop_unlabelled):
            case Prepared() as prepared:
                kept.append(prepared)
            case Dropped() as reason:
                dropped.append(reason)
    return Corpus(
        name=str(source),
        dialogues=tuple(prepared.dialogue for prepared in kept),
        dropped=tuple(dropped),
        trimmed=sum(prepared.trimmed for prepared in kept),
    )


def _content(source: str | Path) -> tuple[bytes, str]:
    """The bytes of a corpus, and the name of its file."""
    if (bundled := _BUNDLED.get(str(source))) is not None:
        return resources.files("cso").joinpath("corpora", "bundled", bundled).read_bytes(), bundled
    try:
        return Path(source).read_bytes(), str(source)
    except OSError as error:
        raise InputError(
            f"{source}: expected a readable file with dialogues, or one of {', '.join(_BUNDLED)}; {error.strerror}"
        ) from error

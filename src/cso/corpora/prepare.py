"""From a dialogue as it was written down to a seed: joined, its strategies read, trimmed, or dropped with a reason.

An exchange is a seeker turn with the supporter turn that answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cso.dialogue import Dialogue, Speaker, Turn, joined
from cso.taxonomy import canonical

LABEL_SHOWN = 40  # characters
_OTHERS = {"other", "others"}  # the catch-all of ExTES and ESConv, set apart as in Appendix F.1


class Reason(StrEnum):
    """Why a dialogue cannot be a seed."""

    UNLABELLED = "unlabelled"  # a supporter turn between labelled ones has no strategy, or none has
    UNLABELLED_END = "unlabelled start or end"  # would be trimmed, but `drop_unlabelled` is set
    UNKNOWN = "unknown strategy"  # a label that the taxonomy does not read
    OTHERS = "others"  # "Others" or "Other", where the taxonomy has no such strategy
    TOO_SHORT = "too short"  # not one seeker turn followed by a supporter turn
    EMPTY_TEXT = "empty text"  # a turn without words


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dialogue that was left out: `turn` counts the turns as they were written, from 1; `label` is what it has."""

    id: str
    reason: Reason
    turn: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        """Where, and what stands there; a label may be a whole utterance gone astray, so it is cut."""
        name = self.id if self.id.isprintable() else repr(self.id)
        turn = "" if self.turn is None else f", turn {self.turn}"
        if self.label is None:
            return f"{name}{turn}"
        label = self.label if len(self.label) <= LABEL_SHOWN else f"{self.label[:LABEL_SHOWN]}..."
        return f"{name}{turn}: {label!r}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dialogue that can be a seed, without the `trimmed` exchanges that it had at its ends."""

    dialogue: Dialogue
    trimmed: int


def prepare(
    dialogue: Dialogue, read: Callable[[str], str | None], *, drop_unlabelled: bool = False
) -> Prepared | Dropped:
    """The dialogue as a seed: speakers alternate, every strategy is a name of the taxonomy.

    `read` turns a label into that name, or None: `Taxonomy.read`. Unlabelled exchanges at the start go, with
    everything before them, and at the end, with everything after them. A supporter's greeting without a label
    stays where none goes at the start: it answers nobody, so it is no exchange. Where several labels are at
    fault, the first is given.
    """
    for number, turn in enumerate(dialogue.turns, 1):
        if not turn.text.strip():
            return Dropped(dialogue.id, Reason.EMPTY_TEXT, number, turn.strategy)
    turns, numbers = joined(dialogue.turns), _numbers(dialogue.turns)
    first = 0 if turns and turns[0].speaker is Speaker.SEEKER else 1
    replies = range(first + 1, len(turns), 2)
    if not replies:
        return Dropped(dialogue.id, Reason.TOO_SHORT)
    labelled = [index for index in replies if turns[index].strategy]
    if not labelled:
        return Dropped(dialogue.id, Reason.UNLABELLED, numbers[replies[0]])
    between = range(labelled[0], labelled[-1])
    for index, turn in enumerate(turns):
        if turn.strategy:
            reason = _misread(turn.strategy, read)
        elif index in replies and (drop_unlabelled or index in between):
            reason = Reason.UNLABELLED if index in between else Reason.UNLABELLED_END
        else:
            reason = None
        if reason:
            return Dropped(dialogue.id, reason, numbers[index], turn.strategy)
    start = 0 if labelled[0] == replies[0] else labelled[0] - 1
    end = len(turns) if labelled[-1] == replies[-1] else labelled[-1] + 1
    kept = (replace(turn, strategy=read(turn.strategy)) if turn.strategy else turn for turn in turns[start:end])
    trimmed = sum(not start < index < end for index in replies)
    return Prepared(dialogue.with_turns(kept), trimmed)


def _misread(label: str, read: Callable[[str], str | None]) -> Reason | None:
    if read(label) is not None:
        return None
    return Reason.OTHERS if canonical(label) in _OTHERS else Reason.UNKNOWN


def _numbers(turns: Sequence[Turn]) -> list[int]:
    """For each turn after joining, the number of the first that it is made of."""
    return [i + 1 for i, turn in enumerate(turns) if i == 0 or turns[i - 1].speaker is not turn.speaker]

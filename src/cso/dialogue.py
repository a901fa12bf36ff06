"""Dialogues: two speakers, turns, and the strategy behind each turn of the supporter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Speaker(StrEnum):
    SEEKER = "seeker"
    SUPPORTER = "supporter"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says at once.

    `strategy` is the name of a strategy in the taxonomy in force; None for a seeker, and for a supporter whose
    turn has no label.
    """

    speaker: Speaker
    text: str
    strategy: str | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation, or the first part of one."""

    id: str
    turns: tuple[Turn, ...]
    situation: str = ""
    emotion: str | None = None
    scene: str | None = None

    def with_turns(self, turns: Iterable[Turn]) -> Dialogue:
        """The same situation, another conversation."""
        return replace(self, turns=tuple(turns))


def joined(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Consecutive turns of one speaker made one: texts joined by a space, the first turn's strategy kept."""
    whole: list[Turn] = []
    for turn in turns:
        if whole and whole[-1].speaker is turn.speaker:
            whole[-1] = replace(whole[-1], text=f"{whole[-1].text} {turn.text}")
        else:
            whole.append(turn)
    return tuple(whole)

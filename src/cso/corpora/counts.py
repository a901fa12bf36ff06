"""What a corpus holds: strategies by stage of the conversation, and how long dialogues and turns are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cso.dialogue import STAGES, Dialogue, Speaker, stage


@dataclass(frozen=True, slots=True)
class Length:
    """Sizes of things of one kind: how many there are, and how large."""

    number: int
    mean: float
    smallest: int
    largest: int


@dataclass(frozen=True, slots=True)
class Counts:
    """`strategies` maps a strategy to its supporter turns in each stage; None stands for turns without one."""

    strategies: Mapping[str | None, tuple[int, ...]]
    utterances: Length  # of a dialogue
    words: Mapping[Speaker, Length]  # of an utterance


def count(dialogues: Sequence[Dialogue], names: Sequence[str]) -> Counts:
    """The counts of one or more prepared dialogues; every strategy of `names` has a row, in that order."""
    rows: dict[str | None, list[int]] = {name: [0] * STAGES for name in names}
    for dialogue in dialogues:
        for k, turn in enumerate(dialogue.turns, 1):
            if turn.speaker is Speaker.SUPPORTER:
                rows.setdefault(turn.strategy, [0] * STAGES)[stage(k, len(dialogue.turns))] += 1
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    return Counts(
        strategies={name: tuple(row) for name, row in rows.items()},
        utterances=_length([len(dialogue.turns) for dialogue in dialogues]),
        words={who: _length([len(turn.text.split()) for turn in turns if turn.speaker is who]) for who in Speaker},
    )


def _length(sizes: Sequence[int]) -> Length:
    return Length(len(sizes), sum(sizes) / len(sizes), min(sizes), max(sizes))

"""Dialogues: two speakers, turns, and the strategy behind each turn of the supporter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


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


STAGES = 6


def stage(k: int, utterances: int) -> int:
    """Figure 3: in which of six parts of a dialogue utterance `k`, counted from 1, lies: 0 to 5, a fifth of it is i.

    The paper's floor(6k / n) puts the last utterance into a seventh part: it is counted with the sixth.
    """
    return min(STAGES - 1, STAGES * k // utterances)


def joined(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Consecutive turns of one speaker made one: texts joined by a space, the first turn's strategy kept."""
    whole: list[Turn] = []
    for turn in turns:
        if whole and whole[-1].speaker is turn.speaker:
            whole[-1] = replace(whole[-1], text=f"{whole[-1].text} {turn.text}")
        else:
            whole.append(turn)
    return tuple(whole)


def dialogue_to_json(dialogue: Dialogue) -> dict[str, Any]:
    """A dialogue in our own format, the one that corpora of ours have a line of."""
    turns = [
        {"speaker": str(turn.speaker), "text": turn.text, **({"strategy": turn.strategy} if turn.strategy else {})}
        for turn in dialogue.turns
    ]
    named = {"situation": dialogue.situation, "emotion": dialogue.emotion, "scene": dialogue.scene}
    return {"id": dialogue.id, **{key: value for key, value in named.items() if value}, "turns": turns}


def dialogue_from_json(content: Mapping[str, Any]) -> Dialogue:
    """What `dialogue_to_json` wrote; KeyError or ValueError for anything else."""
    turns = (Turn(Speaker(turn["speaker"]), turn["text"], turn.get("strategy")) for turn in content["turns"])
    return Dialogue(
        content["id"], tuple(turns), content.get("situation", ""), content.get("emotion"), content.get("scene")
    )

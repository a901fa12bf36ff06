"""The strategy test set: the moments of dialogues at which the supporter is to choose a strategy."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cso.dialogue import STAGES, Dialogue, Speaker, stage


@dataclass(frozen=True, slots=True)
class Item:
    """A moment, and what the dialogue's own supporter did. `history` ends in a seeker turn; `stage` is 0 to 5."""

    history: Dialogue
    utterance: int  # of the dialogue, from 1
    strategy: str
    text: str
    stage: int

    @property
    def dialogue(self) -> str:
        return self.history.id

    @property
    def id(self) -> str:
        return f"{self.dialogue}/{self.utterance}"


def items(dialogues: Iterable[Dialogue]) -> list[Item]:
    """Every supporter turn that has a strategy and answers a seeker turn, in the dialogues' order."""
    return [
        Item(
            history=dialogue.with_turns(dialogue.turns[:place]),
            utterance=place + 1,
            strategy=turn.strategy,
            text=turn.text,
            stage=stage(place + 1, len(dialogue.turns)),
        )
        for dialogue in dialogues
        for place, turn in enumerate(dialogue.turns)
        if turn.speaker is Speaker.SUPPORTER
        and turn.strategy is not None
        and place > 0
        and dialogue.turns[place - 1].speaker is Speaker.SEEKER
    ]


def held_out(dialogues: Iterable[Dialogue], seeds: Iterable[Dialogue]) -> list[Dialogue]:
    """The dialogues whose words are not those of a seed, whatever their labels."""
    seen = {_words(dialogue) for dialogue in seeds}
    return [dialogue for dialogue in dialogues if _words(dialogue) not in seen]


def _words(dialogue: Dialogue) -> tuple[tuple[Speaker, str], ...]:
    return tuple((turn.speaker, turn.text) for turn in dialogue.turns)


def drawn(all_items: Sequence[Item], *, per_stage: int | None, seed: int) -> list[Item]:
    """`per_stage` items of each stage, drawn evenly, or all where a stage has fewer; in their old order.

    None: all items.
    """
    if per_stage is None:
        return list(all_items)
    draw = random.Random(seed)
    kept: set[str] = set()
    for number in range(STAGES):
        names = [item.id for item in all_items if item.stage == number]
        kept.update(draw.sample(names, min(per_stage, len(names))))
    return [item for item in all_items if item.id in kept]

"""What a role can see of a conversation, and what a corpus says about such moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cso.dialogue import Dialogue, Speaker, Turn, joined
from cso.errors import InputError
from cso.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Past:
    """A conversation up to some turn, taken apart.

    `heard` and `replies` are the seeker's and the supporter's texts in order. `strategies` are places in the
    taxonomy of the supporter turns that answer the seeker, None for one without a known label: a greeting before
    the seeker's first words is among `replies` but not here. `before[i]` counts the seeker turns before the i-th
    of them.
    """

    heard: tuple[str, ...]
    replies: tuple[str, ...]
    strategies: tuple[int | None, ...]
    before: tuple[int, ...]

    @property
    def rounds(self) -> int:
        """How often the supporter has answered."""
        return len(self.strategies)

    def before_reply(self, round_: int) -> Past:
        """What lay before the supporter's answer number `round_`, from 0."""
        greetings = len(self.replies) - self.rounds
        return Past(
            self.heard[: self.before[round_]],
            self.replies[: greetings + round_],
            self.strategies[:round_],
            self.before[:round_],
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """One labelled answer of a supporter in the corpus.

    `dialogue` is its dialogue's place in the corpus. `answer` is what the seeker said next; where `last` is true the
    supporter spoke no more, and `answer` is a farewell, or empty.
    """

    dialogue: int
    past: Past
    reply: str
    strategy: int
    answer: str
    last: bool


def places_in(taxonomy: Taxonomy) -> dict[str, int]:
    """Each strategy's place in the taxonomy, in its order."""
    return {name: place for place, name in enumerate(taxonomy.names)}


def past(history: Dialogue, places: Mapping[str, int]) -> Past:
    """A history taken apart; `places` gives each strategy's place in the taxonomy."""
    heard: list[str] = []
    replies: list[str] = []
    strategies: list[int | None] = []
    before: list[int] = []
    for turn in history.turns:
        if turn.speaker is Speaker.SEEKER:
            heard.append(turn.text)
        else:
            replies.append(turn.text)
            if heard:
                strategies.append(None if turn.strategy is None else places.get(turn.strategy))
                before.append(len(heard))
    return Past(tuple(heard), tuple(replies), tuple(strategies), tuple(before))


def moments(dialogues: Sequence[Dialogue], taxonomy: Taxonomy) -> list[Moment]:
    """Every labelled answer of every dialogue, in order. Raises InputError for a strategy that `taxonomy` lacks."""
    places = places_in(taxonomy)
    found: list[Moment] = []
    for number, dialogue in enumerate(dialogues):
        turns = joined(dialogue.turns)
        _check(dialogue, turns, taxonomy)
        whole = past(dialogue.with_turns(turns), places)
        greetings = len(whole.replies) - whole.rounds
        for round_, strategy in enumerate(whole.strategies):
            if strategy is not None:
                after = whole.heard[whole.before[round_] :]
                found.append(
                    Moment(
                        dialogue=number,
                        past=whole.before_reply(round_),
                        reply=whole.replies[greetings + round_],
                        strategy=strategy,
                        answer=after[0] if after else "",
                        last=round_ == whole.rounds - 1,
                    )
                )
    return found


def _check(dialogue: Dialogue, turns: tuple[Turn, ...], taxonomy: Taxonomy) -> None:
    for number, turn in enumerate(turns, 1):
        if turn.strategy is not None and turn.speaker is Speaker.SUPPORTER and turn.strategy not in taxonomy.names:
            raise InputError(
                f"dialogue {dialogue.id}, turn {number}: the strategy {turn.strategy!r} is not in taxonomy "
                f"{taxonomy.name}: {', '.join(taxonomy.names)}"
            )

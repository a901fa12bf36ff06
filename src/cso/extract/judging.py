"""Own-turn judging: what the judge says of a chosen and of a rejected reply themselves, and pairs that it contradicts.

A reply's Q is about what followed it. Most rejected replies were never judged on their own turn, and where they are,
the judge may well mark them above the chosen one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cso.dialogue import Dialogue
from cso.extract.asking import answers
from cso.extract.pairs import spoken
from cso.preference import Pair, Reply
from cso.rating import Rating, reward
from cso.search.cast import Judge
from cso.settings import RewardSettings

DEFAULT_REWARD = RewardSettings()


class Judged(NamedTuple):
    """Pairs with the ratings that could be got; `unanswered` counts the replies that the judge gave none for."""

    pairs: list[Pair]
    unanswered: int


class Filtered(NamedTuple):
    """The pairs that are kept, and how many were dropped: margin too low, or unknown."""

    pairs: list[Pair]
    below: int
    unrated: int


async def judge_missing(pairs: Sequence[Pair], judge: Judge) -> Judged:
    """The same pairs, with the ratings that were missing asked for: all at once, and each reply once.

    The judge is shown the history with the reply behind it, as it is in a search. A reply for which it gives no
    usable answer stays without rating.
    """
    missing = list(
        dict.fromkeys(
            shown(pair.history, reply)
            for pair in pairs
            for reply in (pair.chosen, pair.rejected)
            if reply.rating is None
        )
    )
    ratings = dict(zip(missing, await answers(judge(dialogue) for dialogue in missing), strict=True))

    def rated(history: Dialogue, reply: Reply) -> Reply:
        if reply.rating is not None:
            return reply
        return replace(reply, rating=ratings[shown(history, reply)])

    return Judged(
        [
            replace(pair, chosen=rated(pair.history, pair.chosen), rejected=rated(pair.history, pair.rejected))
            for pair in pairs
        ],
        unanswered=sum(rating is None for rating in ratings.values()),
    )


def own_reward(rating: Rating | None, settings: RewardSettings = DEFAULT_REWARD) -> float | None:
    """Eq. 2 for a reply's own turn; None where the judge was not asked."""
    return None if rating is None else reward(rating, alpha=settings.alpha, bias=settings.bias)


def margin(pair: Pair, settings: RewardSettings = DEFAULT_REWARD) -> float | None:
    """Own-turn reward of the chosen reply minus the rejected one's; None where one of them is unknown.

    Rounded to ten digits, so that differences of tenths compare as tenths.
    """
    chosen, rejected = own_reward(pair.chosen.rating, settings), own_reward(pair.rejected.rating, settings)
    return None if chosen is None or rejected is None else round(chosen - rejected, 10)


def above_margin(
    pairs: Iterable[Pair], min_margin: float | None, settings: RewardSettings = DEFAULT_REWARD
) -> Filtered:
    """The pairs whose margin is at least `min_margin`; all of them where that is None.

    A pair of unknown margin is dropped: nothing shows that it has the margin asked for.
    """
    if min_margin is None:
        return Filtered(list(pairs), below=0, unrated=0)
    kept: list[Pair] = []
    below = unrated = 0
    for pair in pairs:
        match margin(pair, settings):
            case None:
                unrated += 1
            case difference if difference < min_margin:
                below += 1
            case _:
                kept.append(pair)
    return Filtered(kept, below, unrated)


def shown(history: Dialogue, reply: Reply) -> Dialogue:
    """What the judge is shown of a reply: the history with it behind."""
    return history.with_turns((*history.turns, spoken(reply)))

"""Seeker, supporter and strategist played from a corpus: a stand-in for language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cso.corpus_cast.moments import Past, past
from cso.corpus_cast.policy import Policy
from cso.corpus_cast.retrieval import DRAWN_FROM, Archive, draw, in_order
from cso.corpus_cast.terms import Places
from cso.dialogue import Dialogue
from cso.search.cast import Utterance
from cso.taxonomy import Strategy

SCALE = 2.0  # a score falls by so much for each factor e between a strategy's probability and the likeliest one's
NOISE = 2.0  # points by which a further sample's scores differ, before the likeliest is raised to 10


@dataclass(frozen=True, slots=True)
class CorpusStrategist:
    """Scores a strategy by how often the corpus's supporters take it after such words: a stand-in, no LLM."""

    policy: Policy
    places: Mapping[str, int]

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        seen = past(history, self.places)
        margins = self.policy.margins(seen)
        if sample:
            margins = margins + [NOISE / SCALE * draw(seen, name, sample) for name in self.places]
            margins = margins - margins.max()
        return {name: _score(float(margins[place])) for name, place in self.places.items()}


def _score(margin: float) -> int:
    """10 for the likeliest strategy; 0 for one less likely by a factor of e ** (10 / SCALE), or never seen."""
    return round(max(0.0, 10 + SCALE * round(margin, 9)))


@dataclass(frozen=True, slots=True)
class CorpusSupporter:
    """Quotes the reply by that strategy whose moment was nearest, one that is new to the dialogue: a stand-in, no LLM.

    Where all are used up, the one used longest ago comes again; a strategy without any borrows from the others.
    `allowed` lists the moments that may be quoted.
    """

    archive: Archive
    allowed: Places
    places: Mapping[str, int]

    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        seen = past(history, self.places)
        allowed = self.archive.others(self.allowed, seen)
        by_strategy = allowed[self.archive.strategy[allowed] == self.places.get(strategy.name, -1)]
        candidates = by_strategy if len(by_strategy) else allowed
        used = self.archive.replies_used(seen)
        order = list(in_order(self.archive.nearness_of_replies(seen), used, candidates))
        unused = int(np.count_nonzero(used[candidates] < 0))
        return self.archive.moments[order[_rank(seen, strategy.name, sample, unused)]].reply


@dataclass(frozen=True, slots=True)
class CorpusSeeker:
    """Says what another seeker said when answered like this, nothing twice if it can: a stand-in, no LLM.

    Ends where that seeker's dialogue ended, but not before the supporter has answered `earliest` times, and in any case
    when it has answered `latest` times.
    """

    archive: Archive
    allowed: Places
    places: Mapping[str, int]
    earliest: int
    latest: int

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        seen = past(history, self.places)
        if seen.rounds >= self.latest:
            return Utterance("", ends=True)
        allowed = self.archive.others(self.allowed, seen)
        used = self.archive.answers_used(seen)
        order = in_order(self.archive.nearness_of_answers(seen, history.situation), used, allowed)
        fitting = (m for m in order if not self.archive.moments[m].last or seen.rounds >= self.earliest)
        rank = _rank(seen, "answer", sample, DRAWN_FROM)
        found = [number for number, _ in zip(fitting, range(rank + 1), strict=False)]
        if not found:
            return Utterance("", ends=True)
        moment = self.archive.moments[found[-1]]
        return Utterance(moment.answer, ends=moment.last)


def _rank(seen: Past, what: str, sample: int, number: int) -> int:
    """Which of the `number` best is taken: the best, or for a further sample one drawn from the first few."""
    return int(draw(seen, what, sample) * min(DRAWN_FROM, number)) if sample else 0

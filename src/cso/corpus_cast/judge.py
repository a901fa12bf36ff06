"""The judge played from a corpus: a stand-in for a language model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cso.corpus_cast.moments import Past, past
from cso.corpus_cast.policy import Policy
from cso.corpus_cast.retrieval import Archive, draw
from cso.dialogue import Dialogue
from cso.rating import HIGHEST_MARK, Rating

STRATEGY_CUTS = (2.5, 1.6, 1.05, 0.5)
MEMORY = (1.0, 0.5, 0.25)
CAP = 3.0
DEAD = 0.5
SW = 1.0
EW = 0.0
IW = 0.0
IB = 1
EB = 1
RELEVANCE_CUTS = (0.02, 0.05, 0.1)
NOISE = 0.4  # a further sample's fit is off by at most half of it, in nats


@dataclass(frozen=True)
class CorpusJudge:
    policy: Policy
    archive: Archive
    places: dict[str, int]

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        seen = past(history, self.places)
        reply, words = seen.replies[-1], len(seen.replies[-1].split())
        n = [max(0.0, -self.fit(seen, k)) for k in range(seen.rounds)][::-1]
        carry = sum(m * min(CAP, max(0.0, x - DEAD)) for m, x in zip(MEMORY, n[1:]))
        strain = n[0] + SW * carry
        r = self.relevance(seen)
        e = max(0, min(4, EB + sum(r >= x for x in RELEVANCE_CUTS) - int(EW * carry + .5)))
        i = max(0, min(4, IB + sum(r >= x for x in RELEVANCE_CUTS) - (words < 12) + (words > 25) - int(IW * carry + .5)))
        h = 4 - (words < 8) - (words > 55) - 2 * (reply in seen.replies[:-1]) - (len(seen.strategies) > 1 and seen.strategies[-1] == seen.strategies[-2])
        s = sum(strain <= c for c in STRATEGY_CUTS)
        return Rating(e, i, max(0, h), s)

    def fit(self, seen, k):
        s = seen.strategies[k]
        return -9.0 if s is None else self.policy.margins(seen.before_reply(k))[s]

    def relevance(self, seen):
        heard = seen.heard[-4:]
        return self.archive.alike(seen.replies[-1], seen.heard[-1]) + sum(self.archive.alike(seen.replies[-1], t) for t in heard) / len(heard)

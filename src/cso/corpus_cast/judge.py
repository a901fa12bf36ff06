"""The judge played from a corpus: a stand-in for a language model."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from cso.corpus_cast.moments import Past, past
from cso.corpus_cast.policy import Policy
from cso.corpus_cast.retrieval import Archive, draw
from cso.dialogue import Dialogue
from cso.rating import HIGHEST_MARK, Rating

MISFIT_CUTS = (1.0, 1.5, 2.2, 3.0)  # nats: each one passed takes a mark from S
WORST_MISFIT = 4.0  # nats; more than this does not count, and a turn without a strategy has as much
MEMORY = (2.5, 1.5, 0.75)  # weight of the misfit of the turn before, of the one before that, ...
FORGIVEN = 1.7  # nats of misfit that are not held against later turns
RELEVANCE_CUTS = (0.01, 0.05, 0.12)  # each one reached adds a mark to E and I
SHORT, USUAL, LONG = 12, 25, 55  # words: too short to inform, longer than usual, too long for talk
CURT = 8  # words: too short for talk
NOISE = 0.4  # nats by which a further sample's misfit is larger at most


@dataclass(frozen=True, slots=True)
class CorpusJudge:
    """Marks a reply by word statistics: a stand-in, no LLM.

    S: how much less likely its strategy was than the likeliest one, in the corpus's eyes. A grave misfit is also held
    against the next few turns: a seeker who was met badly is not won back at once. (The reward of a node that is being
    expanded holds the turns after its own, so without such a memory a reply would never be blamed.)
    E, I: how much of what the seeker said the reply takes up; I also by its length. H: by its length, and whether it
    repeats the last strategy or an earlier reply.
    """

    policy: Policy
    archive: Archive
    places: Mapping[str, int]

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        seen = past(history, self.places)
        noise = NOISE * draw(seen, "judge", sample) if sample else 0.0
        misfit = self._misfit(seen, seen.rounds - 1) + self._grudge(seen) + noise
        empathy = 1 + bisect_right(RELEVANCE_CUTS, round(self._relevance(seen), 9))
        words = len(seen.replies[-1].split())
        information = empathy + (words > USUAL) - (words < SHORT)
        return Rating(
            empathy=empathy,
            information=max(0, min(HIGHEST_MARK, information)),
            humanoid=_humanoid(seen, words),
            strategy=HIGHEST_MARK - bisect_right(MISFIT_CUTS, round(misfit, 9)),
        )

    def _misfit(self, seen: Past, round_: int) -> float:
        """ln(highest p / p) of the strategy of answer number `round_`, given what lay before it; in nats."""
        strategy = seen.strategies[round_] if seen.strategies else None
        if strategy is None:
            return WORST_MISFIT
        return min(WORST_MISFIT, -float(self.policy.margins(seen.before_reply(round_))[strategy]))

    def _grudge(self, seen: Past) -> float:
        """What the answers before the last one add to its misfit."""
        earlier = range(seen.rounds - 2, -1, -1)
        return sum(
            weight * max(0.0, self._misfit(seen, round_) - FORGIVEN)
            for weight, round_ in zip(MEMORY, earlier, strict=False)
        )

    def _relevance(self, seen: Past) -> float:
        """Likeness of the reply to the seeker's last words, plus its mean likeness to all of them: in [0, 2]."""
        if not seen.heard:
            return 0.0
        alike = [self.archive.alike(seen.replies[-1], text) for text in seen.heard]
        return alike[-1] + sum(alike) / len(alike)


def _humanoid(seen: Past, words: int) -> int:
    same_again = seen.rounds > 1 and seen.strategies[-1] == seen.strategies[-2]
    repeated = seen.replies[-1] in seen.replies[:-1]
    return HIGHEST_MARK - (words < CURT) - (words > LONG) - same_again - 2 * repeated

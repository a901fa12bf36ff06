"""How likely each strategy is next, after what has been said: what both strategist and judge go by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cso.corpus_cast.moments import Moment, Past
from cso.corpus_cast.regression import fit_logistic
from cso.corpus_cast.terms import Numbers, Terms, Vector

STRENGTH = 3.0  # C; 1 and 10 were a little worse
EARLIER = 0.5  # weight of what the seeker said before the last turn; 1 was no better
STAGES = 10  # turn numbers told apart; later ones are like the last


class Policy:
    """Logistic regression on the seeker's last words, the mean of the earlier ones, the last two strategies, the set
    of those used, and the turn number.
    """

    def __init__(self, terms: Terms, coefficients: Numbers, intercepts: Numbers) -> None:
        width = len(terms)
        self._terms = terms
        self._last, self._earlier = coefficients[:, :width].T.copy(), coefficients[:, width : 2 * width].T.copy()
        self._course = coefficients[:, 2 * width :].T.copy()
        self._intercepts = intercepts
        self._parts = lru_cache(maxsize=16_384)(self._parts_of)

    @classmethod
    def fit(cls, moments: Sequence[Moment], strategies: int) -> Policy:
        """Learn from the moments; `strategies` is how many the taxonomy has."""
        terms = Terms.fit(moment.past.heard[-1] for moment in moments)
        vectors = {text: terms.vector(text) for moment in moments for text in moment.past.heard}
        rows = [_row(moment.past, vectors, len(terms), strategies) for moment in moments]
        labels = [moment.strategy for moment in moments]
        width = 2 * len(terms) + _course_width(strategies)
        return cls(terms, *fit_logistic(rows, labels, width=width, classes=strategies, strength=STRENGTH))

    def margins(self, past: Past) -> Numbers:
        """ln(p / highest p) of every strategy: 0 for the likeliest, -inf for one that was never seen."""
        logits = self._intercepts.copy()
        if past.heard:
            logits += self._parts(past.heard[-1])[0]
        if len(past.heard) > 1:
            logits += sum(self._parts(text)[1] for text in past.heard[:-1]) / (len(past.heard) - 1)
        logits += self._course[_course(past, len(logits))].sum(axis=0)
        return logits - logits.max()

    def _parts_of(self, text: str) -> tuple[Numbers, Numbers]:
        """What a text adds to the logits as the seeker's last words, and as earlier ones."""
        vector = self._terms.vector(text)
        return vector.weights @ self._last[vector.columns], EARLIER * (vector.weights @ self._earlier[vector.columns])


def _row(past: Past, vectors: dict[str, Vector], width: int, strategies: int) -> Vector:
    last, earlier = vectors[past.heard[-1]], [vectors[text] for text in past.heard[:-1]]
    course = _course(past, strategies)
    columns, weights = [last.columns], [last.weights]
    for vector in earlier:  # the same column may come more than once; the regression adds them up
        columns.append(vector.columns + width)
        weights.append(vector.weights * (EARLIER / len(earlier)))
    columns.append(np.array(course, dtype=np.intp) + 2 * width)
    weights.append(np.ones(len(course)))
    return Vector(np.concatenate(columns), np.concatenate(weights))


def _course_width(strategies: int) -> int:
    return STAGES + 3 * strategies + 1


def _course(past: Past, strategies: int) -> list[int]:
    """Which features of the course of the dialogue are 1: turn number, last and second-last strategy, those used."""
    known = [strategy for strategy in past.strategies if strategy is not None]
    features = [min(past.rounds, STAGES - 1)]
    features.append(STAGES + (known[-1] if known else strategies))
    if len(known) > 1:
        features.append(STAGES + strategies + 1 + known[-2])
    features.extend(STAGES + 2 * strategies + 1 + strategy for strategy in sorted(set(known)))
    return features

"""The corpus as a store of replies and answers, found by how near their moment is to another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from cso.corpus_cast.moments import Moment, Past
from cso.corpus_cast.terms import Numbers, Places, Rows, Terms

TOPIC = 1.0  # weight of what the whole dialogue is about
DISTANCE = 0.05  # a moment one turn earlier or later in its dialogue is so much farther away
SAID, HEARD = 0.5, 0.5  # for an answer: weight of the supporter's last words, and of the seeker's
ROW_MEMORY = 32 * 2**20  # bytes of similarities kept, of each kind
DRAWN_FROM = 8  # a further sample is one of so many nearest


class Archive:
    """All labelled moments of a corpus, by number. Whoever asks says which of them may be found."""

    def __init__(self, moments: Sequence[Moment], topics: Sequence[str], terms: Terms) -> None:
        """`topics` has a text for each dialogue: everything that its seeker says."""
        self.moments = moments
        self.dialogue = np.array([moment.dialogue for moment in moments], dtype=np.intp)
        self.strategy = np.array([moment.strategy for moment in moments], dtype=np.intp)
        self._openings = _numbers_of([moment.past.heard[0] for moment in moments])
        self._round = np.array([moment.past.rounds for moment in moments], dtype=np.float64)
        self._terms = terms
        self._vector = lru_cache(maxsize=16_384)(terms.vector)
        self._heard = self._rows([moment.past.heard[-1] for moment in moments])
        self._said = self._rows([moment.reply for moment in moments])
        self._topics = self._rows(topics)
        self._replies = _numbers_of([moment.reply for moment in moments])
        self._answers = _numbers_of([moment.answer for moment in moments])
        self._nearness = lru_cache(maxsize=max(64, ROW_MEMORY // (8 * len(moments))))(self._nearness_of)
        self._topic = lru_cache(maxsize=max(64, ROW_MEMORY // (8 * len(topics))))(self._topic_of)
        self._alike = lru_cache(maxsize=65_536)(self._alike_of)

    def others(self, allowed: Places, past: Past) -> Places:
        """Those of the `allowed` moments whose dialogues open with other words than this one, as long as there are any.

        So a dialogue does not quote itself even where it goes by another id than in the corpus.
        """
        if not past.heard or past.heard[0] not in self._openings:
            return allowed
        same = self.dialogue[self._openings[past.heard[0]]]
        others = allowed[~np.isin(self.dialogue[allowed], same)]
        return others if len(others) else allowed

    def nearness_of_replies(self, past: Past) -> Numbers:
        """How near each moment is to one in which the supporter is to reply: higher is nearer."""
        return self._at(self._nearness(past.heard[-1], False), past.rounds, past.heard)

    def nearness_of_answers(self, past: Past, situation: str) -> Numbers:
        """How near each moment's reply is to the last one in `past`, for the seeker to answer."""
        words = SAID * self._nearness(past.replies[-1], True)
        if past.heard:
            words = words + HEARD * self._nearness(past.heard[-1], False)
        return self._at(words, past.rounds - 1, (situation, *past.heard))

    def alike(self, one: str, other: str) -> float:
        """The cosine of two texts."""
        return self._alike(one, other)

    def replies_used(self, past: Past) -> Places:
        """For each moment, where in `past` its reply was last used: -1 if never."""
        return _used(past.replies, self._replies, len(self.moments))

    def answers_used(self, past: Past) -> Places:
        """For each moment, where in `past` its answer was last used: -1 if never."""
        return _used(past.heard, self._answers, len(self.moments))

    def _rows(self, texts: Sequence[str]) -> Rows:
        return Rows([self._vector(text) for text in texts], len(self._terms))

    def _nearness_of(self, text: str, replies: bool) -> Numbers:
        return (self._said if replies else self._heard).similarity(self._vector(text))

    def _topic_of(self, text: str) -> Numbers:
        return self._topics.similarity(self._vector(text))

    def _alike_of(self, one: str, other: str) -> float:
        a, b = self._vector(one), self._vector(other)
        _, at_a, at_b = np.intersect1d(a.columns, b.columns, assume_unique=True, return_indices=True)
        return float(a.weights[at_a] @ b.weights[at_b])

    def _at(self, words: Numbers, round_: int, texts: Sequence[str]) -> Numbers:
        topic = sum((self._topic(text) for text in texts[1:]), self._topic(texts[0])) / len(texts)
        return words + TOPIC * topic[self.dialogue] - DISTANCE * np.abs(self._round - round_)


def in_order(nearness: Numbers, used: Places, allowed: Places) -> Iterator[int]:
    """The numbers of the `allowed` moments: those never used first, then the least recently used; among these the
    nearest first, ties to the earlier moment.
    """
    ranks = np.lexsort((-np.round(nearness[allowed], 9), used[allowed]))
    return (int(allowed[rank]) for rank in ranks)


def draw(past: Past, what: str, sample: int) -> float:
    """In [0, 1): the same for the same question and sample on every machine."""
    parts = (what, str(sample), *past.heard, *past.replies, *map(str, past.strategies))
    digest = hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _numbers_of(texts: Sequence[str]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(text, []).append(number)
    return found


def _used(texts: Sequence[str], numbers: Mapping[str, list[int]], length: int) -> Places:
    used = np.full(length, -1, dtype=np.intp)
    for place, text in enumerate(texts):
        for number in numbers.get(text, ()):
            used[number] = place
    return used

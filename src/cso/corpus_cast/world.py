"""The embedded cast: seeker, supporter, strategist and judge played from a corpus of dialogues, no language model.

It is a stand-in, for trying cso out and for tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cso.corpus_cast.judge import CorpusJudge
from cso.corpus_cast.moments import Moment, moments
from cso.corpus_cast.policy import Policy
from cso.corpus_cast.retrieval import Archive
from cso.corpus_cast.roles import CorpusSeeker, CorpusStrategist, CorpusSupporter, places
from cso.corpus_cast.terms import Terms
from cso.dialogue import Dialogue, Speaker
from cso.errors import InputError
from cso.search.cast import Cast
from cso.taxonomy import Taxonomy

STAND_IN_NOTICE = (
    "The embedded cast quotes a small corpus and judges by word statistics: a stand-in for language models, for trying "
    "things out. What it prefers says nothing about emotional support."
)
VERSION = 1  # to be raised whenever the cast answers anything in another way
FOLDS = 5


class World:
    """A corpus, learned once, and the casts that can be made of it: a stand-in for language models."""

    def __init__(
        self, dialogues: Sequence[Dialogue], taxonomy: Taxonomy, found: Sequence[Moment], *, seed: int
    ) -> None:
        self._dialogues, self._taxonomy, self._seed = tuple(dialogues), taxonomy, seed
        self._numbers = {dialogue.id: number for number, dialogue in enumerate(dialogues)}
        self._fold_of = _folds([dialogue.id for dialogue in dialogues], seed)
        self._policies = [
            Policy.fit([moment for moment in found if self._fold_of[moment.dialogue] != fold], len(taxonomy))
            for fold in range(max(self._fold_of) + 1)
        ]
        self._policy = Policy.fit(found, len(taxonomy))
        texts = [text for moment in found for text in (moment.past.heard[-1], moment.reply)]
        topics = [_topic(dialogue) for dialogue in dialogues]
        self._archive = Archive(found, topics, Terms.fit(texts, longest=1, commonest=0.1))
        rounds = np.bincount([moment.dialogue for moment in found], minlength=len(dialogues))
        usual = np.sort(rounds[rounds > 0])
        self._earliest = max(1, int(usual[int(0.05 * (len(usual) - 1))]) - 1)
        self._latest = int(usual[-1 - int(0.05 * (len(usual) - 1))]) + 2

    @classmethod
    def fit(cls, dialogues: Sequence[Dialogue], taxonomy: Taxonomy, *, seed: int = 0) -> World:
        """Learn a corpus."""
        return cls(dialogues, taxonomy, moments(dialogues, taxonomy), seed=seed)

    def cast(self, dialogue_id: str | None = None) -> Cast:
        number = None if dialogue_id is None else self._numbers.get(dialogue_id)
        policy = self._policy if number is None else self._policies[self._fold_of[number]]
        allowed = np.flatnonzero(self._archive.dialogue != (-1 if number is None else number))
        where = places(self._taxonomy)
        return Cast(
            seeker=CorpusSeeker(self._archive, allowed, where, self._earliest, self._latest),
            supporter=CorpusSupporter(self._archive, allowed, where),
            strategist=CorpusStrategist(policy, where),
            judge=CorpusJudge(policy, self._archive, where),
        )


def _topic(dialogue: Dialogue) -> str:
    heard = (turn.text for turn in dialogue.turns if turn.speaker is Speaker.SEEKER)
    return " ".join((dialogue.situation, *heard))


def _folds(ids: Sequence[str], seed: int) -> list[int]:
    """The fold of each dialogue: dealt out in an order that a hash gives, so that no library's generator matters."""
    keys = [hashlib.blake2b(f"{seed}\x1f{id_}".encode("utf-8", "surrogatepass")).digest() for id_ in ids]
    folds = [0] * len(ids)
    for place, number in enumerate(sorted(range(len(ids)), key=keys.__getitem__)):
        folds[number] = place % FOLDS
    return folds

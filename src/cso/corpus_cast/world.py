"""The embedded cast: seeker, supporter, strategist and judge played from a corpus of dialogues, no language model.

It is a stand-in, for trying cso out without key, download or GPU, and for tests. It invents nothing: it quotes the
corpus, and rates by word statistics. `docs/embedded-cast.md` says how its constants were chosen and what was measured.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from cso.corpus_cast.judge import CorpusJudge
from cso.corpus_cast.moments import Moment, moments, places_in
from cso.corpus_cast.policy import Policy
from cso.corpus_cast.retrieval import Archive
from cso.corpus_cast.roles import CorpusSeeker, CorpusStrategist, CorpusSupporter
from cso.corpus_cast.terms import Terms
from cso.dialogue import Dialogue, Speaker
from cso.errors import InputError
from cso.search.cast import Cast
from cso.taxonomy import Taxonomy

STAND_IN_NOTICE = (
    "The embedded cast quotes a small corpus and judges by word statistics: it is a stand-in for language models, for "
    "trying things out. What it prefers says nothing about good answers."
)
VERSION = 1  # to be raised whenever the cast comes to answer anything in another way
FOLDS = 5
COMMONEST = 0.1  # words in a larger share of the texts do not count when texts are compared
UNUSUAL = 0.05  # share of the dialogues taken to be unusually short, and unusually long


class World:
    """A corpus, learned once, and the casts that it can play: a stand-in for language models.

    For a dialogue of the corpus the strategies are rated by what was learned from the other folds, and nothing of its
    own is quoted: its cast has not seen it.
    """

    def __init__(
        self, dialogues: Sequence[Dialogue], taxonomy: Taxonomy, found: Sequence[Moment], *, seed: int
    ) -> None:
        """Use `World.fit`, which finds the moments."""

        def policy_without(fold: int | None) -> Policy:
            """What is learned from all folds but one; from all where that is None."""
            return Policy.fit([each for each in found if self._folds[each.dialogue] != fold], len(taxonomy))

        self._places = places_in(taxonomy)
        self._numbers = {dialogue.id: number for number, dialogue in enumerate(dialogues)}
        self._texts = {_texts(dialogue): number for number, dialogue in enumerate(dialogues)}
        self._folds = _folds([dialogue.id for dialogue in dialogues], seed)
        self._policy = cache(policy_without)  # most searches need a few of them only
        compared = [text for moment in found for text in (moment.past.heard[-1], moment.reply)]
        terms = Terms.fit(compared, longest=1, commonest=COMMONEST)
        self._archive = Archive(found, [_topic(dialogue) for dialogue in dialogues], terms)
        self._earliest, self._latest = _usual_lengths(found)
        self.fingerprint = _fingerprint(dialogues, taxonomy, seed)
        """What all answers depend on besides the question, as a hash: corpus, strategies, seed, version."""

    @classmethod
    def fit(cls, dialogues: Sequence[Dialogue], taxonomy: Taxonomy, *, seed: int = 0) -> World:
        """Learn a corpus: two or more dialogues with labelled supporter turns. `seed` deals out the folds.

        Raises InputError for a strategy that the taxonomy lacks, an id that comes twice, or too small a corpus.
        """
        twice = [id_ for id_, times in Counter(dialogue.id for dialogue in dialogues).items() if times > 1]
        if twice:
            raise InputError(f"corpus for the embedded cast: expected each id once, found {twice[0]!r} several times")
        found = moments(dialogues, taxonomy)
        usable = len({moment.dialogue for moment in found})
        if usable < 2:
            raise InputError(
                f"corpus for the embedded cast: expected at least 2 dialogues in which a seeker is answered by a "
                f"supporter turn with a strategy, found {usable} among {len(dialogues)}"
            )
        return cls(dialogues, taxonomy, found, seed=seed)

    def cast(self, dialogue: Dialogue | str | None = None) -> Cast:
        """The cast for a seed dialogue: for one of the corpus, a cast that has not seen it; else one that knows all.

        A dialogue is known by its words, a str is taken as its id.
        """
        match dialogue:
            case Dialogue():
                number = self._texts.get(_texts(dialogue))
            case str():
                number = self._numbers.get(dialogue)
            case None:
                number = None
        policy = self._policy(None if number is None else self._folds[number])
        allowed = np.flatnonzero(self._archive.dialogue != (-1 if number is None else number))
        return Cast(
            seeker=CorpusSeeker(self._archive, allowed, self._places, self._earliest, self._latest),
            supporter=CorpusSupporter(self._archive, allowed, self._places),
            strategist=CorpusStrategist(policy, self._places),
            judge=CorpusJudge(policy, self._archive, self._places),
        )


def _texts(dialogue: Dialogue) -> tuple[tuple[Speaker, str], ...]:
    return tuple((turn.speaker, turn.text) for turn in dialogue.turns)


def _topic(dialogue: Dialogue) -> str:
    heard = (turn.text for turn in dialogue.turns if turn.speaker is Speaker.SEEKER)
    return " ".join((dialogue.situation, *heard))


def _usual_lengths(found: Sequence[Moment]) -> tuple[int, int]:
    """After how many answers a seeker may end at the earliest, and must at the latest: one less than in the shortest
    dialogue that is not unusual, and two more than in the longest.
    """
    answers = sorted(Counter(moment.dialogue for moment in found).values())
    unusual = int(UNUSUAL * (len(answers) - 1))
    return max(1, answers[unusual] - 1), answers[-1 - unusual] + 2


def _folds(ids: Sequence[str], seed: int) -> list[int]:
    """The fold of each dialogue, dealt out in the order of a hash: no matter which library's generator is at hand."""
    keys = [hashlib.blake2b(_encoded(f"{seed}\x1f{id_}")).digest() for id_ in ids]
    folds = [0] * len(ids)
    for place, number in enumerate(sorted(range(len(ids)), key=keys.__getitem__)):
        folds[number] = place % FOLDS
    return folds


def _fingerprint(dialogues: Sequence[Dialogue], taxonomy: Taxonomy, seed: int) -> str:
    corpus = [
        [dialogue.id, dialogue.situation, [[turn.speaker, turn.text, turn.strategy] for turn in dialogue.turns]]
        for dialogue in dialogues
    ]
    content = json.dumps([VERSION, FOLDS, seed, taxonomy.names, corpus])
    return hashlib.blake2b(_encoded(content), digest_size=16).hexdigest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

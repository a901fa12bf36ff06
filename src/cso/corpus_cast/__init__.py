"""The cast played from a corpus of dialogues: a stand-in for language models."""

from cso.corpus_cast.world import STAND_IN_NOTICE, World

__all__ = ["STAND_IN_NOTICE", "World"]

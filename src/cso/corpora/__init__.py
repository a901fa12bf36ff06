"""Corpora: seed dialogues read from the files that people have, made ready for a search."""

from cso.corpora.corpus import Corpus, bundled_corpora, read_corpus
from cso.corpora.counts import Counts, Length, count
from cso.corpora.formats import read_dialogues
from cso.corpora.jsonl import write_dialogues
from cso.corpora.prepare import Dropped, Prepared, Reason, prepare

__all__ = [
    "Corpus",
    "Counts",
    "Dropped",
    "Length",
    "Prepared",
    "Reason",
    "bundled_corpora",
    "count",
    "prepare",
    "read_corpus",
    "read_dialogues",
    "write_dialogues",
]

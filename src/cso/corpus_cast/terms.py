"""Texts as weighted terms (TF-IDF of words and pairs of words), and how similar two texts are."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

_WORD = re.compile(r"\w+|[?!.,]")  # a question mark tells strategies apart better than most words do


@lru_cache(maxsize=8_192)
def terms(text: str, longest: int) -> Mapping[str, int]:
    """How often each word, and each run of up to `longest` words, occurs; case does not count."""
    words = _WORD.findall(text.casefold())
    return Counter(
        " ".join(words[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(words) - length + 1)
    )


@dataclass(frozen=True, slots=True)
class Vector:
    """A sparse unit vector: its columns in ascending order, and their weights. Empty for a text without known terms."""

    columns: Places
    weights: Numbers


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that count, each with its column, and their weights (idf)."""

    columns: Mapping[str, int]
    weights: Numbers
    longest: int

    @classmethod
    def fit(cls, texts: Iterable[str], *, longest: int = 2, rarest: int = 2, commonest: float = 1.0) -> Terms:
        """The terms in at least `rarest` texts and at most a share `commonest` of them."""
        total, found = 0, Counter[str]()
        for text in texts:
            total += 1
            found.update(terms(text, longest).keys())
        kept = sorted(term for term, number in found.items() if rarest <= number <= max(rarest, commonest * total))
        weights = [1 + math.log((1 + total) / (1 + found[term])) for term in kept]
        return cls({term: column for column, term in enumerate(kept)}, np.array(weights, dtype=np.float64), longest)

    def __len__(self) -> int:
        return len(self.columns)

    def vector(self, text: str) -> Vector:
        """The text's weights, (1 + ln count) * idf, scaled to length 1."""
        known = sorted(
            (self.columns[term], count) for term, count in terms(text, self.longest).items() if term in self.columns
        )
        columns = np.array([column for column, _ in known], dtype=np.intp)
        weights = self.weights[columns] * (1 + np.log(np.array([count for _, count in known], dtype=np.float64)))
        return Vector(columns, weights / length if (length := math.sqrt(float(weights @ weights))) else weights)


class Rows:
    """Many vectors, to be compared with one at once."""

    def __init__(self, vectors: Sequence[Vector], width: int) -> None:
        columns = np.concatenate([vector.columns for vector in vectors] or [np.empty(0, np.intp)])
        rows = np.repeat(np.arange(len(vectors)), [len(vector.columns) for vector in vectors])
        order = np.argsort(columns, kind="stable")
        self._length = len(vectors)
        self._rows = rows[order]
        self._weights = np.concatenate([vector.weights for vector in vectors] or [np.empty(0)])[order]
        self._starts = np.searchsorted(columns[order], np.arange(width + 1))

    def similarity(self, vector: Vector) -> Numbers:
        """The cosine of `vector` with every row, in the rows' order."""
        found = np.zeros(self._length)
        for column, weight in zip(vector.columns.tolist(), vector.weights.tolist(), strict=True):
            here = slice(self._starts[column], self._starts[column + 1])
            found[self._rows[here]] += weight * self._weights[here]  # a row has a column once at most
        return found

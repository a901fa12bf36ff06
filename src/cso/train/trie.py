"""A trie of token sequences laid out as one sequence: what many sequences share is there, and computed, once.

Depth first, so that the nodes below a node follow it directly: `k` is on the path to `q` exactly where
`k <= q < end[k]`. That expression is the whole attention mask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Trie:
    """`n` nodes in depth-first order, a node a token; all but `paths` have length `n`."""

    tokens: list[int]
    parent: list[int]  # -1 where a sequence begins
    depth: list[int]  # the token's position in its sequences, from 0
    end: list[int]  # one past the last node below, in (index, n]
    paths: list[list[int]]  # of each sequence, in the order given: its nodes from first token to last

    def __len__(self) -> int:
        return len(self.tokens)


def build_trie(sequences: Sequence[Tokens]) -> Trie:
    """The trie of `sequences`, merged token by token. Equal sequences have equal paths."""
    trie = Trie([], [], [], [], [[] for _ in sequences])
    before: Tokens = []
    path: list[int] = []
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):  # lexicographic order is depth-first order
        sequence = sequences[index]
        shared = common_prefix(before, sequence)
        size = len(trie)
        for node in path[shared:]:
            trie.end[node] = size
        path = path[:shared]
        new = range(size, size + len(sequence) - shared)
        if new:
            trie.parent.append(path[-1] if path else -1)
            trie.parent.extend(new[:-1])
        trie.depth.extend(range(shared, len(sequence)))
        trie.end.extend([-1] * len(new))
        trie.tokens.extend(sequence[shared:])
        path.extend(new)
        trie.paths[index] = path
        before = sequence
    for node in path:
        trie.end[node] = len(trie)
    return trie


def common_prefix(one: Tokens, other: Tokens) -> int:
    """The number of tokens that both begin with. By bisection, since comparing slices is fast and a loop is not."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return shorter
    same, differ = 0, shorter  # one[:same] are equal, one[:differ] are not
    while differ - same > 1:
        middle = (same + differ) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            differ = middle
    return same


class TrieSize:
    """How many nodes the trie of some sequences has, without building it."""

    def __init__(self, sequences: Sequence[Tokens] = ()) -> None:
        self.nodes = 0
        self._sorted: list[Tokens] = []
        for sequence in sequences:
            self.add(sequence)

    def add(self, sequence: Tokens) -> None:
        """One more sequence: it adds what neither of its neighbours in lexicographic order begins with."""
        place = bisect_left(self._sorted, sequence)
        neighbours = self._sorted[max(place - 1, 0) : place + 1]
        shared = max((common_prefix(neighbour, sequence) for neighbour in neighbours), default=0)
        self.nodes += len(sequence) - shared
        self._sorted.insert(place, sequence)

    def with_(self, sequences: Sequence[Tokens]) -> TrieSize:
        """The size with these sequences as well; this one stays as it is."""
        more = TrieSize()
        more.nodes, more._sorted = self.nodes, list(self._sorted)
        for sequence in sequences:
            more.add(sequence)
        return more

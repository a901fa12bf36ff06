"""A run's search in one process: its seeds grown by its cast, its trees kept, and each told of in short."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cso.casting import Casting
from cso.dialogue import Dialogue
from cso.errors import StoreError
from cso.search import grow_forest
from cso.store import Run
from cso.tree import Failure, Tree

SECONDS_OF_A_TREE, SECONDS_OF_ANY = 3.0, 0.3  # between two snapshots


@dataclass(frozen=True, slots=True)
class Grown:
    """A tree that is done, in short. `kinds` counts its nodes: root, unexpanded, expanded, end."""

    id: str
    iterations: int
    failure: Failure | None
    kinds: Mapping[str, int]

    @classmethod
    def of(cls, tree: Tree) -> Self:
        kinds = Counter(type(node.state).__name__.lower() for node in tree.nodes)
        return cls(tree.seed.id, tree.iterations, tree.failure, kinds)


class Growing:
    """A run's search, by its cast."""

    def __init__(
        self, cast: Casting, *, reached: Callable[[str, int], None] = lambda dialogue, iterations: None
    ) -> None:
        """`reached` hears of every iteration of every dialogue."""
        self._cast = cast
        self._reached = reached
        self._snapshots = _Snapshots(cast.run)

    async def grow(self, seeds: Sequence[Dialogue], grown: Callable[[Grown], None]) -> None:
        """Grow a tree from each seed and keep it in the run, then tell `grown`. Raises what `grow_forest` does."""
        run = self._cast.run

        def keep(tree: Tree) -> None:
            run.save_tree(tree)
            self._cast.dismiss(tree.seed)
            grown(Grown.of(tree))

        await grow_forest(
            seeds, self._cast.cast_for, run.taxonomy, run.settings.search, grown=keep, observe=self._observe
        )

    def _observe(self, tree: Tree) -> None:
        self._reached(tree.seed.id, tree.iterations)
        self._snapshots.observe(tree)


class _Snapshots:
    """Writes trees on their way now and then, for `cso view`: seldom enough to cost the search nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._written: dict[str, float] = {}  # when each tree was last written, or first seen
        self._latest = time.monotonic()

    def observe(self, tree: Tree) -> None:
        now = time.monotonic()
        written = self._written.setdefault(tree.seed.id, now)
        if now - written >= SECONDS_OF_A_TREE and now - self._latest >= SECONDS_OF_ANY:
            self._written[tree.seed.id] = self._latest = now
            try:
                self._run.save_growing(tree)
            except StoreError:
                self._latest = math.inf  # nobody can look on, and the search goes on

"""One tree, from the seed dialogue to the last iteration; on request, with the next questions asked ahead of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cso.dialogue import Dialogue
from cso.rating import Rating, reward
from cso.search.cast import Cast
from cso.search.discover import Explorer
from cso.search.mcts import Discovery, Expansion, commit, finished, select, set_aside
from cso.search.plant import plant
from cso.settings import SearchSettings
from cso.taxonomy import Taxonomy
from cso.tree import Root, Tree

Observer = Callable[[Tree], None]


async def grow_tree(
    seed: Dialogue,
    cast: Cast,
    taxonomy: Taxonomy,
    settings: SearchSettings,
    *,
    observe: Observer = lambda tree: None,
) -> Tree:
    """The tree of `seed` after the whole search. `observe` sees it after planting and after each iteration."""
    tree = await plant(seed, cast.strategist, taxonomy, settings)
    observe(tree)
    lookahead = Lookahead(Explorer(cast, taxonomy, settings))
    try:
        while not finished(tree, settings):
            leaf = select(tree, settings)
            assert leaf is not None, "a tree whose root is closed is finished"
            tree = commit(tree, leaf, await lookahead.discovery(tree, leaf), settings)
            observe(tree)
    finally:
        await lookahead.stop()
    return tree


Place = tuple[tuple[str, ...], int]  # the strategies on the way to a leaf, and how often it has been visited


class Iteration:
    """One iteration's questions under way. What they find depends on the leaf alone, not on when they are asked."""

    def __init__(self, explorer: Explorer, tree: Tree, leaf: int) -> None:
        self.expansion = asyncio.create_task(explorer.expand(tree, leaf))  # known before the reward is
        self.discovery = asyncio.create_task(self._evaluate(explorer, tree, leaf))

    async def _evaluate(self, explorer: Explorer, tree: Tree, leaf: int) -> Discovery:
        return await explorer.evaluate(tree, leaf, await self.expansion)

    @property
    def next_step(self) -> asyncio.Task[Expansion] | asyncio.Task[Discovery]:
        return self.discovery if self.expansion.done() else self.expansion


class Lookahead:
    """Iterations under way: the one the search waits for, and up to `speculate` that it will probably want next."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._settings = explorer.settings
        weights = explorer.settings.reward
        self._poor = reward(Rating(2, 2, 2, 2), alpha=weights.alpha, bias=weights.bias)
        self._iterations: dict[Place, Iteration] = {}

    async def discovery(self, tree: Tree, leaf: int) -> Discovery:
        """What lies below the leaf that the search has selected in `tree`."""
        wanted = self._iteration(tree, leaf)
        while not wanted.discovery.done():
            self._ask_ahead(tree)
            steps = [iteration.next_step for iteration in self._under_way()]
            await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
        del self._iterations[_place(tree, leaf)]
        return wanted.discovery.result()

    async def stop(self) -> None:
        """Call off what is still under way."""
        tasks: list[asyncio.Task[Any]] = []
        for iteration in self._iterations.values():
            tasks += [iteration.expansion, iteration.discovery]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask_ahead(self, tree: Tree) -> None:
        """Play the search on as if the rewards still unknown were poor, and ask what it comes to want.

        What the search turns to when hopes fail it mostly turns to sooner or later: of all guesses this one asked
        least in vain (docs/log.md).
        """
        settings = self._settings
        while len(self._under_way()) <= settings.speculate and not finished(tree, settings):
            leaf = select(tree, settings)
            if leaf is None:
                return
            iteration = self._iteration(tree, leaf)
            found = _outcome(iteration)
            if isinstance(found, Discovery):
                tree = commit(tree, leaf, found, settings)
            elif found is not None:
                tree = commit(tree, leaf, Discovery(found, self._poor), settings)
            else:
                tree = set_aside(tree, leaf, self._poor)

    def _under_way(self) -> list[Iteration]:
        return [iteration for iteration in self._iterations.values() if not iteration.discovery.done()]

    def _iteration(self, tree: Tree, leaf: int) -> Iteration:
        place = _place(tree, leaf)
        if place not in self._iterations:
            self._iterations[place] = Iteration(self._explorer, tree, leaf)
        return self._iterations[place]


def _outcome(iteration: Iteration) -> Discovery | Expansion | None:
    """As much as is known of an iteration."""
    for task in (iteration.discovery, iteration.expansion):
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
    return None


def _place(tree: Tree, leaf: int) -> Place:
    path = tree.path(leaf)
    return tuple(node.state.strategy for node in path if not isinstance(node.state, Root)), path[-1].visits

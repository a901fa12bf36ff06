"""One tree, from the seed dialogue to the last iteration; on request, with the next questions asked ahead of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cso.dialogue import Dialogue
from cso.search.cast import Cast
from cso.search.discover import Explorer
from cso.search.mcts import Discovery, commit, finished, select, set_aside
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
            leaf = select(tree, exploration=settings.exploration)
            assert leaf is not None, "a tree whose root is closed is finished"
            tree = commit(tree, leaf, await lookahead.discovery(tree, leaf), settings)
            observe(tree)
    finally:
        await lookahead.stop()
    return tree


Place = tuple[tuple[str, ...], int]  # the strategies on the way to a leaf, and how often it has been visited


class Lookahead:
    """Discoveries under way: the one that the search waits for, and up to `speculate` that it will probably want next.

    A discovery depends on its leaf alone, so one that was made early is the very one that would have been made in turn.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._settings = explorer.settings
        self._tasks: dict[Place, asyncio.Task[Discovery]] = {}

    async def discovery(self, tree: Tree, leaf: int) -> Discovery:
        """What lies below the leaf that the search has selected in `tree`."""
        if not self._settings.speculate:
            return await self._explorer.discover(tree, leaf)
        wanted = self._task(tree, leaf)
        while not wanted.done():
            self._ask_ahead(tree)
            await asyncio.wait(self._under_way(), return_when=asyncio.FIRST_COMPLETED)
        del self._tasks[_place(tree, leaf)]
        return wanted.result()

    async def stop(self) -> None:
        """Call off what is still under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _ask_ahead(self, tree: Tree) -> None:
        """Play the search on with guesses for the rewards that are not known yet, and ask what it comes to want."""
        for _ in range(self._settings.iterations - tree.iterations):
            if len(self._under_way()) > self._settings.speculate or finished(tree, self._settings):
                return
            leaf = select(tree, exploration=self._settings.exploration)
            if leaf is None:
                return
            task = self._task(tree, leaf)
            if task.done():
                if task.cancelled() or task.exception() is not None:
                    return
                tree = commit(tree, leaf, task.result(), self._settings)
            else:
                tree = set_aside(tree, leaf, _guess(tree, leaf))

    def _under_way(self) -> list[asyncio.Task[Discovery]]:
        return [task for task in self._tasks.values() if not task.done()]

    def _task(self, tree: Tree, leaf: int) -> asyncio.Task[Discovery]:
        place = _place(tree, leaf)
        if place not in self._tasks:
            self._tasks[place] = asyncio.create_task(self._explorer.discover(tree, leaf))
        return self._tasks[place]


def _place(tree: Tree, leaf: int) -> Place:
    path = tree.path(leaf)
    return tuple(node.state.strategy for node in path if not isinstance(node.state, Root)), path[-1].visits


def _guess(tree: Tree, leaf: int) -> float:
    """The reward to expect below a leaf: what was found on average below its parent."""
    parent = tree.nodes[leaf].parent
    return tree.nodes[parent].value if parent is not None else 0.0

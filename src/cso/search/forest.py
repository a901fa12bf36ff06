"""Many trees at once. What limits the calls is the cast's business; here trees only wait for their own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cso.dialogue import Dialogue
from cso.errors import AnswerError, CsoError, InputError, RequestError
from cso.search.cast import Cast
from cso.search.grow import Observer, grow_tree
from cso.search.plant import gold_path
from cso.settings import SearchSettings
from cso.taxonomy import Taxonomy
from cso.tree import Failure, Node, Tree

CastFor = Callable[[Dialogue], Cast]
AT_ONCE = 256  # trees in memory; each has one to a few questions under way


async def grow_forest(
    seeds: Sequence[Dialogue],
    cast_for: CastFor,
    taxonomy: Taxonomy,
    settings: SearchSettings,
    *,
    grown: Observer,
    observe: Observer = lambda tree: None,
    at_once: int = AT_ONCE,
) -> None:
    """Grow a tree from each seed. `grown` gets each when it is done, in any order; `observe` sees it at every step.

    A tree whose cast gives an unusable answer, or none, is done too: as far as it came, with its `failure`. Other
    errors end the run; trees that are under way then are dropped. Raises InputError at once for a seed that cannot be
    planted.
    """
    bare = {seed.id: _bare_tree(seed, taxonomy) for seed in seeds}
    if len(bare) < len(seeds):
        raise InputError("two seed dialogues have the same id")
    places = asyncio.Semaphore(at_once)

    async def one(seed: Dialogue) -> None:
        async with places:
            latest = bare.pop(seed.id)

            def keep(tree: Tree) -> None:
                nonlocal latest
                latest = tree
                observe(tree)

            try:
                await grow_tree(seed, cast_for(seed), taxonomy, settings, observe=keep)
            except* (AnswerError, RequestError) as group:
                latest = replace(latest, failure=_failure(_first(group)))
            grown(latest)

    try:
        async with asyncio.TaskGroup() as trees:
            for seed in seeds:
                trees.create_task(one(seed))
    except* CsoError as group:
        raise _first(group) from None


def grow(
    seeds: Iterable[Dialogue], cast_for: CastFor, taxonomy: Taxonomy, settings: SearchSettings | None = None
) -> list[Tree]:
    """The trees of `seeds`, in their order; waits until all are grown. Look at `failure` before you use one."""
    seeds = list(seeds)
    trees: dict[str, Tree] = {}

    def grown(tree: Tree) -> None:
        trees[tree.seed.id] = tree

    asyncio.run(grow_forest(seeds, cast_for, taxonomy, settings or SearchSettings(), grown=grown))
    return [trees[seed.id] for seed in seeds]


def _failure(error: CsoError) -> Failure:
    return Failure(error.reason if isinstance(error, AnswerError) else "no answer", str(error))


def _bare_tree(seed: Dialogue, taxonomy: Taxonomy) -> Tree:
    root, _ = gold_path(seed, taxonomy)
    return Tree(seed, (Node(id=0, parent=None, state=root, gold=True),))


def _first(group: BaseExceptionGroup[CsoError]) -> CsoError:
    """The first error in a group, however deep."""
    error: CsoError | BaseExceptionGroup[CsoError] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

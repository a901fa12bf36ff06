"""Valid paths: the ways through a tree that are good at every supporter turn (Eq. 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from cso.dialogue import STAGES, stage
from cso.settings import ExtractSettings
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded, said

Stages = Mapping[tuple[str, int], float]  # by dialogue id and node id


def valid_paths(tree: Tree, *, threshold: float = 0.5, min_visits: int = 1) -> tuple[tuple[Node, ...], ...]:
    """Every path to an End whose supporter turns all have Q > `threshold`, strictly.

    A path holds the nodes of its supporter turns, so the root is not in it (its Q averages the whole search). The End
    must have N >= `min_visits`. Depth first, in the taxonomy's order; the seed dialogue's own path is one of them.
    """
    found: list[tuple[Node, ...]] = []
    waiting: list[tuple[Node, ...]] = [(tree.nodes[child],) for child in reversed(tree.root.children)]
    while waiting:
        path = waiting.pop()
        node = path[-1]
        if node.value <= threshold:
            continue
        match node.state:
            case End():
                if node.visits >= min_visits:
                    found.append(path)
            case Expanded():
                waiting.extend((*path, tree.nodes[child]) for child in reversed(node.children))
            case Root() | Unexpanded():
                pass
    return tuple(found)


def stages(trees: Iterable[Tree], settings: ExtractSettings) -> Stages:
    """The stage of every node on a valid path, on the first of them where it is on several, and of its siblings."""
    found: dict[tuple[str, int], float] = {}
    for tree in trees:
        paths = valid_paths(tree, threshold=settings.threshold, min_visits=settings.min_visits)
        opening = len(said(tree.root.state))
        own: dict[int, float] = {}
        for path in paths:
            for depth, node in enumerate(path):
                own.setdefault(node.id, stage(opening + 2 * depth + 1, opening + 2 * len(path) - 1) / (STAGES - 1))
        for node in (node for path in paths for node in path):
            for sibling in tree.siblings(node):
                own.setdefault(sibling.id, own[node.id])
        found |= {(tree.seed.id, node): value for node, value in own.items()}
    return MappingProxyType(found)


def preferred(tree: Tree, settings: ExtractSettings) -> Iterator[tuple[int, Node]]:
    """(turn, node) of each supporter turn of a valid path, each node once."""
    done: set[int] = set()
    for path in valid_paths(tree, threshold=settings.threshold, min_visits=settings.min_visits):
        for turn, node in enumerate(path, start=1):
            if node.id not in done:
                done.add(node.id)
                yield turn, node

"""Pairs: at each turn of a valid path, the path's reply against its siblings of low value (Eq. 6).

Eq. 6 reads as if both replies lay on the path; the text says siblings, and siblings are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cso.dialogue import Speaker, Turn
from cso.extract.paths import preferred
from cso.preference import Pair, Reply
from cso.settings import ExtractSettings
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded

Key = tuple[tuple[Turn, ...], Turn, Turn]


def pairs(trees: Tree | Iterable[Tree], settings: ExtractSettings) -> list[Pair]:
    """The pairs of all trees, in the trees' order, each (history, chosen, rejected) once, as `key` compares them."""
    seen: dict[Key, Pair] = {}
    for tree in [trees] if isinstance(trees, Tree) else trees:
        for pair in tree_pairs(tree, settings):
            seen.setdefault(key(pair), pair)
    return list(seen.values())


def tree_pairs(tree: Tree, settings: ExtractSettings) -> Iterator[Pair]:
    """The pairs of one tree, each (chosen node, rejected node) once, however many valid paths share it."""
    for turn, node in preferred(tree, settings):
        yield from pairs_at(tree, node, turn, threshold=settings.threshold)


def pairs_at(tree: Tree, chosen: Node, turn: int, *, threshold: float) -> list[Pair]:
    """The pairs in which `chosen`, supporter turn number `turn` of a valid path, is the better reply."""
    bad = rejected(tree, chosen, threshold=threshold)
    if not bad:
        return []
    history = tree.before(chosen)
    return [Pair(history, turn, reply(chosen), reply(sibling)) for sibling in bad]


def rejected(tree: Tree, chosen: Node, *, threshold: float) -> tuple[Node, ...]:
    """The siblings that have a reply, were visited, and have Q < `threshold`, strictly."""
    return tuple(node for node in tree.siblings(chosen) if _replied(node) and node.visits and node.value < threshold)


def reply(node: Node) -> Reply:
    """The node's supporter turn; ValueError for a node that has none of its own."""
    match node.state:
        case Expanded(strategy, prior, text, _, rating) | End(strategy, prior, text, _, rating):
            return Reply(node.id, strategy, text, prior, node.value, node.visits, node.gold, rating)
        case Root() | Unexpanded():
            raise ValueError(f"node {node.id} has no reply")


def spoken(reply: Reply) -> Turn:
    """The reply as a turn of the dialogue."""
    return Turn(Speaker.SUPPORTER, reply.text, reply.strategy)


def key(pair: Pair) -> Key:
    """What makes two pairs the same: every word that a trained model sees, strategies included, and nothing else."""
    return (pair.history.turns, spoken(pair.chosen), spoken(pair.rejected))


def _replied(node: Node) -> bool:
    match node.state:
        case Expanded() | End():
            return True
        case Root() | Unexpanded():
            return False

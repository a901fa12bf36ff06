"""A tree as the page's explorer reads it (explorer.js): columns, a place a node, so that thousands pack small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded

KINDS = {Root: "root", Unexpanded: "unexpanded", Expanded: "expanded", End: "end"}


def tree_content(tree: Tree, strategies: Sequence[str]) -> dict[str, Any]:
    """Columns over the nodes in their order; a strategy is its place among `strategies`, or -1.

    `rating` holds E, I, H, S as four digits, `backups` what each iteration backed up.
    """
    places = {name: place for place, name in enumerate(strategies)}
    states = [node.state for node in tree.nodes]
    return {
        "id": tree.seed.id,
        "situation": tree.seed.situation,
        "emotion": tree.seed.emotion,
        "scene": tree.seed.scene,
        "failure": tree.failure and f"{tree.failure.reason}: {tree.failure.message}",
        "parent": [node.parent for node in tree.nodes],
        "kind": [KINDS[type(state)] for state in states],
        "strategy": [places.get(_strategy(node) or "", -1) for node in tree.nodes],
        "prior": [1.0 if isinstance(state, Root) else round(state.prior, 6) for state in states],
        "q": [node.value for node in tree.nodes],
        "n": [node.visits for node in tree.nodes],
        "closed": [node.id for node in tree.nodes if node.closed],
        "gold": [node.id for node in tree.nodes if node.gold],
        "supporter": [_supporter(node) for node in tree.nodes],
        "seeker": [_seeker(node) for node in tree.nodes],
        "rating": [_rating(node) for node in tree.nodes],
        "backups": [[backup.node, backup.reward] for backup in tree.backups],
    }


def tree_summary(tree: Tree, *, unfinished: bool) -> dict[str, Any]:
    """A tree's line in the list of trees."""
    return {
        "id": tree.seed.id,
        "scene": tree.seed.scene,
        "nodes": len(tree.nodes),
        "iterations": tree.iterations,
        "ends": tree.ends,
        "failed": tree.failure is not None,
        "unfinished": unfinished,
    }


def _strategy(node: Node) -> str | None:
    match node.state:
        case Root(opening):
            return opening[0].strategy if len(opening) > 1 else None
        case state:
            return state.strategy


def _supporter(node: Node) -> str | None:
    match node.state:
        case Root(opening):
            return opening[0].text if len(opening) > 1 else None
        case Unexpanded():
            return None
        case Expanded() | End() as state:
            return state.supporter


def _seeker(node: Node) -> str | None:
    match node.state:
        case Root(opening):
            return opening[-1].text
        case Expanded(seeker=seeker):
            return seeker
        case End(farewell=farewell):
            return farewell
        case Unexpanded():
            return None


def _rating(node: Node) -> str | None:
    match node.state:
        case Expanded(rating=rating) | End(rating=rating) if rating is not None:
            return "".join(map(str, rating))
        case _:
            return None

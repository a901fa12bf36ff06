"""Monte Carlo tree search with PUCB, as pure functions from trees to trees (sections 3.1.2 to 3.1.5).

What an iteration learns below the leaf it selected is a `Discovery`; it depends on that leaf alone. So discoveries may
be made in any order, even ahead of time: the tree depends only on the order in which `commit` takes them in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cso.rating import mean_reward
from cso.rating import reward as reward_of
from cso.settings import RewardSettings, SearchSettings
from cso.taxonomy import Taxonomy
from cso.tree import Backup, End, Expanded, Node, State, Tree, Unexpanded

UNKNOWN: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Expansion:
    """The selected leaf, extended; its children in the taxonomy's order; the child to be simulated, extended.

    An End has no children.
    """

    leaf: Expanded | End
    children: tuple[Unexpanded, ...] = ()
    simulated: Expanded | End | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """All that one iteration found: an expansion, and the reward to back up."""

    expansion: Expansion
    reward: float


def priors(scores: Mapping[str, float], taxonomy: Taxonomy, *, temperature: float) -> dict[str, float]:
    """P in Eq. 1: the softmax of the strategist's scores over all strategies, in the taxonomy's order."""
    highest = max(scores.values())
    weights = {name: math.exp((scores[name] - highest) / temperature) for name in taxonomy.names}
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def pucb(node: Node, parent: Node, *, exploration: float, first_play: Mapping[str, float] = UNKNOWN) -> float:
    """Eq. 1. `node` is any child, so it has a prior. `first_play`: by strategy, Q of a node never visited."""
    assert isinstance(node.state, Unexpanded | Expanded | End)
    value = node.value if node.visits else first_play.get(node.state.strategy, node.value)
    return value + exploration * node.state.prior * math.sqrt(parent.visits) / (node.visits + 1)


def judged_so_far(tree: Tree, reward: RewardSettings) -> dict[str, float]:
    """By strategy, the mean reward of the turns that the judge has rated in this tree (Eq. 2)."""
    found: dict[str, list[float]] = {}
    for node in tree.nodes:
        if isinstance(node.state, Expanded | End) and node.state.rating is not None:
            own = reward_of(node.state.rating, alpha=reward.alpha, bias=reward.bias)
            found.setdefault(node.state.strategy, []).append(own)
    return {strategy: mean_reward(rewards) for strategy, rewards in found.items()}


def select(tree: Tree, settings: SearchSettings) -> int | None:
    """From the root to the child of highest PUCB until a node without children; closed nodes are passed over.

    Ties go to the earlier strategy in the taxonomy. None where everything is closed.
    """
    node = tree.root
    if node.closed:
        return None
    first = judged_so_far(tree, settings.reward) if settings.first_play == "judged" else UNKNOWN
    while node.children:
        best, best_score = None, -math.inf
        for child in (tree.nodes[i] for i in node.children):
            score = pucb(child, node, exploration=settings.exploration, first_play=first)
            if not child.closed and score > best_score:
                best, best_score = child, score
        assert best is not None, "a node whose children are all closed is closed itself"
        node = best
    return node.id


def likeliest(children: tuple[Unexpanded, ...]) -> int:
    """The place of the child of highest prior, which is simulated; ties go to the earlier strategy."""
    return max(range(len(children)), key=lambda place: children[place].prior)


def commit(tree: Tree, leaf: int, found: Discovery, settings: SearchSettings) -> Tree:
    """Take in what an iteration found below `leaf`: states, children, Eq. 4 on the way up, what is now closed."""
    nodes, bottom = list(tree.nodes), leaf
    expansion = found.expansion
    new_ends = int(isinstance(nodes[leaf].state, Unexpanded) and isinstance(expansion.leaf, End))
    nodes[leaf] = replace(nodes[leaf], state=_extended(nodes[leaf].state, expansion.leaf))
    if expansion.simulated is not None:
        new_ends += isinstance(expansion.simulated, End)
        first = len(nodes)
        place = likeliest(expansion.children)
        states: list[State] = [*expansion.children]
        states[place] = expansion.simulated
        nodes[leaf] = replace(nodes[leaf], children=tuple(range(first, first + len(states))))
        nodes.extend(Node(id=first + i, parent=leaf, state=state) for i, state in enumerate(states))
        bottom = first + place
    _back_up(nodes, bottom, found.reward)
    if isinstance(nodes[bottom].state, End) and not settings.revisit_ends:
        _close(nodes, bottom)
    return replace(
        tree,
        nodes=tuple(nodes),
        iterations=tree.iterations + 1,
        ends=tree.ends + new_ends,
        backups=(*tree.backups, Backup(bottom, found.reward)),
    )


def set_aside(tree: Tree, leaf: int, reward: float) -> Tree:
    """The tree as it will be if `reward` comes back from `leaf`, which is closed while nothing below it is known."""
    nodes = list(tree.nodes)
    _back_up(nodes, leaf, reward)
    _close(nodes, leaf)
    return replace(tree, nodes=tuple(nodes), iterations=tree.iterations + 1)


def closed(tree: Tree) -> Tree:
    """The planted tree with gold's End closed, and every node from which there is no other way."""
    nodes = list(tree.nodes)
    for node in tree.nodes:
        if isinstance(node.state, End):
            _close(nodes, node.id)
    return replace(tree, nodes=tuple(nodes))


def finished(tree: Tree, settings: SearchSettings) -> bool:
    """Whether the search stops before another iteration."""
    return (
        tree.iterations >= settings.iterations
        or tree.ends >= settings.ends
        or tree.root.closed
        or (settings.settled is not None and _without_end(tree) >= settings.settled)
    )


def _without_end(tree: Tree) -> int:
    """How many iterations there have been since one came upon an End."""
    found = [place for place, each in enumerate(tree.backups, 1) if isinstance(tree.nodes[each.node].state, End)]
    return len(tree.backups) - (found[-1] if found else 0)


def _extended(known: State, found: Expanded | End) -> State:
    """What an iteration found of its leaf; what was known is kept, for it may have been rated meanwhile."""
    return found if isinstance(known, Unexpanded) or found.rating is not None else known


def _back_up(nodes: list[Node], leaf: int, reward: float) -> None:
    """Eq. 4: `reward` folded into the mean of every node from `leaf` up to the root."""
    at: int | None = leaf
    while at is not None:
        node = nodes[at]
        value = (node.visits * node.value + reward) / (node.visits + 1)
        nodes[at] = replace(node, value=value, visits=node.visits + 1)
        at = node.parent


def _close(nodes: list[Node], bottom: int) -> None:
    """Close `bottom`, then every ancestor whose children are all closed."""
    nodes[bottom] = replace(nodes[bottom], closed=True)
    at = nodes[bottom].parent
    while at is not None and all(nodes[child].closed for child in nodes[at].children):
        nodes[at] = replace(nodes[at], closed=True)
        at = nodes[at].parent

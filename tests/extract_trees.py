"""Trees written by hand, for the tests of extraction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cso.dialogue import Dialogue, Speaker, Turn
from cso.preference import Pair, Reply
from cso.rating import Rating
from cso.taxonomy import Strategy, Taxonomy
from cso.tree import End, Expanded, Node, Root, State, Tree, Unexpanded

ABC = Taxonomy("abc", tuple(Strategy(name, f"What {name} is.") for name in "ABC"))


@dataclass(frozen=True)
class Branch:
    """A node and what hangs below it; `seeker` None: an End, `text` None: nobody has followed it yet."""

    strategy: str
    q: float
    children: tuple[Branch, ...] = ()
    text: str | None = ""
    seeker: str | None = "go on"
    n: int = 1
    rating: Rating | None = None
    gold: bool = False


def on(strategy: str, q: float, *children: Branch, n: int = 1, text: str = "", gold: bool = False) -> Branch:
    """The supporter spoke and the seeker answered."""
    return Branch(strategy, q, children, text or f"{strategy} says", n=n, gold=gold)


def end(strategy: str, q: float, *, n: int = 1, text: str = "", rating: Rating | None = None) -> Branch:
    """The supporter spoke and the dialogue was over."""
    return Branch(strategy, q, text=text or f"{strategy} ends", seeker=None, n=n, rating=rating)


def idle(strategy: str) -> Branch:
    """A strategy that nobody has followed yet."""
    return Branch(strategy, 0.0, text=None, n=0)


def tree(
    *branches: Branch,
    id: str = "d1",
    opening: str = "I am sad",
    greeting: str | None = None,
    q: float = -3.0,
    seed: Dialogue | None = None,
) -> Tree:
    """A tree of these branches; its root has a Q that would fail any threshold."""
    first = Turn(Speaker.SEEKER, opening)
    root = Root((first,)) if greeting is None else Root((Turn(Speaker.SUPPORTER, greeting), first))
    nodes = [Node(0, None, root, visits=100, value=q)]
    _grow(nodes, 0, branches)
    return Tree(seed or Dialogue(id, root.opening, situation="A hard day", scene="Work"), tuple(nodes), iterations=7)


def pair(chosen: str, rejected: str, *, id: str = "d1", opening: str = "I am sad", said: str = "") -> Pair:
    """A pair at the first turn, of replies by these strategies."""
    history = Dialogue(id, (Turn(Speaker.SEEKER, opening),))
    return Pair(history, 1, _reply(chosen, said, 0.9), _reply(rejected, said, -0.5))


def _reply(strategy: str, said: str, value: float) -> Reply:
    return Reply(1, strategy, said or f"{strategy} says", 0.5, value, 1, gold=False, rating=None)


def _grow(nodes: list[Node], parent: int, branches: tuple[Branch, ...]) -> None:
    for branch in branches:
        node = Node(len(nodes), parent, _state(branch), visits=branch.n, value=branch.q, gold=branch.gold)
        nodes.append(node)
        nodes[parent] = replace(nodes[parent], children=(*nodes[parent].children, node.id))
        _grow(nodes, node.id, branch.children)


def _state(branch: Branch) -> State:
    if branch.text is None:
        return Unexpanded(branch.strategy, 0.5)
    if branch.seeker is None:
        return End(branch.strategy, 0.5, branch.text, farewell="bye", rating=branch.rating)
    return Expanded(branch.strategy, 0.5, branch.text, branch.seeker, branch.rating)

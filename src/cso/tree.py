"""The tree of conversations that grows from one seed dialogue (section 3.1.1).

Frozen data: a search makes new trees out of old ones. Nodes refer to each other by their place in `Tree.nodes`,
parents come before children, and siblings lie in the taxonomy's order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cso.dialogue import Dialogue, Speaker, Turn
from cso.rating import HIGHEST_MARK, Rating


@dataclass(frozen=True, slots=True)
class Root:
    """The seeker's opening turn, after the supporter's greeting where the dialogue has one."""

    opening: tuple[Turn] | tuple[Turn, Turn]


@dataclass(frozen=True, slots=True)
class Unexpanded:
    """A strategy that nobody has followed yet. `prior` is its share among its siblings, P in Eq. 1."""

    strategy: str
    prior: float


@dataclass(frozen=True, slots=True)
class Expanded:
    """The supporter replied and the seeker answered. `rating` is the judge's of this very reply, where it was asked."""

    strategy: str
    prior: float
    supporter: str
    seeker: str
    rating: Rating | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The supporter replied and the dialogue was over. Words of farewell are kept; no role ever sees them."""

    strategy: str
    prior: float
    supporter: str
    farewell: str | None = None
    rating: Rating | None = None


State = Root | Unexpanded | Expanded | End


@dataclass(frozen=True, slots=True)
class Node:
    """A state and what the search knows of it."""

    id: int
    parent: int | None
    state: State
    children: tuple[int, ...] = ()
    visits: int = 0  # N
    value: float = 0.0  # Q: mean reward through here, in [-3, 1]
    closed: bool = False  # nothing new can come from here
    gold: bool = False  # on the seed dialogue's own path


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a search could not go on: "unreadable", "empty", "cut off" or "refused" answers, or "no answer"."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What one iteration backed up: its reward, from `node` to the root (Eq. 4)."""

    node: int
    reward: float


@dataclass(frozen=True, slots=True)
class Tree:
    """A search so far: `iterations` done, `ends` found by them (not gold's, none inside rollouts).

    `backups`, one an iteration, tell how it went; a tree written before they were kept has none.
    """

    seed: Dialogue
    nodes: tuple[Node, ...]
    iterations: int = 0
    ends: int = 0
    failure: Failure | None = None
    backups: tuple[Backup, ...] = ()

    @property
    def root(self) -> Node:
        return self.nodes[0]

    def path(self, leaf: int) -> tuple[Node, ...]:
        """The nodes from the root down to `leaf`, both included."""
        path = [self.nodes[leaf]]
        while (parent := path[-1].parent) is not None:
            path.append(self.nodes[parent])
        return tuple(reversed(path))

    def history(self, leaf: int) -> Dialogue:
        """What has been said from the opening up to and including `leaf`."""
        return self.seed.with_turns(turn for node in self.path(leaf) for turn in said(node.state))

    def before(self, node: Node) -> Dialogue:
        """What had been said when the supporter chose how to reply in `node`, which is not the root."""
        assert node.parent is not None, "nobody replies in the root"
        return self.history(node.parent)

    def siblings(self, node: Node) -> tuple[Node, ...]:
        """The other children of the node's parent, in the taxonomy's order."""
        if node.parent is None:
            return ()
        return tuple(self.nodes[child] for child in self.nodes[node.parent].children if child != node.id)


def said(state: State) -> tuple[Turn, ...]:
    """The turns that a state adds to the conversation."""
    match state:
        case Root(opening):
            return opening
        case Unexpanded():
            return ()
        case Expanded(strategy, _, supporter, seeker):
            return (Turn(Speaker.SUPPORTER, supporter, strategy), Turn(Speaker.SEEKER, seeker))
        case End(strategy, _, supporter):
            return (Turn(Speaker.SUPPORTER, supporter, strategy),)


def node_to_json(node: Node) -> dict[str, Any]:
    """One row of a tree file. `seeker` is the seeker's answer, the root's opening, or an End's farewell."""
    row: dict[str, Any] = {"id": node.id, "parent": node.parent}
    match node.state:
        case Root(opening):
            greeting = opening[0] if len(opening) > 1 else None
            row |= {
                "kind": "root",
                "strategy": greeting.strategy if greeting else None,
                "prior": 1.0,
                "supporter": greeting.text if greeting else None,
                "seeker": opening[-1].text,
                "rating": None,
            }
        case Unexpanded(strategy, prior):
            row |= {"kind": "unexpanded", "strategy": strategy, "prior": prior}
            row |= {"supporter": None, "seeker": None, "rating": None}
        case Expanded(strategy, prior, supporter, seeker, rating):
            row |= {"kind": "expanded", "strategy": strategy, "prior": prior}
            row |= {"supporter": supporter, "seeker": seeker, "rating": rating}
        case End(strategy, prior, supporter, farewell, rating):
            row |= {"kind": "end", "strategy": strategy, "prior": prior}
            row |= {"supporter": supporter, "seeker": farewell, "rating": rating}
    return row | {"q": node.value, "n": node.visits, "closed": node.closed, "gold": node.gold}


def nodes_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    """The nodes that `node_to_json` wrote, in the same order; KeyError, TypeError or ValueError for other rows."""
    if not rows:
        raise ValueError("a tree has a root at least")
    children: list[list[int]] = [list[int]() for _ in rows]
    for place, row in enumerate(rows):
        parent: int | None = row["parent"]
        known = parent in range(place) if place else parent is None
        if row["id"] != place or not known:
            raise ValueError(f"node {row['id']!r} with parent {parent!r} at place {place}")
        if parent is not None:
            children[parent].append(place)
    return tuple(
        Node(
            id=row["id"],
            parent=row["parent"],
            state=_state(row),
            children=tuple(below),
            visits=int(number(row["n"])),
            value=number(row["q"]),
            closed=bool(row["closed"]),
            gold=bool(row["gold"]),
        )
        for row, below in zip(rows, children, strict=True)
    )


def number(value: object) -> float:
    """A finite number from a file; ValueError for anything else."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, found {value!r}")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r}")
    return value


def _rating(marks: Sequence[int] | None) -> Rating | None:
    if marks is None:
        return None
    if any(mark not in range(HIGHEST_MARK + 1) for mark in marks):
        raise ValueError(f"expected marks from 0 to {HIGHEST_MARK}, found {marks!r}")
    return Rating(*marks)


def _state(row: Mapping[str, Any]) -> State:
    rating = _rating(row.get("rating"))
    if row["kind"] == "root":
        first, greeting = Turn(Speaker.SEEKER, _text(row["seeker"])), row["supporter"]
        return Root(
            (Turn(Speaker.SUPPORTER, _text(greeting), row["strategy"]), first) if greeting is not None else (first,)
        )
    strategy, prior = _text(row["strategy"]), number(row["prior"])
    match row["kind"]:
        case "unexpanded":
            return Unexpanded(strategy, prior)
        case "expanded":
            return Expanded(strategy, prior, _text(row["supporter"]), _text(row["seeker"]), rating)
        case "end":
            farewell = row["seeker"]
            return End(strategy, prior, _text(row["supporter"]), None if farewell is None else _text(farewell), rating)
        case kind:
            raise ValueError(f"unknown kind of node: {kind!r}")

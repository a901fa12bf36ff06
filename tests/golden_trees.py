"""The golden searches, their nodes read into trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from cso.dialogue import Dialogue, Speaker, Turn
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded, nodes_from_json

FOLDER = Path(__file__).parent / "golden"
NAMES = tuple(sorted(file.stem for file in FOLDER.glob("golden_*.json")))


def golden(name: str) -> dict[str, Any]:
    """What the file holds: `settings`, `seed_dialogue`, `nodes`, `valid_paths`, `pairs` and so on."""
    return cast(dict[str, Any], json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def golden_tree(name: str) -> Tree:
    """The tree of one file. It names nodes by path, parents first and siblings in the taxonomy's order."""
    content = golden(name)
    seed = golden_seed(content)
    rows: list[dict[str, Any]] = content["nodes"]
    ids = {tuple(row["path"]): number for number, row in enumerate(rows)}
    greeting = seed.turns[0].strategy if rows[0]["supporter"] is not None else None
    numbered = [
        row
        | {
            "id": ids[tuple(row["path"])],
            "parent": ids[tuple(row["path"][:-1])] if row["path"] else None,
            "strategy": row["path"][-1] if row["path"] else greeting,
        }
        for row in rows
    ]
    return Tree(seed, nodes_from_json(numbered), iterations=content["iterations"], ends=content["ends"])


def golden_seed(content: dict[str, Any]) -> Dialogue:
    """The seed dialogue of a golden file."""
    row: dict[str, Any] = content["seed_dialogue"]
    turns = tuple(Turn(Speaker(t["speaker"]), t["text"], t.get("strategy")) for t in row["turns"])
    return Dialogue(row["id"], turns, situation=row["situation"], scene=row.get("scene"))


def strategy_path(path: tuple[Node, ...]) -> tuple[str, ...]:
    """A path without its root, as the golden files name it."""
    return tuple(strategy(node) for node in path)


def strategy(node: Node) -> str:
    """The strategy of a node that is not the root."""
    match node.state:
        case Unexpanded(name) | Expanded(name) | End(name):
            return name
        case Root():
            raise ValueError("the root has no strategy")

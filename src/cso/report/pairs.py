"""The pairs of a run as the page's browser reads them (pairs.js): each text once, a pair as places among texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cso.taxonomy import Taxonomy
from cso.transcript import read_reply
from cso.tree import number

Row = Mapping[str, Any]  # a line of preferences/pairs.jsonl


def pairs_content(rows: Iterable[Row], taxonomy: Taxonomy) -> dict[str, Any]:
    """`texts`, and for each pair what the page shows of it. Raises KeyError, TypeError or ValueError for other rows.

    A turn of the history is [speaker, strategy, text], as places among the speakers, strategies (-1: none) and texts.
    """
    strategies = {name: place for place, name in enumerate(taxonomy.names)}
    texts: dict[str, int] = {}
    turns: dict[tuple[str, str], list[int]] = {}

    def place(text: str) -> int:
        return texts.setdefault(text, len(texts))

    def turn(message: Mapping[str, str]) -> list[int]:
        """Computed once for each message, since histories of a tree share them."""
        key = message["role"], message["content"]
        if key not in turns:
            supporter = key[0] == "assistant"
            strategy, words = read_reply(key[1], taxonomy) if supporter else (None, key[1])
            turns[key] = [int(supporter), strategies.get(strategy or "", -1), place(words)]
        return turns[key]

    def reply(row: Row, side: str) -> dict[str, Any]:
        _, strategy, text = turn(row[side][0])
        own = {name: number(row[f"{side}_{name}"]) for name in ("node", "prior", "q", "n")}
        marks = [_known(row[f"{side}_{name}"]) for name in ("e", "i", "h", "s", "reward")]
        rating = None if marks[0] is None else marks[:4]
        gold = bool(row[f"{side}_gold"])
        return {**own, "gold": gold, "strategy": strategy, "text": text, "rating": rating, "reward": marks[4]}

    pairs = [
        {
            "tree": row["dialogue"],
            "scene": place(row["scene"] or ""),
            "situation": place(row["situation"] or ""),
            "turn": number(row["turn"]),
            "stage": _known(row["stage"]),
            "margin": _known(row["margin"]),
            "weight": number(row["weight"]),
            "history": [turn(message) for message in row["prompt"] if message["role"] != "system"],
            "chosen": reply(row, "chosen"),
            "rejected": reply(row, "rejected"),
        }
        for row in rows
    ]
    return {"texts": list(texts), "pairs": pairs}


def _known(value: object) -> float | None:
    return None if value is None else number(value)

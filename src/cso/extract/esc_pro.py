"""ESC-Pro's own unit: a dialogue for each valid path, every supporter turn with the replies rejected there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from cso.dialogue import Dialogue, Speaker
from cso.extract.pairs import Key, key, pairs_at
from cso.extract.paths import valid_paths
from cso.preference import Pair, Reply
from cso.settings import ExtractSettings
from cso.transcript import Message
from cso.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class PathDialogue:
    """A valid path read as a dialogue: `rejected` has an entry for each supporter turn in the tree.

    The supporter's greeting, where the dialogue has one, is among the turns but has no entry: nobody searched there.
    """

    dialogue: Dialogue
    rejected: tuple[tuple[Reply, ...], ...]
    iterations: int


def path_dialogues(trees: Iterable[Tree], kept: Iterable[Pair], settings: ExtractSettings) -> list[PathDialogue]:
    """Every valid path of every tree, shared beginnings told each time, as the paper's Table 5 counts them.

    Of the rejected replies those that are in a `kept` pair, or read the same as one; contrasts follow those that the
    search has visited.
    """
    rejected: dict[tuple[str, int], list[Reply]] = {}
    keys: set[Key] = set()
    for pair in kept:
        keys.add(key(pair))
        rejected.setdefault((pair.history.id, pair.chosen.node), []).append(pair.rejected)
    return [found for tree in trees for found in _of_tree(tree, keys, rejected, settings)]


def to_json(found: PathDialogue) -> dict[str, Any]:
    """One entry in the published layout: `description`, `scene`, `iter` and `messages`, and the dialogue's `id`.

    Seeker turns are `user`; a supporter's `assistant` message has its `strategy` and the `negative` replies. A
    greeting by the supporter comes first, with no negatives; published dialogues all start with a user.
    """
    turns = found.dialogue.turns
    greeting = turns[0].speaker is Speaker.SUPPORTER
    negatives = iter([(), *found.rejected] if greeting else found.rejected)
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.speaker is Speaker.SEEKER:
            messages.append({"role": "user", "content": turn.text})
        else:
            negative: list[Message] = [{"strategy": bad.strategy, "content": bad.text} for bad in next(negatives)]
            messages.append(
                {"role": "assistant", "content": turn.text, "strategy": turn.strategy, "negative": negative}
            )
    return {
        "id": found.dialogue.id,
        "description": found.dialogue.situation,
        "scene": found.dialogue.scene,
        "iter": found.iterations,
        "messages": messages,
    }


def _of_tree(
    tree: Tree, keys: set[Key], rejected: Mapping[tuple[str, int], Sequence[Reply]], settings: ExtractSettings
) -> Iterator[PathDialogue]:
    known: dict[int, tuple[Reply, ...]] = {}

    def bad(turn: int, node: Node) -> tuple[Reply, ...]:
        if node.id not in known:
            pairs = pairs_at(tree, node, turn, threshold=settings.threshold)
            visited = {pair.rejected.node for pair in pairs}
            kept = [pair.rejected for pair in pairs if key(pair) in keys]
            contrasts = [each for each in rejected.get((tree.seed.id, node.id), ()) if each.node not in visited]
            known[node.id] = (*kept, *contrasts)
        return known[node.id]

    for path in valid_paths(tree, threshold=settings.threshold, min_visits=settings.min_visits):
        yield PathDialogue(tree.history(path[-1].id), tuple(starmap(bad, enumerate(path, start=1))), tree.iterations)

"""Other views of the same trees: labelled replies (KTO), demonstrations (SFT) and ESC-Pro-Random (section 5.3)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cso.dialogue import Dialogue, Turn
from cso.extract.asking import answers
from cso.extract.balance import Balance, weighted_labels
from cso.extract.pairs import Key, key, reply, spoken
from cso.extract.paths import preferred
from cso.preference import Labelled, Pair, Reply
from cso.search.cast import Supporter
from cso.settings import ExtractSettings
from cso.taxonomy import Taxonomy
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded

ReplyKey = tuple[tuple[Turn, ...], Turn]


class Labels(NamedTuple):
    """Labelled replies; `contradictory` counts the replies left out because they were both chosen and rejected."""

    rows: list[Labelled]
    contradictory: int


class RandomPairs(NamedTuple):
    """Pairs of ESC-Pro-Random; `unanswered` counts the turns for which no other reply could be had."""

    pairs: list[Pair]
    unanswered: int


def labelled(pairs: Sequence[Pair], balance: Balance = "none") -> Labels:
    """Each pair split into a desirable and an undesirable reply, each (history, reply) once.

    A reply that is chosen in one pair and rejected in another after the same history (two trees can disagree; one
    tree cannot) is left out: its label would be noise. `balance` "weights" weighs the replies themselves; for the
    others the pairs were thinned before, or not, and all weights are 1.
    """
    rows: dict[ReplyKey, Labelled] = {}
    contradictory: set[ReplyKey] = set()
    for pair in pairs:
        for said, desirable in ((pair.chosen, True), (pair.rejected, False)):
            name = (pair.history.turns, spoken(said))
            row = rows.setdefault(name, Labelled(pair.history, pair.turn, said, desirable))
            if row.desirable is not desirable:
                contradictory.add(name)
    kept = [row for name, row in rows.items() if name not in contradictory]
    return Labels(weighted_labels(kept) if balance == "weights" else kept, len(contradictory))


def demonstrations(trees: Iterable[Tree], settings: ExtractSettings) -> list[Labelled]:
    """The supporter turns of all valid paths, each (history, reply) once: what SFT trains on.

    All of them, whether or not they have a sibling to make a pair with.
    """
    rows: dict[ReplyKey, Labelled] = {}
    for tree in trees:
        for turn, node in preferred(tree, settings):
            row = Labelled(tree.before(node), turn, reply(node), desirable=True)
            rows.setdefault((row.history.turns, spoken(row.reply)), row)
    return list(rows.values())


async def random_pairs(
    trees: Iterable[Tree], settings: ExtractSettings, supporter: Supporter, taxonomy: Taxonomy
) -> RandomPairs:
    """Each supporter turn of a valid path against a reply by another strategy, drawn at random and asked for.

    Drawn evenly from the siblings' strategies, but for those that a valid path takes at the same turn (they are
    preferred as well), by one generator a dialogue, seeded with `settings.seed` and the dialogue's id. The supporter
    is asked as in a search, so an answer remembered from there is used again, whatever its value. The rejected reply
    bears the id, prior, Q and N of the sibling of its strategy. Pairs that read the same are made one; a turn with
    nothing to draw gives none.
    """
    draws = [draw for tree in trees for draw in _draws(tree, settings)]
    texts = await answers(supporter(draw.history, taxonomy.strategy(draw.strategy)) for draw in draws)
    pairs: dict[Key, Pair] = {}
    for draw, text in zip(draws, texts, strict=True):
        if text is not None:
            pair = draw.pair(text)
            pairs.setdefault(key(pair), pair)
    return RandomPairs(list(pairs.values()), unanswered=sum(text is None for text in texts))


@dataclass(frozen=True, slots=True)
class _Draw:
    """A turn, and the sibling whose strategy was drawn for it."""

    history: Dialogue
    turn: int
    chosen: Reply
    sibling: Node
    strategy: str
    prior: float

    def pair(self, text: str) -> Pair:
        node = self.sibling
        rejected = Reply(node.id, self.strategy, text, self.prior, node.value, node.visits, gold=False, rating=None)
        return Pair(self.history, self.turn, self.chosen, rejected)


def _draws(tree: Tree, settings: ExtractSettings) -> Iterator[_Draw]:
    draw = random.Random(f"{settings.seed}/{tree.seed.id}")
    turns = list(preferred(tree, settings))
    good = {node.id for _, node in turns}
    for turn, node in turns:
        others = [sibling for sibling in tree.siblings(node) if sibling.id not in good]
        if not others:
            continue
        sibling = draw.choice(others)
        match sibling.state:
            case Unexpanded(strategy, prior) | Expanded(strategy, prior) | End(strategy, prior):
                yield _Draw(tree.before(node), turn, reply(node), sibling, strategy, prior)
            case Root():
                pass

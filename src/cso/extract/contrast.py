"""Contrasts: more rejected replies a call, by asking about the siblings that the search never visited (ours)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from cso.dialogue import Dialogue
from cso.extract.asking import answers
from cso.extract.judging import DEFAULT_REWARD, own_reward, shown
from cso.extract.pairs import reply
from cso.extract.paths import preferred
from cso.preference import Pair, Reply
from cso.search.cast import Judge, Supporter
from cso.settings import ExtractSettings, RewardSettings
from cso.taxonomy import Taxonomy
from cso.tree import Node, Root, Tree, Unexpanded


class Contrasts(NamedTuple):
    """Pairs; `unanswered` counts the siblings for which no reply, or no rating of it, could be had."""

    pairs: list[Pair]
    unanswered: int


async def contrasts(
    trees: Iterable[Tree],
    settings: ExtractSettings,
    supporter: Supporter,
    judge: Judge,
    taxonomy: Taxonomy,
    *,
    reward: RewardSettings = DEFAULT_REWARD,
) -> Contrasts:
    """Each supporter turn of a valid path against those unvisited siblings whose own reply has a poor reward.

    Of each sibling the supporter is asked for the reply, as a search would, and the judge to rate that very turn: two
    calls, where an iteration of the search takes about ten. Rejected is what Eq. 2 puts below the threshold of Eq. 6;
    its Q is that reward, its N is 0.
    """
    asked = [each for tree in trees for each in _unvisited(tree, settings)]
    texts = await answers(supporter(history, taxonomy.strategy(told.strategy)) for history, told in asked)
    said = [(history, replace(told, text=text)) for (history, told), text in zip(asked, texts, strict=True) if text]
    ratings = await answers(judge(shown(history, told)) for history, told in said)
    found = {
        (history.id, told.node): replace(told, rating=rating, value=value)
        for (history, told), rating in zip(said, ratings, strict=True)
        if (value := own_reward(rating, reward)) is not None
    }
    pairs = [
        Pair(tree.before(node), turn, reply(node), rejected)
        for tree in trees
        for turn, node in preferred(tree, settings)
        for sibling in tree.siblings(node)
        if (rejected := found.get((tree.seed.id, sibling.id))) is not None and rejected.value < settings.threshold
    ]
    return Contrasts(pairs, unanswered=len(asked) - len(found))


def _unvisited(tree: Tree, settings: ExtractSettings) -> Iterator[tuple[Dialogue, Reply]]:
    """Siblings of preferred nodes that were never visited, each once: what was said before, and a wordless reply."""
    done: set[int] = set()
    for _, node in preferred(tree, settings):
        for sibling in tree.siblings(node):
            if isinstance(sibling.state, Unexpanded) and not sibling.visits and sibling.id not in done:
                done.add(sibling.id)
                yield tree.before(node), _wordless(sibling)


def _wordless(node: Node) -> Reply:
    state = node.state
    assert not isinstance(state, Root), "the root is nobody's sibling"
    return Reply(node.id, state.strategy, "", state.prior, 0.0, 0, gold=False, rating=None)

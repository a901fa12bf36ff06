"""Planting: the seed dialogue laid down as the first path of its tree ("Dialogue Expansion", section 3.1)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cso.dialogue import Dialogue, Speaker, Turn, joined
from cso.errors import InputError
from cso.search.cast import Strategist
from cso.search.mcts import closed, priors
from cso.settings import SearchSettings
from cso.taxonomy import Taxonomy
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded, said


async def plant(seed: Dialogue, strategist: Strategist, taxonomy: Taxonomy, settings: SearchSettings) -> Tree:
    """The tree in which only the seed dialogue has been spoken.

    One layer a supporter turn, the last one an End. At each layer the strategist rates all strategies on the full
    history up to there; those that the dialogue does not take become Unexpanded siblings. Raises InputError for a
    dialogue that cannot be planted.
    """
    root, spoken = gold_path(seed, taxonomy)
    histories = [seed.with_turns(root.opening)]
    for state in spoken[:-1]:
        histories.append(seed.with_turns((*histories[-1].turns, *said(state))))
    ratings = await asyncio.gather(*(strategist(history) for history in histories))

    visits, value = settings.gold_visits, settings.gold_value
    nodes = [Node(id=0, parent=None, state=root, visits=visits, value=value, gold=True)]
    parent = 0
    for state, scores in zip(spoken, ratings, strict=True):
        shares = priors(scores, taxonomy, temperature=settings.temperature)
        first = len(nodes)
        for id, (name, prior) in enumerate(shares.items(), first):
            if name == state.strategy:
                gold = replace(state, prior=prior)
                nodes.append(Node(id=id, parent=parent, state=gold, visits=visits, value=value, gold=True))
            else:
                nodes.append(Node(id=id, parent=parent, state=Unexpanded(name, prior)))
        nodes[parent] = replace(nodes[parent], children=tuple(range(first, len(nodes))))
        parent = first + taxonomy.names.index(state.strategy)
    tree = Tree(seed, tuple(nodes))
    return tree if settings.revisit_ends else closed(tree)


def gold_path(seed: Dialogue, taxonomy: Taxonomy) -> tuple[Root, list[Expanded | End]]:
    """The states that the seed dialogue itself goes through, priors still 0.

    Consecutive turns of one speaker are joined; a supporter's greeting stays in the root; what the seeker says
    after the last supporter turn is the End's farewell.
    """
    turns = joined(seed.turns)
    start = 1 if turns and turns[0].speaker is Speaker.SUPPORTER else 0
    if len(turns) < start + 2:
        raise InputError(
            f"dialogue {seed.id}: expected a seeker turn and then a supporter turn, found {len(turns)} turns"
        )
    opening = (turns[0], turns[1]) if start else (turns[0],)
    rest = turns[start + 1 :]
    spoken: list[Expanded | End] = []
    for place in range(0, len(rest), 2):
        strategy = _strategy(rest[place], taxonomy, dialogue=seed.id)
        answer = rest[place + 1].text if place + 1 < len(rest) else None
        if answer is not None and place + 2 < len(rest):
            spoken.append(Expanded(strategy, 0.0, rest[place].text, answer))
        else:
            spoken.append(End(strategy, 0.0, rest[place].text, answer))
    return Root(opening), spoken


def _strategy(turn: Turn, taxonomy: Taxonomy, *, dialogue: str) -> str:
    if turn.strategy not in taxonomy.names:
        raise InputError(
            f"dialogue {dialogue}: the supporter turn {turn.text[:60]!r} has the strategy {turn.strategy!r}, "
            f"which is not in taxonomy {taxonomy.name}"
        )
    return turn.strategy

"""The search reproduces searches done by an independent implementation, node for node, and asks what it asked."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from compare import first_difference

from cso.search.cast import Cast
from cso.search.grow import grow_tree
from golden_searches import NAMES, TAXONOMY, Asked, golden, produced, seed_of, settings_of

EXTRACTED = ("valid_paths", "pairs")


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_search_comes_out_node_for_node(name: str) -> None:
    content = golden(name)
    asked = Asked(**content["stand_in"])
    tree = asyncio.run(grow_tree(seed_of(content), asked.cast, TAXONOMY, settings_of(content)))
    assert first_difference(content, produced(tree) | {"asked": asked.counts()}, skip=EXTRACTED) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("speculate", [1, 4])
def test_answers_in_any_order_and_speculation_leave_the_tree_as_it_is(name: str, speculate: int) -> None:
    content = golden(name)
    asked = Asked(**content["stand_in"])
    shaken = shaken_cast(asked.cast, random.Random(speculate))
    settings = settings_of(content, speculate=speculate)
    tree = asyncio.run(grow_tree(seed_of(content), shaken, TAXONOMY, settings))
    assert first_difference(content, produced(tree), skip=(*EXTRACTED, "asked")) is None
    plain = asyncio.run(grow_tree(seed_of(content), asked.cast, TAXONOMY, settings_of(content)))
    assert tree == plain  # the judge's ratings too, which the golden files do not have


def shaken_cast(cast: Cast, rng: random.Random) -> Cast:
    """The same answers, each after a random number of turns of the event loop."""

    def shaken(role: Any) -> Any:
        async def later(*args: Any, sample: int = 0) -> Any:
            for _ in range(rng.randrange(20)):
                await asyncio.sleep(0)
            return await role(*args, sample=sample)

        return later

    return Cast(shaken(cast.seeker), shaken(cast.supporter), shaken(cast.strategist), shaken(cast.judge))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_backed_up_is_all_that_n_and_q_hold(name: str) -> None:
    content = golden(name)
    settings = settings_of(content)
    tree = asyncio.run(grow_tree(seed_of(content), Asked(**content["stand_in"]).cast, TAXONOMY, settings))
    assert len(tree.backups) == tree.iterations
    below = {node.id: [b.reward for b in tree.backups if node in tree.path(b.node)] for node in tree.nodes}
    for node in tree.nodes:
        rewards = below[node.id] + [settings.gold_value] * settings.gold_visits * node.gold
        assert node.visits == len(rewards)
        assert node.value == pytest.approx(sum(rewards) / max(1, len(rewards)), abs=1e-12)

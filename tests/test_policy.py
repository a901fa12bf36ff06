"""A trained model as strategist and supporter of a search."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cso.casting import casting, wording
from cso.corpora import read_corpus
from cso.dialogue import Dialogue
from cso.errors import InputError, StoreError
from cso.evaluate.local import load_local
from cso.growing import Growing, Grown
from cso.policy.batching import Batcher
from cso.policy.roles import load_policy
from cso.search.mcts import priors
from cso.settings import EvaluateSettings, ModelSettings, RoleSettings, load_settings
from cso.store import Run
from cso.taxonomy import load_taxonomy
from cso.transcript import prompt, read_reply, tag
from cso.tree import Node, Root, Tree, Unexpanded
from small_training import save_model

ESC8 = load_taxonomy("esc8")
SEEDS = read_corpus("bundled", ESC8).dialogues[:2]
TOLD = EvaluateSettings(max_length=2048)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("policy") / "model"))


def moments() -> list[Dialogue]:
    """Histories that end in a seeker turn."""
    return [seed.with_turns(seed.turns[: 2 * place + 1]) for seed in SEEDS for place in range(3)]


def test_priors_are_the_models_own_probabilities(model: str) -> None:
    local = load_local(ModelSettings(name=model), ESC8, max_length=2048)
    asked = moments()
    expected = dict(local.choose(local.prompts([prompt(each, ESC8) for each in asked]), ESC8))

    async def scores() -> Sequence[dict[str, float]]:
        policy = load_policy(ModelSettings(name=model), ESC8, RoleSettings(), TOLD, temperature=5.0)
        return [dict(each) for each in await asyncio.gather(*(policy.strategist(each) for each in asked))]

    for place, found in enumerate(asyncio.run(scores())):
        assert max(found.values()) == 10
        assert list(priors(found, ESC8, temperature=5.0).values()) == pytest.approx(expected[place], abs=1e-4)


def test_replies_are_those_the_model_gives_after_the_tag_each_sample_its_own(model: str) -> None:
    local = load_local(ModelSettings(name=model), ESC8, max_length=2048)
    history, strategy = moments()[0], ESC8.strategies[2]
    player = RoleSettings(temperature=1.0, max_tokens=8)

    async def replies() -> list[str]:
        policy = load_policy(ModelSettings(name=model), ESC8, player, TOLD, temperature=5.0)
        return list(await asyncio.gather(*(policy.supporter(history, strategy, sample=each) for each in (0, 1, 0))))

    found = asyncio.run(replies())
    assert found[0] == found[2] != found[1]
    given = local.prompts([prompt(history, ESC8)])
    [(_, said)] = local.write(given, [tag(strategy.name)], max_tokens=8, temperature=1.0, seed=0)
    assert found[0] == read_reply(said, ESC8)[1]


def test_what_comes_in_while_a_batch_is_computed_is_the_next_batch() -> None:
    batches: list[list[int]] = []

    def squares(numbers: Sequence[int]) -> list[int]:
        batches.append(list(numbers))
        if 7 in numbers:
            raise InputError("no sevens")
        return [number**2 for number in numbers]

    async def ask() -> list[int | BaseException]:
        batcher = Batcher(squares, asyncio.Lock())
        return list(await asyncio.gather(*(batcher(number) for number in range(6)), return_exceptions=True))

    assert asyncio.run(ask()) == [0, 1, 4, 9, 16, 25]
    assert len(batches) == 1

    async def fail() -> list[int | BaseException]:
        batcher = Batcher(squares, asyncio.Lock())
        found = list(await asyncio.gather(batcher(7), return_exceptions=True))
        return [*found, await batcher(3)]

    wrong, right = asyncio.run(fail())
    assert isinstance(wrong, InputError)
    assert right == 9


def test_a_search_by_a_policy_has_its_priors_and_asks_it_nothing_twice(model: str, tmp_path: Path) -> None:
    said = ["search.iterations=4", f"cast.policy.model={model}", "cast.policy.plays=[strategist]"]
    settings = load_settings(None, said)
    run = Run.create(tmp_path / "run", settings, ESC8, wording(settings, ESC8))
    run.save_seeds(SEEDS)

    async def grow() -> tuple[list[Grown], int]:
        grown: list[Grown] = []
        async with casting(run) as cast:
            await Growing(cast).grow(SEEDS, grown.append)
            return grown, cast.spent().calls

    grown, calls = asyncio.run(grow())
    assert [tree.failure for tree in grown] == [None, None]
    assert calls > 20
    again, asked = asyncio.run(grow())
    assert (sorted(tree.id for tree in again), asked) == (sorted(tree.id for tree in grown), 0)

    [tree, _] = run.trees()
    local = load_local(ModelSettings(name=model), ESC8, max_length=2048)
    root = tree.nodes[0].state
    assert isinstance(root, Root)
    opening = tree.seed.with_turns(root.opening)
    [(_, chances)] = local.choose(local.prompts([prompt(opening, ESC8)]), ESC8)
    states = [tree.nodes[child].state for child in tree.nodes[0].children]
    assert [each.prior for each in states if not isinstance(each, Root)] == pytest.approx(chances, abs=1e-4)
    assert any(isinstance(each, Unexpanded) for each in states)


def test_another_model_is_another_search(tmp_path: Path) -> None:
    """The settings name a folder; what lies in it counts as well."""
    settings = load_settings(None, [f"cast.policy.model={save_model(tmp_path / 'model')}"])
    before = wording(settings, ESC8)
    assert wording(settings, ESC8) == before
    first, *others = ESC8.strategies
    redefined = replace(ESC8, strategies=(replace(first, definition="Something else."), *others))
    assert wording(settings, redefined) != before
    save_model(tmp_path / "model", hidden_size=24, num_attention_heads=2)
    assert wording(settings, ESC8) != before


def test_a_run_goes_on_after_its_policy_has_been_moved(tmp_path: Path) -> None:
    here = save_model(tmp_path / "here")
    told = load_settings(None, [f"cast.policy.model={here}"])
    run = Run.create(tmp_path / "run", told, ESC8, wording(told, ESC8))
    run.save_tree(Tree(SEEDS[0], (Node(0, None, Root((SEEDS[0].turns[0],))),)))
    there = here.rename(tmp_path / "there")
    moved = load_settings(None, [f"cast.policy.model={there}"])
    again = Run.create(tmp_path / "run", moved, ESC8, wording(moved, ESC8))
    assert again.has_tree(SEEDS[0])
    without = load_settings(None, [])
    with pytest.raises(StoreError, match=r"cast\.policy\.model: a model there"):
        Run.create(tmp_path / "run", without, ESC8, wording(without, ESC8))

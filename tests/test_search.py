"""What holds for every search, whatever the cast says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import AnswerError, InputError, StoreError
from cso.rating import Rating, mean_reward, reward
from cso.search import Cast, Utterance, grow, grow_forest, grow_tree
from cso.search.mcts import Discovery, Expansion, commit, finished, judged_so_far, likeliest, priors, pucb, select
from cso.search.plant import gold_path, plant
from cso.settings import RewardSettings, SearchSettings
from cso.taxonomy import Strategy, Taxonomy
from cso.tree import Backup, End, Expanded, Failure, Node, Root, Tree, Unexpanded, node_to_json, nodes_from_json
from golden_searches import TAXONOMY, Asked, golden, seed_of, settings_of

TWO = Taxonomy("two", (Strategy("A", "The first."), Strategy("B", "The second.")))


def seeker(text: str) -> Turn:
    return Turn(Speaker.SEEKER, text)


def supporter(text: str, strategy: str | None = None) -> Turn:
    return Turn(Speaker.SUPPORTER, text, strategy)


SEED = Dialogue("d", (seeker("one"), supporter("two", "A"), seeker("three"), supporter("four", "B"), seeker("bye")))


async def even_scores(history: Dialogue, *, sample: int = 0) -> dict[str, float]:
    return {"A": 5, "B": 5}


def planted(seed: Dialogue = SEED, **more: Any) -> Tree:
    return asyncio.run(plant(seed, even_scores, TWO, SearchSettings(**more)))


def test_the_reward_of_eq_2_by_hand() -> None:
    assert reward(Rating(4, 4, 4, 4)) == 1.0
    assert reward(Rating(0, 0, 0, 0)) == -3.0
    assert reward(Rating(2, 2, 3, 4)) == 0.5  # 35 / 10 - 3: on the threshold, exactly
    assert reward(Rating(1, 2, 3, 4), alpha=1, bias=0) == 1.0


def test_the_mean_reward_is_that_of_all_turns() -> None:
    assert mean_reward([0.5, -0.5, 0.75]) == 0.25


def test_priors_are_the_softmax_at_temperature_5() -> None:
    shares = priors({"A": 10, "B": 5}, TWO, temperature=5)
    assert shares["A"] == pytest.approx(0.7310585786300049, abs=1e-15)  # 1 / (1 + exp(-1))
    assert sum(shares.values()) == pytest.approx(1, abs=1e-15)


def test_pucb_by_hand() -> None:
    parent = Node(id=0, parent=None, state=Root((seeker("hi"),)), visits=9)
    child = Node(id=1, parent=0, state=Unexpanded("A", 0.5), visits=2, value=0.25)
    assert pucb(child, parent, exploration=2.0) == 0.25 + 2.0 * 0.5 * 3 / 3


def test_a_first_play_is_the_value_of_a_node_never_visited() -> None:
    parent = Node(id=0, parent=None, state=Root((seeker("hi"),)), visits=9)
    new, known = (Node(id=1, parent=0, state=Unexpanded("A", 0.5), visits=visits, value=0.25) for visits in (0, 2))
    assert pucb(new, parent, exploration=2.0, first_play={"A": -1.0}) == -1.0 + 2.0 * 0.5 * 3
    assert pucb(known, parent, exploration=2.0, first_play={"A": -1.0}) == pucb(known, parent, exploration=2.0)
    assert pucb(new, parent, exploration=2.0) == 0.25 + 2.0 * 0.5 * 3, "as planted, where gold_visits is 0"


def test_a_strategy_is_tried_first_where_the_judge_has_liked_it_in_this_tree() -> None:
    root = Root((seeker("hi"),))
    poor, rich = Rating(1, 1, 1, 1), Rating(4, 4, 4, 4)
    nodes = (
        Node(id=0, parent=None, state=root, children=(1, 2), visits=2),
        Node(id=1, parent=0, state=Expanded("A", 0.5, "a", "x", rating=poor), children=(3, 4), visits=1, value=1.0),
        Node(id=2, parent=0, state=End("B", 0.5, "b", rating=rich), visits=1, value=0.9, closed=True),
        Node(id=3, parent=1, state=Unexpanded("A", 0.6)),
        Node(id=4, parent=1, state=Unexpanded("B", 0.4)),
    )
    tree = Tree(Dialogue("x", (seeker("hi"),)), nodes)
    assert judged_so_far(tree, RewardSettings()) == {"A": reward(poor), "B": reward(rich)}
    assert select(tree, SearchSettings()) == 3, "the higher prior"
    assert select(tree, SearchSettings(first_play="judged")) == 4


def test_a_search_is_settled_after_so_many_iterations_without_an_end() -> None:
    tree = planted()
    leaf = next(node.id for node in tree.nodes if isinstance(node.state, End))
    other = next(node.id for node in tree.nodes if isinstance(node.state, Unexpanded))
    backups = (Backup(leaf, 1.0), *(Backup(other, 0.0) for _ in range(3)))
    for count, settled in ((3, True), (4, False)):
        told = SearchSettings(settled=count)
        assert finished(replace(tree, backups=backups), told) is settled
        assert finished(replace(tree, backups=backups[1:]), told) is settled, "none at all counts from the beginning"
    assert not finished(replace(tree, backups=backups), SearchSettings())


def test_ties_go_to_the_earlier_strategy() -> None:
    tree = planted(gold_visits=0, gold_value=0.0)
    first = select(tree, SearchSettings())
    assert first is not None
    assert tree.nodes[first].parent == tree.root.children[0]
    assert likeliest((Unexpanded("A", 0.5), Unexpanded("B", 0.5))) == 0


def test_the_seed_dialogue_is_the_first_path() -> None:
    tree = planted()
    gold = [node for node in tree.nodes if node.gold]
    assert [type(node.state) for node in gold] == [Root, Expanded, End]
    assert {(node.visits, node.value) for node in gold} == {(100, 1.0)}
    assert gold[-1].state == End("B", 0.5, "four", farewell="bye")
    assert gold[-1].closed
    assert [turn.text for turn in tree.history(gold[-1].id).turns] == ["one", "two", "three", "four"]


def test_a_greeting_stays_in_the_root_and_runs_of_one_speaker_are_joined() -> None:
    turns = (supporter("hello"), seeker("a"), seeker("b"), supporter("c", "B"), supporter("d", "A"))
    root, spoken = gold_path(Dialogue("x", turns), TWO)
    assert root.opening == (supporter("hello"), seeker("a b"))
    assert spoken == [End("B", 0.0, "c d")]


@pytest.mark.parametrize("turns", [(), (seeker("alone"),), (supporter("greeting"), seeker("alone"))])
def test_a_dialogue_without_an_exchange_is_bad_input(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(InputError, match="dialogue x: expected a seeker turn"):
        gold_path(Dialogue("x", turns), TWO)


def test_a_strategy_outside_the_taxonomy_is_bad_input() -> None:
    with pytest.raises(InputError, match="'C', which is not in taxonomy two"):
        gold_path(Dialogue("x", (seeker("a"), supporter("b", "C"))), TWO)


@given(st.lists(st.floats(-3, 1), min_size=1, max_size=30))
def test_the_value_is_the_mean_of_what_was_backed_up(rewards: list[float]) -> None:
    tree = planted(gold_visits=0, gold_value=0.0, revisit_ends=True)
    end = tree.nodes[-1] if isinstance(tree.nodes[-1].state, End) else tree.nodes[-2]
    assert isinstance(end.state, End)
    for each in rewards:
        found = Discovery(Expansion(end.state), each)
        tree = commit(tree, end.id, found, SearchSettings(revisit_ends=True))
    for node in tree.path(end.id):
        assert node.value == pytest.approx(fmean(rewards), abs=1e-12)
        assert node.visits == len(rewards)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    end=st.floats(0, 1),
    rounds=st.integers(0, 3),
    iterations=st.integers(0, 25),
    revisit=st.booleans(),
    fresh=st.booleans(),
    own=st.booleans(),
)
def test_every_tree_keeps_the_invariants(
    seed: int, end: float, rounds: int, iterations: int, revisit: bool, fresh: bool, own: bool
) -> None:
    content = golden("golden_04")
    asked = Asked(**content["stand_in"] | {"seed": seed, "end_prob": end})
    said = settings_of(content).model_copy(
        update={
            "iterations": iterations,
            "rollout_rounds": rounds,
            "revisit_ends": revisit,
            "fresh_rollouts": fresh,
            "judge_selected": own,
        }
    )
    tree = asyncio.run(grow_tree(seed_of(content), asked.cast, TAXONOMY, said))
    assert finished(tree, said)
    assert tree.root.visits == said.gold_visits + tree.iterations
    for node in tree.nodes:
        children = [tree.nodes[child] for child in node.children]
        assert [child.state.strategy for child in children if not isinstance(child.state, Root)] == (
            list(TAXONOMY.names) if children else []
        )
        assert sum(child.state.prior for child in children if not isinstance(child.state, Root)) == pytest.approx(
            1 if children else 0
        )
        if isinstance(node.state, Unexpanded | End):
            assert not children
        if isinstance(node.state, Unexpanded):
            assert (node.visits, node.value, node.closed) == (0, 0.0, False)
        if not node.gold and children:  # visited once when it was simulated or not, then by what goes through it
            below = sum(child.visits for child in children)
            assert node.visits - below in (0, 1)
        assert -3 <= node.value <= 1
        assert node.closed == (
            not revisit and (isinstance(node.state, End) or (bool(children) and all(c.closed for c in children)))
        )


def test_a_tree_survives_its_file_form() -> None:
    content = golden("golden_03")
    tree = asyncio.run(grow_tree(seed_of(content), Asked(**content["stand_in"]).cast, TAXONOMY, settings_of(content)))
    assert nodes_from_json([node_to_json(node) for node in tree.nodes]) == tree.nodes


@pytest.mark.parametrize("own", [False, True])
def test_judge_selected_credits_a_new_reply_for_itself(own: bool) -> None:
    """The judge here only counts supporter turns, so that each turn's mark tells which one was judged."""

    async def judge(history: Dialogue, *, sample: int = 0) -> Rating:
        return Rating(0, 0, 0, sum(turn.speaker is Speaker.SUPPORTER for turn in history.turns))

    async def reply(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return "reply"

    async def go_on(history: Dialogue, *, sample: int = 0) -> Utterance:
        return Utterance("answer", ends=False)

    said = SearchSettings(iterations=1, rollout_rounds=1, judge_selected=own, gold_visits=0, gold_value=0)
    seed = Dialogue("d", (seeker("one"), supporter("two", "B")))
    tree = asyncio.run(grow_tree(seed, Cast(go_on, reply, even_scores, judge), TWO, said))
    turns = [1, 2, 3] if own else [2, 3]  # the selected reply, the simulated child, the rollout
    selected = tree.nodes[tree.root.children[0]]
    assert selected.value == pytest.approx(fmean(0.7 * turn - 3 for turn in turns))
    assert isinstance(selected.state, Expanded)
    assert (selected.state.rating is not None) == own


def failing_cast(error: Exception) -> Cast:
    async def fail(history: Dialogue, *, sample: int = 0) -> Any:
        raise error

    async def reply(history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        return "reply"

    return Cast(fail, reply, even_scores, fail)


def test_a_tree_whose_cast_fails_is_kept_as_far_as_it_came_and_the_others_go_on() -> None:
    content = golden("golden_06")
    good = Asked(**content["stand_in"]).cast
    bad = replace(good, judge=failing_cast(AnswerError("noise", reason="unreadable", text="?")).judge)
    first, second = seed_of(content), replace(seed_of(content), id="other")
    trees = grow([first, second], lambda seed: bad if seed.id == "other" else good, TAXONOMY, settings_of(content))
    assert [tree.failure for tree in trees] == [None, Failure("unreadable", "noise")]
    assert trees[0].iterations == content["iterations"]
    assert trees[1].iterations == 0
    assert len(trees[1].nodes) > 1


def test_an_error_that_concerns_every_tree_ends_the_run() -> None:
    seeds = [replace(SEED, id=str(number)) for number in range(3)]
    with pytest.raises(StoreError, match="disk full"):
        grow(seeds, lambda seed: failing_cast(StoreError("disk full")), TWO)


def test_a_seed_that_cannot_be_planted_is_told_before_anything_is_asked() -> None:
    asked: list[str] = []
    seeds = [SEED, Dialogue("bad", (seeker("alone"),))]

    def cast_for(seed: Dialogue) -> Cast:
        asked.append(seed.id)
        return failing_cast(AssertionError())

    with pytest.raises(InputError, match="dialogue bad"):
        asyncio.run(grow_forest(seeds, cast_for, TWO, SearchSettings(), grown=lambda tree: None))
    assert asked == []

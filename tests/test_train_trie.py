"""The trie of tokens, its size, and the packs and steps made of it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cso.train.encode import Encoded
from cso.train.examples import Example
from cso.train.pack import build_pack
from cso.train.plan import make_packs, make_plan, pack_size
from cso.train.trie import TrieSize, build_trie, common_prefix

tokens = st.lists(st.integers(0, 2), max_size=8)
sequences = st.lists(tokens, min_size=1, max_size=8)


def prefixes(given: list[list[int]]) -> set[tuple[int, ...]]:
    """Every distinct non-empty beginning: the nodes of the trie, by definition."""
    return {tuple(sequence[:length]) for sequence in given for length in range(1, len(sequence) + 1)}


@given(sequences)
def test_a_trie_has_one_node_for_each_distinct_beginning(given: list[list[int]]) -> None:
    trie = build_trie(given)
    assert len(trie) == len(prefixes(given)) == TrieSize(given).nodes


@given(sequences)
def test_a_path_spells_its_sequence_and_positions_count_from_zero(given: list[list[int]]) -> None:
    trie = build_trie(given)
    for sequence, path in zip(given, trie.paths, strict=True):
        assert [trie.tokens[node] for node in path] == sequence
        assert [trie.depth[node] for node in path] == list(range(len(sequence)))


@given(sequences)
def test_a_node_sees_exactly_the_tokens_before_it_in_its_sequence(given: list[list[int]]) -> None:
    trie = build_trie(given)
    for path in trie.paths:
        for place, node in enumerate(path):
            seen = [key for key in range(len(trie)) if key <= node < trie.end[key]]
            assert seen == path[: place + 1]


@given(tokens, tokens)
def test_the_common_prefix_is_the_longest_equal_beginning(one: list[int], other: list[int]) -> None:
    length = common_prefix(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length == min(len(one), len(other))


@given(st.lists(st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=5), tokens), max_size=6))
def test_each_reply_is_scored_token_by_token_from_the_logits_before_it(
    given: list[tuple[list[int], list[int]]],
) -> None:
    pack = build_pack(given, prompts=True)
    trie = build_trie([prompt + reply for prompt, reply in given] or [[0]])
    for index, (prompt, reply) in enumerate(given):
        for which, expected, first in ((index, reply, len(prompt)), (index + len(given), prompt[1:], 1)):
            entries = [int(node) for node, owner in zip(pack.node, pack.reply, strict=True) if owner == which]
            path = trie.paths[index]
            assert [int(pack.token[node]) for node in entries] == expected
            assert [int(pack.keep[pack.row[node]]) for node in entries] == path[first - 1 : first - 1 + len(expected)]
            assert int(pack.lengths[which]) == len(expected)


def example(tree: str, prompt: list[int], *replies: list[int]) -> Encoded:
    told = Example(prompt=({"role": "user", "content": "?"},), replies=("a",), tree=tree, source="test row 1")
    return Encoded(told, prompt, list(replies))


examples_lists = st.lists(
    st.builds(example, st.sampled_from("abc"), st.lists(st.integers(0, 1), min_size=1, max_size=6), tokens, tokens),
    min_size=1,
    max_size=20,
)


@given(examples_lists, st.integers(1, 20))
def test_packs_hold_every_example_once_and_exceed_the_budget_only_alone(given: list[Encoded], budget: int) -> None:
    packs = make_packs(given, range(len(given)), budget)
    assert Counter(index for pack in packs for index in pack) == Counter(range(len(given)))
    assert all(pack_size(given, pack) <= budget or len(pack) == 1 for pack in packs)


@given(examples_lists, st.integers(1, 30))
def test_a_group_of_one_prompt_is_split_only_where_it_is_larger_than_the_budget(
    given: list[Encoded], budget: int
) -> None:
    packs = make_packs(given, range(len(given)), budget)
    for prompt in {tuple(each.prompt) for each in given}:
        group = [index for index, each in enumerate(given) if tuple(each.prompt) == prompt]
        holders = [pack for pack in packs if set(pack) & set(group)]
        assert len(holders) == 1 or pack_size(given, group) > budget


@given(examples_lists, st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_every_example_comes_once_an_epoch_and_every_step_has_as_many_packs(
    given: list[Encoded], batch_size: int, trees_per_step: int, epochs: int, processes: int
) -> None:
    plan = make_plan(
        given,
        epochs=epochs,
        batch_size=batch_size,
        trees_per_step=trees_per_step,
        token_budget=12,
        processes=processes,
        seed=1,
    )
    assert plan.packs_per_step % processes == 0
    assert {len(step) for step in plan.steps} == {plan.packs_per_step}
    for epoch in range(epochs):
        steps = plan.steps[epoch * plan.steps_per_epoch : (epoch + 1) * plan.steps_per_epoch]
        assert Counter(index for step in steps for pack in step for index in pack) == Counter(range(len(given)))
        sizes = [sum(map(len, step)) for step in steps]
        assert all(size == batch_size for size in sizes[:-1])
        assert sizes[-1] <= batch_size


def test_a_step_mixes_as_many_trees_as_asked() -> None:
    given = [example(tree, [index], [1], [2]) for tree in "abcdefgh" for index in range(16)]
    for trees in (1, 4, 8):
        plan = make_plan(given, epochs=1, batch_size=16, trees_per_step=trees, token_budget=999)
        mixed = [len({given[index].example.tree for pack in step for index in pack}) for step in plan.steps]
        assert max(mixed) <= trees


def test_the_same_seed_makes_the_same_plan_and_each_epoch_another_order() -> None:
    given = [example(tree, [index], [1], [2]) for tree in "abcdefgh" for index in range(4)]
    plans = [
        make_plan(given, epochs=2, batch_size=8, trees_per_step=2, token_budget=999, seed=seed) for seed in (3, 3, 4)
    ]
    assert plans[0] == plans[1] != plans[2]
    half = plans[0].steps_per_epoch
    assert plans[0].steps[:half] != plans[0].steps[half:]

"""Own-turn judging, margins, labelled replies, demonstrations and ESC-Pro-Random."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cso.dialogue import Dialogue, Speaker
from cso.errors import AnswerError, BudgetSpent, InputError
from cso.extract import (
    above_margin,
    demonstrations,
    extract,
    judge_missing,
    labelled,
    margin,
    pairs,
    path_dialogues,
    random_pairs,
)
from cso.extract.contrast import contrasts
from cso.preference import Pair
from cso.rating import Rating, reward
from cso.settings import ExtractSettings, RewardSettings
from cso.taxonomy import Strategy
from extract_trees import ABC, end, idle, on, pair, tree
from golden_trees import strategy

SETTINGS = ExtractSettings()
GOOD, BAD = Rating(4, 4, 4, 4), Rating(1, 1, 1, 1)


class Judge:
    """Says GOOD to everything but what it is told; remembers what it was shown."""

    def __init__(self, **marks: Rating | Exception) -> None:
        self.marks = marks
        self.shown: list[tuple[str, ...]] = []
        self.under_way = self.most = 0

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Rating:
        self.shown.append(tuple(turn.text for turn in history.turns))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        answer = self.marks.get(history.turns[-1].strategy or "", GOOD)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Supporter:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        assert history.turns[-1].speaker is Speaker.SEEKER
        self.asked.append((history.turns[-1].text, strategy.name))
        return f"{strategy.name} to {history.turns[-1].text}"


def rated(one: Pair, chosen: Rating | None, rejected: Rating | None) -> Pair:
    return replace(one, chosen=replace(one.chosen, rating=chosen), rejected=replace(one.rejected, rating=rejected))


def unreadable() -> AnswerError:
    return AnswerError("no marks", reason="unreadable", text="?")


def test_only_missing_ratings_are_asked_for_each_once_and_all_at_once() -> None:
    grown = tree(end("A", 0.9, rating=BAD), end("B", 0.1), end("C", 0.1), end("D", 0.8))
    judge = Judge()
    made = asyncio.run(judge_missing(pairs(grown, SETTINGS), judge))
    assert sorted(judge.shown) == [("I am sad", f"{name} ends") for name in "BCD"]
    assert judge.most == 3
    assert {one.chosen.rating for one in made.pairs} == {BAD, GOOD}
    assert [one.rejected.rating for one in made.pairs] == [GOOD] * 4
    assert made.unanswered == 0


def test_a_reply_that_the_judge_cannot_rate_stays_without_rating() -> None:
    made = asyncio.run(judge_missing([pair("A", "B"), pair("C", "B")], Judge(B=unreadable())))
    assert [one.rejected.rating for one in made.pairs] == [None, None]
    assert [one.chosen.rating for one in made.pairs] == [GOOD, GOOD]
    assert made.unanswered == 1


def test_an_error_that_concerns_all_questions_is_raised() -> None:
    with pytest.raises(BudgetSpent):
        asyncio.run(judge_missing([pair("A", "B"), pair("C", "B")], Judge(A=BudgetSpent("spent"))))


def test_the_margin_is_that_of_the_own_turns() -> None:
    # 0.5 and 0.1 by Eq. 2: the difference is 0.4, not 0.3999999
    one = rated(pair("A", "B"), Rating(3, 2, 2, 4), Rating(3, 0, 0, 4))
    assert margin(one) == 0.4
    assert margin(one, RewardSettings(alpha=0)) == 0.4
    assert margin(rated(one, GOOD, None)) is None


def test_a_pair_of_exactly_the_margin_is_kept_and_one_below_dropped() -> None:
    even = rated(pair("A", "B"), Rating(3, 2, 2, 4), Rating(3, 0, 0, 4))
    wrong = rated(pair("A", "B"), BAD, GOOD)
    unknown = rated(pair("A", "B"), GOOD, None)
    made = above_margin([even, wrong, unknown], 0.4)
    assert (made.pairs, made.below, made.unrated) == ([even], 1, 1)
    assert above_margin([even, wrong, unknown], None).pairs == [even, wrong, unknown]


def test_a_min_margin_without_ratings_is_refused_with_the_way_out() -> None:
    grown = tree(end("A", 0.9), end("B", 0.1))
    with pytest.raises(InputError, match=r"min_margin=0\.0 .* 1 of 1 pairs lack one: .*--judge"):
        asyncio.run(extract([grown], ExtractSettings(min_margin=0), taxonomy=ABC))


def test_with_a_judge_contradicted_and_unratable_pairs_go_and_are_counted() -> None:
    grown = tree(end("A", 0.9), end("B", 0.1), end("C", 0.1), end("D", 0.1))
    judge = Judge(A=BAD, B=Rating(0, 0, 0, 0), D=unreadable())
    made = asyncio.run(extract([grown], ExtractSettings(min_margin=0), taxonomy=ABC, judge=judge))
    assert [one.rejected.strategy for one in made.pairs] == ["B"]
    assert len(made.found) == 3
    assert (made.dropped.below_margin, made.dropped.unrated, made.dropped.judge_unanswered) == (1, 1, 1)


def test_extract_counts_what_it_drops() -> None:
    trees = [tree(end("A", 0.9), end("B", 0.1), end("C", 0.2), id=id) for id in ("d1", "d2")]
    made = asyncio.run(extract(trees, ExtractSettings(balance="drop"), taxonomy=ABC))
    # two pairs, A over B and A over C: A is chosen twice, so one has to go, and then A 1, B or C -1: the other too
    assert made.dropped.duplicate_pairs == 2
    assert (len(made.found), len(made.pairs), made.dropped.balance) == (2, 0, 2)
    assert made.random is None


def test_each_reply_is_labelled_once() -> None:
    rows = labelled(pairs(tree(end("A", 0.9), end("B", 0.1), end("C", 0.2)), SETTINGS)).rows
    assert [(row.reply.strategy, row.desirable) for row in rows] == [("A", True), ("B", False), ("C", False)]
    assert {row.weight for row in rows} == {1.0}


def test_a_reply_both_chosen_and_rejected_is_left_out_and_counted() -> None:
    trees = [tree(end("A", 0.9), end("B", 0.1)), tree(end("B", 0.9), end("A", 0.1), end("C", 0.1), id="d2")]
    made = labelled(pairs(trees, SETTINGS))
    assert [(row.reply.strategy, row.desirable) for row in made.rows] == [("C", False)]
    assert made.contradictory == 2


def test_the_same_reply_to_another_history_has_a_label_of_its_own() -> None:
    trees = [tree(end("A", 0.9), end("B", 0.1)), tree(end("B", 0.9), end("A", 0.1), id="d2", opening="other")]
    made = labelled(pairs(trees, SETTINGS))
    assert (len(made.rows), made.contradictory) == (4, 0)


def test_demonstrations_are_the_turns_of_valid_paths_each_once() -> None:
    grown = tree(on("A", 0.9, end("A", 0.9), end("B", 0.8), end("C", 0.1)), on("B", 0.9))
    rows = demonstrations([grown, replace(grown, seed=replace(grown.seed, id="d2"))], SETTINGS)
    assert [(row.turn, row.reply.text) for row in rows] == [(1, "A says"), (2, "A ends"), (2, "B ends")]


def test_random_pairs_set_each_preferred_turn_against_another_strategys_reply() -> None:
    grown = tree(on("A", 0.9, end("A", 0.9), end("B", 0.8), idle("C")), idle("B"), idle("C"))
    supporter = Supporter()
    made = asyncio.run(random_pairs([grown], SETTINGS, supporter, ABC)).pairs
    assert [one.chosen.text for one in made] == ["A says", "A ends", "B ends"]
    # at the second turn both A and B are preferred, so C is all that can be drawn
    assert [one.rejected.strategy for one in made[1:]] == ["C", "C"]
    assert made[0].rejected.strategy in "BC"
    assert made[1].rejected.text == "C to go on"
    assert strategy(grown.nodes[made[1].rejected.node]) == "C"


def test_random_strategies_depend_on_the_seed_and_the_dialogue_not_on_the_order() -> None:
    trees = [tree(end("A", 0.9), idle("B"), idle("C"), id=f"d{i}", opening=f"o{i}") for i in range(20)]

    def drawn(seed: int, order: int = 1) -> dict[str, str]:
        made = asyncio.run(random_pairs(trees[::order], ExtractSettings(seed=seed), Supporter(), ABC)).pairs
        return {one.history.id: one.rejected.strategy for one in made}

    assert drawn(0) == drawn(0, order=-1)
    assert drawn(0) != drawn(1)
    assert set(drawn(0).values()) == {"B", "C"}


def test_random_pairs_count_turns_without_an_answer_and_skip_those_without_a_choice() -> None:
    class Silent(Supporter):
        async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
            raise unreadable()

    grown = tree(end("A", 0.9), idle("B"))
    assert asyncio.run(random_pairs([grown], SETTINGS, Silent(), ABC)).unanswered == 1
    lonely = asyncio.run(random_pairs([tree(end("A", 0.9))], SETTINGS, Silent(), ABC))
    assert (lonely.pairs, lonely.unanswered) == ([], 0)


def test_random_pairs_that_read_the_same_are_one() -> None:
    trees = [tree(end("A", 0.9), idle("B"), id=id) for id in ("d1", "d2")]
    assert len(asyncio.run(random_pairs(trees, SETTINGS, Supporter(), ABC)).pairs) == 1


def test_extract_asks_the_supporter_only_if_given_one() -> None:
    grown = tree(end("A", 0.9), idle("B"))
    made = asyncio.run(extract([grown], SETTINGS, taxonomy=ABC, supporter=Supporter()))
    assert made.random is not None
    assert [one.rejected.text for one in made.random] == ["B to I am sad"]


def test_random_pairs_are_evened_out_as_the_others_are() -> None:
    trees = [
        tree(end("A", 0.9), idle("B"), id="d1"),
        tree(end("A", 0.9), idle("B"), opening="I am tired", id="d2"),
        tree(end("B", 0.9), idle("A"), opening="I am cross", id="d3"),
    ]
    made = asyncio.run(extract(trees, ExtractSettings(balance="weights"), taxonomy=ABC, supporter=Supporter()))
    assert made.random is not None
    weights = {strategy: [one.weight for one in made.random if one.chosen.strategy == strategy] for strategy in "AB"}
    assert sum(weights["A"]) == pytest.approx(sum(weights["B"])), "each chosen as often as rejected"
    less = asyncio.run(extract(trees, ExtractSettings(balance="drop"), taxonomy=ABC, supporter=Supporter()))
    assert less.random is not None
    assert less.dropped.random_balance == len(made.random) - len(less.random) == 1


def test_a_contrast_is_an_unvisited_sibling_whose_own_reply_is_judged_poor() -> None:
    grown = tree(on("A", 0.9, end("B", 0.8), idle("A"), idle("C")), idle("B"), on("C", 0.1))
    supporter, judge = Supporter(), Judge(B=BAD, C=unreadable())
    made = asyncio.run(contrasts([grown], SETTINGS, supporter, judge, ABC))
    assert supporter.asked == [("I am sad", "B"), ("go on", "A"), ("go on", "C")], "never about a visited one"
    assert [(one.turn, one.chosen.strategy, one.rejected.strategy) for one in made.pairs] == [(1, "A", "B")]
    [rejected] = [one.rejected for one in made.pairs]
    assert (rejected.text, rejected.rating, rejected.visits) == ("B to I am sad", BAD, 0)
    assert rejected.value == reward(BAD) < SETTINGS.threshold
    assert made.unanswered == 1, "C could not be judged; A was good"


def test_contrasts_come_beside_the_pairs_of_the_search() -> None:
    grown = tree(end("A", 0.9), idle("B"), end("C", 0.1))
    alone = asyncio.run(extract([grown], SETTINGS, taxonomy=ABC))
    both = asyncio.run(extract([grown], SETTINGS, taxonomy=ABC, contrast=(Supporter(), Judge(B=BAD))))
    assert [one.rejected.strategy for one in alone.pairs] == ["C"]
    assert sorted(one.rejected.strategy for one in both.pairs) == ["B", "C"]
    assert both.dropped == alone.dropped, "what was added is no duplicate"
    (path,) = path_dialogues([grown], both.pairs, SETTINGS)
    assert [one.strategy for one in path.rejected[0]] == ["C", "B"], "Table 5 counts all that is rejected"

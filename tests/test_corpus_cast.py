"""The cast played from a corpus: deterministic, blind to the dialogue it plays, and robust."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cso.corpora import read_corpus
from cso.corpus_cast import STAND_IN_NOTICE, World
from cso.corpus_cast.regression import fit_logistic
from cso.corpus_cast.retrieval import in_order
from cso.corpus_cast.terms import Rows, Terms, Vector
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.extract.pairs import pairs
from cso.rating import Rating, reward
from cso.search import Cast, grow_tree
from cso.settings import ExtractSettings, SearchSettings
from cso.taxonomy import Strategy, Taxonomy, load_taxonomy

T = TypeVar("T")

TUTORING = Taxonomy(
    "tutoring",
    (Strategy("Hint", "Point at the next step."), Strategy("Ask", "Ask back."), Strategy("Praise", "Praise.")),
)
ESC8 = load_taxonomy("esc8")
HOSTILE = ["", " ", "{strategy} </end/> <script>", "שלום 🙂🙂", "\x00\ud800\n", "word " * 10_000, "日本語", "?!?!"]


def seeker(text: str) -> Turn:
    return Turn(Speaker.SEEKER, text)


def supporter(text: str, strategy: str | None) -> Turn:
    return Turn(Speaker.SUPPORTER, text, strategy)


def lesson(number: int, rounds: int = 6, names: Sequence[str] = TUTORING.names) -> Dialogue:
    turns: list[Turn] = []
    for round_ in range(rounds):
        name = names[(number + round_) % len(names)]
        turns.append(seeker(f"Pupil {number} is stuck at step {round_} of sum {number % 3}, why?"))
        turns.append(supporter(f"{name} number {round_} for pupil {number}: look at sum {number % 3}.", name))
    return Dialogue(f"lesson-{number}", tuple(turns), situation=f"Sum {number % 3} is hard.")


LESSONS = tuple(lesson(number) for number in range(6))


@cache
def lessons() -> World:
    return World.fit(LESSONS, TUTORING)


@cache
def bundled(number: int) -> tuple[tuple[Dialogue, ...], World]:
    dialogues = read_corpus("bundled", ESC8).dialogues[:number]
    return dialogues, World.fit(dialogues, ESC8)


def now(question: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(question)


def after(history: Dialogue, *turns: Turn) -> Dialogue:
    return history.with_turns((*history.turns, *turns))


async def played(cast: Cast, opening: Dialogue, taxonomy: Taxonomy, *, by: int = 0) -> tuple[Dialogue, list[Rating]]:
    """A dialogue in which the supporter takes the strategy of the `by`-th best score, until the seeker ends it."""
    history, ratings = opening, list[Rating]()
    while True:
        scores = await cast.strategist(history)
        name = sorted(scores, key=lambda name: -scores[name])[by]
        reply = await cast.supporter(history, taxonomy.strategy(name))
        history = after(history, supporter(reply, name))
        ratings.append(await cast.judge(history))
        answer = await cast.seeker(history)
        if answer.ends:
            return history, ratings
        history = after(history, seeker(answer.text))


def opening(dialogue: Dialogue) -> Dialogue:
    return dialogue.with_turns(dialogue.turns[:1])


def texts(dialogue: Dialogue, speaker: Speaker) -> list[str]:
    return [turn.text for turn in dialogue.turns if turn.speaker is speaker]


def test_two_worlds_of_one_corpus_answer_the_same_whatever_the_order_of_questions() -> None:
    dialogues, world = bundled(24)
    again = World.fit(dialogues, ESC8)
    chosen = dialogues[:4]
    forward = [now(played(world.cast(dialogue.id), opening(dialogue), ESC8)) for dialogue in chosen]
    backward = [now(played(again.cast(dialogue.id), opening(dialogue), ESC8)) for dialogue in reversed(chosen)]
    assert forward == backward[::-1]
    assert world.fingerprint == again.fingerprint


def test_the_fingerprint_changes_with_corpus_taxonomy_and_seed() -> None:
    same = World.fit(LESSONS, TUTORING).fingerprint
    fewer = World.fit(LESSONS[:5], TUTORING).fingerprint
    wider = World.fit(LESSONS, Taxonomy("t", (*TUTORING.strategies, Strategy("Joke", "Joke.")))).fingerprint
    dealt = World.fit(LESSONS, TUTORING, seed=1).fingerprint
    assert len({same, fewer, wider, dealt}) == 4
    assert same == lessons().fingerprint


@pytest.mark.parametrize("known_by", ["id", "words", "neither"])
def test_a_dialogue_never_quotes_itself(known_by: str) -> None:
    dialogues, world = bundled(24)
    for dialogue in dialogues[:6]:
        stranger = Dialogue("of another file", dialogue.turns, dialogue.situation)
        cast = world.cast({"id": dialogue.id, "words": stranger, "neither": "of another file"}[known_by])
        whole, _ = now(played(cast, opening(dialogue), ESC8))
        own = set(texts(dialogue, Speaker.SUPPORTER)) | set(texts(dialogue, Speaker.SEEKER)[1:])
        assert not own & {turn.text for turn in whole.turns[1:]}


def test_a_known_dialogue_is_rated_by_what_was_learned_without_it() -> None:
    dialogues, world = bundled(24)
    first = dialogues[0]
    others = dialogues[1:]
    turns = tuple(Turn(turn.speaker, turn.text, turn.strategy and "Share Information") for turn in first.turns)
    changed = World.fit([first.with_turns(turns), *others], ESC8)
    assert now(changed.cast(first.id).strategist(opening(first))) == now(
        world.cast(first.id).strategist(opening(first))
    )
    assert now(changed.cast().strategist(opening(first))) != now(world.cast().strategist(opening(first)))


@pytest.mark.parametrize("by", [0, 3, 7])
def test_nothing_is_said_twice_in_a_dialogue(by: int) -> None:
    dialogues, world = bundled(24)
    for dialogue in dialogues[:4]:
        whole, _ = now(played(world.cast(dialogue.id), opening(dialogue), ESC8, by=by))
        assert len({turn.text for turn in whole.turns}) == len(whole.turns)


def test_a_reply_comes_again_only_when_all_are_used_and_then_the_one_used_longest_ago() -> None:
    cast, ask = lessons().cast("lesson-0"), TUTORING.strategy("Ask")
    replies = {turn.text for other in LESSONS[1:] for turn in other.turns if turn.strategy == "Ask"}
    history = opening(LESSONS[0])
    for _ in range(len(replies) + 2):
        reply = now(cast.supporter(history, ask))
        history = after(history, supporter(reply, "Ask"), seeker("Still stuck."))
    spoken = texts(history, Speaker.SUPPORTER)
    assert set(spoken[: len(replies)]) == replies
    assert spoken[len(replies) :] == spoken[:2]


def test_a_seeker_ends_neither_before_the_earliest_nor_after_the_latest_usual_length() -> None:
    dialogues, world = bundled(24)
    answers = sorted(len(dialogue.turns) // 2 for dialogue in dialogues)
    for dialogue in dialogues[:8]:
        whole, _ = now(played(world.cast(dialogue.id), opening(dialogue), ESC8))
        assert answers[0] - 1 <= len(whole.turns) // 2 <= answers[-1] + 2


def test_scores_and_marks_are_whole_numbers_in_range_for_every_strategy() -> None:
    dialogues, world = bundled(24)
    for dialogue in dialogues[:4]:
        cast = world.cast(dialogue.id)
        for cut in range(1, len(dialogue.turns), 2):
            for sample in (0, 1, 2):
                scores = now(cast.strategist(dialogue.with_turns(dialogue.turns[:cut]), sample=sample))
                assert tuple(scores) == ESC8.names
                assert max(scores.values()) == 10
                assert all(score in range(11) for score in scores.values())
                rating = now(cast.judge(dialogue.with_turns(dialogue.turns[: cut + 1]), sample=sample))
                assert all(mark in range(5) for mark in rating)


def test_further_samples_are_other_draws_that_come_out_the_same_again() -> None:
    dialogues, world = bundled(24)
    history, strategy = dialogues[0].with_turns(dialogues[0].turns[:5]), ESC8.strategies[0]
    again = World.fit(dialogues, ESC8)

    def draws(world: World) -> list[str]:
        cast = world.cast(dialogues[0].id)
        return [now(cast.supporter(history, strategy, sample=sample)) for sample in range(8)]

    assert draws(world) == draws(again)
    assert len(set(draws(world))) > 1


def test_a_dialogue_that_the_supporter_opens_is_played_like_any_other() -> None:
    greeting = supporter("Hello, how are you?", None)
    greeted = [dialogue.with_turns((greeting, *dialogue.turns)) for dialogue in LESSONS]
    plain, with_greeting = lessons().cast("lesson-1"), World.fit(greeted, TUTORING).cast("lesson-1")
    bare = LESSONS[1].with_turns(LESSONS[1].turns[:5])
    whole = greeted[1].with_turns(greeted[1].turns[:6])
    assert now(with_greeting.strategist(whole)) == now(plain.strategist(bare))
    assert now(with_greeting.supporter(whole, TUTORING.strategies[0])) == now(
        plain.supporter(bare, TUTORING.strategies[0])
    )
    assert now(with_greeting.judge(greeted[1])) == now(plain.judge(LESSONS[1]))


def test_supporter_and_seeker_do_not_look_at_the_strategies_of_the_history() -> None:
    cast, shown = lessons().cast("lesson-2"), LESSONS[2].with_turns(LESSONS[2].turns[:5])
    hidden = shown.with_turns(Turn(turn.speaker, turn.text) for turn in shown.turns)
    for strategy in TUTORING:
        assert now(cast.supporter(shown, strategy)) == now(cast.supporter(hidden, strategy))
        reply = supporter("A reply.", strategy.name)
        assert now(cast.seeker(after(shown, reply))) == now(cast.seeker(after(hidden, supporter("A reply.", None))))


def test_a_seeker_says_goodbye_with_the_words_that_the_corpus_has_after_the_last_reply() -> None:
    leaving = [after(dialogue, seeker(f"Bye from pupil {number}.")) for number, dialogue in enumerate(LESSONS)]
    cast = World.fit(leaving, TUTORING).cast("lesson-0")
    whole, _ = now(played(cast, opening(LESSONS[0]), TUTORING))
    last = now(cast.seeker(whole))
    assert last.ends
    assert last.text == "" or last.text.startswith("Bye from pupil")


def test_a_strategy_that_never_occurs_scores_0_earns_no_mark_and_is_still_answered() -> None:
    rare = Taxonomy("rare", (*TUTORING.strategies, Strategy("Joke", "Make them laugh.")))
    cast = World.fit(LESSONS, rare).cast("lesson-0")
    history = opening(LESSONS[0])
    assert now(cast.strategist(history))["Joke"] == 0
    reply = now(cast.supporter(history, rare.strategy("Joke")))
    assert reply
    assert now(cast.judge(after(history, supporter(reply, "Joke")))).strategy == 0


@pytest.mark.parametrize(
    "corpus",
    [
        LESSONS,
        LESSONS[:2],
        [lesson(0, rounds=1), lesson(1, rounds=1)],
        [lesson(number, names=["Ask"]) for number in range(6)],
        [lesson(0, names=["Ask"]), lesson(1, names=["Hint"])],
        [lesson(0, names=["Ask", "Hint"]), lesson(1, names=["Ask", "Hint"]), lesson(2, names=["Praise"])],
    ],
)
def test_a_tiny_corpus_grows_trees(corpus: Sequence[Dialogue]) -> None:
    world = World.fit(corpus, TUTORING)
    quick = SearchSettings(iterations=8, fresh_rollouts=True, revisit_ends=True)
    for dialogue in (corpus[0], Dialogue("new", (seeker("Hm."), supporter("Yes?", "Ask")))):
        tree = now(grow_tree(dialogue, world.cast(dialogue.id), TUTORING, quick))
        assert tree.iterations == 8


def test_too_small_a_corpus_an_unknown_strategy_and_an_id_used_twice_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least 2 dialogues.*found 1 among 1"):
        World.fit(LESSONS[:1], TUTORING)
    with pytest.raises(InputError, match="found 0 among 2"):
        World.fit([opening(dialogue) for dialogue in LESSONS[:2]], TUTORING)
    with pytest.raises(InputError, match="lesson-1, turn 2: the strategy 'Ask' is not in taxonomy esc8"):
        World.fit([LESSONS[1], LESSONS[0]], ESC8)
    with pytest.raises(InputError, match="'lesson-0' several times"):
        World.fit([LESSONS[0], LESSONS[0]], TUTORING)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_taken_in_a_corpus_and_in_a_history(text: str) -> None:
    spoilt = [after(dialogue, seeker(text), supporter(text, "Ask")) for dialogue in LESSONS]
    for world in (lessons(), World.fit(spoilt, TUTORING), World.fit([lesson_of(text, n) for n in "ab"], TUTORING)):
        history = Dialogue("x", (seeker(text), supporter(text, "Hint"), seeker(text)), situation=text)
        for sample in (0, 1):
            cast = world.cast()
            assert set(now(cast.strategist(history, sample=sample))) == set(TUTORING.names)
            assert isinstance(now(cast.supporter(history, TUTORING.strategies[0], sample=sample)), str)
            heard = after(history, supporter(text, "Hint"))
            assert isinstance(now(cast.seeker(heard, sample=sample)).text, str)
            assert all(0 <= mark <= 4 for mark in now(cast.judge(heard, sample=sample)))


def lesson_of(text: str, id_: str) -> Dialogue:
    return Dialogue(id_, (seeker(text), supporter(text, "Ask"), seeker(text), supporter(text, "Hint")))


@given(st.lists(st.tuples(st.text(max_size=20), st.sampled_from([*TUTORING.names, "Unheard of", None])), min_size=1))
@settings(max_examples=50, deadline=None)
def test_any_history_gets_marks_and_an_answer(exchanges: list[tuple[str, str | None]]) -> None:
    turns = [turn for text, name in exchanges for turn in (seeker(text), supporter(text, name))]
    history, cast = Dialogue("x", tuple(turns)), lessons().cast()
    assert all(0 <= mark <= 4 for mark in now(cast.judge(history)))
    assert isinstance(now(cast.seeker(history)).text, str)
    assert max(now(cast.strategist(after(history, seeker("So?")))).values()) == 10


def test_a_misfit_is_held_against_the_next_turn_as_well() -> None:
    dialogues, world = bundled(24)
    cast, history = world.cast(dialogues[0].id), opening(dialogues[0])
    scores = now(cast.strategist(history))
    marks: list[int] = []
    for name in (max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)):
        first = after(history, supporter("I see.", name), seeker("And then it got worse at work."))
        next_ = now(cast.strategist(first))
        best = max(next_, key=next_.__getitem__)
        marks.append(now(cast.judge(after(first, supporter("I see that too.", best)))).strategy)
    assert marks[0] == 4
    assert marks[1] < 4


def test_repeating_a_reply_and_ignoring_the_seeker_cost_marks() -> None:
    dialogues, world = bundled(24)
    cast, history, name = world.cast(), opening(dialogues[0]), ESC8.names[0]
    echo = f"I hear what you say, and I take it to heart, all of it: {history.turns[0].text}"
    heard = now(cast.judge(after(history, supporter(echo, name))))
    deaf = now(cast.judge(after(history, supporter("Zyx wvu tsr. " * 6, name))))
    assert heard.empathy > deaf.empathy
    again = after(history, supporter(echo, name), seeker("Hm."), supporter(echo, name))
    assert now(cast.judge(again)).humanoid == heard.humanoid - 3  # 2 for the reply, 1 for the strategy


def test_unused_moments_come_first_then_the_least_recently_used_then_the_nearest_then_the_earlier() -> None:
    nearness, used = np.array([0.1, 0.9, 0.5, 0.5, 0.8, 0.7]), np.array([-1, 3, -1, -1, 1, -1])
    assert list(in_order(nearness, used, np.arange(5))) == [2, 3, 0, 4, 1]


def test_term_weights_are_as_computed_by_hand() -> None:
    terms = Terms.fit(["a b", "a c", "A b b"], longest=1, rarest=2)
    assert dict(terms.columns) == {"a": 0, "b": 1}
    b = (1 + np.log(2)) * (1 + np.log(4 / 3))  # twice in the text, in 2 of 3 texts; `a` is in all: idf 1
    length = np.hypot(1, b)
    assert terms.vector("b A b zzz").weights == pytest.approx([1 / length, b / length])


@given(st.lists(st.text("abc ?", max_size=12), min_size=1, max_size=6), st.text("abc ?", max_size=12))
def test_similarity_to_rows_is_the_cosine_with_each(row_texts: list[str], text: str) -> None:
    terms = Terms.fit(row_texts, rarest=1)

    def dense(vector: Vector) -> list[float]:
        row = np.zeros(len(terms))
        row[vector.columns] = vector.weights
        return row.tolist()

    rows = [terms.vector(row) for row in row_texts]
    expected = np.array([dense(row) for row in rows]) @ np.array(dense(terms.vector(text)))
    assert Rows(rows, len(terms)).similarity(terms.vector(text)) == pytest.approx(expected)


@pytest.mark.parametrize("labels", [[0, 2, 0, 2], [0, 1, 2, 1]])
def test_the_regression_prefers_the_label_that_goes_with_a_column(labels: list[int]) -> None:
    rows = [Vector(np.array([place]), np.ones(1)) for place in range(4)]
    coefficients, intercepts = fit_logistic(rows, labels, width=4, classes=4, strength=10)
    logits = coefficients.T + intercepts
    assert logits.argmax(axis=1).tolist() == labels
    assert np.isneginf(logits[:, 3]).all()


def test_without_rows_or_with_one_label_no_regression_is_needed() -> None:
    row = Vector(np.array([0]), np.ones(1))
    assert fit_logistic([], [], width=1, classes=2, strength=1)[1].tolist() == [0, 0]
    assert fit_logistic([row], [1], width=1, classes=2, strength=1)[1].tolist() == [-np.inf, 0]


def test_the_notice_says_that_it_is_a_stand_in() -> None:
    assert "stand-in" in STAND_IN_NOTICE
    assert "stand-in" in (World.__doc__ or "")


@pytest.mark.slow
def test_unseen_dialogues_are_predicted_far_better_than_by_chance() -> None:
    dialogues, world = bundled(120)
    hits = {name: np.zeros(3) for name in ESC8.names}  # true, said, both
    for dialogue in dialogues:
        cast = world.cast(dialogue.id)
        for cut in range(1, len(dialogue.turns), 2):
            scores = now(cast.strategist(dialogue.with_turns(dialogue.turns[:cut])))
            true, best = dialogue.turns[cut].strategy, max(scores, key=scores.__getitem__)
            assert true is not None
            hits[true] += [1, 0, true == best]
            hits[best] += [0, 1, 0]
    macro_f1 = np.mean([2 * both / (true + said) for true, said, both in hits.values()])
    assert macro_f1 >= 0.38  # chance: about 0.12


@pytest.mark.slow
def test_the_judge_likes_gold_and_seldom_a_random_strategy() -> None:
    dialogues, world = bundled(120)
    random = np.random.default_rng(0)
    liked: dict[str, list[bool]] = {"gold": [], "random": []}
    for dialogue in dialogues[:60]:
        cast = world.cast(dialogue.id)
        for cut in range(1, len(dialogue.turns), 2):
            history, gold = dialogue.with_turns(dialogue.turns[:cut]), dialogue.turns[cut]
            strategy = random.choice([name for name in ESC8.names if name != gold.strategy])
            other = supporter(now(cast.supporter(history, ESC8.strategy(strategy))), strategy)
            liked["gold"].append(reward(now(cast.judge(after(history, gold)))) > 0.5)
            liked["random"].append(reward(now(cast.judge(after(history, other)))) > 0.5)
    assert np.mean(liked["gold"]) > 0.45
    assert np.mean(liked["random"]) < 0.12


@pytest.mark.slow
def test_a_default_search_finds_pairs_that_gold_wins_and_pairs_that_other_replies_win() -> None:
    dialogues, world = bundled(120)
    trees = [now(grow_tree(dialogue, world.cast(dialogue.id), ESC8, SearchSettings())) for dialogue in dialogues[:20]]
    found = pairs(trees, ExtractSettings())
    gold = sum(pair.chosen.gold for pair in found)
    assert len(found) >= 100
    assert 0.4 <= gold / len(found) <= 0.9

"""A chat model as judge of replies: what is asked, what is read, and how a judge that prefers a position shows."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError, RequestError
from cso.evaluate import Answer, Item, judging
from cso.evaluate.judging import CRITERIA
from cso.llm.chat import Completion, Request
from cso.roles.ask import Asking
from cso.taxonomy import Speakers, Taxonomy, load_taxonomy

ESC8 = load_taxonomy("esc8")
TUTORING = replace(ESC8, task="You tutor a learner.", speakers=Speakers("Learner", "Tutor"))
mark, better = partial(judging.mark, taxonomy=ESC8), partial(judging.better, taxonomy=ESC8)


def judge(reply: Callable[[str], str]) -> Asking:
    async def chat(request: Request) -> Completion:
        return Completion(reply(request.messages[0].content))

    return Asking(role="judge", chat=chat, model="j", temperature=0, max_tokens=50)


def answers(texts: list[str], dialogues: int = 4) -> list[Answer]:
    seeker = Turn(Speaker.SEEKER, "I cannot sleep.")
    return [
        Answer(
            Item(Dialogue(f"d{number % dialogues}", (seeker,)), number, "Affirmation", "Gold", 0), "Affirmation", text
        )
        for number, text in enumerate(texts)
    ]


def shown(prompt: str) -> list[str]:
    return re.findall(r"Reply [AB]:\n\(Affirmation\) (\w+)", prompt)


GOOD, BAD = answers(["good"] * 8), answers(["bad"] * 8)


def asked(taxonomy: Taxonomy) -> list[str]:
    """What a judge is asked of a reply, then of two in both orders."""
    seen: list[str] = []

    def reply(prompt: str) -> str:
        seen.append(prompt)
        return json.dumps(dict.fromkeys(CRITERIA, 3) | {"better": "tie"})

    asyncio.run(mark(answers(["good"]), judge(reply), taxonomy=taxonomy))
    asyncio.run(better(answers(["good"]), answers(["bad"]), judge(reply), taxonomy=taxonomy))
    return seen


def test_what_a_judge_of_support_is_asked_stays_byte_for_byte() -> None:
    """Remembered answers are found by their question."""
    hashes = [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in asked(ESC8)]
    assert hashes == ["81dbaeb7aa404e46", "f0e0540f1799fb05", "d5882ccab27a285d"]


def test_a_judge_of_another_task_is_told_it_and_nothing_of_support() -> None:
    for prompt in asked(TUTORING):
        assert "a conversation between Learner and Tutor" in prompt
        assert "might give next. Tutor has this task: You tutor a learner.\n\nLearner: I cannot sleep.\n" in prompt
        assert not re.search("support|distress|seek", prompt, re.IGNORECASE)
    assert "Which reply serves that task better, now?" in asked(TUTORING)[1]


def test_a_judge_that_knows_decides_alike_in_both_orders() -> None:
    knows = judge(lambda prompt: json.dumps({"better": "AB"[shown(prompt).index("good")]}))
    found = asyncio.run(better(GOOD, BAD, knows))
    assert (found.win.value, found.lose.value, found.tie.value) == (1, 0, 0)
    assert (found.agreement, found.first, found.judged, found.unread) == (1, 0.5, 8, 0)
    assert asyncio.run(better(BAD, GOOD, knows)).lose.value == 1


def test_a_judge_that_prefers_what_it_sees_first_gives_ties_and_is_found_out() -> None:
    found = asyncio.run(better(GOOD, BAD, judge(lambda _: 'Better: B... no, I mean {\'x\': 1} "better": "A"')))
    assert (found.win.value, found.lose.value, found.tie.value) == (0, 0, 1)
    assert (found.agreement, found.first) == (0, 1)


def test_verdicts_that_cannot_be_read_are_counted() -> None:
    half = judge(lambda prompt: "tie" if shown(prompt)[0] == "good" else "both are fine, A and B")
    with pytest.raises(InputError, match="could read none"):
        asyncio.run(better(GOOD, BAD, half))
    always_tie = asyncio.run(better(GOOD, BAD, judge(lambda _: "**Tie**")))
    assert (always_tie.tie.value, always_tie.agreement) == (1, 1)


def test_only_a_label_by_itself_is_a_verdict() -> None:
    def first_says(text: str) -> Callable[[str], str]:
        return lambda prompt: text if shown(prompt)[0] == "good" else '{"better": "tie"}'

    for text in ('{"better": "a tie"}', '{"better": "Both"}', '{"better": "A or B"}', '"better": "A", "better": "B"'):
        with pytest.raises(InputError, match="could read none"):
            asyncio.run(better(GOOD, BAD, judge(first_says(text))))
    found = asyncio.run(better(GOOD, BAD, judge(first_says('{"better": A}'))))
    assert (found.first, found.agreement, found.tie.value) == (1, 0, 1)


def test_equal_replies_are_ties_that_nobody_is_asked_about() -> None:
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        return json.dumps({"better": "AB"[shown(prompt).index("good")]})

    half = answers(["good", "bad"] * 4)
    found = asyncio.run(better(half, BAD, judge(reply)))
    assert len(asked) == 8
    assert (found.win.value, found.tie.value, found.judged, found.same) == (0.5, 0.5, 4, 4)
    nothing = asyncio.run(better(BAD, BAD, judge(reply)))
    assert (nothing.tie.value, nothing.agreement, nothing.first, nothing.same) == (1, None, None, 8)


def test_truth_is_no_mark() -> None:
    marks = dict.fromkeys(CRITERIA, 4) | {"Alignment": True}
    with pytest.raises(InputError, match="could read none"):
        asyncio.run(mark(answers(["good"]), judge(lambda _: json.dumps(marks))))


def test_marks_are_means_over_replies_and_satisfaction_is_the_mean_of_three() -> None:
    def reply(prompt: str) -> str:
        high = "good" in prompt
        return json.dumps({"Acceptance": 5 if high else 1, "Effectiveness": 4, "Sensitivity": 3, "Alignment": 2})

    found = asyncio.run(mark(answers(["good", "bad"] * 4), judge(reply)))
    assert {name: each.value for name, each in found.means.items()} == pytest.approx(
        {"Acceptance": 3, "Effectiveness": 4, "Sensitivity": 3, "Alignment": 2, "Satisfaction": 10 / 3}
    )
    assert (found.judged, found.unread) == (8, 0)


def test_marks_in_prose_are_read_and_marks_out_of_range_are_asked_for_again() -> None:
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        return "\n".join(f"{name}: {9 if len(asked) == 1 else 2}" for name in CRITERIA)

    found = asyncio.run(mark(answers(["good"]), judge(reply)))
    assert found.means["Alignment"].value == 2
    assert len(asked) == 2


def test_a_refused_request_is_an_unread_reply() -> None:
    def reply(prompt: str) -> str:
        if "bad" in prompt:
            raise RequestError("no")
        return json.dumps(dict.fromkeys(CRITERIA, 4))

    found = asyncio.run(mark(answers(["good", "bad", "good", "bad"]), judge(reply)))
    assert (found.judged, found.unread, found.means["Acceptance"].value) == (2, 2, 4)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="strategies only"):
        asyncio.run(mark(answers(["", ""]), judge(lambda _: "")))
    with pytest.raises(InputError, match="same test items"):
        asyncio.run(better(GOOD, BAD[:3], judge(lambda _: "")))

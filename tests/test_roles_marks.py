"""What models really send for scores, and what was meant."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.errors import AnswerError
from cso.rating import Rating
from cso.roles import judge, load_rubric, strategist
from cso.taxonomy import Strategy, Taxonomy, load_taxonomy

TUTORING = Taxonomy("tutoring", (Strategy("Hint", "h"), Strategy("Worked Example", "w"), Strategy("Let them-try", "l")))
WANTED = {"Hint": 7.0, "Worked Example": 3.0, "Let them-try": 10.0}
PLAIN = '{"Hint": 7, "Worked Example": 3, "Let them-try": 10}'
ESC = load_rubric("esc")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.lower(),
        PLAIN.upper(),
        f"```json\n{PLAIN}\n```",
        f"```\n{PLAIN}\n```",
        f"Let me think. The seeker {{is}} tired [1].\n\n{PLAIN}\n\nI hope this helps {{:",
        f"<think>{PLAIN.replace('7', '1')}</think>{PLAIN}",
        f"</think>{PLAIN}",
        f"A first try: {PLAIN.replace('7', '1')}\nOn second thoughts: {PLAIN}",
        f'For instance {{"Hint": 1}}. My answer: {PLAIN}',
        f'{PLAIN}\nHere {{"Hint": 1}} would be too low.',
        '{"hint": "7", "worked_example": "3/10", "LET THEM TRY": "10 / 10"}',
        '{"Hint": 7.0, "Worked Example (WE)": 3, "Let them-try": "10 out of 10"}',
        '{"scores": {"Hint": 7, "Worked Example": 3, "Let them-try": 10}}',
        '{"reasoning": "The Hint: 2 ...", "result": {"scores": {"Hint": 7, "Worked Example": 3, "Let them-try": 10}}}',
        '{"Hint": {"score": 7, "why": "9 reasons"}, "Worked Example": {"rating": 3}, "Let them-try": {"value": 10}}',
        '[{"strategy": "Hint", "score": 7}, {"strategy": "worked example", "score": "3"}, '
        '{"strategy": "Let them-try", "score": 10}]',
        '[{"name": "1. Hint", "rating": 7}, {"name": "2. Worked Example", "rating": 3}, '
        '{"name": "3. Let them-try", "rating": 10}]',
        '{"strategies": [{"Strategy": "Hint", "Score": 7}, {"Strategy": "Worked Example", "Score": 3}, '
        '{"Strategy": "Let them-try", "Score": 10}]}',
        '[{"Hint": 7}, {"Worked Example": 3}, {"Let them-try": 10}]',
        '{"Hint": 7, "Worked Example": 3, "Let them-try": 10, "Jokes": 9}',
        "{'Hint': 7, 'Worked Example': 3, 'Let them-try': 10}",
        '{"Hint": 7, "Worked Example": 3, "Let them-try": 10,}',
        "Hint: 7\nWorked Example: 3\nLet them-try: 10",
        "- **Hint**: 7/10\n- **Worked Example**: 3/10\n- **Let them-try**: 10/10 (best)",
        "1. Hint: 7 - fine\n2. Worked Example: 3 - too early\n3. Let them-try: 10 - yes",
        "* Hint (H) = 7\n* Worked Example = 3\n* Let them-try = 10.",
        "| Strategy | Score |\n|---|---|\n| Hint | 7 |\n| Worked Example | 3 |\n| Let them-try | 10 |",
        "Hint: 1\nNo, better:\nHint: 7, Worked Example: 3, Let them-try: 10",
    ],
)
def test_scores_are_read_in_the_taxonomys_order(text: str) -> None:
    scores = strategist.parse(text, TUTORING)
    assert scores == WANTED
    assert list(scores) == list(TUTORING.names)


def test_scores_need_not_be_whole() -> None:
    assert strategist.parse('{"Hint": 7.25, "Worked Example": ".5", "Let them-try": 0}', TUTORING) == {
        "Hint": 7.25,
        "Worked Example": 0.5,
        "Let them-try": 0,
    }


def without(**changes: Any) -> str:
    return json.dumps(json.loads(PLAIN) | changes)


@pytest.mark.parametrize(
    ("text", "reason", "complaint"),
    [
        ("", "empty", "found nothing"),
        ("<think>hm", "empty", "found nothing"),
        ("I cannot say.", "unreadable", "Hint: missing; Worked Example: missing; Let them-try: missing"),
        ('{"Hint": 7, "Worked Example": 3}', "unreadable", "Let them-try: missing"),
        (PLAIN[:-5], "unreadable", "Let them-try: missing"),
        ("[[7, 3, 10]]", "unreadable", "Hint: missing"),
        (without(Hint=11), "unreadable", "Hint: 11 is out of range"),
        (without(Hint=-1), "unreadable", "Hint: -1 is out of range"),
        (without(Hint="-0.5"), "unreadable", "Hint: -0.5 is out of range"),
        (without(Hint=10**400), "unreadable", "is out of range"),
        (without(Hint=math.nan), "unreadable", "Hint: nan is"),
        (without(Hint=math.inf), "unreadable", "Hint: inf is"),
        (without(Hint=None), "unreadable", "Hint: None is not a number"),
        (without(Hint=True), "unreadable", "Hint: True is not a number"),
        (without(Hint="high"), "unreadable", "Hint: 'high' is not a number"),
        (without(Hint="7-8"), "unreadable", "Hint: '7-8' is not a number"),
        (without(Hint="7/5"), "unreadable", "Hint: '7/5' is not a number"),
        (without(Hint=[7]), "unreadable", "is not a number"),
        (without(hint=6), "unreadable", "is not a number"),
        ("Hint: 7/100\nWorked Example: 3\nLet them-try: 10", "unreadable", "Hint: missing"),
        ("Hint: 7-8\nWorked Example: 3\nLet them-try: 10", "unreadable", "Hint: missing"),
        ("Hint: 70%\nWorked Example: 3\nLet them-try: 10", "unreadable", "Hint: missing"),
        ("Hint: 7\nWorked Example: 3\nLet them-try: 11", "unreadable", "Let them-try: 11 is out of range"),
        ("[" * 10_000, "unreadable", "missing"),
        ("H\u0131nt: 3", "unreadable", "missing"),
        ('{"a":' * 10_000, "unreadable", "missing"),
        ("{" * 10_000, "unreadable", "missing"),
    ],
)
def test_scores_that_cannot_be_used_are_refused_by_name(text: str, reason: str, complaint: str) -> None:
    with pytest.raises(AnswerError) as caught:
        strategist.parse(text, TUTORING)
    assert caught.value.reason == reason
    assert complaint in str(caught.value)
    assert caught.value.text == text


@pytest.mark.parametrize("name", ["esc8", "extes15", "esconv8"])
def test_every_bundled_taxonomy_is_read_from_json_and_from_lines(name: str) -> None:
    taxonomy = load_taxonomy(name)
    scores = {strategy: float(place % 11) for place, strategy in enumerate(taxonomy.names)}
    assert strategist.parse(json.dumps(scores), taxonomy) == scores
    lines = "\n".join(f"{n}. **{strategy}**: {score}" for n, (strategy, score) in enumerate(scores.items(), 1))
    assert strategist.parse(lines, taxonomy) == scores


@pytest.mark.parametrize(
    "text",
    [
        '{"E": 3, "I": 2, "H": 4, "S": 1}',
        '{"e": 3, "i": 2, "h": 4, "s": 1}',
        '```json\n{"E": 3, "I": 2, "H": 4, "S": 1}\n```',
        '{"Empathy": 3, "Information": "2/4", "Humanoid": "4", "Strategy": 1.0}',
        '{"1": 3, "2": 2, "3": 4, "4": 1}',
        '{"scores": {"E": 3, "I": 2, "H": 4, "S": 1}}',
        '{"E": {"score": 3}, "I": {"score": 2}, "H": {"score": 4}, "S": {"score": 1}}',
        '[{"criterion": "Empathy", "score": 3}, {"criterion": "Information", "score": 2}, '
        '{"criterion": "Humanoid", "score": 4}, {"criterion": "Strategy", "score": 1}]',
        '[{"question": 1, "mark": 3}, {"question": 2, "mark": 2}, {"question": 3, "mark": 4}, '
        '{"question": 4, "mark": 1}]',
        "[3, 2, 4, 1]",
        "1: 3\n2: 2\n3: 4\n4: 1",
        "1. 3\n2. 2\n3. 4\n4. 1",
        "1) 3\n2) 2\n3) 4\n4) 1",
        "  1 : 3\r\n2 : 2\r\n3 : 4\r\n4 : 1\r\n",
        "1: 3, 2: 2, 3: 4, 4: 1",
        "1: 3/4\n2: 2/4\n3: 4/4\n4: 1/4",
        "1. Empathy: 3\n2. Information: 2\n3. Humanoid: 4\n4. Strategy: 1",
        "Empathy: 3/4\nInformation: 2/4\nHumanoid: 4/4\nStrategy: 1/4",
        "**Empathy (E)**: 3\n**Information (I)**: 2\n**Humanoid (H)**: 4\n**Strategy (S)**: 1",
        "**Empathy:** 3 - warm\n**Information:** 2 - thin\n**Humanoid:** 4 - yes.\n**Strategy:** 1 - beside the point",
        "E: 3\nI: 2\nH: 4\nS: 1",
        "E=3, I=2, H=4, S=1",
        "Question 1: 3\nQuestion 2: 2\nQuestion 3: 4\nQuestion 4: 1",
        "Here are my marks [see above].\n\n1: 3\n2: 2\n3: 4\n4: 1\n\nThe reply is short.",
        '<think>1: 1\n2: 1\n3: 1\n4: 1</think>{"E": 3, "I": 2, "H": 4, "S": 1}',
        "1: 4\n2: 4\n3: 4\n4: 4\nCorrected:\n1: 3\n2: 2\n3: 4\n4: 1",
    ],
)
def test_marks_are_read(text: str) -> None:
    assert judge.parse(text, ESC) == Rating(3, 2, 4, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1: 3\n2: 2\n3: 4", "Strategy: missing"),
        ('{"E": 3, "I": 2, "H": 4}', "Strategy: missing"),
        ('{"E": 3, "I": 2, "H": 4, "S": 5}', "Strategy: 5 is out of range"),
        ('{"E": -1, "I": 2, "H": 4, "S": 1}', "Empathy: -1 is out of range"),
        ('{"E": 3.5, "I": 2, "H": 4, "S": 1}', "Empathy: 3.5 is not a whole number"),
        ('{"E": NaN, "I": 2, "H": 4, "S": 1}', "Empathy: nan is not a whole number"),
        ('{"E": true, "I": 2, "H": 4, "S": 1}', "Empathy: True is not a whole number"),
        ('{"E": null, "I": 2, "H": 4, "S": 1}', "Empathy: None is not a whole number"),
        ('{"E": "3/5", "I": 2, "H": 4, "S": 1}', "Empathy: '3/5' is not a whole number"),
        ("1: 3.5\n2: 2\n3: 4\n4: 1", "Empathy: 3.5 is not a whole number"),
        ("1: 7\n2: 2\n3: 4\n4: 1", "Empathy: 7 is out of range"),
        ("1: 3/5\n2: 2\n3: 4\n4: 1", "Empathy: missing"),
        ("[3, 2, 4]", "Empathy: missing"),
        ("3 2 4 1", "Empathy: missing"),
        ("I would give it 3 for empathy.", "Empathy: missing"),
    ],
)
def test_marks_that_cannot_be_used_are_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(AnswerError) as caught:
        judge.parse(text, ESC)
    assert caught.value.reason == "unreadable"
    assert complaint in str(caught.value)


@given(st.tuples(*[st.integers(0, 4)] * 4), st.sampled_from(["json", "lines", "names"]))
def test_every_rating_is_read_back(marks: tuple[int, int, int, int], form: str) -> None:
    match form:
        case "json":
            text = json.dumps(dict(zip("EIHS", marks, strict=True)))
        case "lines":
            text = "\n".join(f"{n}: {mark}" for n, mark in enumerate(marks, 1))
        case _:
            text = "\n".join(f"{c.name}: {mark}/4" for c, mark in zip(ESC.criteria, marks, strict=True))
    assert judge.parse(text, ESC) == Rating(*marks)


@given(st.text(alphabet=st.sampled_from(' \n{}[]":,.-/1234567890EIHSint"orked xampl'), max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (lambda: judge.parse(text, ESC), lambda: strategist.parse(text, TUTORING)):
        try:
            parse()
        except AnswerError:
            continue


@pytest.mark.parametrize("unit", [" ", "\n", "1", "1.", "{", "E: ", "*", "Hint", "- ", "/", '"', "|"])
@pytest.mark.timeout(20)  # a quadratic reader takes longer
def test_no_text_keeps_the_reader_busy(unit: str) -> None:
    for text in (unit * (20_000 // len(unit)) + "x", "Hint" + unit * (20_000 // len(unit)) + "x"):
        for parse in (lambda text: judge.parse(text, ESC), lambda text: strategist.parse(text, TUTORING)):
            with pytest.raises(AnswerError):
                parse(text)

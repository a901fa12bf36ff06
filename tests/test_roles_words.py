"""What models really send for a turn, and what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cso.dialogue import Speaker
from cso.errors import AnswerError
from cso.roles import seeker, supporter
from cso.roles.words import spoken
from cso.search import Utterance
from cso.taxonomy import Speakers, load_taxonomy

ESC8 = load_taxonomy("esc8")
NAMES = ESC8.speakers
REPLY = "That sounds really hard."


@pytest.mark.parametrize(
    "text",
    [
        REPLY,
        f"  {REPLY}\n",
        f'"{REPLY}"',
        f"“{REPLY}”",
        f"Supporter: {REPLY}",
        f"supporter : {REPLY}",
        f"SUPPORTER:\n{REPLY}",
        f"**Supporter:** {REPLY}",
        f"**Supporter**: {REPLY}",
        f"[Supporter]: {REPLY}",
        f"Assistant: {REPLY}",
        f'Supporter: "{REPLY}"',
        f"Supporter (Affirmation): {REPLY}",
        f"Supporter (Emotional Validation (EV)): {REPLY}",
        f"(Affirmation) {REPLY}",
        f"[Affirmation] {REPLY}",
        f"(affirmation): {REPLY}",
        f"**(Affirmation)** {REPLY}",
        f"(Emotional Validation (EV)) {REPLY}",
        f"(avoid judgment-and criticism) {REPLY}",
        f"(Affirmation) Supporter: {REPLY}",
        f"Supporter: [Affirmation] {REPLY}",
        f"```\n{REPLY}\n```",
        f"```text\n{REPLY}\n```",
        f"<think>The seeker said:\nSeeker: hi\nSupporter: no</think>\n\n{REPLY}",
        f"<thinking>hm</thinking>{REPLY}",
        f"Okay, the seeker is sad.\n</think>\n{REPLY}",
        f"{REPLY}\nSeeker: Thanks, I guess.\nSupporter: Any time.",
        f"{REPLY}\n\n**Seeker:** Thanks.",
        f"Supporter: {REPLY}\n  seeker: Thanks.",
        f'"{REPLY}"\n\nUser: Thanks.',
    ],
)
def test_a_reply_is_read_without_what_stands_around_it(text: str) -> None:
    assert supporter.parse(text, ESC8) == REPLY


@pytest.mark.parametrize(
    "text",
    [
        "(sighs) I know that feeling.",
        "[pause] Go on.",
        "(Affirmation is a big word) but you did well.",
        'She said "leave" and then "stay"',
        '"Leave," she said, "or stay."',
        "'Tis what it is, darlin'",
        "'I can't', you said.",
        "Don't say 'never'",
        'You said "never"',
        "Affirmation: is that the word you are after?",
        "Emotional validation is what you need.",
        "One thing: breathe.",
        "What did the supporter: say?",
        "Use {strategy} or {{ history }} or </end/> as you like.",
        "<script>alert(1)</script>",
        "Two lines\nare fine, too.\n\n- even\n- a list",
        "1. Breathe.\n2. Rest.",
        "**You** did *well*.",
        "Try `sleep` first; ```then``` rest.",
        "I <think> so </think too",
        "😀 مرحبا — 你好",
        "The seeker in you: listen to it.",
        "...",
    ],
)
def test_what_people_might_say_is_left_alone(text: str) -> None:
    assert supporter.parse(text, ESC8) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I lost my job.", Utterance("I lost my job.", ends=False)),
        ("Seeker: I lost my job.", Utterance("I lost my job.", ends=False)),
        ("(Affirmation) is what she wrote", Utterance("(Affirmation) is what she wrote", ends=False)),
        ("I lost it.\nSupporter (Affirmation): You can do it.", Utterance("I lost it.", ends=False)),
        ("I lost it.\nSupporter: You can.\nSeeker: Bye </end/>", Utterance("I lost it.", ends=False)),
        ("</end/>", Utterance("", ends=True)),
        ("  </END/>\n", Utterance("", ends=True)),
        ("</ end />", Utterance("", ends=True)),
        ("</end>", Utterance("", ends=True)),
        ("<end/>", Utterance("", ends=True)),
        ("Seeker: </end/>", Utterance("", ends=True)),
        ('"</end/>"', Utterance("", ends=True)),
        ("`</end/>`", Utterance("", ends=True)),
        ("```\n</end/>\n```", Utterance("", ends=True)),
        ("**</end/>**", Utterance("", ends=True)),
        ("Thank you, bye! </end/>", Utterance("Thank you, bye!", ends=True)),
        ("Seeker: Bye!\n</end/>", Utterance("Bye!", ends=True)),
        ('"Bye!" </end/>', Utterance("Bye!", ends=True)),
        ('"Bye! </end/>"', Utterance("Bye!", ends=True)),
        ("Bye! `</end/>`", Utterance("Bye!", ends=True)),
        ("❤️ </end/>", Utterance("❤️", ends=True)),
        ("Bye </end/> and they lived happily ever after", Utterance("Bye", ends=True)),
        ("<think>should I say </end/>?</think>Not yet.", Utterance("Not yet.", ends=False)),
        ("I want to end this.", Utterance("I want to end this.", ends=False)),
        ("in the end", Utterance("in the end", ends=False)),
    ],
)
def test_the_seekers_words_and_the_end_are_told_apart(text: str, expected: Utterance) -> None:
    assert seeker.parse(text, NAMES) == expected


@pytest.mark.parametrize("text", ["", "  \n", '""', "<think>endless", "Supporter:", "```\n```", "(Affirmation)"])
def test_nothing_said_is_an_empty_answer(text: str) -> None:
    with pytest.raises(AnswerError) as caught:
        supporter.parse(text, ESC8)
    assert (caught.value.reason, caught.value.text) == ("empty", text)


def test_words_of_the_other_speaker_are_not_taken_for_ones_own() -> None:
    with pytest.raises(AnswerError, match="found words of the seeker"):
        supporter.parse("Seeker: I am sad.\nSupporter: I see.", ESC8)
    with pytest.raises(AnswerError, match="found words of the supporter"):
        seeker.parse("Supporter (Affirmation): You are brave.", NAMES)


def test_words_that_were_cut_off_are_unusable_unless_the_turn_was_over() -> None:
    with pytest.raises(AnswerError) as caught:
        supporter.parse("That sounds rea", ESC8, cut_off=True)
    assert caught.value.reason == "cut off"
    with pytest.raises(AnswerError):
        seeker.parse("I lost my jo", NAMES, cut_off=True)
    assert supporter.parse(f"{REPLY}\nSeeker: Well, I thi", ESC8, cut_off=True) == REPLY
    assert seeker.parse("Bye. </end/> and the", NAMES, cut_off=True) == Utterance("Bye.", ends=True)


TUTOR = replace(ESC8, speakers=Speakers("Learner", "Dr. Who"))


@pytest.mark.parametrize(
    "text",
    [
        f"Dr. Who: {REPLY}",
        f"**dr. who (Affirmation):** {REPLY}",
        f"(Affirmation) Dr. Who: {REPLY}",
        f"Supporter: {REPLY}",
        f"Assistant: {REPLY}",
        f"{REPLY}\nLearner: Thanks.",
        f"{REPLY}\nUser: Thanks.",
    ],
)
def test_names_of_a_taxonomy_are_taken_off_as_ours_are(text: str) -> None:
    assert supporter.parse(text, TUTOR) == REPLY


def test_only_names_that_a_taxonomy_gives_are_taken_off() -> None:
    assert supporter.parse("Drs Who: a show.", TUTOR) == "Drs Who: a show."
    assert supporter.parse(f"Dr. Who: {REPLY}", ESC8) == f"Dr. Who: {REPLY}"
    assert seeker.parse("Learner: I see.\nDr. Who: Good.", TUTOR.speakers) == Utterance("I see.", ends=False)
    with pytest.raises(AnswerError, match=r"expected what the learner says, found words of the dr\. who"):
        seeker.parse("Dr. Who: I see.", TUTOR.speakers)


def test_a_name_that_is_given_to_the_other_side_is_the_other_sides() -> None:
    turned = Speakers("Assistant", "User")
    assert seeker.parse("Assistant: I see.\nUser: Good.", turned) == Utterance("I see.", ends=False)
    assert supporter.parse(f"User: {REPLY}\nAssistant: Oh.", replace(ESC8, speakers=turned)) == REPLY


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_and_nothing_is_added(text: str) -> None:
    for speaker in Speaker:
        try:
            words = spoken(text, speaker, NAMES, ESC8)
        except AnswerError:
            continue
        assert words.text in text


@pytest.mark.parametrize(
    "unit", ["(", "<think>", "Seeker", "*", '"', "\n", "[", "</", "```\n", "supporter (", " ", "[*", "end"]
)
@pytest.mark.timeout(20)  # a quadratic reader takes longer
def test_no_text_keeps_the_reader_busy(unit: str) -> None:
    for text in (unit * (20_000 // len(unit)) + "x", "x\n<" + unit * (20_000 // len(unit)) + "x"):
        for parse in (lambda text: supporter.parse(text, ESC8), lambda text: seeker.parse(text, NAMES)):
            try:
                parse(text)
            except AnswerError:
                continue

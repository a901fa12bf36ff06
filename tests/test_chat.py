"""What a line in `cso chat` says or does, apart from any model."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rich.console import Console

from cso.chat import Conversation, Said, Screen, Session
from cso.chat.conversation import COMMANDS, meant, parse, strategy_meant, writable
from cso.chat.notice import CRISIS, NOTICE, OF_ANY_TASK, speaks_of_self_harm
from cso.chat.screen import harmless
from cso.corpora import read_corpus
from cso.dialogue import Dialogue, Speaker
from cso.errors import InputError, RequestError
from cso.palette import colour
from cso.settings import EvaluateSettings
from cso.taxonomy import load_taxonomy

ESC8 = load_taxonomy("esc8")
ESCONV8 = load_taxonomy("esconv8")
SETTINGS = EvaluateSettings(temperature=0.7, seed=5)
EMPTY = Conversation(Dialogue("chat", (), situation="No job."))


@dataclass
class Puppet:
    """Says what it is told, in turn; an error is raised."""

    script: list[Said | Exception]
    address: str | None = None
    asked: list[tuple[list[str], str | None, int]] = field(default_factory=list[tuple[list[str], str | None, int]])

    def reply(self, history: Dialogue, *, strategy: str | None = None, sample: int) -> Said:
        self.asked.append(([turn.text for turn in history.turns], strategy, sample))
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def chances(self, history: Dialogue) -> list[float]:
        return [0.1, 0.3, 0.2, 0.4, 0.0, 0.0, 0.0, 0.0]


def session(*script: Said | Exception, terminal: bool = False, width: int = 60, **changes: int) -> Session:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        color_system="truecolor",
        markup=False,
        highlight=False,
    )
    screen = Screen(console, ESC8, plain=not terminal)
    return Session(Puppet(list(script)), ESC8, SETTINGS.model_copy(update=changes), screen, EMPTY)


def shown(talk: Session) -> str:
    file = talk.screen.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def asked(talk: Session) -> list[tuple[list[str], str | None, int]]:
    assert isinstance(talk.speaker, Puppet)
    return talk.speaker.asked


def texts(talk: Session) -> list[str]:
    return [turn.text for turn in talk.conversation.dialogue.turns]


@pytest.mark.parametrize(
    ("line", "command", "rest"),
    [
        (" I am tired. \n", None, "I am tired."),
        ("//why", None, "/why"),
        ("", None, ""),
        ("/why", "why", ""),
        ("/W", "why", ""),
        ("/say  Aff irm ", "say", "Aff irm"),
        ("/q", "quit", ""),
    ],
)
def test_a_line_is_said_unless_it_begins_with_a_slash(line: str, command: str | None, rest: str) -> None:
    assert parse(line) == (command, rest)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/nope", "expected a command, found 'nope'; there are why, say"),
        ("/s", "could be say, save"),
        ("/", "could be why, say"),
        ("/say", "/say: expected STRATEGY behind it, found nothing"),
        ("/back 2", "/back: expected nothing behind it, found 2"),
    ],
)
def test_what_is_no_command_is_not_said_either(line: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(line)


def test_a_strategy_is_meant_by_its_beginning_if_no_other_begins_so() -> None:
    assert strategy_meant("aff", ESC8) == "Affirmation"
    assert strategy_meant("EMPATH", ESC8) == "Empathetic Statements"
    assert strategy_meant("reflection of feelings", ESCONV8) == "Reflection of Feelings"
    with pytest.raises(InputError, match="could be Restatement or Paraphrasing, Reflection of Feelings"):
        strategy_meant("re", ESCONV8)
    with pytest.raises(InputError, match="expected a strategy, found 'hugs'; there are Emotional Validation"):
        strategy_meant("hugs", ESC8)
    assert meant("in", ["In", "Inner"], what="word") == "In"  # as a whole rather than as a beginning


def test_a_conversation_alternates_whatever_fails_or_is_taken_back() -> None:
    talk = EMPTY.heard("one").heard("two")
    assert [turn.text for turn in talk.dialogue.turns] == ["one two"]
    assert talk.waits
    assert talk.reply is None
    talk = talk.answered("Affirmation", "yes").answered(None, "no")
    assert talk.reply is not None
    assert talk.reply.text == "no"
    assert [turn.text for turn in talk.asked().turns] == ["one two"]
    longer = talk.heard("three")
    assert longer.back() == talk
    assert longer.answered(None, "four").back() == talk
    assert talk.back() == EMPTY
    with pytest.raises(InputError, match="say something first"):
        EMPTY.back()


def test_each_reply_shows_its_strategy_and_is_drawn_anew() -> None:
    talk = session(Said("(affirmation) You are strong."), Said("[Share Information] It helps."), Said("Hm."))
    for line in ("I am tired.", "/again", "/say emp"):
        assert talk.take(line)
    assert shown(talk) == (
        "(Affirmation)\nYou are strong.\n\n(Share Information)\nIt helps.\n\n(no strategy could be read)\nHm.\n\n"
    )
    assert asked(talk) == [
        (["I am tired."], None, 5),
        (["I am tired."], None, 6),
        (["I am tired."], "Empathetic Statements", 7),
    ]
    assert texts(talk) == ["I am tired.", "Hm."]
    assert not talk.take("/quit")
    assert talk.failed == 0


def test_a_reply_that_fails_leaves_the_conversation_as_it_was() -> None:
    talk = session(RequestError("too sad"), Said("(Affirmation) Yes."), RequestError("too late"), RequestError("gone"))
    for line in ("I am tired.", "/again", "/again", "And sad."):
        assert talk.take(line)
    assert texts(talk) == ["I am tired.", "Yes.", "And sad."]
    assert talk.failed == 3
    assert shown(talk) == (
        "cso: too sad\nwhat you said is kept: /again asks for a reply, /back takes it back\n"
        "(Affirmation)\nYes.\n\n"
        "cso: too late\n"
        "cso: gone\nwhat you said is kept: /again asks for a reply, /back takes it back\n"
    )


def test_the_others_chances_are_bars_likeliest_first() -> None:
    talk = session(Said("(Affirmation) Yes."))
    talk.take("/why")
    assert "say something first" in shown(talk)
    talk.take("I am tired.")
    talk.take("/why")
    lines = shown(talk).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("Empathetic Statements"))
    assert lines[first : first + 4] == [
        f"Empathetic Statements           40.0 % {24 * '#'}",
        f"Affirmation                     30.0 % {18 * '#'} said",
        f"Collaborative Planning          20.0 % {12 * '#'}",
        f"Emotional Validation            10.0 % {6 * '#'}",
    ]


def test_a_terminal_sees_colours_and_whole_words() -> None:
    talk = session(Said("(Share Information) " + "walking helps " * 9), terminal=True, width=40)
    talk.take("I am tired.")
    red, green, blue = (int(colour(7)[at : at + 2], 16) for at in (1, 3, 5))
    assert f"\x1b[1;38;2;{red};{green};{blue}mShare Information\x1b[0m\n" in shown(talk)
    words = [line for line in shown(talk).splitlines() if "helps" in line]
    assert len(words) == 4
    assert all(line.split()[0] == "walking" or line.split()[0] == "helps" for line in words)


def test_nothing_that_a_model_or_an_endpoint_writes_steers_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m\r\b\x00\u202egnp\u2028[bold]:smile:"
    talk = session(Said(f"(Affirmation) one\r\n{hostile}"), RequestError(f"no {hostile}"), terminal=True, width=200)
    talk.take(f"hello {hostile}")
    talk.take("/again")
    talk.take(f"/say {hostile}")
    output = shown(talk)
    for char in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\r\b", "\x00", "\u202e", "\u2028"):
        assert char not in output
    assert output.count("\ufffd[2J") == 2
    assert "[bold]:smile:" in output
    assert harmless("a\tb\nc\r\nd 👩‍👧 é") == "a\tb\nc\nd 👩‍👧 é"
    assert texts(talk)[1].endswith(hostile)  # the model sees what it wrote


def test_half_characters_are_replaced_before_anybody_has_to_write_them() -> None:
    assert writable("a\ud800b 😀") == "a\ufffdb 😀"
    talk = session(Said("(Affirmation) \udfff"))
    talk.take("\udc80")
    assert texts(talk) == ["\ufffd", "\ufffd"]


def test_it_says_once_when_old_turns_no_longer_fit_and_where_a_reply_was_cut() -> None:
    fits, trimmed = Said("(Affirmation) a"), Said("(Affirmation) b", trimmed=True, cut_off=True)
    talk = session(fits, trimmed, trimmed, fits, trimmed, max_length=99, max_tokens=7)
    for line in "abcde":
        talk.take(line)
    assert shown(talk).count("the oldest turns no longer fit into 99 tokens (evaluate.max_length)") == 2
    assert shown(talk).count("cut off after 7 tokens; see --max-tokens") == 3


def test_at_temperature_0_it_says_that_there_is_one_reply() -> None:
    talk = session(Said("a"), Said("a"), temperature=0)
    talk.take("hello")
    assert "one reply" not in shown(talk)
    talk.take("/again")
    assert "at temperature 0" in shown(talk)


def test_a_saved_conversation_is_a_corpus_and_replaces_nothing(tmp_path: Path) -> None:
    talk = session(Said("(Affirmation) You are strong."), Said("(Share Information) Walking helps."))
    file = tmp_path / "new folder" / "mine.jsonl"
    talk.take(f"/save {file}")
    assert not file.exists()
    for line in ("I am tired.", "Still tired.", f"/save {file}"):
        talk.take(line)
    assert "1 of 1 dialogues can be used" in shown(talk)
    [read] = read_corpus(file, ESC8).dialogues
    assert read == replace(talk.conversation.dialogue, id="mine")
    assert read.situation == "No job."
    assert [turn.strategy for turn in read.turns if turn.speaker is Speaker.SUPPORTER] == [
        "Affirmation",
        "Share Information",
    ]
    before = file.read_bytes()
    talk.take("/back")
    talk.take(f"/save {file}")
    assert "expected a new file" in shown(talk)
    assert file.read_bytes() == before
    for place in ("~nobody-of-this-name/a", "a\x00b", "x" * 300, str(file / "below")):
        failed = talk.failed
        talk.take(f"/save {place}")
        assert talk.failed == failed + 1


@pytest.mark.parametrize(
    "text",
    [
        "I want to kill myself",
        "i've been SUICIDAL",
        "I don’t want to live anymore.",
        "they would be better off dead, me too",
        "it is about self-harm",
        "I keep cutting   myself",
        "I'm going to end my life",
        "he died by suicide",
    ],
)
def test_where_to_turn_is_shown_before_the_reply_to_evident_words_of_self_harm(text: str) -> None:
    assert speaks_of_self_harm(text)
    talk = session(Said("(Affirmation) You matter."))
    talk.take(text)
    assert shown(talk).startswith(CRISIS[0])
    assert shown(talk).endswith("(Affirmation)\nYou matter.\n\n")
    assert "findahelpline.com" in shown(talk)


@pytest.mark.parametrize(
    "text",
    [
        "I cut myself while cooking",
        "I don't want to live in this city",
        "this deadline kills me",
        "I take my life in my own hands",
        "my phone died",
        "I am dying to see her",
        "self-help books",
    ],
)
def test_everyday_words_are_left_alone(text: str) -> None:
    assert not speaks_of_self_harm(text)


def test_a_conversation_about_something_else_begins_with_a_line_and_heeds_words_of_self_harm_all_the_same() -> None:
    talk = session(Said("(Affirmation) Try a drawing."))
    tutoring = replace(ESC8, task="You tutor a learner.")
    screen = replace(talk.screen, taxonomy=tutoring)
    screen.welcome("a-model", None)
    screen.help(None)
    assert shown(talk).count(OF_ANY_TASK[0]) == 2
    assert len(OF_ANY_TASK[0]) < 80
    assert not any(line in shown(talk) for line in (*NOTICE, *CRISIS))
    talk.screen = screen
    talk.take("I want to kill myself")
    assert CRISIS[0] in shown(talk)


def test_help_lists_all_commands_and_what_was_said_at_the_beginning() -> None:
    talk = session()
    talk.screen.welcome("a-model", "http://localhost:1/v1")
    begun = shown(talk)
    talk.take("/help")
    repeated = shown(talk).removeprefix(begun)
    assert all(f"/{name}" in repeated for name in COMMANDS)
    for line in (*NOTICE, *CRISIS):
        assert line in begun
        assert line in repeated
        assert len(line) < 80
    assert "is sent to http://localhost:1/v1" in begun
    assert "stays on this machine" in repeated  # this one has no address
    talk.take("/crisis")
    assert shown(talk).count(CRISIS[-1]) == 3

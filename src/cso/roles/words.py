"""What a model meant to say, out of what it sent: fences, labels and quotes around it, other people's turns behind it.

Nothing inside the words is touched, and nothing is taken off that people might have said.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cso.dialogue import Speaker
from cso.errors import AnswerError
from cso.taxonomy import Speakers, Taxonomy, canonical

THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
THOUGHT_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
FENCED = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
BRACKETED = re.compile(r"\A[*_]*(?:\(([^()\n]+(?:\([^()\n]*\))?)\)|\[([^\[\]\n]+)\])[*_]*:?[*_]*\s*")
NAMES = {Speaker.SEEKER: ("seeker", "user"), Speaker.SUPPORTER: ("supporter", "assistant")}  # of any taxonomy
QUOTES = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"))


class Words(NamedTuple):
    """What one speaker said; `followed`: the model went on to write the other's next turn, so this one is whole."""

    text: str
    followed: bool


def without_thought(text: str) -> str:
    """An answer without the reasoning that some models put in front of it, between `<think>` and `</think>`."""
    answer = text.strip()
    start, end = THOUGHT.search(answer), THOUGHT_END.search(answer)
    if start is not None and start.start() == 0:
        return answer[end.end() :].strip() if end is not None else ""
    if end is not None and (start is None or start.start() > end.start()):  # the prompt itself ends in `<think>`
        return answer[end.end() :].strip()
    return answer


def spoken(text: str, speaker: Speaker, speakers: Speakers, taxonomy: Taxonomy | None = None) -> Words:
    """The words of `speaker` in a model's answer; a strategy of `taxonomy` in brackets in front is taken off.

    Raises AnswerError where the model speaks for the other one.
    """
    words = _unfenced(without_thought(text))
    words, followed = _own_turn(words, speaker, speakers)
    words = _unlabelled(words, _label(speaker, speakers), taxonomy)
    return Words(unquoted(words), followed)


def unquoted(text: str) -> str:
    """Text without the one pair of quotes around all of it."""
    words = text.strip()
    for opening, closing in QUOTES:
        inner = words[1:-1]
        if len(words) >= 2 and words[0] == opening and words[-1] == closing and not {opening, closing} & set(inner):
            return inner.strip()
    return words


def _unfenced(text: str) -> str:
    fenced = FENCED.match(text)
    return fenced[1].strip() if fenced else text


def _other(speaker: Speaker) -> Speaker:
    return Speaker.SEEKER if speaker is Speaker.SUPPORTER else Speaker.SUPPORTER


def _own_turn(text: str, speaker: Speaker, speakers: Speakers) -> tuple[str, bool]:
    """What stands before the other speaker's next turn, and whether there was one."""
    other = _other(speaker)
    label = _label(other, speakers)
    if re.match(label, text, re.IGNORECASE):
        own, others = (speakers.name(each).lower() for each in (speaker, other))
        raise AnswerError(f"expected what the {own} says, found words of the {others}", reason="unreadable", text=text)
    own, *rest = re.split(rf"\n[ \t]*{label}", text, maxsplit=1, flags=re.IGNORECASE)
    return own.strip(), bool(rest)


def _unlabelled(text: str, label: str, taxonomy: Taxonomy | None) -> str:
    """Text without `Supporter:`, `(Strategy)` or `Supporter (Strategy):` in front."""
    words = re.sub(rf"\A{label}\s*", "", text, flags=re.IGNORECASE)
    if taxonomy is not None and (bracketed := BRACKETED.match(words)):
        names = {canonical(name) for name in taxonomy.names}
        if canonical(bracketed[1] or bracketed[2]) in names:
            words = words[bracketed.end() :]
            words = re.sub(rf"\A{label}\s*", "", words, flags=re.IGNORECASE)
    return words.strip()


def _label(speaker: Speaker, speakers: Speakers) -> str:
    """A pattern of the name in front of a turn: `Supporter:`, `**Supporter:**`, `[Supporter]:`, `Supporter (...):`."""
    taken = speakers.name(_other(speaker)).casefold()
    names = "|".join(map(re.escape, [speakers.name(speaker), *(name for name in NAMES[speaker] if name != taken)]))
    return rf"[*_\[]*(?:{names})[\]*_]*(?:[ ]*\([^()\n]*(?:\([^()\n]*\)[^()\n]*)?\))?[*_]*[ ]*:[*_]*"

"""A chat model as judge of replies: marks by criteria, and which of two is better, asked in both orders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import numpy as np

from cso.errors import AnswerError, InputError, RequestError
from cso.evaluate.answering import Answer
from cso.evaluate.intervals import Interval, by_dialogue, interval, mean
from cso.evaluate.results import check_same
from cso.gathering import gathered
from cso.llm.chat import Completion, Message
from cso.roles.ask import Asking, ask
from cso.roles.marks import json_values, lines_in, marks_in
from cso.taxonomy import Speakers, Taxonomy

HIGHEST = 5
CRITERIA = {  # the paper's criteria of human evaluation (section 5.1), in words of our own
    "Acceptance": "The person would be willing to hear this, and would not feel pushed or judged.",
    "Effectiveness": "It would ease the person's distress, or bring them a step closer to what they need.",
    "Sensitivity": "It takes up what the person has said and feels, rather than what anybody might say.",
    "Alignment": "The strategy suits this moment of the conversation, and the words carry that strategy out.",
}
OF_ANY_TASK = {"Effectiveness": "It would bring this person a step closer to what the conversation is for."}
SATISFACTION = ("Acceptance", "Effectiveness", "Sensitivity")  # their mean

Winner = Literal["one", "other", "tie"]


@dataclass(frozen=True, slots=True)
class Marks:
    """Mean marks, 1 to 5, with intervals over dialogues; `unread` replies could not be judged."""

    means: Mapping[str, Interval]  # the criteria, and Satisfaction
    judged: int
    unread: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How often one reply was found better, the other, or neither: shares of what was judged.

    A verdict counts where both orders agree, else it is a tie. Equal replies are ties without being asked about.
    """

    win: Interval
    lose: Interval
    tie: Interval
    agreement: float | None  # of the judge with itself: the share of pairs on which both orders agree
    first: float | None  # share of the verdicts for one of two replies that are for the one shown first; .5 is even
    judged: int  # pairs
    same: int  # pairs of equal replies
    unread: int


def criteria(taxonomy: Taxonomy) -> Mapping[str, str]:
    """`CRITERIA` in words that hold for the taxonomy's task."""
    return CRITERIA if taxonomy.supports else CRITERIA | OF_ANY_TASK


async def mark(
    answers: Sequence[Answer], judge: Asking, taxonomy: Taxonomy, *, draws: int = 1000, seed: int = 0
) -> Marks:
    """The judge's marks of each reply. Raises InputError where there are no words to judge, or none could be."""
    found = await gathered(_marks(answer, judge, taxonomy) for answer in _written(answers))
    rows = [(answer, marks) for answer, marks in zip(answers, found, strict=True) if marks is not None]
    if not rows:
        raise InputError(f"{judge.model}: expected marks, could read none in {len(answers)} answers")
    dialogues = [answer.item.dialogue for answer, _ in rows]
    means = {
        name: _mean([marks[name] for _, marks in rows], dialogues, draws=draws, seed=seed)
        for name in (*CRITERIA, "Satisfaction")
    }
    return Marks(means, len(rows), len(answers) - len(rows))


async def better(
    one: Sequence[Answer],
    other: Sequence[Answer],
    judge: Asking,
    taxonomy: Taxonomy,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Verdicts:
    """Which of two replies to each item is better. Raises InputError for evaluations of other items."""
    check_same(one, other)
    everything = list(zip(_written(one), _written(other), strict=True))
    pairs = [(a, b) for a, b in everything if (a.strategy, a.text) != (b.strategy, b.text)]
    turned_round = [(b, a) for a, b in pairs]
    said = await gathered(_verdict(first, second, judge, taxonomy) for first, second in [*pairs, *turned_round])
    both = list(zip(pairs, said[: len(pairs)], said[len(pairs) :], strict=True))
    rows = [
        (a.item.dialogue, first, second) for (a, _), first, second in both if first is not None and second is not None
    ]
    if pairs and not rows:
        raise InputError(f"{judge.model}: expected verdicts, could read none in {len(said)} answers")
    turned = {"one": "other", "other": "one", "tie": "tie"}
    same = [a.item.dialogue for a, b in everything if (a.strategy, a.text) == (b.strategy, b.text)]
    winners = [first if first == turned[second] else "tie" for _, first, second in rows] + ["tie"] * len(same)
    dialogues = [dialogue for dialogue, _, _ in rows] + same
    decided = [verdict for _, *verdicts in rows for verdict in verdicts if verdict != "tie"]
    shares = {
        winner: _mean([float(each == winner) for each in winners], dialogues, draws=draws, seed=seed)
        for winner in turned
    }
    return Verdicts(
        win=shares["one"],
        lose=shares["other"],
        tie=shares["tie"],
        agreement=fmean(first == turned[second] for _, first, second in rows) if rows else None,
        first=fmean(verdict == "one" for verdict in decided) if decided else None,
        judged=len(rows),
        same=len(same),
        unread=len(pairs) - len(rows),
    )


def _written(answers: Sequence[Answer]) -> Sequence[Answer]:
    if not any(answer.text for answer in answers):
        raise InputError("expected replies to judge, found strategies only: evaluate with evaluate.write=true")
    return answers


async def _marks(answer: Answer, judge: Asking, taxonomy: Taxonomy) -> dict[str, float] | None:
    asked = "\n".join(f"- {name}: {text}" for name, text in criteria(taxonomy).items())
    told = (
        f"{_opening('a reply', taxonomy)}\n\n{_conversation(answer, taxonomy.speakers)}\n\n"
        f"The reply:\n{_reply(answer)}\n\nGive it a mark from 1 (not at "
        f"all) to {HIGHEST} (fully) by each criterion:\n{asked}\n\nAnswer with a JSON object that has a number for "
        f"each of: {', '.join(CRITERIA)}."
    )
    number = {"type": "integer", "enum": list(range(1, HIGHEST + 1))}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict.fromkeys(CRITERIA, number),
        "required": list(CRITERIA),
        "additionalProperties": False,
    }
    try:
        marks = await ask(judge, judge.request((Message("user", told),), schema=schema), _read_marks)
    except (AnswerError, RequestError):
        return None
    return marks | {"Satisfaction": fmean(marks[name] for name in SATISFACTION)}


def _read_marks(completion: Completion) -> dict[str, float]:
    names = {name.casefold(): name for name in CRITERIA}
    found: dict[str, Any] = lines_in(completion.text, names, out_of=HIGHEST)
    for value in json_values(completion.text):
        found |= marks_in(value, names, out_of=HIGHEST)
    marks = {name: float(value) for name, value in found.items() if type(value) in (int, float)}
    if marks.keys() != CRITERIA.keys() or not all(1 <= value <= HIGHEST for value in marks.values()):
        raise AnswerError(
            f"expected a number from 1 to {HIGHEST} for each of {', '.join(CRITERIA)}",
            reason="unreadable",
            text=completion.text,
        )
    return marks


async def _verdict(first: Answer, second: Answer, judge: Asking, taxonomy: Taxonomy) -> Winner | None:
    question = "would help this person more" if taxonomy.supports else "serves that task better"
    told = (
        f"{_opening('two replies', taxonomy)}\n\n{_conversation(first, taxonomy.speakers)}\n\n"
        f"Reply A:\n{_reply(first)}\n\nReply B:\n{_reply(second)}\n\n"
        f"Which reply {question}, now? Length and order do not matter. "
        f'Answer with a JSON object: {{"better": "A"}}, {{"better": "B"}} or, if neither is, {{"better": "tie"}}.'
    )
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"better": {"type": "string", "enum": ["A", "B", "tie"]}},
        "required": ["better"],
        "additionalProperties": False,
    }
    try:
        return await ask(judge, judge.request((Message("user", told),), schema=schema), _read_verdict)
    except (AnswerError, RequestError):
        return None


def _read_verdict(completion: Completion) -> Winner:
    pattern = r'"better"\s*:\s*(?:"\s*(A|B|tie)\s*"|(A|B|tie)\s*[,}\n])'
    found = {(quoted or bare).casefold() for quoted, bare in re.findall(pattern, completion.text, re.IGNORECASE)}
    bare = completion.text.strip().strip(".*\"'").casefold()
    found |= {bare} & {"a", "b", "tie"}
    if len(found) != 1:
        raise AnswerError('expected {"better": "A"}, "B" or "tie"', reason="unreadable", text=completion.text)
    verdicts: dict[str, Winner] = {"a": "one", "b": "other", "tie": "tie"}
    return verdicts[found.pop()]


def _opening(shown: str, taxonomy: Taxonomy) -> str:
    """What the judge is about to read, and, where it is not support, what it is for."""
    names = taxonomy.speakers
    between, speaks = f"{names.seeker} and {names.supporter}", names.supporter
    if taxonomy.supports:
        between, speaks = "a person who seeks support and a supporter", "the supporter"
    opening = f"Here is a conversation between {between}, and {shown} that {speaks} might give next."
    return opening if taxonomy.supports else f"{opening} {speaks} has this task: {taxonomy.task}"


def _conversation(answer: Answer, speakers: Speakers) -> str:
    return "\n".join(f"{speakers.name(turn.speaker)}: {turn.text}" for turn in answer.item.history.turns)


def _reply(answer: Answer) -> str:
    return f"({answer.strategy}) {answer.text}" if answer.strategy else answer.text or "(nothing)"


def _mean(values: Sequence[float], dialogues: Sequence[str], *, draws: int, seed: int) -> Interval:
    sums = by_dialogue(dialogues, np.array([(value, 1.0) for value in values]))
    return interval(sums, mean, draws=draws, seed=seed)

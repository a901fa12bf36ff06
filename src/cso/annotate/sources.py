"""What can be annotated: pairs of a run, evaluations against each other, and single replies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from cso.annotate.items import Item, Said
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError, StoreError
from cso.evaluate.answering import Answer
from cso.evaluate.results import check_same
from cso.taxonomy import Taxonomy
from cso.transcript import read_reply

CHOSEN, REJECTED, SEEDS = "ESC-Pro(+)", "ESC-Pro(-)", "seeds"


class _Message(BaseModel):
    role: str
    content: str


class _Row(BaseModel):
    """What is needed of a row of pairs.jsonl."""

    prompt: list[_Message]
    chosen: Annotated[list[_Message], Field(min_length=1, max_length=1)]
    rejected: Annotated[list[_Message], Field(min_length=1, max_length=1)]
    dialogue: str
    turn: int


def of_pairs(path: Path, taxonomy: Taxonomy) -> list[Item]:
    """The pairs of a file that `cso extract` wrote, the chosen reply first. Raises InputError or StoreError."""
    items: list[Item] = []
    for row in _rows(path):
        history = tuple(
            Turn(Speaker.SEEKER, message.content)
            if message.role == "user"
            else Turn(Speaker.SUPPORTER, read_reply(message.content, taxonomy)[1])
            for message in row.prompt
            if message.role != "system"
        )
        replies = (
            Said(source, *read_reply(message.content, taxonomy))
            for source, message in ((CHOSEN, row.chosen[0]), (REJECTED, row.rejected[0]))
        )
        items.append(Item(Dialogue(row.dialogue, history), row.turn, tuple(replies)))
    return items


def of_evaluations(one: str, answers: Sequence[Answer], other: str, others: Sequence[Answer]) -> list[Item]:
    """The replies of two evaluations to the same moments, those of `one` first. Raises InputError."""
    if one == other:
        raise InputError(f"--compare {one} {other}: expected two evaluations, found one twice")
    check_same(answers, others)
    for name, found in ((one, answers), (other, others)):
        if not any(answer.text for answer in found):
            raise InputError(
                f"{name}: expected replies, found strategies only; evaluate with --set evaluate.write=true"
            )
    return [
        Item(a.item.history, a.item.utterance, (Said(one, a.strategy, a.text), Said(other, b.strategy, b.text)))
        for a, b in zip(answers, others, strict=True)
    ]


def of_replies(pairs: Sequence[Item], seeds: Sequence[Dialogue]) -> list[list[Item]]:
    """Single replies: what supporters say in the seed dialogues of the pairs, chosen replies, and rejected ones.

    A reply that is chosen in one pair and rejected in another is neither.
    """
    named = {item.history.id for item in pairs}
    said = [
        Item(seed.with_turns(seed.turns[:place]), place + 1, (Said(SEEDS, turn.strategy, turn.text),))
        for seed in seeds
        if seed.id in named
        for place, turn in enumerate(seed.turns)
        if turn.speaker is Speaker.SUPPORTER and turn.strategy and place
    ]
    chosen, rejected = (
        {single.id: single for single in (Item(pair.history, pair.turn, (pair.replies[side],)) for pair in pairs)}
        for side in (0, 1)
    )
    both = chosen.keys() & rejected.keys()
    halves = ([item for name, item in half.items() if name not in both] for half in (chosen, rejected))
    return [group for group in (said, *halves) if group]


def _rows(path: Path) -> list[_Row]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no pairs here; `cso extract {path.parent.parent}` makes them, and --compare A B takes replies of "
            f"two evaluations instead"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    rows: list[_Row] = []
    for number, line in enumerate(lines, 1):
        try:
            rows += [_Row.model_validate(json.loads(line))] if line else []  # json reads half a surrogate pair
        except (ValueError, RecursionError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise StoreError(
                f"{path}:{number}: expected a pair as `cso extract` writes it ({why}); extract again"
            ) from error
    if not rows:
        raise InputError(f"{path}: expected pairs, found none: no tree has a valid path with siblings below it")
    return rows

"""Examples to train on, from our own files or any in TRL's formats. (pyarrow comes without types.)

- pairs: `prompt`, `chosen`, `rejected`; without `prompt`, or beside one that is a text, `chosen` and `rejected` may be
  whole conversations that differ in the reply at their end.
- labelled replies: `prompt`, `completion`, `label`.
- demonstrations: `messages`, of which the last by the assistant is learned, or `prompt` and `completion`.

A prompt is a list of messages or a text (one user message), a reply a list of one message by the assistant or a text.
Our columns `dialogue`, `weight`, `q` and `strategy` (for pairs `chosen_q` and so on) are read where they are.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
import json
import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cso.errors import InputError
from cso.taxonomy import Taxonomy
from cso.transcript import Message

Kind = Literal["pairs", "labelled", "demonstrations", "rankings"]
PromptKey = tuple[tuple[str, str], ...]
_Row = Mapping[object, object]

_FORMS: Mapping[Kind, str] = {
    "pairs": "pairs (prompt, chosen, rejected), for dpo, ipo, simpo, orpo and q_margin",
    "labelled": "labelled replies (prompt, completion, label), for kto",
    "demonstrations": "demonstrations (prompt and completion, or messages), for sft",
    "rankings": "pairs with Q (prompt, chosen, rejected, chosen_q, rejected_q), for plackett_luce",
}
_STRATEGIES = ("strategy", "chosen_strategy", "rejected_strategy")
_COLUMNS = {"prompt", "chosen", "rejected", "completion", "label", "messages", "dialogue", "weight"}.union(
    ("q", "chosen_q", "rejected_q"), _STRATEGIES
)


@dataclass(frozen=True, slots=True)
class Example:
    """Replies to one prompt that a loss weighs against each other."""

    prompt: tuple[Message, ...]  # perhaps a system message, then turns, of which the last is the user's
    replies: tuple[str, ...]  # pairs: chosen, rejected; demonstrations and labelled: one; rankings: by falling value
    tree: str  # examples of one tree share most of their prompts
    source: str  # such as `pairs.jsonl row 17`, for errors; rows count from 1
    weight: float = 1.0
    values: tuple[float, ...] = ()  # Q of each reply; empty where not known
    desirable: bool = True  # KTO's label


def prompt_key(prompt: Iterable[Message]) -> PromptKey:
    """Equal for prompts of the same messages."""
    return tuple((message["role"], message["content"]) for message in prompt)


def read_examples(path: Path, kind: Kind, *, taxonomy: Taxonomy | None = None) -> list[Example]:
    """The examples of a JSONL or Parquet file, in its order.

    Pairs also serve as demonstrations (each chosen reply once), as labelled replies (each once; one that is both chosen
    and rejected is left out) and as rankings (all replies to one prompt within a tree, by falling Q, the first where a
    reply has several). What becomes of several rows has the mean of their weights. With `taxonomy`, strategies that the
    file names must be of it. Raises InputError, naming file and rows.
    """
    found: Kind | None = None
    examples: list[Example] = []
    complaints: list[str] = []
    for number, content in enumerate(_rows(path), 1):
        try:
            row = _object(content)
            found = found or _found(row, kind, path)
            examples.append(_example(row, found, f"{path.name} row {number}"))
            _check_strategies(row, taxonomy)
            if kind == "rankings" and not examples[-1].values:
                raise _Unusable("expected a number in chosen_q and in rejected_q, to rank by")
        except _Unusable as complaint:
            complaints.append(f"row {number}: {complaint}")
    if complaints:
        more = f"; and {len(complaints) - 3} more rows" if len(complaints) > 3 else ""
        raise InputError(f"{path}: {'; '.join(complaints[:3])}{more}")
    converted = examples if found == kind else _converted(examples, kind)
    if not converted:
        raise InputError(f"{path}: expected {_FORMS[kind]}, found {'only contradictory' if examples else 'no'} rows")
    return converted


class _Unusable(Exception):
    """Why a row cannot be used."""


def _rows(path: Path) -> Iterator[object]:
    try:
        match path.suffix.lower():
            case ".jsonl" | ".json":
                with path.open(encoding="utf-8-sig") as file:
                    lines = filter(str.strip, file)
                    yield from (_parsed(line, f"{path}: row {number}") for number, line in enumerate(lines, 1))
            case ".parquet":
                with pq.ParquetFile(path) as file:
                    used = [name for name in file.schema_arrow.names if name in _COLUMNS]
                    for batch in file.iter_batches(1_000, columns=used or None):
                        yield from batch.to_pylist()
            case suffix:
                raise InputError(f"{path}: expected a .jsonl or .parquet file, found {suffix or 'no ending'}")
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from error


def _parsed(line: str, place: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise InputError(f"{place}: expected one JSON object a line, found {reprlib.repr(line)}: {error}") from error


def _object(content: object) -> _Row:
    match content:
        case {**row}:
            return row
        case _:
            raise _Unusable(f"expected an object with columns, found {reprlib.repr(content)}")


def _found(row: _Row, wanted: Kind, path: Path) -> Kind:
    """What the file holds, by the columns of a row. Raises InputError where `wanted` cannot be made of it."""
    found: Kind | None = None
    if {"chosen", "rejected"} <= row.keys():
        return "pairs"
    if {"completion", "label"} <= row.keys():
        found = "labelled"
    elif row.keys() & {"messages", "completion"}:
        found = "demonstrations"
    if found is None or found != wanted:
        holds = _FORMS[found] if found else f"the columns {', '.join(map(str, row)) or '(none)'}"
        raise InputError(f"{path}: expected {_FORMS[wanted]}; found {holds}; take another file or train.objective")
    return found


def _example(row: _Row, kind: Kind, source: str) -> Example:
    """The example of a row of pairs, labelled replies or demonstrations."""
    prompt, replies = _pair(row) if kind == "pairs" else _demonstration(row)
    roles = [message["role"] for message in prompt]
    if not roles or roles[-1] != "user" or "system" in roles[1:]:
        raise _Unusable(
            f"expected a prompt that ends in a user message and has a system message only first, found the roles "
            f"{', '.join(roles) or '(none)'}"
        )
    weight, desirable = _number(row, "weight"), row.get("label") if kind == "labelled" else True
    if weight is not None and weight <= 0:
        raise _Unusable(f"weight: expected a number above 0, found {weight}")
    if not isinstance(desirable, bool):
        raise _Unusable(f"label: expected true or false, found {reprlib.repr(desirable)}")
    columns = ("chosen_q", "rejected_q") if kind == "pairs" else ("q",)
    values = tuple(value for column in columns if (value := _number(row, column)) is not None)
    return Example(
        prompt=tuple(prompt),
        replies=replies,
        tree=_tree(row, prompt),
        source=source,
        weight=1.0 if weight is None else weight,
        values=values if len(values) == len(replies) else (),
        desirable=desirable,
    )


def _pair(row: _Row) -> tuple[Sequence[Message], tuple[str, str]]:
    chosen, rejected, given = row.get("chosen"), row.get("rejected"), row.get("prompt")
    match given, chosen, rejected:
        case (None, [*_], [*_]) | (str(), [_, _, *_], [_, _, *_]):
            one, other = _messages(chosen, "chosen"), _messages(rejected, "rejected")
            shared = len([*takewhile(lambda both: both[0] == both[1], zip(one[:-1], other[:-1], strict=False))])
            prompt, chosen, rejected = one[:shared], one[shared:], other[shared:]
        case _:
            prompt = _messages(given, "prompt")
    replies = _reply(chosen, "chosen"), _reply(rejected, "rejected")
    if replies[0] == replies[1]:
        raise _Unusable("expected two replies, found that chosen and rejected are the same")
    return prompt, replies


def _demonstration(row: _Row) -> tuple[Sequence[Message], tuple[str]]:
    if "completion" in row:
        return _messages(row.get("prompt"), "prompt"), (_reply(row["completion"], "completion"),)
    said = _messages(row.get("messages"), "messages")
    last = max((place for place, message in enumerate(said) if message["role"] == "assistant"), default=len(said))
    return said[:last], (_reply(said[last : last + 1], "messages"),)


def _messages(value: object, column: str) -> list[Message]:
    match value:
        case str() if column == "prompt":
            return [_message({"role": "user", "content": value}, column)]
        case [*entries]:
            return [_message(entry, column) for entry in entries]
        case _:
            raise _Unusable(f"{column}: expected messages, found {reprlib.repr(value)}")


def _message(entry: object, column: str) -> Message:
    match entry:
        case {"role": "system" | "user" | "assistant" as role, "content": str(content)}:
            # Half surrogate pairs become U+FFFD: tokenizers refuse them.
            return {"role": role, "content": content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")}
        case _:
            raise _Unusable(
                f"{column}: expected messages, each with a role (system, user or assistant) and a text as content, "
                f"found {reprlib.repr(entry)}"
            )


def _reply(value: object, column: str) -> str:
    match [{"role": "assistant", "content": value}] if isinstance(value, str) else value:
        case [entry] if (message := _message(entry, column))["role"] == "assistant":
            if reply := message["content"].strip():
                return reply
            raise _Unusable(f"{column}: expected a reply, found an empty text")
        case _:
            raise _Unusable(f"{column}: expected one message, by the assistant, found {reprlib.repr(value)}")


def _number(row: _Row, column: str) -> float | None:
    match row.get(column):
        case None:
            return None
        case int() | float() as number if abs(number) <= sys.float_info.max and not isinstance(number, bool):
            return float(number)
        case other:
            raise _Unusable(f"{column}: expected a finite number, found {reprlib.repr(other)}")


def _tree(row: _Row, prompt: Sequence[Message]) -> str:
    """The column `dialogue`; else a name made from how the prompt opens, to its first user message."""
    match row.get("dialogue"):
        case str() | int() as name:
            return str(name)
        case None:
            before = [*takewhile(lambda message: message["role"] != "user", prompt)]
            opening = json.dumps(prompt_key(prompt[: len(before) + 1]))
            return hashlib.sha256(opening.encode()).hexdigest()[:16]
        case other:
            raise _Unusable(f"dialogue: expected a text, found {reprlib.repr(other)}")


def _check_strategies(row: _Row, taxonomy: Taxonomy | None) -> None:
    for column in _STRATEGIES:
        strategy = row.get(column)
        if taxonomy is not None and strategy is not None and strategy not in taxonomy.names:
            raise _Unusable(f"{column}: {reprlib.repr(strategy)} is not of {taxonomy.name}: made with another taxonomy")


def _converted(pairs: Sequence[Example], kind: Kind) -> list[Example]:
    if kind == "rankings":
        groups: dict[tuple[object, ...], list[Example]] = {}
        for pair in pairs:
            groups.setdefault((prompt_key(pair.prompt), pair.tree), []).append(pair)
        return [_ranking(group) for group in groups.values()]
    sides = (0,) if kind == "demonstrations" else (0, 1)
    return agreed(
        [
            replace(pair, replies=(pair.replies[side],), values=pair.values[side : side + 1], desirable=side == 0)
            for pair in pairs
            for side in sides
        ]
    )


def agreed(singles: Iterable[Example]) -> list[Example]:
    """Each reply to a prompt once, with the mean of its weights; without those that have both labels."""
    groups: dict[tuple[object, ...], list[Example]] = {}
    for single in singles:
        groups.setdefault((prompt_key(single.prompt), single.replies), []).append(single)
    alike = [group for group in groups.values() if len({single.desirable for single in group}) == 1]
    return [replace(group[0], weight=fmean(single.weight for single in group)) for group in alike]


def _ranking(pairs: Sequence[Example]) -> Example:
    """All replies of pairs with one prompt; of equal values the one found first is first."""
    values: dict[str, float] = {}
    for pair in pairs:
        for reply, value in zip(pair.replies, pair.values, strict=True):
            values.setdefault(reply, value)
    ranked = tuple(sorted(values, key=values.__getitem__, reverse=True))
    weight = fmean(pair.weight for pair in pairs)
    return replace(pairs[0], replies=ranked, values=tuple(values[reply] for reply in ranked), weight=weight)

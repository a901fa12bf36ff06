"""What a record says, in each of the three formats that are read. Each record tells its format by its own keys.

ExTES    {"scene", "description", "content": [{"User": ...} | {"AI Strategy": ..., "AI": ...}, ...]}
         An entry may hold both, and `AI` may be an object with a `Response`.
ESConv   {"situation", "emotion_type", "problem_type", "dialog": [{"speaker", "content" or "text", ...}, ...]}
         The strategy of a turn is in `annotation.strategy` or in `strategy`.
ours     {"id"?, "situation"?, "emotion"?, "scene"?, "turns": [{"speaker", "text", "strategy"?}, ...]}
         `speaker` is seeker or supporter; an `id` is a text or an integer, of its own in the file.

Other keys are passed over. Texts lose the white space around them, and nothing else.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath

from cso.corpora.records import Json, Record, records
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError

_Fields = Mapping[str, Json]
_OURS = {"seeker": Speaker.SEEKER, "supporter": Speaker.SUPPORTER}
_ESCONV = _OURS | {
    "speaker": Speaker.SEEKER,
    "listener": Speaker.SUPPORTER,
    "usr": Speaker.SEEKER,
    "sys": Speaker.SUPPORTER,
}


def read_dialogues(raw: bytes, *, source: str) -> Iterator[Dialogue]:
    """The dialogues of a file as they are: nothing joined, trimmed or dropped, strategies as they are labelled.

    A dialogue without an id is called `<file stem>-<number>`, the number from 0001. `source` names the file.
    Raises InputError, naming file, dialogue and turn, for what cannot be read and for an id that occurs twice.
    """
    places: dict[str, str] = {}
    stem = PurePath(source).stem
    for number, record in enumerate(records(raw, source=source), 1):
        dialogue = _dialogue(record, unnamed=f"{stem}-{number:04d}")
        if dialogue.id in places:
            raise InputError(
                f"{record.place}: the id {dialogue.id!r} is taken by {places[dialogue.id]}; "
                "give every dialogue an id of its own"
            )
        places[dialogue.id] = record.place
        yield dialogue


def _dialogue(record: Record, *, unnamed: str) -> Dialogue:
    place = record.place
    match record.content:
        case {"content": [*entries], **fields}:
            return Dialogue(
                unnamed,
                _turns(entries, _extes_turns, place=place),
                situation=_optional(fields, "description", place=place) or "",
                scene=_optional(fields, "scene", place=place),
            )
        case {"dialog": [*entries], **fields}:
            return Dialogue(
                unnamed,
                _turns(entries, _esconv_turn, place=place),
                situation=_optional(fields, "situation", place=place) or "",
                emotion=_optional(fields, "emotion_type", place=place),
                scene=_optional(fields, "problem_type", place=place),
            )
        case {"turns": [*entries], **fields}:
            return Dialogue(
                _id(fields.get("id"), place=place) or unnamed,
                _turns(entries, _our_turn, place=place),
                situation=_optional(fields, "situation", place=place) or "",
                emotion=_optional(fields, "emotion", place=place),
                scene=_optional(fields, "scene", place=place),
            )
        case found:
            raise InputError(
                f"{place}: expected an object with a list called `content` (ExTES), `dialog` (ESConv) or `turns` "
                f"(our own format), found {_shown(found)}"
            )


def _turns(
    entries: Iterable[Json], turns_of: Callable[[_Fields, str], Iterable[Turn]], *, place: str
) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for entry in entries:
        where = f"{place}, turn {len(turns) + 1}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object, found {_shown(entry)}")
        turns.extend(turns_of(entry, where))
    return tuple(turns)


def _extes_turns(entry: _Fields, place: str) -> Iterator[Turn]:
    if not entry.keys() & {"User", "AI"}:
        raise InputError(f"{place}: expected `User` or `AI`, found {_shown(entry)}")
    for key, value in entry.items():  # in the order in which they are written
        match key, value:
            case "User", _:
                yield Turn(Speaker.SEEKER, _text(value, "User", place=place))
            case "AI", {"Response": response}:
                yield _supporter(response, "AI.Response", entry.get("AI Strategy"), place=place)
            case "AI", _:
                yield _supporter(value, "AI", entry.get("AI Strategy"), place=place)
            case _:
                pass


def _esconv_turn(entry: _Fields, place: str) -> Iterator[Turn]:
    field = "content" if "content" in entry else "text"
    if _speaker(entry, _ESCONV, place=place) is Speaker.SEEKER:
        yield Turn(Speaker.SEEKER, _text(entry.get(field), field, place=place))
        return
    match entry:
        case {"annotation": {**annotation}}:
            label = annotation.get("strategy")
        case {"annotation": found} if found is not None:
            raise InputError(f"{place}: expected an object as `annotation`, found {_shown(found)}")
        case _:
            label = entry.get("strategy")
    yield _supporter(entry.get(field), field, label, place=place)


def _our_turn(entry: _Fields, place: str) -> Iterator[Turn]:
    if _speaker(entry, _OURS, place=place) is Speaker.SUPPORTER:
        yield _supporter(entry.get("text"), "text", entry.get("strategy"), place=place)
        return
    if entry.get("strategy"):
        raise InputError(f"{place}: expected no strategy in a seeker's turn, found {_shown(entry['strategy'])}")
    yield Turn(Speaker.SEEKER, _text(entry.get("text"), "text", place=place))


def _supporter(text: Json, field: str, label: Json, *, place: str) -> Turn:
    strategy = None if label is None else _text(label, "strategy", place=place) or None
    return Turn(Speaker.SUPPORTER, _text(text, field, place=place), strategy)


def _speaker(entry: _Fields, names: Mapping[str, Speaker], *, place: str) -> Speaker:
    match entry.get("speaker"):
        case str(name) if name in names:
            return names[name]
        case found:
            raise InputError(f"{place}: expected one of {', '.join(names)} as `speaker`, found {_shown(found)}")


def _id(value: Json, *, place: str) -> str | None:
    match value:
        case None:
            return None
        case int() if not isinstance(value, bool):
            return str(value)
        case str() if value.strip():
            return _text(value, "id", place=place)
        case found:
            raise InputError(f"{place}: expected a text or an integer as `id`, found {_shown(found)}")


def _optional(fields: _Fields, field: str, *, place: str) -> str | None:
    value = fields.get(field)
    return None if value is None else _text(value, field, place=place) or None


def _text(value: Json, field: str, *, place: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{place}: expected text as `{field}`, found {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape one half of a character; no file can hold it
        raise InputError(
            f"{place}: expected text as `{field}`, found half a character: \\u{ord(value[error.start]):04x}"
        ) from error
    return value.strip()


def _shown(value: Json | _Fields) -> str:
    match value:
        case None:
            return "nothing"
        case {**fields}:
            return f"the keys {', '.join(map(str, fields)) or '(none)'}"
        case _:
            return reprlib.repr(value)

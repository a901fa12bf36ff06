"""Taxonomies: which strategies a supporter chooses from, in which order, and how another taxonomy maps onto them.

Nothing outside a taxonomy file knows a strategy's name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from cso.dialogue import Speaker
from cso.errors import InputError
from cso.files import bundled, bundled_or_own, parse_yaml, yaml_text


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to answer. `definition` is what the roles and the trained model are told of it."""

    name: str
    definition: str


LABEL = r"(?:[^()\[\]\n]|\([^()\n]*\))+"  # what can stand in the brackets that a reply opens with
OPTIONAL = {"task", "speakers", "maps", "overused"}
SUPPORT = "You support people who are going through a hard time."


@dataclass(frozen=True, slots=True)
class Speakers:
    """What the two sides of a conversation are called where people or chat models read it."""

    seeker: str = "Seeker"
    supporter: str = "Supporter"

    def name(self, speaker: Speaker) -> str:
        return self.seeker if speaker is Speaker.SEEKER else self.supporter


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """An ordered list of strategies. The order breaks ties wherever a highest is taken.

    `maps` turns names of other taxonomies, as `canonical` writes them, into names of this one. `overused` are the
    strategies that models lean on too much: the strategist is told not to. `task` is what a trained model is told of
    its part, before the strategies. `speakers` are the names of the two sides.
    """

    name: str
    strategies: tuple[Strategy, ...]
    maps: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    overused: tuple[str, ...] = ()
    task: str = SUPPORT
    speakers: Speakers = Speakers()

    @property
    def supports(self) -> bool:
        """Whether the task is the default one, emotional support."""
        return self.task == SUPPORT

    def __iter__(self) -> Iterator[Strategy]:
        return iter(self.strategies)

    def __len__(self) -> int:
        return len(self.strategies)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(strategy.name for strategy in self.strategies)

    def strategy(self, name: str) -> Strategy:
        """The strategy of exactly this name; KeyError where there is none."""
        for strategy in self.strategies:
            if strategy.name == name:
                return strategy
        raise KeyError(name)

    def read(self, label: str) -> str | None:
        """The name meant by `label`, written in another case, with an abbreviation behind, or in a mapped taxonomy.

        None where it names no strategy: nothing is guessed.
        """
        return self.named(label) or self.maps.get(canonical(label))

    def named(self, label: str) -> str | None:
        """The name meant by `label`, were it one of this taxonomy's own; else None."""
        wanted = canonical(label)
        return next((name for name in self.names if canonical(name) == wanted), None)


def canonical(label: str) -> str:
    """A label without what does not matter: case, spacing, hyphens, an abbreviation in brackets behind it."""
    bare = re.sub(r"\s*[(\[][^)\]]*[)\]]\s*$", "", label)
    return re.sub(r"[\s_-]+", " ", bare).strip(" .:").casefold()


def bundled_taxonomies() -> tuple[str, ...]:
    """Names of the taxonomies in the package."""
    return bundled("taxonomies")


def load_taxonomy(name_or_path: str | Path) -> Taxonomy:
    """A bundled taxonomy by name (`esc8`), or a user's own YAML file by path.

    The file has `name`, `strategies` (a list of `name` and `definition`) and, where wanted, `task` (what the model is
    there for; emotional support if not given), `speakers` (what `seeker` and `supporter` are called; Seeker and
    Supporter if not given), `maps` (other label: name here) and `overused` (names not to lean on).
    Raises InputError, naming the file and the entry.
    """
    text = bundled_or_own("taxonomies", name_or_path, what="taxonomy")
    return parse_taxonomy(text, source=str(name_or_path))


def parse_taxonomy(text: str, *, source: str) -> Taxonomy:
    """A taxonomy from the text of its YAML file; `source` names the file in errors."""
    try:
        content: Any = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"taxonomy {source}: not valid YAML: {error}") from error
    match content:
        case {"name": str(name), "strategies": [_, _, *_] as entries, **rest} if not set(rest) - OPTIONAL:
            strategies = tuple(_strategy(entry, source=source, position=i) for i, entry in enumerate(entries, 1))
        case _:
            raise InputError(
                f"taxonomy {source}: expected `name`, `strategies` (two or more, each with `name` and "
                f"`definition`) and perhaps `task`, `speakers`, `maps` and `overused`, found {_found(content)}"
            )
    names = _names(strategies, source=source)
    maps = _maps(rest.get("maps") or {}, names, source=source)
    overused = _overused(rest.get("overused") or [], names, source=source)
    task: object = rest.get("task") or SUPPORT
    if not isinstance(task, str):
        raise InputError(f"taxonomy {source}: task: expected a sentence or two, found {task!r}")
    speakers = _speakers(rest.get("speakers") or {}, source=source)
    return Taxonomy(name, strategies, MappingProxyType(maps), overused, " ".join(task.split()), speakers)


def _found(content: object) -> str:
    """What a file has in place of a taxonomy, in short."""
    if not isinstance(content, dict):
        return repr(content)
    told = cast(dict[object, object], content)
    if unknown := [str(key) for key in told if key not in OPTIONAL | {"name", "strategies"}]:
        return f"`{unknown[0]}`"
    match told:
        case {"name": str()}:
            entries = told.get("strategies")
            return f"strategies: {entries!r}"[:200] if entries else "no `strategies`"
        case _:
            return f"name: {told['name']!r}" if "name" in told else "no `name`"


def _names(strategies: Sequence[Strategy], *, source: str) -> list[str]:
    there: dict[str, str] = {}
    for name in (strategy.name for strategy in strategies):
        if other := there.get(canonical(name)):
            raise InputError(
                f"taxonomy {source}: two strategies have the same name, {other!r} and {name!r} (case, spacing and "
                f"brackets do not count)"
            )
        there[canonical(name)] = name
    return list(there.values())


def _overused(given: object, names: Collection[str], *, source: str) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise InputError(f"taxonomy {source}: overused: expected a list of strategies, found {given!r}")
    for name in cast(list[object], given):
        if name not in names:
            raise InputError(f"taxonomy {source}: overused: {name!r} is no strategy here ({', '.join(names)})")
    return tuple(cast(list[str], given))


def _speakers(given: object, *, source: str) -> Speakers:
    written = cast(dict[object, object], given) if isinstance(given, dict) else {None: given}
    names = {key: name.strip() if isinstance(name, str) else "" for key, name in written.items()}
    if set(names) <= set(Speaker) and all(len(name.splitlines()) == 1 for name in names.values()):
        speakers = Speakers(**{str(key): name for key, name in names.items()})
        if canonical(speakers.seeker) != canonical(speakers.supporter):
            return speakers
    raise InputError(
        f"taxonomy {source}: speakers: expected names for `seeker` and `supporter`, each on one line and each other "
        f"than the other one, found {given!r}"
    )


def _maps(given: object, names: Collection[str], *, source: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise InputError(f"taxonomy {source}: maps: expected `label: name` lines, found {given!r}")
    written = cast(dict[object, str], given)
    for label, target in written.items():
        if target not in names:
            raise InputError(
                f"taxonomy {source}: maps: {label!r} is mapped to {target!r}, which is no strategy here "
                f"({', '.join(names)})"
            )
    return {canonical(str(label)): target for label, target in written.items()}


def dump_taxonomy(taxonomy: Taxonomy) -> str:
    """The YAML text that `parse_taxonomy` reads back as the same taxonomy."""
    content: dict[str, Any] = {
        "name": taxonomy.name,
        "strategies": [{"name": strategy.name, "definition": strategy.definition} for strategy in taxonomy],
    }
    if taxonomy.task != SUPPORT:
        content["task"] = taxonomy.task
    if taxonomy.speakers != Speakers():
        content["speakers"] = asdict(taxonomy.speakers)
    if taxonomy.overused:
        content["overused"] = list(taxonomy.overused)
    if taxonomy.maps:
        content["maps"] = dict(taxonomy.maps)
    return yaml_text(content)


def _strategy(entry: object, *, source: str, position: int) -> Strategy:
    match entry:
        case {"name": str(name), "definition": str(definition)} if name.strip() and definition.strip():
            if not re.fullmatch(LABEL, name.strip()):
                raise InputError(
                    f"taxonomy {source}: strategy {position}: expected a name on one line whose brackets are round, "
                    f"closed and in no others, since a reply opens with it in brackets, found {name!r}"
                )
            return Strategy(name.strip(), " ".join(definition.split()))
        case _:
            raise InputError(
                f"taxonomy {source}: strategy {position}: expected `name` and `definition`, found {entry!r}"
            )

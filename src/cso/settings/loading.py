"""Settings from YAML files and `--set`, and back. What cannot be used is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cso.errors import InputError
from cso.files import parse_yaml, yaml_text
from cso.settings.stages import Settings

Assignment = Annotated[str, "KEY=VALUE, the key with dots, the value as in YAML"]


def load_settings(
    config: Path | None = None, assignments: Iterable[Assignment] = (), *, base: Settings | None = None
) -> Settings:
    """`base`, or the defaults, with a YAML file and then `assignments` laid over it.

    Raises InputError, naming the file or the setting.
    """
    return settings_from(values_told(config, assignments), source=str(config) if config else "settings", base=base)


def values_told(config: Path | None, assignments: Iterable[Assignment]) -> dict[str, Any]:
    """What a YAML file and `assignments` say, and nothing else, group by group. Raises InputError."""
    values: dict[str, Any] = {}
    if config is not None:
        try:
            content: Any = parse_yaml(config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{config}: expected a YAML file with settings; {error}") from error
        if content is not None and not isinstance(content, dict):
            raise InputError(f"{config}: expected settings as `key: value`, found {type(content).__name__}")
        values = cast(dict[str, Any], content or {})
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {assignment}: expected KEY=VALUE, such as search.iterations=50")
        _assign(values, key.strip(), value, source=assignment)
    return values


def dump_settings(settings: Settings) -> str:
    """The YAML text that `load_settings` reads back as the same settings."""
    return yaml_text(settings.model_dump(mode="json"))


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under keys with dots, as `--set` names them."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            values |= flat(cast(Mapping[str, Any], value), f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def changes(before: Settings, now: Settings) -> str:
    """What is not the same, in words; empty where all is."""
    old, new = flat(before.model_dump(mode="json")), flat(now.model_dump(mode="json"))
    return "; ".join(
        f"{key} was {old.get(key)}, is {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)
    )


def settings_from(values: Mapping[str, Any], *, source: str, base: Settings | None = None) -> Settings:
    """Validated settings: `base`, or the defaults, with `values` laid over it."""
    try:
        return Settings.model_validate(_overlay((base or Settings()).model_dump(), values))
    except ValidationError as error:
        raise InputError(f"{source}: " + "; ".join(map(_complaint, error.errors()))) from None


_TYPES = ("str", "int", "float", "bool")


def _complaint(error: ErrorDetails) -> str:
    """What is wrong with a setting, and what was found; not where that may be a key."""
    names = [part for part in map(str, error["loc"]) if part not in _TYPES and "[" not in part]
    place = ".".join(names)  # without the types that were tried
    if error["type"] == "extra_forbidden":
        near = _nearest(place)
        return f"{place}: there is no such setting" + (f" (did you mean {near}?)" if near else "")
    if "key" in place or "url" in place:
        return f"{place}: {error['msg']}"
    return f"{place}: {error['msg']}, found {error['input']!r}"


def _nearest(key: str) -> str | None:
    """The setting whose name is written nearly so, or whose last part is."""
    there = list(_keys(Settings().model_dump()))
    ends = {each.rpartition(".")[2]: each for each in there}
    near = get_close_matches(key, there, n=1, cutoff=0.8)
    near += (ends[end] for end in get_close_matches(key.rpartition(".")[2], ends, n=1, cutoff=0.8))
    return near[0] if near else None


def _keys(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The names of settings and of their groups."""
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(cast(Mapping[str, Any], value), f"{prefix}{key}.")


def _assign(values: dict[str, Any], key: str, value: str, *, source: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        inner: Any = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {source}: {parent} is a value, not a group of settings")
        values = cast(dict[str, Any], inner)
    try:
        values[last] = parse_yaml(value)
    except ValueError as error:
        raise InputError(f"--set {source}: the value is not valid YAML: {error}") from error


def _overlay(base: Any, over: Any) -> Any:
    """`over` laid over `base`, group by group."""
    if not isinstance(base, dict) or not isinstance(over, Mapping):
        return over
    merged = cast(dict[str, Any], base)
    return merged | {key: _overlay(merged.get(key), value) for key, value in cast(Mapping[str, Any], over).items()}

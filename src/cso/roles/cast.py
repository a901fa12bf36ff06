"""The whole cast, played by chat models: prompts and settings in, four roles out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.llm.chat import Chat
from cso.rating import Rubric
from cso.roles import judge, seeker, strategist, supporter
from cso.roles.ask import Asking
from cso.roles.prompt import Prompt, load_prompt
from cso.search.cast import Cast
from cso.settings import CastSettings, RoleSettings
from cso.taxonomy import Taxonomy

RoleName = Literal["seeker", "supporter", "strategist", "judge"]
ROLES: tuple[RoleName, ...] = ("seeker", "supporter", "strategist", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role's own settings laid over those of `cast.default`."""

    name: RoleName
    model: str
    base_url: str | None
    api_key_env: str | None
    temperature: float
    max_tokens: int
    price: tuple[float, float] | None

    def asking(self, chat: Chat) -> Asking:
        return Asking(
            role=self.name, chat=chat, model=self.model, temperature=self.temperature, max_tokens=self.max_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRoles:
    """The four roles, ready to be given chats: prompts read and tried out, settings resolved."""

    roles: Mapping[RoleName, Role]
    prompts: Mapping[RoleName, Prompt]
    taxonomy: Taxonomy
    rubric: Rubric

    def cast(self, chat_for: Callable[[RoleName], Chat]) -> Cast:
        """The cast of one tree; `chat_for` gives each role what answers it."""
        asking = {name: role.asking(chat_for(name)) for name, role in self.roles.items()}
        return Cast(
            seeker=seeker.ChatSeeker(asking["seeker"], self.prompts["seeker"]),
            supporter=supporter.ChatSupporter(asking["supporter"], self.prompts["supporter"], self.taxonomy),
            strategist=strategist.ChatStrategist(asking["strategist"], self.prompts["strategist"], self.taxonomy),
            judge=judge.ChatJudge(asking["judge"], self.prompts["judge"], self.rubric),
        )


def chat_roles(settings: CastSettings, taxonomy: Taxonomy, rubric: Rubric) -> ChatRoles:
    """Raises InputError for a role without a model, and for a prompt that cannot be used."""
    return ChatRoles(
        roles={name: resolved(settings, name) for name in ROLES},
        prompts={name: load_prompt(name, settings.prompts, _trials(name, taxonomy, rubric)) for name in ROLES},
        taxonomy=taxonomy,
        rubric=rubric,
    )


def resolved(settings: CastSettings, name: RoleName) -> Role:
    """A role's settings, what is None taken from `cast.default`. Raises InputError where neither names a model."""
    own: Mapping[RoleName, RoleSettings] = {
        "seeker": settings.seeker,
        "supporter": settings.supporter,
        "strategist": settings.strategist,
        "judge": settings.judge,
    }
    role, default = own[name], settings.default
    model = role.model or default.model
    if model is None:
        raise InputError(f"cast.{name}.model: no model; set cast.default.model (--model), or one for each role")
    fallback = CastSettings().default
    temperature = _first(role.temperature, default.temperature, fallback.temperature)
    max_tokens = _first(role.max_tokens, default.max_tokens, fallback.max_tokens)
    return Role(
        name=name,
        model=model,
        base_url=role.base_url or default.base_url,
        api_key_env=role.api_key_env or default.api_key_env,
        temperature=0.0 if temperature is None else temperature,
        max_tokens=1024 if max_tokens is None else int(max_tokens),
        price=role.price or (default.price if role.model in (None, default.model) else None),
    )


def _first(*values: float | None) -> float | None:
    """The first value that is there."""
    return next((value for value in values if value is not None), None)


def _trials(name: RoleName, taxonomy: Taxonomy, rubric: Rubric) -> Iterator[Mapping[str, object]]:
    """Values such as `name` will be given, to try a prompt on: with and without what may be absent."""
    strategy = taxonomy.strategies[0]
    turns = (Turn(Speaker.SEEKER, "Hello."), Turn(Speaker.SUPPORTER, "Hello!", strategy.name))
    for history in (
        Dialogue("trial", turns, "A hard week.", "sadness", "Work"),
        Dialogue("trial", turns),
    ):
        match name:
            case "seeker":
                yield seeker.values(history)
            case "supporter":
                yield supporter.values(history, strategy)
            case "strategist":
                yield strategist.values(history, taxonomy)
            case "judge":
                yield judge.values(history, rubric)


def prompt_files(folder: Path | None) -> tuple[Path, ...]:
    """The prompts of a user's own folder that will be used."""
    return tuple(path for name in ROLES if folder is not None and (path := folder / f"{name}.md").exists())

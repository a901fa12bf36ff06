"""The whole cast, played by chat models: prompts and settings in, four roles out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.llm.chat import Chat
from cso.rating import Rubric
from cso.roles.ask import Asking
from cso.roles.judge import ChatJudge
from cso.roles.judge import values as judge_values
from cso.roles.prompt import Prompt, load_prompt
from cso.roles.seeker import ChatSeeker
from cso.roles.seeker import values as seeker_values
from cso.roles.strategist import ChatStrategist
from cso.roles.strategist import values as strategist_values
from cso.roles.supporter import ChatSupporter
from cso.roles.supporter import values as supporter_values
from cso.search.cast import Cast
from cso.settings import ROLES, CastSettings, Role
from cso.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRoles:
    """The four roles, ready to be given chats: prompts read and tried out, models known."""

    settings: CastSettings
    prompts: Mapping[Role, Prompt]
    taxonomy: Taxonomy
    rubric: Rubric

    def cast(self, chat_for: Callable[[Role], Chat]) -> Cast:
        """The cast of one tree; `chat_for` gives each role what answers it."""
        asking = {role: _asking(self.settings, role, chat_for(role)) for role in ROLES}
        return Cast(
            seeker=ChatSeeker(asking["seeker"], self.prompts["seeker"], self.taxonomy.speakers),
            supporter=ChatSupporter(asking["supporter"], self.prompts["supporter"], self.taxonomy),
            strategist=ChatStrategist(asking["strategist"], self.prompts["strategist"], self.taxonomy),
            judge=ChatJudge(asking["judge"], self.prompts["judge"], self.rubric, self.taxonomy.speakers),
        )


def chat_roles(settings: CastSettings, taxonomy: Taxonomy, rubric: Rubric) -> ChatRoles:
    """Raises InputError for a role without a model, and for a prompt that cannot be used."""
    for role, player in settings.players().items():
        if not player.model:
            raise InputError(f"cast.{role}.model: no model; set cast.default.model (--model), or one for each role")
    prompts: dict[Role, Prompt] = {
        role: load_prompt(role, settings.prompts, _trials(role, taxonomy, rubric)) for role in ROLES
    }
    return ChatRoles(settings=settings, prompts=prompts, taxonomy=taxonomy, rubric=rubric)


def _asking(settings: CastSettings, role: Role, chat: Chat) -> Asking:
    """How a role is asked; what a user has set to nothing is as in the defaults."""
    player, default = settings.player(role), CastSettings().default
    temperature = default.temperature if player.temperature is None else player.temperature
    max_tokens = player.max_tokens or default.max_tokens
    return Asking(
        role=role, chat=chat, model=player.model or "", temperature=temperature or 0.0, max_tokens=max_tokens or 1024
    )


def _trials(role: Role, taxonomy: Taxonomy, rubric: Rubric) -> Iterator[Mapping[str, object]]:
    """Values such as `role` will be given, to try a prompt on: with and without what may be absent."""
    strategy = taxonomy.strategies[0]
    turns = (Turn(Speaker.SEEKER, "Hello."), Turn(Speaker.SUPPORTER, "Hello!", strategy.name))
    for history in (
        Dialogue("trial", turns, "A hard week.", "sadness", "Work"),
        Dialogue("trial", turns),
    ):
        match role:
            case "seeker":
                yield seeker_values(history, taxonomy.speakers)
            case "supporter":
                yield supporter_values(history, strategy, taxonomy.speakers)
            case "strategist":
                yield strategist_values(history, taxonomy)
            case "judge":
                yield judge_values(history, rubric, taxonomy.speakers)

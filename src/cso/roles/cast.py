"""The four roles played by chat models, as the settings cast them."""

from __future__ import annotations

from collections.abc import Callable

from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import InputError
from cso.llm.chat import Chat, Request
from cso.rating import Rubric
from cso.roles import judge, seeker, strategist, supporter
from cso.roles.prompt import Prompt, load_prompt
from cso.search.cast import Cast
from cso.settings import CastSettings, Role
from cso.taxonomy import Taxonomy

ChatFor = Callable[[Role], Chat]


class Company:
    """Prompts and parameters of the four roles, read and checked once; `cast` makes a cast with chats of its own.

    Raises InputError for a role without a model and for a prompt that cannot be used.
    """

    def __init__(self, settings: CastSettings, taxonomy: Taxonomy, rubric: Rubric) -> None:
        self._taxonomy, self._rubric = taxonomy, rubric
        heard, said = (Turn(Speaker.SEEKER, "a"), Turn(Speaker.SUPPORTER, "b", taxonomy.names[0]))
        bare = Dialogue("trial", (heard, said))
        full = Dialogue("trial", (heard, said), situation="c", emotion="d", scene="e")
        trials = {
            "seeker": [seeker.values(bare), seeker.values(full)],
            "supporter": [supporter.values(full, strategy) for strategy in taxonomy],
            "strategist": [strategist.values(full, taxonomy)],
            "judge": [judge.values(full, rubric)],
        }
        self._prompts: dict[str, Prompt] = {
            role: load_prompt(role, settings.prompts, values) for role, values in trials.items()
        }
        schemas = {"strategist": strategist.schema(taxonomy), "judge": judge.schema()}
        self._requests: dict[str, Request] = {}
        for role, player in settings.players().items():
            if player.model is None:
                raise InputError(
                    f"cast.{role}.model: no model is set; give --model NAME, or set it here or in cast.default.model"
                )
            assert player.temperature is not None
            assert player.max_tokens is not None
            self._requests[role] = Request(
                model=player.model,
                messages=(),
                temperature=player.temperature,
                max_tokens=player.max_tokens,
                schema=schemas.get(role),
            )

    def cast(self, chat_for: ChatFor) -> Cast:
        """The four roles over these chats."""
        prompts, requests = self._prompts, self._requests
        return Cast(
            seeker=seeker.ChatSeeker(chat_for("seeker"), prompts["seeker"], requests["seeker"]),
            supporter=supporter.ChatSupporter(
                chat_for("supporter"), prompts["supporter"], requests["supporter"], self._taxonomy
            ),
            strategist=strategist.ChatStrategist(
                chat_for("strategist"), prompts["strategist"], requests["strategist"], self._taxonomy
            ),
            judge=judge.ChatJudge(chat_for("judge"), prompts["judge"], requests["judge"], self._rubric),
        )

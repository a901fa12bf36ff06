"""Who plays the four roles: here settings, chat models, limits and remembered answers come together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from cso.corpora import read_corpus
from cso.corpus_cast import World
from cso.dialogue import Dialogue
from cso.errors import BudgetSpent, InputError
from cso.llm import Answers, Budget, BudgetedChat, Chat, RememberedChat
from cso.llm.endpoints import limited
from cso.llm.prices import listed_price
from cso.roles import chat_roles, load_rubric, prompt_text, remembered
from cso.search import Cast
from cso.settings import ROLES, CastSettings, ModelSettings, Role, Settings
from cso.store import Run
from cso.taxonomy import Taxonomy, load_taxonomy

Play = Callable[[Dialogue, Answers], Cast]


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been asked, as a line when printed: calls, remembered answers, tokens and USD."""

    calls: int = 0
    reused: int = 0
    prompt_tokens: int | None = None  # like the next: None where the roles are no chat models
    completion_tokens: int | None = None
    cost: float | None = None  # None: a price is not known

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(*(_sum(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)))

    def __str__(self) -> str:
        line = f"{self.calls:,} calls" + (f" ({self.reused:,} answers remembered)" if self.reused else "")
        if self.prompt_tokens is None:
            return line
        money = "" if self.cost is None or not self.calls else f", ${self.cost:.4f}"
        return f"{line}, {self.prompt_tokens:,} tokens in, {self.completion_tokens:,} out{money}"


def _sum(one: float | None, other: float | None) -> Any:
    return None if one is None or other is None else one + other


@dataclass(slots=True)
class Quota:
    """Calls of roles that are no chat models: what they may be in all, None being without limit."""

    most: int | None = None
    taken: int = 0

    def take(self) -> None:
        """Count one. Raises BudgetSpent where there are none left."""
        if self.most is not None and self.taken >= self.most:
            raise BudgetSpent(f"limits.max_calls = {self.most} is reached; raise it to go on from here")
        self.taken += 1


@dataclass(slots=True)
class Casting:
    """The casts of a run, one a dialogue, with what they have been asked."""

    run: Run
    play: Play
    budget: Budget | None = None
    quota: Quota = field(default_factory=Quota)  # where there is no budget
    _answers: dict[str, Answers] = field(default_factory=dict[str, Answers])
    _casts: dict[str, Cast] = field(default_factory=dict[str, Cast])
    _dismissed: list[Answers] = field(default_factory=list[Answers])  # with calls on their way
    _new: Counter[str] = field(default_factory=Counter[str])
    _reused: Counter[str] = field(default_factory=Counter[str])

    def cast_for(self, dialogue: Dialogue) -> Cast:
        """The cast that remembers what was answered in this dialogue's search. Raises StoreError."""
        if dialogue.id not in self._casts:
            answers = Answers(self.run.answers_path(dialogue.id))
            self._answers[dialogue.id] = answers
            self._casts[dialogue.id] = self.play(dialogue, answers)
        return self._casts[dialogue.id]

    async def settle(self, *, cancel: bool = False) -> None:
        """Wait for calls that are still on their way, so that their answers are kept; or call them off."""
        for answers in [*self._answers.values(), *self._dismissed]:
            await answers.settle(cancel=cancel)

    async def settle_dismissed(self) -> None:
        """Wait for the calls of dialogues that are done with."""
        while self._dismissed:
            await self._dismissed[-1].settle()
            self._dismissed.pop()

    def dismiss(self, dialogue: Dialogue) -> None:
        """Free the memory of a dialogue that is done with; its counts stay."""
        answers = self._answers.pop(dialogue.id)
        del self._casts[dialogue.id]
        if answers.under_way:
            self._dismissed.append(answers)
        self._new += answers.new
        self._reused += answers.reused

    def paid(self) -> Spent:
        """What counts against the limits: the calls of chat models, or of the embedded cast."""
        if self.budget is None:
            return Spent(self.quota.taken)
        usage = self.budget.usage.values()
        into, out = sum(use.prompt_tokens for use in usage), sum(use.completion_tokens for use in usage)
        return Spent(sum(use.calls for use in usage), 0, into, out, self.budget.cost)

    def spent(self) -> Spent:
        """What has been asked so far."""
        under_way = self._answers.values()
        new = self._new.total() + sum(answers.new.total() for answers in under_way)
        reused = self._reused.total() + sum(answers.reused.total() for answers in under_way)
        return replace(self.paid(), calls=new, reused=reused)


@asynccontextmanager
async def casting(run: Run) -> AsyncGenerator[Casting]:
    """The casts that the run's settings ask for. Raises InputError for roles that cannot be filled."""
    settings = run.settings
    if settings.cast.kind == "corpus":
        world = corpus_world(run)
        name = f"corpus_cast {world.fingerprint}"
        quota = Quota(settings.limits.max_calls)

        def play(seed: Dialogue, answers: Answers) -> Cast:
            return remembered(world.cast(seed), answers, name, quota.take)

        async with _settled(Casting(run, _with_policy(run, play, quota.take), quota=quota)) as cast:
            yield cast
        return
    async with limited(settings.limits, prices(settings.cast)) as (endpoints, budget):
        chats: dict[Role, list[Chat]] = {
            role: [BudgetedChat(endpoints.play(each, player.api_key_env), budget) for each in player.addresses]
            for role, player in settings.cast.players().items()
        }
        by_chats = llm_play(settings, run.taxonomy, chats)
        async with _settled(Casting(run, _with_policy(run, by_chats), budget=budget)) as cast:
            yield cast


@asynccontextmanager
async def _settled(cast: Casting) -> AsyncGenerator[Casting]:
    """At the end, calls that are on their way are waited for; they are called off where something else went wrong."""
    try:
        yield cast
    except BudgetSpent:
        await cast.settle()
        raise
    except BaseException:
        await cast.settle(cancel=True)
        raise
    await cast.settle()


def _with_policy(run: Run, play: Play, take: Callable[[], None] = lambda: None) -> Play:
    """The casts of `play`, with a trained model in the roles that `cast.policy` gives it. Raises InputError.

    `take` is called before each new question to the model.
    """
    told = run.settings.cast.policy
    if told.model is None:
        return play
    from cso.policy.roles import load_policy  # here, because it takes seconds to import

    policy = load_policy(
        embedded_backbone(run.settings.train.model.model_copy(update={"name": told.model}), run),
        run.taxonomy,
        run.settings.cast.player("supporter"),
        run.settings.evaluate,
        temperature=run.settings.search.temperature,
    )
    own = {role: getattr(policy, role) for role in told.plays}

    def trained(seed: Dialogue, answers: Answers) -> Cast:
        cast = play(seed, answers)
        mine = remembered(replace(cast, **own), answers, policy.identity, take)
        return replace(cast, **{role: getattr(mine, role) for role in told.plays})

    return trained


def llm_play(settings: Settings, taxonomy: Taxonomy, chats: Mapping[Role, Sequence[Chat]]) -> Play:
    """Casts of chat models, whose answers are remembered a dialogue.

    A role may be served at several addresses: a dialogue keeps to one of them, which has its history in its cache.
    """
    company = chat_roles(settings.cast, taxonomy, load_rubric(settings.rubric))

    def play(seed: Dialogue, answers: Answers) -> Cast:
        number = int(hashlib.sha256(seed.id.encode("utf-8", "surrogatepass")).hexdigest(), 16)
        return company.cast(lambda role: RememberedChat(chats[role][number % len(chats[role])], answers, role))

    return play


def corpus_world(run: Run) -> World:
    """The embedded cast, of the dialogues that a run has without a model."""
    return _world(tuple(embedded_dialogues(run)), run.taxonomy)


@lru_cache(maxsize=1)  # a process may search, extract, and search again
def _world(dialogues: tuple[Dialogue, ...], taxonomy: Taxonomy) -> World:
    return World.fit(dialogues, taxonomy)


def embedded_dialogues(run: Run) -> Sequence[Dialogue]:
    """The bundled corpus where the run's taxonomy reads its labels, else all seeds of the run."""
    return read_corpus("bundled", run.taxonomy).dialogues or run.load_seeds()


def embedded_backbone(model: ModelSettings, run: Run, say: Callable[[str], None] = lambda _: None) -> ModelSettings:
    """`tiny` as the one for the run's strategies, made of the same dialogues as the embedded cast where it is not
    there yet; another model as it is. Raises StoreError.
    """
    if model.name != "tiny":
        return model
    from cso.train.tiny import tiny_for  # here, because it takes seconds to import

    return model.model_copy(update={"name": tiny_for(run.taxonomy, embedded_dialogues(run), say)})


def wording(settings: Settings, taxonomy: Taxonomy) -> str:
    """A hash of what answers depend on beside the settings: the words that chat models are asked in, and the files of
    a trained model; empty where there is neither.

    Raises InputError for prompts, roles and models that cannot be used.
    """
    words: list[object] = []
    if settings.cast.kind == "llm":
        rubric = load_rubric(settings.rubric)
        chat_roles(settings.cast, taxonomy, rubric)
        words += [rubric, *(prompt_text(role, settings.cast.prompts) for role in ROLES)]
    if settings.cast.policy.model is not None:
        from cso.policy.roles import policy_identity  # here, like the next, because they take seconds to import
        from cso.train.tiny import is_tiny

        if is_tiny(settings.cast.policy.model) and taxonomy.names != load_taxonomy("esc8").names:
            raise InputError("cast.policy.model: tiny chooses from esc8; expected a model trained on this taxonomy")
        model = settings.train.model.model_copy(update={"name": settings.cast.policy.model})
        player = settings.cast.player("supporter")
        words.append(
            policy_identity(model, taxonomy, player, settings.evaluate, temperature=settings.search.temperature)
        )
    if not words:
        return ""
    return hashlib.sha256(repr(words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def prices(cast: CastSettings) -> dict[str, tuple[float, float] | None]:
    """USD for a million tokens in and out of each model: as the settings say, else as listed, else None.

    Where two endpoints serve a model of one name, the dearer price counts, and None where one is not known.
    """
    found: dict[str, tuple[float, float] | None] = {}
    for player in cast.players().values():
        model = player.model or ""
        price = player.price or listed_price(model, player.addresses[0])
        known = found.get(model, price)
        found[model] = None if known is None or price is None else (max(known[0], price[0]), max(known[1], price[1]))
    return found

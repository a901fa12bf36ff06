"""How a model answers test items: its choice of strategy and its words. What was answered once is remembered."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from cso.dialogue import Dialogue
from cso.errors import InputError, RequestError, StoreError
from cso.evaluate.baselines import METHODS, prompts
from cso.evaluate.items import Item, items
from cso.gathering import gathered
from cso.llm import chat as llm
from cso.llm.answers import Answers, Question
from cso.llm.chat import Chat, Completion, Request
from cso.settings import EvaluateSettings
from cso.taxonomy import Taxonomy
from cso.transcript import Message, read_reply, tag

if TYPE_CHECKING:
    from cso.cluster.evaluating import RayModel
    from cso.evaluate.local import LocalModel

_CHANCES = TypeAdapter(list[Annotated[float, Field(ge=0, le=1.000001)]])
Observe = Callable[[int], None]  # so many more answers are there


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to an item."""

    item: Item
    strategy: str | None  # None: none of the taxonomy's could be read
    text: str  # its words, without the strategy; empty where none were asked for
    probabilities: tuple[float, ...] = ()  # of the strategies, in the taxonomy's order; where tags were scored


class Model(Protocol):
    """A model that is evaluated. Both take prompts and give as many answers."""

    @property
    def failed(self) -> list[str]:
        """Why there are questions without an answer."""
        ...

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]: ...

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]: ...


def check_settings(settings: EvaluateSettings) -> None:
    """Raises InputError for settings that cannot go together."""
    if settings.choose == "score" and settings.baseline not in ("plain", "example"):
        raise InputError(f"evaluate.choose=score: {settings.baseline} writes replies; expected choose=free")
    if settings.choose == "free" and not settings.write:
        raise InputError(
            "evaluate.write=false: the strategy is read from the reply unless evaluate.choose=score; with choose=free "
            "expected write=true"
        )


def rounds(settings: EvaluateSettings) -> int:
    """How often a model is asked about an item."""
    if settings.choose == "score":
        return 1 + settings.write
    return {"direct-refine": 2, "self-refine": 3}.get(settings.baseline, 1)


async def answer(
    model: Model, asked: Sequence[Item], taxonomy: Taxonomy, settings: EvaluateSettings, examples: Sequence[Dialogue]
) -> list[Answer]:
    """The model's answer to each item. `examples`: what the baseline "example" draws from. Raises InputError."""
    check_settings(settings)
    shown = examples if settings.baseline == "example" else ()
    if settings.baseline == "example" and not items(examples):
        raise InputError("evaluate.baseline=example: expected dialogues with strategies to show one of, found none")
    told = prompts(asked, taxonomy, examples=shown, seed=settings.seed)
    if settings.choose == "score":
        chances = await model.choose(told, taxonomy)
        chosen = [taxonomy.names[each.index(max(each))] for each in chances]
        replies = await model.write(told, [tag(name) for name in chosen]) if settings.write else [""] * len(asked)
        return [
            Answer(item, name, read_reply(reply, taxonomy)[1], tuple(each))
            for item, name, reply, each in zip(asked, chosen, replies, chances, strict=True)
        ]
    replies = await METHODS[settings.baseline](told, model.write, taxonomy)
    return [Answer(item, *read_reply(reply, taxonomy)) for item, reply in zip(asked, replies, strict=True)]


@dataclass(frozen=True, slots=True)
class Local:
    """A model in this process. Its answers are remembered batch by batch, so that a stopped evaluation goes on."""

    model: LocalModel | RayModel
    answers: Answers
    settings: EvaluateSettings
    observe: Observe = lambda _: None
    failed: list[str] = field(default_factory=list[str])

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]:
        before = openings or [""] * len(asked)
        questions = [self._question("supporter", told, each) for told, each in zip(asked, before, strict=True)]

        def written(places: Sequence[int]) -> Iterable[tuple[int, str]]:
            model: Any = self.model  # both take the prompts that they made
            return model.write(
                model.prompts([asked[place] for place in places]),
                [before[place] for place in places],
                max_tokens=self.settings.max_tokens,
                temperature=self.settings.temperature,
                seed=self.settings.seed,
            )

        return await self._remembered(questions, written)

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]:
        questions = [self._question("strategist", told, ",".join(taxonomy.names)) for told in asked]

        def chosen(places: Sequence[int]) -> Iterable[tuple[int, str]]:
            model: Any = self.model
            prompts = model.prompts([asked[place] for place in places])
            return ((place, json.dumps(chances)) for place, chances in model.choose(prompts, taxonomy))

        try:
            found = [_CHANCES.validate_json(text) for text in await self._remembered(questions, chosen)]
        except ValidationError as error:
            raise StoreError(f"expected remembered probabilities, found {error}; remove answers.jsonl") from error
        if any(len(chances) != len(taxonomy.names) for chances in found):
            raise StoreError("expected a remembered probability of each strategy, found others; remove answers.jsonl")
        return found

    async def _remembered(
        self, questions: Sequence[Question], found: Callable[[Sequence[int]], Iterable[tuple[int, str]]]
    ) -> list[str]:
        """An answer to each question; `found` gives those of the places that it is told, as they come."""
        new = [place for place, question in enumerate(questions) if not self.answers.remembered(question)]
        self.observe(len(questions) - len(new))
        for place, text in found(new) if new else ():
            await self.answers.ask(questions[new[place]], _ready(text))
            self.observe(1)
        return [(await self.answers.ask(question, _ready(""))).text for question in questions]

    def _question(self, role: str, told: Sequence[Message], opening: str) -> Question:
        question: Question = {
            "role": role,
            "model": self.model.identity,
            "sample": _sample(self.settings),
            "messages": list(told),
            "opening": opening,
            "max_length": self.model.max_length,
        }
        if role == "strategist":
            return question
        return {**question, "temperature": self.settings.temperature, "max_tokens": self.settings.max_tokens}


@dataclass(frozen=True, slots=True)
class Remote:
    """A model behind a chat, whose answers are remembered by whoever made the chat."""

    chat: Chat
    name: str
    settings: EvaluateSettings
    observe: Observe = lambda _: None
    failed: list[str] = field(default_factory=list[str])  # why requests have no answer

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]:
        """A request without an answer has an empty reply, and is in `failed`."""
        return await gathered(self._reply(told) for told in asked)

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]:
        raise InputError("evaluate.choose=score: an endpoint gives no probabilities of tags; expected choose=free")

    async def _reply(self, told: Sequence[Message]) -> str:
        request = Request(
            model=self.name,
            messages=tuple(llm.Message(message["role"], message["content"]) for message in told),  # type: ignore[arg-type]
            temperature=self.settings.temperature,
            max_tokens=self.settings.max_tokens,
            sample=_sample(self.settings),
        )
        try:
            text = (await self.chat(request)).text
        except RequestError as error:
            self.failed.append(str(error))
            text = ""
        self.observe(1)
        return text


def _sample(settings: EvaluateSettings) -> int:
    """The likeliest reply is the same whatever the seed."""
    return settings.seed if settings.temperature else 0


def _ready(text: str) -> Callable[[], Awaitable[Completion]]:
    async def completion() -> Completion:
        return Completion(text)

    return completion

"""How a model answers test items: its choice of strategy and its words. What was answered once is remembered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cso.dialogue import Dialogue
from cso.errors import InputError, RequestError
from cso.evaluate.baselines import METHODS, prompts
from cso.evaluate.items import Item
from cso.llm import chat as llm
from cso.llm.answers import Answers, Question
from cso.llm.chat import Chat, Completion, Request
from cso.settings import EvaluateSettings
from cso.taxonomy import Taxonomy
from cso.transcript import Message, read_reply, tag

if TYPE_CHECKING:
    from cso.evaluate.local import LocalModel

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

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]: ...

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]: ...


async def answer(
    model: Model, asked: Sequence[Item], taxonomy: Taxonomy, settings: EvaluateSettings, examples: Sequence[Dialogue]
) -> list[Answer]:
    """The model's answer to each item. `examples`: what the baseline "example" draws from. Raises InputError."""
    shown = examples if settings.baseline == "example" else ()
    told = prompts(asked, taxonomy, examples=shown, seed=settings.seed)
    if settings.choose == "score":
        if settings.baseline not in ("plain", "example"):
            raise InputError(f"evaluate.choose=score: {settings.baseline} writes replies; expected choose=free")
        chances = await model.choose(told, taxonomy)
        chosen = [taxonomy.names[each.index(max(each))] for each in chances]
        replies = await model.write(told, [tag(name) for name in chosen]) if settings.write else [""] * len(asked)
        return [
            Answer(item, name, read_reply(reply, taxonomy)[1], tuple(each))
            for item, name, reply, each in zip(asked, chosen, replies, chances, strict=True)
        ]
    if not settings.write:
        raise InputError("evaluate.write=false: the strategy is read from the reply unless evaluate.choose=score")
    replies = await METHODS[settings.baseline](told, model.write)
    return [Answer(item, *read_reply(reply, taxonomy)) for item, reply in zip(asked, replies, strict=True)]


@dataclass(frozen=True, slots=True)
class Local:
    """A model in this process. Its answers are remembered batch by batch, so that a stopped evaluation goes on."""

    model: LocalModel
    answers: Answers
    settings: EvaluateSettings
    observe: Observe = lambda _: None

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]:
        before = openings or [""] * len(asked)
        questions = [self._question("supporter", told, each) for told, each in zip(asked, before, strict=True)]
        new = [place for place, question in enumerate(questions) if not self.answers.remembered(question)]
        self.observe(len(asked) - len(new))
        written = self.model.write(
            self.model.prompts([asked[place] for place in new]),
            [before[place] for place in new],
            max_tokens=self.settings.max_tokens,
            temperature=self.settings.temperature,
            seed=self.settings.seed,
        )
        for place, reply in written:
            await self.answers.ask(questions[new[place]], _ready(reply))
            self.observe(1)
        return [(await self.answers.ask(question, _ready(""))).text for question in questions]

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]:
        questions = [self._question("strategist", told, ",".join(taxonomy.names)) for told in asked]
        new = [place for place, question in enumerate(questions) if not self.answers.remembered(question)]
        chances = self.model.choose(self.model.prompts([asked[place] for place in new]), taxonomy) if new else []
        for place, each in zip(new, chances, strict=True):
            await self.answers.ask(questions[place], _ready(json.dumps(each)))
        return [json.loads((await self.answers.ask(question, _ready(""))).text) for question in questions]

    def _question(self, role: str, told: Sequence[Message], opening: str) -> Question:
        question: Question = {
            "role": role,
            "model": f"{self.model.name} {self.model.identity}",
            "sample": self.settings.seed if self.settings.temperature else 0,
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

    async def write(self, asked: Sequence[Sequence[Message]], openings: Sequence[str] | None = None) -> list[str]:
        """A request that the endpoint refuses has an empty reply; where it answers nothing, EndpointError is raised."""
        tasks = [asyncio.create_task(self._reply(told)) for told in asked]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def choose(self, asked: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> list[list[float]]:
        raise InputError("evaluate.choose=score: an endpoint gives no probabilities of tags; expected choose=free")

    async def _reply(self, told: Sequence[Message]) -> str:
        request = Request(
            model=self.name,
            messages=tuple(llm.Message(message["role"], message["content"]) for message in told),  # type: ignore[arg-type]
            temperature=self.settings.temperature,
            max_tokens=self.settings.max_tokens,
        )
        try:
            text = (await self.chat(request)).text
        except RequestError:
            text = ""
        self.observe(1)
        return text


def _ready(text: str) -> Callable[[], Awaitable[Completion]]:
    async def completion() -> Completion:
        return Completion(text)

    return completion

"""A cast without chat models whose answers are remembered all the same, in the same files."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cso.dialogue import Dialogue
from cso.llm.answers import JSON, Answers
from cso.llm.chat import Completion
from cso.rating import Rating
from cso.search.cast import Cast, Utterance
from cso.taxonomy import Strategy


def remembered(cast: Cast, answers: Answers, name: str, take: Callable[[], None] = lambda: None) -> Cast:
    """`cast`, asked each question once. `name` stands for who plays it, in the place of a model's name.

    `take` is called before each new question; what it raises, whoever asked gets.
    """
    memory = _Memory(cast, answers, name, take)
    return Cast(memory.seeker, memory.supporter, memory.strategist, memory.judge)


@dataclass(frozen=True, slots=True)
class _Memory:
    cast: Cast
    answers: Answers
    name: str
    take: Callable[[], None]

    async def seeker(self, history: Dialogue, *, sample: int = 0) -> Utterance:
        async def ask() -> JSON:
            return list(await self.cast.seeker(history, sample=sample))

        text, ends = json.loads(await self._ask("seeker", history, sample, ask, strategies=False))
        return Utterance(text, ends)

    async def supporter(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        async def ask() -> JSON:
            return await self.cast.supporter(history, strategy, sample=sample)

        return json.loads(await self._ask("supporter", history, sample, ask, strategies=False, by=strategy.name))

    async def strategist(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        async def ask() -> JSON:
            return dict(await self.cast.strategist(history, sample=sample))

        return json.loads(await self._ask("strategist", history, sample, ask, strategies=True))

    async def judge(self, history: Dialogue, *, sample: int = 0) -> Rating:
        async def ask() -> JSON:
            return list(await self.cast.judge(history, sample=sample))

        return Rating(*json.loads(await self._ask("judge", history, sample, ask, strategies=True)))

    async def _ask(
        self,
        role: str,
        history: Dialogue,
        sample: int,
        ask: Callable[[], Awaitable[JSON]],
        *,
        strategies: bool,
        by: str | None = None,
    ) -> str:
        said: list[JSON] = [[turn.speaker, turn.text, turn.strategy if strategies else None] for turn in history.turns]
        question = {"role": role, "model": self.name, "sample": sample, "strategy": by, "history": said}

        async def answer() -> Completion:
            self.take()
            return Completion(json.dumps(await ask(), ensure_ascii=False))

        return (await self.answers.ask(question, answer)).text

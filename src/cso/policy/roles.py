"""Strategist and supporter played by a model that cso has trained, as AlphaZero's policy guides its search."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cso.dialogue import Dialogue
from cso.errors import AnswerError
from cso.evaluate.local import ADVICE, LocalModel, load_local, version
from cso.policy.batching import Batcher
from cso.search.cast import Strategist, Supporter
from cso.settings import EvaluateSettings, ModelSettings, RoleSettings
from cso.taxonomy import Strategy, Taxonomy
from cso.train.memory import memory_advice
from cso.transcript import Message, prompt, read_reply, system_message, tag

T = TypeVar("T")
LEAST = 1e-9  # a probability that a score still tells from 0
MAX_TOKENS = 128  # of a reply, where none are set


@dataclass(frozen=True, slots=True)
class Policy:
    """A loaded model in both roles. `identity` changes with its files."""

    strategist: Strategist
    supporter: Supporter
    identity: str


@dataclass(frozen=True, slots=True)
class PolicyStrategist:
    """Scores whose softmax at `temperature` is what the model thinks of each strategy's tag: 10 for the likeliest,
    and less by `temperature` for each factor e.
    """

    chances: Batcher[list[Message], list[float]]
    taxonomy: Taxonomy
    temperature: float

    async def __call__(self, history: Dialogue, *, sample: int = 0) -> Mapping[str, float]:
        """`sample` changes nothing: the model's probabilities are what they are."""
        found = await self.chances(prompt(history, self.taxonomy))
        highest = math.log(max(found))
        return {
            name: round(10 + self.temperature * (math.log(max(chance, LEAST)) - highest), 4)
            for name, chance in zip(self.taxonomy.names, found, strict=True)
        }


@dataclass(frozen=True, slots=True)
class PolicySupporter:
    """Replies that begin with the tag of the strategy that was asked for."""

    replies: Batcher[tuple[list[Message], str, int], str]
    taxonomy: Taxonomy

    async def __call__(self, history: Dialogue, strategy: Strategy, *, sample: int = 0) -> str:
        """Raises AnswerError where the model has nothing to say."""
        said = await self.replies((prompt(history, self.taxonomy), tag(strategy.name), sample))
        _, words = read_reply(said, self.taxonomy)
        if not words:
            raise AnswerError(f"supporter: expected words, found {said!r}", reason="empty", text=said)
        return words


def load_policy(
    model: ModelSettings, taxonomy: Taxonomy, player: RoleSettings, told: EvaluateSettings, *, temperature: float
) -> Policy:
    """The model in both roles; `player` says how the supporter draws, `temperature` is the search's.

    Raises InputError where it cannot be loaded, or was trained to choose from other strategies.
    """
    room = player.max_tokens or MAX_TOKENS
    loaded = load_local(model, taxonomy, max_length=told.max_length, max_tokens=room, token_budget=told.token_budget)
    busy = asyncio.Lock()

    def chances(asked: Sequence[list[Message]]) -> list[list[float]]:
        with memory_advice(ADVICE):
            return _in_order(loaded.choose(loaded.prompts(asked), taxonomy), len(asked))

    def replies(asked: Sequence[tuple[list[Message], str, int]]) -> list[str]:
        found = [""] * len(asked)
        for drawn in sorted({sample for _, _, sample in asked}):
            places = [place for place, (_, _, sample) in enumerate(asked) if sample == drawn]
            with memory_advice(ADVICE):
                said = _written(loaded, [asked[place] for place in places], player, drawn)
            for place, text in zip(places, said, strict=True):
                found[place] = text
        return found

    return Policy(
        PolicyStrategist(Batcher(chances, busy), taxonomy, temperature),
        PolicySupporter(Batcher(replies, busy), taxonomy),
        policy_identity(model, taxonomy, player, told, temperature=temperature),
    )


def policy_identity(
    model: ModelSettings, taxonomy: Taxonomy, player: RoleSettings, told: EvaluateSettings, *, temperature: float
) -> str:
    """All that the answers of a policy depend on besides the question: its files, and how and in which words it is
    asked.
    """
    words = hashlib.sha256(system_message(taxonomy)["content"].encode("utf-8", "surrogatepass")).hexdigest()[:16]
    how = [words, player.temperature, player.max_tokens, told.max_length, model.precision, model.attention, temperature]
    return f"{version(model)} {how}"


def _written(
    model: LocalModel, asked: Sequence[tuple[list[Message], str, int]], player: RoleSettings, seed: int
) -> list[str]:
    found = model.write(
        model.prompts([told for told, _, _ in asked]),
        [opening for _, opening, _ in asked],
        max_tokens=player.max_tokens or MAX_TOKENS,
        temperature=player.temperature or 0.0,
        seed=seed,
    )
    return _in_order(found, len(asked))


def _in_order(found: Iterable[tuple[int, T]], count: int) -> list[T]:
    by_place = dict(found)
    return [by_place[place] for place in range(count)]

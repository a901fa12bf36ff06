"""A model that is evaluated by actors: each has loaded it once and answers a share of the prompts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cso.cluster.crew import Crew
from cso.evaluate.local import ADVICE, LocalModel, load_local, version
from cso.files import is_folder
from cso.settings import ModelSettings, RaySettings
from cso.taxonomy import Taxonomy
from cso.train.conversation import Prompt
from cso.train.memory import memory_advice
from cso.transcript import Message

PROMPTS = 64  # in one call of an actor: few enough to share out, enough to have beginnings in common


@dataclass(frozen=True, slots=True)
class Part:
    """Prompts for one call, and how the model is asked about them."""

    asked: Sequence[Sequence[Message]]
    first: int  # place of the first
    ask: Callable[[LocalModel, Sequence[Prompt]], Iterable[tuple[int, Any]]]


class EvaluateActor:
    def __init__(self, model: ModelSettings, taxonomy: Taxonomy, lengths: Mapping[str, Any]) -> None:
        self._told, self._lengths = (model, taxonomy), lengths
        self._model: LocalModel

    def open(self) -> None:
        """Raises what `load_local` does."""
        self._model = load_local(*self._told, **self._lengths)

    def answer(self, part: Part) -> list[tuple[int, Any]]:
        with memory_advice(ADVICE):
            found = part.ask(self._model, self._model.prompts(part.asked))
            return [(part.first + place, each) for place, each in found]


class RayModel:
    """Takes the place of a LocalModel, and gives the same answers. A context manager, for its actors."""

    def __init__(
        self,
        model: ModelSettings,
        taxonomy: Taxonomy,
        ray: RaySettings,
        *,
        max_length: int,
        max_tokens: int,
        token_budget: int | None,
    ) -> None:
        self.identity = version(model)
        if is_folder(model.name):
            model = model.model_copy(update={"name": str(Path(model.name).resolve())})  # actors work elsewhere
        self.max_length = max_length
        lengths = {"max_length": max_length, "max_tokens": max_tokens, "token_budget": token_budget}
        one_part_at_a_time = ray.model_copy(update={"at_once": 1})
        self._crew = Crew[Part](EvaluateActor, one_part_at_a_time, tell=lambda place, of: (model, taxonomy, lengths))

    def __enter__(self) -> Self:
        self._crew.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.__exit__(*error)

    def prompts(self, asked: Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
        """As they are: the actors make tokens of them."""
        return list(asked)

    def choose(self, prompts: Sequence[Sequence[Message]], taxonomy: Taxonomy) -> Generator[tuple[int, list[float]]]:
        """As `LocalModel.choose`, in any order."""
        yield from self._spread(
            Part(asked, first, lambda model, read: model.choose(read, taxonomy)) for first, asked in _parts(prompts)
        )

    def write(
        self, prompts: Sequence[Sequence[Message]], openings: Sequence[str] | None = None, **told: Any
    ) -> Generator[tuple[int, str]]:
        """As `LocalModel.write`, in any order."""
        before = openings or [""] * len(prompts)

        def part(first: int, asked: Sequence[Sequence[Message]]) -> Part:
            own = before[first : first + len(asked)]
            return Part(asked, first, lambda model, read: model.write(read, own, **told))

        yield from self._spread(part(first, asked) for first, asked in _parts(prompts))

    def _spread(self, parts: Iterable[Part]) -> Generator[tuple[int, Any]]:
        for _, found in self._crew.spread("answer", list(parts)):
            yield from found


def _parts(prompts: Sequence[Sequence[Message]]) -> list[tuple[int, Sequence[Sequence[Message]]]]:
    return [(first, prompts[first : first + PROMPTS]) for first in range(0, len(prompts), PROMPTS)]

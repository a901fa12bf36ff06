"""A search by actors: each grows a share of the dialogues in its own process, with its own endpoints and limits.

The run lies in a folder that all machines share. One actor at a time works at a dialogue, and every answer is there
before it is used: whoever takes over a dialogue replays it and goes on, to the same tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cso.casting import Casting, Spent, casting
from cso.cluster.crew import Crew
from cso.cluster.shares import rest, share
from cso.dialogue import Dialogue
from cso.errors import BudgetSpent
from cso.growing import Growing, Grown
from cso.settings import LimitSettings, Settings
from cso.store import Run


@dataclass(frozen=True, slots=True)
class Report:
    """What an actor has done so far; `reached`: the iterations of the dialogues it is at."""

    place: int
    spent: Spent
    reached: Mapping[str, int]


class SearchActor:
    """One of the actors. Its methods run in one event loop, side by side."""

    def __init__(self, folder: Path, place: int, limits: LimitSettings, keys: Mapping[str, str]) -> None:
        """`keys`: variables that hold keys of endpoints, as the driver has them; the machine's own go first."""
        self._folder, self._place, self._limits, self._keys = folder, place, limits, keys
        self._reached: dict[str, int] = {}
        self._cast: Casting
        self._growing: Growing

    async def open(self) -> None:
        """Raises StoreError where the run is not here, and InputError for roles that cannot be filled."""
        for name, key in self._keys.items():
            os.environ.setdefault(name, key)
        run = Run.open(self._folder)
        run.settings = run.settings.model_copy(update={"limits": self._limits})
        self._cast = await AsyncExitStack().enter_async_context(casting(run))  # open until the process ends
        self._growing = Growing(self._cast, reached=self._reached.__setitem__)

    async def grow(self, seed: Dialogue) -> Grown:
        found: list[Grown] = []
        try:
            await self._growing.grow((seed,), found.append)
        except BudgetSpent:
            await self._cast.settle()
            raise
        finally:
            self._reached.pop(seed.id, None)
        return found[0]

    async def report(self) -> Report:
        return Report(self._place, self._cast.spent(), dict(self._reached))


class RaySearch:
    """A run's search, by actors."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reports: dict[int, Report] = {}  # the latest of each place
        self._gone: dict[int, Spent] = {}  # what actors of a place that died had spent

    def grow(
        self,
        seeds: Sequence[Dialogue],
        *,
        grown: Callable[[Grown], None],
        reached: Callable[[str, int], None] = lambda dialogue, iterations: None,
    ) -> None:
        """Grow a tree from each seed and keep it in the run, then tell `grown`.

        Raises ClusterError, and what the actors raise.
        """

        def look() -> None:
            for report in crew.ask("report"):
                self._reports[report.place] = report
                for dialogue, iterations in report.reached.items():
                    reached(dialogue, iterations)

        with Crew[Dialogue](SearchActor, self._run.settings.ray, tell=self._tell) as crew:
            try:
                for _, tree in crew.spread("grow", seeds, tick=look):
                    grown(tree)
            finally:
                look()

    def spent(self) -> Spent:
        """What all actors have been answered, as of a moment ago."""
        return _total([*self._gone.values(), *(report.spent for report in self._reports.values())])

    def _tell(self, place: int, of: int) -> Sequence[Any]:
        if (last := self._reports.pop(place, None)) is not None:
            self._gone[place] = _total([last.spent, *([self._gone[place]] if place in self._gone else [])])
        gone = self._gone.get(place, Spent())
        limits = rest(
            share(self._run.settings.limits, place, of),
            calls=gone.calls,
            tokens=(gone.prompt_tokens or 0) + (gone.completion_tokens or 0),
            cost=gone.cost or 0.0,
        )
        return self._run.folder.resolve(), place, limits, _keys(self._run.settings)


def _total(parts: Sequence[Spent]) -> Spent:
    total, *others = parts or [Spent()]
    for other in others:
        total = total.plus(other)
    return total


def _keys(settings: Settings) -> dict[str, str]:
    if settings.cast.kind == "corpus":
        return {}
    names = {player.api_key_env for player in settings.cast.players().values()}
    return {name: os.environ[name] for name in names if name is not None and name in os.environ}

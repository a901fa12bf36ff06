"""A search by actors: each grows a share of the dialogues in its own process, with its own endpoints and limits.

One actor at a time works at a dialogue. In a folder that all machines share, every answer is there before it is used:
whoever takes over a dialogue replays it and goes on, to the same tree. An address such as s3://bucket/run gets the
answers every few seconds, so that those of the last ones are asked again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cso.casting import Casting, Spent, casting, wording
from cso.cluster.crew import Crew
from cso.cluster.mirror import SHARED, Mirror
from cso.cluster.shares import rest, share
from cso.dialogue import Dialogue
from cso.errors import BudgetSpent, InputError, StoreError
from cso.files import remove
from cso.growing import Growing, Grown
from cso.settings import LimitSettings, Settings
from cso.store import Run

SECONDS_UNSENT = 5.0  # that answers lie on one machine only, where the run has an address


@dataclass(frozen=True, slots=True)
class Report:
    """What an actor has done so far; `reached`: the iterations of the dialogues it is at."""

    place: int
    spent: Spent
    paid: Spent  # of it, what counts against the limits
    reached: Mapping[str, int]


class SearchActor:
    """One of the actors. Its methods run in one event loop, side by side."""

    def __init__(self, at: Path | str, place: int, limits: LimitSettings, keys: Mapping[str, str]) -> None:
        """`at`: the run's folder or address. `keys`: variables that hold keys of endpoints, as the driver has them;
        the machine's own go first.
        """
        self._at, self._place, self._limits, self._keys = at, place, limits, keys
        self._reached: dict[str, int] = {}
        self._mirror: Mirror | None = None
        self._cast: Casting
        self._growing: Growing

    async def open(self) -> None:
        """Raises StoreError where the run is not here, and InputError for roles that cannot be filled."""
        for name, key in self._keys.items():
            os.environ.setdefault(name, key)
        folder = self._at if isinstance(self._at, Path) else Path(mkdtemp(prefix="cso-"))
        if isinstance(self._at, str):
            self._mirror = Mirror(self._at, folder)
            self._mirror.fetch(*SHARED)
        run = Run.open(folder)
        if wording(run.settings, run.taxonomy) != run.wording:
            raise InputError(
                "prompts, rubric or the model of cast.policy are not the same on this machine: give paths that all "
                "machines see, from the root"
            )
        run.settings = run.settings.model_copy(update={"limits": self._limits})
        self._open = AsyncExitStack()  # until the process ends
        self._cast = await self._open.enter_async_context(casting(run))
        self._growing = Growing(self._cast, reached=self._reached.__setitem__)

    async def grow(self, seed: Dialogue) -> Grown:
        """The dialogue's tree, also where it is there already."""
        if self._mirror is None:
            return await self._grow(seed)
        run = self._cast.run
        tree, answers = (
            path.relative_to(run.folder).as_posix() for path in (run.tree_path(seed.id), run.answers_path(seed.id))
        )
        await asyncio.to_thread(self._mirror.fetch, tree, answers)
        if run.has_tree(seed):
            grown = Grown.of(run.read_tree(run.tree_path(seed.id))[0])
            _remove(run, tree, answers)
            return grown
        ended = asyncio.Event()
        sending = asyncio.create_task(self._send_often(self._mirror, answers, ended))
        try:
            return await self._grow(seed)
        finally:
            ended.set()
            await sending  # lest an older copy arrive after the last one
            done = [name for name in (answers, tree) if (run.folder / name).exists()]
            await asyncio.to_thread(self._mirror.send, *done)
            _remove(run, *done)

    async def _grow(self, seed: Dialogue) -> Grown:
        found: list[Grown] = []
        try:
            await self._growing.grow((seed,), found.append)
        except BudgetSpent:
            await self._cast.settle()
            raise
        finally:
            self._reached.pop(seed.id, None)
        await self._cast.settle_dismissed()
        return found[0]

    async def _send_often(self, mirror: Mirror, name: str, ended: asyncio.Event) -> None:
        """Send a file whenever it has grown. What fails is tried again, at the end by whoever asked for the tree."""
        size = 0
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), SECONDS_UNSENT)
            file = mirror.folder / name
            if not ended.is_set() and file.exists() and file.stat().st_size > size:
                with suppress(StoreError):
                    await asyncio.to_thread(mirror.send, name)
                    size = file.stat().st_size

    async def report(self) -> Report:
        return Report(self._place, self._cast.spent(), self._cast.paid(), dict(self._reached))


class RaySearch:
    """A run's search, by actors."""

    actor: type[SearchActor] = SearchActor

    def __init__(self, run: Run, address: str | None = None) -> None:
        """`address`: where the run really lies; `run` has its settings, taxonomy and seeds."""
        self._run = run
        self._at: Path | str = address or run.folder.resolve()
        self._reports: dict[int, Report] = {}  # the latest of each place
        self._gone: dict[int, list[Report]] = {}  # the last ones of a place's actors that died

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

        with Crew[Dialogue](self.actor, self._run.settings.ray, tell=self._tell) as crew:
            try:
                for _, tree in crew.spread("grow", seeds, tick=look):
                    grown(tree)
            except BudgetSpent as error:
                share = str(error).partition(" is reached")[0]
                raise BudgetSpent(f"{share}, an actor's share, is reached; raise the run's limit to go on") from error
            finally:
                look()

    def spent(self) -> Spent:
        """What all actors have been answered, as of a moment ago."""
        gone = [report for reports in self._gone.values() for report in reports]
        return _total([report.spent for report in [*gone, *self._reports.values()]])

    def _tell(self, place: int, of: int) -> Sequence[Any]:
        if (last := self._reports.pop(place, None)) is not None:
            self._gone.setdefault(place, []).append(last)
        paid = _total([report.paid for report in self._gone.get(place, [])])
        limits = rest(
            share(self._run.settings.limits, place, of),
            calls=paid.calls,
            tokens=(paid.prompt_tokens or 0) + (paid.completion_tokens or 0),
            cost=paid.cost or 0.0,
        )
        return self._at, place, limits, _keys(self._run.settings)


def _remove(run: Run, *names: str) -> None:
    """Files that are at the run's address, from this machine."""
    for name in names:
        remove(run.folder / name)


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

"""Actors that share out items among them. What an actor was at when it died, others take over."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from ray.exceptions import RayError, RayTaskError

from cso.errors import BudgetSpent, ClusterError, CsoError
from cso.settings import RaySettings

ray = cast(Any, import_module("ray"))  # most of its types are partial
T = TypeVar("T")
DEATHS = 5  # of actors at the same item, until the item is to blame
OPENING = -1  # counts as an item
TICK = 1.0  # seconds
PATIENCE = 120.0  # seconds for which no actor works and none begins to, until that is an error


@dataclass(slots=True, eq=False)
class Member:
    """An actor and what it is at: a ref to each result that is to come, with the place of its item."""

    place: int  # from 0; whoever replaces it has the same
    handle: Any
    opening: Any  # None once it is ready
    items: dict[Any, int] = field(default_factory=dict[Any, int])
    spent: BudgetSpent | None = None  # it gets nothing any more

    def free(self, at_once: int) -> bool:
        return self.opening is None and self.spent is None and len(self.items) < at_once

    def refs(self) -> list[Any]:
        return [*([] if self.opening is None else [self.opening]), *self.items]


class Crew(Generic[T]):
    """Actors of one class, each of which is asked for `open()` once and for `method(item)` again and again.

    Use it as a context manager: at its end the actors are gone, and a cluster that was started for them as well.
    """

    def __init__(self, actor: type, settings: RaySettings, *, tell: Callable[[int, int], Sequence[Any]]) -> None:
        """`tell` gives what the actor in a place, of so many, is made with."""
        self._actor, self._settings, self._tell = actor, settings, tell
        self._members: list[Member] = []
        self._started = False
        self._busy_at = time.monotonic()

    def __enter__(self) -> Crew[T]:
        self._started = not ray.is_initialized()
        try:
            if self._started:
                _connect(self._settings)
            wanted = self.size()
            self._members = [self._hire(place, wanted) for place in range(wanted)]
        except BaseException:
            self.__exit__()
            raise
        self._busy_at = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            _kill(member)
        if self._started:
            ray.shutdown()

    def size(self) -> int:
        """How many actors there are to be."""
        fits = sum(self._fits(node["Resources"]) for node in ray.nodes() if node["Alive"])
        if fits < 1:
            raise ClusterError(
                f"ray: expected a machine with room for an actor of {self._settings.cpus:g} CPUs and "
                f"{self._settings.gpus:g} GPUs, found none in the cluster: lower ray.cpus or ray.gpus"
            )
        return min(fits, self._settings.actors or fits)

    def _fits(self, machine: Mapping[str, float]) -> int:
        """How many actors a machine has room for."""
        rooms = [machine.get("CPU", 0) / self._settings.cpus]
        if self._settings.gpus:
            rooms.append(machine.get("GPU", 0) / self._settings.gpus)
        return int(min(rooms))

    def ask(self, method: str) -> list[Any]:
        """What the actors answer to a method without arguments; those that do not within a second are left out."""
        refs = [getattr(member.handle, method).remote() for member in self._members if member.opening is None]
        answers: list[Any] = []
        for ref in _ready(refs, timeout=TICK):
            with suppress(RayError):
                answers.append(_result(ref))
        return answers

    def spread(
        self, method: str, items: Sequence[T], *, tick: Callable[[], None] = lambda: None
    ) -> Generator[tuple[T, Any]]:
        """Every item with what `method` returned for it, as they come; `tick` is called every second or so.

        Raises what the actors raise, BudgetSpent only once all have spent their shares. Raises ClusterError where
        several actors died with the same item under way, or before they were ready.
        """
        waiting = deque(range(len(items)))
        deaths: Counter[int] = Counter()
        left, ticked = len(items), time.monotonic()
        while left:
            self._hand_out(method, items, waiting)
            for member in list(self._members):
                try:
                    for place, result in self._finished(member, waiting):
                        left -= 1
                        yield items[place], result
                except RayError as error:
                    deaths.update(member.items.values() if member.opening is None else [OPENING])
                    if max(deaths.values(), default=0) >= DEATHS:
                        raise _blame(error, opening=member.opening is not None) from error
                    waiting.extend(member.items.values())  # last, lest work that kills actors keeps the rest from them
                    self._replace(member)
            if time.monotonic() - ticked > TICK:
                ticked = time.monotonic()
                tick()

    def _hand_out(self, method: str, items: Sequence[T], waiting: deque[int]) -> None:
        """Give those who have time something to do, then wait until something is finished, at most a moment."""
        while waiting and (free := [member for member in self._members if member.free(self._settings.at_once)]):
            idlest = min(free, key=lambda member: len(member.items))
            place = waiting.popleft()
            idlest.items[getattr(idlest.handle, method).remote(items[place])] = place
        now = time.monotonic()
        if any(member.items for member in self._members):
            self._busy_at = now
        spent = [member.spent for member in self._members if member.spent is not None]
        refs = [ref for member in self._members for ref in member.refs()]
        if spent and (not refs or now - self._busy_at > PATIENCE):
            raise spent[0]
        if now - self._busy_at > PATIENCE:
            raise ClusterError(
                f"ray: no actor has begun in {PATIENCE:.0f} seconds: is the cluster taken up by others? (`ray status`)"
            )
        ray.wait(refs, timeout=TICK)

    def _finished(self, member: Member, waiting: deque[int]) -> Generator[tuple[int, Any]]:
        """What an actor has finished: places of items, with results. What it could not pay for waits again."""
        for ref in _ready(member.refs(), timeout=0):
            if ref == member.opening:
                _result(ref)
                member.opening = None
                continue
            try:
                result = _result(ref)
            except BudgetSpent as error:
                member.spent = error
                waiting.appendleft(member.items.pop(ref))
            else:
                yield member.items.pop(ref), result

    def _hire(self, place: int, wanted: int) -> Member:
        settings = self._settings
        hire = ray.remote(num_cpus=settings.cpus, num_gpus=settings.gpus)(self._actor)
        handle: Any = hire.options(max_concurrency=settings.at_once + 8).remote(*self._tell(place, wanted))
        return Member(place, handle, handle.open.remote())

    def _replace(self, member: Member) -> None:
        _kill(member)  # also where it can only not be reached: two should never work at the same dialogue
        self._members[self._members.index(member)] = self._hire(member.place, len(self._members))


def _connect(settings: RaySettings) -> None:
    host, _, port = (settings.address or "").rpartition(":")
    if host and port.isdigit():  # Ray itself would go on trying, deaf to Ctrl-C
        try:
            socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(f"ray.address={settings.address}: nothing answers there: {error}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        ray.init(
            address=settings.address,
            include_dashboard=False if settings.address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:  # RuntimeError: of another version of Ray or Python
        raise ClusterError(
            f"ray.address={settings.address}: expected a Ray cluster (`ray start --head` makes one): {error}"
        ) from error


def _ready(refs: Sequence[Any], *, timeout: float) -> list[Any]:
    """Those that are there, after all are or `timeout` seconds have passed."""
    return ray.wait(refs, num_returns=len(refs), timeout=timeout)[0] if refs else []


def _kill(member: Member) -> None:
    """Until it is dead, or cannot be reached. (An answers file that two write to is a StoreError all the same.)"""
    ray.kill(member.handle)
    refs = member.refs()
    ray.wait(refs, num_returns=len(refs), timeout=TICK) if refs else None


def _result(ref: Any) -> Any:
    """Raises an error of ours as it was raised in the actor, a bug as RuntimeError, and RayError where it died."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, CsoError):
            raise error.cause from None
        raise RuntimeError(str(error)) from error


def _blame(error: RayError, *, opening: bool) -> ClusterError:
    last = str(error).strip().splitlines()[-1].strip()[:200]
    if opening:
        return ClusterError(f"{DEATHS} actors died before they were ready ({last}): is cso installed on every machine?")
    return ClusterError(
        f"{DEATHS} actors died with the same work under way ({last}): find what kills them, such as a lack of memory "
        f"(ray.at_once bounds what an actor does), then give the same command to go on"
    )

"""How far a search or a training is: a live line on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cso.growing import Grown

SECONDS_BETWEEN_LINES = 10
_SHOWN = {
    "loss": "loss",
    "rewards/accuracies": "accuracy",
    "eval_loss": "held-out loss",
    "tokens_saved": "tokens saved",
}


class SearchProgress:
    """Counts trees and iterations; `spent` says what has been asked so far. Use it as a context manager."""

    def __init__(self, console: Console, *, trees: int, iterations: int, spent: Callable[[], object]) -> None:
        self._console = console
        self._trees, self._iterations, self._spent = trees, iterations, spent
        self._done = self._failed = 0
        self._reached: dict[str, int] = {}  # iterations of the trees under way
        self._finished_iterations = 0
        self._started = self._said = time.monotonic()
        self._bar = _bar(console, "{task.description}", "{task.percentage:>3.0f}% · {task.fields[spent]}")
        self._task = self._bar.add_task("", total=max(1, trees * iterations), spent="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def reached(self, dialogue: str, iterations: int) -> None:
        """A dialogue's tree has come further."""
        self._reached[dialogue] = iterations
        self._show()

    def grown(self, tree: Grown) -> None:
        """A tree is done; what it had left to do will not be done."""
        self._reached.pop(tree.id, None)
        self._finished_iterations += self._iterations
        self._done += 1
        self._failed += tree.failure is not None
        self._show(line=self._done == self._trees)

    def _show(self, *, line: bool = False) -> None:
        reached = self._finished_iterations + sum(self._reached.values())
        trees = f"{self._done}/{self._trees} trees" + (f" ({self._failed} failed)" if self._failed else "")
        if self._console.is_terminal:
            self._bar.update(self._task, completed=reached, description=trees, spent=str(self._spent()))
            return
        now = time.monotonic()
        if not line and now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        share = reached / max(1, self._trees * self._iterations)
        left = f", about {(now - self._started) * (1 - share) / share:.0f} s left" if 0 < share < 1 else ""
        self._console.print(f"{trees}, {share:.0%} of the iterations, {self._spent()}{left}")


class TrainProgress:
    """Steps done and left, with the last loss. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = time.monotonic()
        self._bar = _bar(console, "step {task.completed}/{task.total}", "{task.percentage:>3.0f}% {task.description}")
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text)

    def observe(self, entry: Mapping[str, float], steps: int) -> None:
        """A new entry of the log, of so many steps in all."""
        done = int(entry.get("step", 0))
        numbers = [f"{word} {entry[name]:.3f}" for name, word in _SHOWN.items() if name in entry]
        if not numbers:
            return
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("", total=steps)
            self._bar.update(self._task, completed=done, description=", ".join(numbers))
        elif done == steps or time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(f"step {done}/{steps}, {', '.join(numbers)}")


@contextmanager
def counting(console: Console, total: int) -> Generator[Callable[[int], None]]:
    """What is called with the number of answers that have come; on a terminal they are shown out of `total`."""
    with _bar(console, "{task.completed}/{task.total} replies", "{task.percentage:>3.0f}%") as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _bar(console: Console, before: str, behind: str) -> Progress:
    """A live line on a terminal, nothing elsewhere."""
    return Progress(
        TextColumn(before),
        BarColumn(bar_width=24),
        TextColumn(behind),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

"""What was asked of models in a run: calls and tokens, counted from the answers that are remembered.

A run may hold a hundred thousand answers, so a line is checked by hand and not by a model of pydantic's: 131,000 lines
take about a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

Prices = Mapping[str, tuple[float, float] | None]  # of a model: USD for a million tokens in, and out

FILES = {  # what for, and where the answers lie
    "search": "answers/*.jsonl",
    "evaluation": "evaluation/*/answers.jsonl",
    "judging": "evaluation/*/judge.jsonl",
    "toxicity": "toxicity/*.jsonl",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked in a role."""

    purpose: str
    role: str
    model: str
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    evaluation: str = ""  # whose it is, by name

    @property
    def local(self) -> bool:
        """Whether the model ran here, which counts no tokens."""
        return not (self.prompt_tokens or self.completion_tokens)

    def cost(self, prices: Prices) -> float | None:
        """USD; None where no price is known."""
        price = prices.get(self.model)
        return None if price is None else (self.prompt_tokens * price[0] + self.completion_tokens * price[1]) / 1e6


def asked(folder: Path, unreadable: Callable[[Path, str], None]) -> list[Asked]:
    """By purpose, role, model and evaluation. Lines that are no answers are left out and told to `unreadable`."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for purpose, pattern in FILES.items():
        for path in sorted(folder.glob(pattern)):
            evaluation = unquote(path.parent.name) if purpose == "evaluation" else ""
            try:
                known = path.stat()
                counts, wrong = _count(path, known.st_size, known.st_mtime_ns)
            except OSError as error:
                unreadable(path, error.strerror or "cannot be read")
                continue
            if wrong:
                unreadable(path, wrong)
            for (role, model), more in counts.items():
                total = found.setdefault((purpose, role, model, evaluation), [0, 0, 0])
                total[:] = [one + other for one, other in zip(total, more, strict=True)]
    return [Asked(*key[:3], *counts, evaluation=key[3]) for key, counts in found.items()]


@lru_cache(maxsize=10_000)
def _count(path: Path, size: int, changed: int) -> tuple[Mapping[tuple[str, str], Sequence[int]], str]:
    """Calls, tokens in and out by role and model, and what is wrong; a file that has not changed is not read again."""
    *lines, _torn = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found: dict[tuple[str, str], list[int]] = {}
    wrong = 0
    for line in lines:
        try:
            row: Any = json.loads(line)
            key = _word(row["role"]), _word(row["model"])
            into, out = _tokens(row, "prompt_tokens"), _tokens(row, "completion_tokens")
        except (ValueError, KeyError, TypeError, RecursionError):
            wrong += 1
            continue
        counts = found.setdefault(key, [0, 0, 0])
        counts[0] += 1
        counts[1] += into
        counts[2] += out
    return found, f"{wrong:,} of {len(lines):,} lines" if wrong else ""


def _word(value: object) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def _tokens(row: object, name: str) -> int:
    value = cast(dict[str, object], row).get(name, 0)
    if type(value) is not int or not 0 <= value <= 10**12:
        raise TypeError("not a number of tokens")
    return value

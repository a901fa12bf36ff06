"""`cso study rounds`: in the simulated world, is a second round worth more than a first one of the same cost?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cso.cli.embedded import SETTINGS, grow
from cso.cli.options import assignment
from cso.cli.variants import Variant, trained_in, variant
from cso.corpora.jsonl import write_dialogues
from cso.files import read_jsonl
from cso.store import OtherRun, Run

VariantsOf = Callable[[int], Iterable[Variant]]  # by the seed of a training
TOKENS = 500_000  # of a training, where none are set


class Rounds:
    """The trainings of the study, of which later ones need the models of earlier ones."""

    def __init__(
        self, screen: Console, run: Run, folder: Path, tokens: int | None, said: list[str], *, restart: bool
    ) -> None:
        """`folder`: where the study keeps its models; `restart`: what was grown by another model is grown anew."""
        self._screen, self._run, self._folder = screen, run, folder
        self._tokens, self._restart = tokens or TOKENS, restart
        self._shaping = [each for each in said if each.startswith(("search.", "extract."))]

    def variants(self, seed: int) -> Iterator[Variant]:
        """One round with all trees; two with half of them each, the second guided by the first one's model, or not.

        Each is to be trained before the next one is asked for.
        """
        seeds = self._run.load_seeds()
        first, second = seeds[: len(seeds) // 2], seeds[len(seeds) // 2 :]
        whole = variant(self._run, "One round", "dpo")
        half = replace(
            whole,
            name="Round 1 of 2",
            dialogues=frozenset(each.id for each in first),
            said=(f"train.tokens={self._tokens // 2}",),
        )
        yield replace(whole, said=(f"train.tokens={self._tokens}",))
        yield half
        model = trained_in(self._folder, half.name, seed).resolve()
        later = (*half.said, assignment("train.model.name", model))
        yield replace(half, name="Two trainings", dialogues=frozenset(each.id for each in second), said=later)
        again = self._folder / f"round 2-{seed}"
        write_dialogues(second, self._folder / "second half.jsonl")
        guided = [assignment("cast.policy.model", model), "cast.policy.plays=[strategist]"]
        self._grow(again, [*SETTINGS, *self._shaping, *guided])
        self._say_calls(again, frozenset(each.id for each in second))
        yield replace(variant(Run.open(again), "Two rounds", "dpo"), said=later)

    def _grow(self, again: Path, said: list[str]) -> None:
        """The second half of the trees, guided; as in round 1, the random pairs too, so that calls can be compared."""
        seeds = self._folder / "second half.jsonl"
        try:
            grow(seeds, again, said, random=True)
        except OtherRun:
            if not self._restart:
                raise
            shutil.rmtree(again)  # with the answers, that those of the other model are not counted
            grow(seeds, again, said, random=True)

    def _say_calls(self, again: Path, second: frozenset[str]) -> None:
        before, after = (_calls(run, second) for run in (self._run, Run.open(again)))
        self._screen.print(f"calls for the second half of the trees: {before:,} in one round, {after:,} in round 2")


def _calls(run: Run, dialogues: frozenset[str]) -> int:
    return sum(len(read_jsonl(run.answers_path(each))) for each in dialogues)

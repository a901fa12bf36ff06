"""Dialogues that the embedded cast has with itself: as many as a study needs, the world's best strategy being known."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cso.corpus_cast.world import World
from cso.dialogue import Dialogue, Speaker, Turn
from cso.taxonomy import Taxonomy

DRAWS = 1_000_000  # sample numbers of the cast, from which dialogues draw theirs
SHARPNESS = 0.5  # a score is about twice the natural logarithm of a strategy's probability


def simulate(
    world: World,
    openings: Sequence[Dialogue],
    taxonomy: Taxonomy,
    *,
    count: int,
    wander: float = 0.0,
    leaning: Mapping[str, float] | None = None,
    seed: int = 0,
    prefix: str = "simulated",
) -> list[Dialogue]:
    """`count` dialogues, each beginning as one of `openings`, of which it quotes nothing else.

    At a share of turns, `wander`, the strategy is drawn evenly; else the world's best is followed, or with `leaning`
    one is drawn by the world's probability times e to its leaning: a model that learns from such dialogues is biased.
    """
    draw = np.random.default_rng(seed)
    begun = [openings[int(draw.integers(len(openings)))] for _ in range(count)]
    return asyncio.run(_all(world, begun, taxonomy, draw, wander, leaning, prefix))


async def _all(
    world: World,
    begun: Sequence[Dialogue],
    taxonomy: Taxonomy,
    draw: np.random.Generator,
    wander: float,
    leaning: Mapping[str, float] | None,
    prefix: str,
) -> list[Dialogue]:
    found: list[Dialogue] = []
    cast = world.cast()  # of all folds, as a search on these dialogues has it: one world for all of them
    for number, opening in enumerate(begun):
        first = next(place for place, turn in enumerate(opening.turns) if turn.speaker is Speaker.SEEKER)
        dialogue = replace(opening, id=f"{prefix}-{number}", turns=opening.turns[: first + 1])
        while True:
            scores = await cast.strategist(dialogue)
            strategy = _chosen(scores, draw, wander, leaning)
            sample = int(draw.integers(1, DRAWS))
            text = await cast.supporter(dialogue, taxonomy.strategy(strategy), sample=sample)
            dialogue = dialogue.with_turns([*dialogue.turns, Turn(Speaker.SUPPORTER, text, strategy)])
            seeker = await cast.seeker(dialogue, sample=sample)
            if seeker.ends or not seeker.text:
                break
            dialogue = dialogue.with_turns([*dialogue.turns, Turn(Speaker.SEEKER, seeker.text)])
        found.append(dialogue)
    return found


def _chosen(
    scores: Mapping[str, float], draw: np.random.Generator, wander: float, leaning: Mapping[str, float] | None
) -> str:
    names = list(scores)
    if draw.random() < wander:
        return names[int(draw.integers(len(names)))]
    if leaning is None:
        return max(scores, key=scores.__getitem__)
    weights = np.array([math.exp(SHARPNESS * scores[name] + leaning.get(name, 0.0)) for name in names])
    return names[int(draw.choice(len(names), p=weights / weights.sum()))]

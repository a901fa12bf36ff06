"""The page: tables and figures of a run, self-contained, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, StrictUndefined

from cso.dialogue import STAGES
from cso.report.facts import Facts, Numbers

# Told apart in every common form of colour blindness (Tol's "muted" and a grey), by a strategy's place.
COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#bbbbbb")
TITLES = {"seed": "seed dialogues", "result": "preferred dialogues"}  # of the statistics' stages
WIDTH, HEIGHT = 320, 160  # of a figure's plane, in its own units


class Bar(NamedTuple):
    """A rectangle of a stacked bar: a strategy's share of a stage."""

    strategy: str
    colour: str
    x: float
    y: float
    width: float
    height: float
    share: float


class Curve(NamedTuple):
    """A line over training steps, as an SVG path's points, and where its ends lie."""

    name: str
    points: str
    first: float
    last: float


def page(facts: Facts) -> str:
    """The HTML of a report."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        resources.files("cso.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    stages: dict[str, Mapping[str, Sequence[int]]] = {}
    for name, counts in facts.statistics.get("stages", {}).items():
        stages[TITLES.get(str(name), str(name))] = counts
    names = [name for counts in list(stages.values())[:1] for name in counts]
    for name, scores in facts.evaluations.items():
        stages.setdefault("held-out dialogues", scores["gold_stages"])
        stages[name] = scores["stages"]
        names = names or list(scores["stages"])
    return template.render(
        facts=facts,
        names=names,
        colours=dict(zip(names, (COLOURS[place % len(COLOURS)] for place in range(len(names))), strict=True)),
        figures={title: stacked(counts, names) for title, counts in stages.items()},
        curves={name: curves(log) for name, log in facts.trainings.items()},
        paper=yaml.safe_load(resources.files("cso.report").joinpath("paper.yaml").read_text(encoding="utf-8")),
        width=WIDTH,
        height=HEIGHT,
    )


def stacked(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> list[Bar]:
    """How the strategies share each stage, as rectangles; a stage without any has none."""
    bars: list[Bar] = []
    step = WIDTH / STAGES
    for stage in range(STAGES):
        total = sum(counts[name][stage] for name in names if name in counts)
        top = float(HEIGHT)
        for place, name in enumerate(names):
            share = counts[name][stage] / total if total and name in counts else 0.0
            top -= share * HEIGHT
            if share:
                colour = COLOURS[place % len(COLOURS)]
                bars.append(Bar(name, colour, stage * step + 2, top, step - 4, share * HEIGHT, share))
    return bars


def curves(log: Sequence[Numbers]) -> list[Curve]:
    """Training loss and held-out loss over steps, on one scale."""
    found: dict[str, list[tuple[float, float]]] = {}
    for name, key in (("loss", "loss"), ("held-out loss", "eval_loss")):
        points = [(float(entry["step"]), float(entry[key])) for entry in log if _is_number(entry, key)]
        if len(points) > 1:
            found[name] = points
    everything = [point for points in found.values() for point in points]
    if not everything:
        return []
    most = max(step for step, _ in everything) or 1.0
    low, high = min(value for _, value in everything), max(value for _, value in everything)
    spread = (high - low) or 1.0
    return [
        Curve(
            name,
            " ".join(f"{WIDTH * step / most:.1f},{HEIGHT * (high - value) / spread:.1f}" for step, value in points),
            points[0][1],
            points[-1][1],
        )
        for name, points in found.items()
    ]


def _is_number(entry: Mapping[str, Any], key: str) -> bool:
    return isinstance(entry.get(key), int | float) and isinstance(entry.get("step"), int | float)

"""Training curves, drawn: losses, margins and accuracies over steps, of what is trained on and of what is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cso.report.chart import WIDTH, Drawing, line, plain, short, text_width, ticks, words
from cso.report.shapes import MetricsLine

Points = Sequence[tuple[float, float]]  # step and value

TIED = 1e-4  # a margin up to which rewards differ by rounding alone
MOST = 400  # points of a line that are drawn
LEFT, RIGHT, TOP, BOTTOM = 46.0, WIDTH - 12, 28.0, 208.0
KINDS = {  # what is drawn, and the names of its lines in a log
    "loss": ("loss", "eval_loss"),
    "reward margin": ("margin", "eval_margin"),
    "reward accuracy": ("accuracy", "eval_accuracy"),
}


def lines(log: Sequence[MetricsLine], keys: tuple[str, str]) -> dict[str, Points]:
    """The lines that a log has of one kind; a single number is one point.

    Where rewards tie before the first step, since model and reference are one, no accuracy is drawn.
    """
    found: dict[str, Points] = {}
    for name, key in zip(("training", "held out"), keys, strict=True):
        told = [entry for entry in log if not (key.endswith("accuracy") and _tied(entry))]
        values = [(float(entry.step), entry.model_dump().get(key)) for entry in told]
        points = [(step, float(value)) for step, value in values if value is not None]
        if points:
            found[name] = points
    return found


def _tied(entry: MetricsLine) -> bool:
    margins = [margin for margin in (entry.margin, entry.eval_margin) if margin is not None]
    return entry.step == 0 and all(abs(margin) < TIED for margin in margins)


def curves(title: str, found: Mapping[str, Points], label: str) -> Drawing:
    """Lines over steps on one scale: the first full, the second dashed with a mark at each of its points."""
    values = [value for points in found.values() for _, value in points]
    steps = [step for points in found.values() for step, _ in points]
    last = max(steps) or 1.0
    across, up = ticks(0, last), ticks(min(values), max(values), 4)
    wide, high = (RIGHT - LEFT) / last, (BOTTOM - TOP) / (up[-1] - up[0])
    parts: list[str] = []
    for tick in up:
        y = BOTTOM - (tick - up[0]) * high
        parts.append(line(LEFT, y, RIGHT, y, "fig-grid"))
        parts.append(words(LEFT - 6, y + 4, plain(tick, up[1] - up[0]), "fig-quiet fig-small", anchor="end"))
    for tick in [tick for tick in across if tick <= last]:
        x = LEFT + tick * wide
        parts.append(line(x, BOTTOM, x, BOTTOM + 4, "fig-axis"))
        parts.append(words(x, BOTTOM + 17, plain(tick, across[1]), "fig-quiet fig-small", anchor="middle"))
    parts.append(line(LEFT, BOTTOM, RIGHT, BOTTOM, "fig-axis"))
    parts.append(words((LEFT + RIGHT) / 2, BOTTOM + 34, "step", "fig-quiet fig-small", anchor="middle"))
    x = LEFT
    for name, points in found.items():
        second = " fig-line-1" if name == "held out" else ""
        places = [(LEFT + step * wide, BOTTOM - (value - up[0]) * high) for step, value in thinned(points)]
        drawn = " ".join(f"{short(a)},{short(b)}" for a, b in places)
        parts.append(f'<polyline points="{drawn}" class="fig-line{second}"/>')
        marked = places if second or len(places) == 1 else []
        parts += [f'<circle cx="{short(a)}" cy="{short(b)}" r="3" class="fig-solid"/>' for a, b in marked]
        parts.append(line(x, 10, x + 22, 10, f"fig-line{second}") + words(x + 28, 14, name, "fig-small"))
        x += 28 + text_width(name, 11) + 20
    return Drawing(title, f"{label} over {max(steps):,.0f} steps: {' and '.join(found)}.", BOTTOM + 40, "".join(parts))


def thinned(points: Points) -> Points:
    """At most about MOST points: of each stretch its lowest and its highest, so that no peak is lost."""
    if len(points) <= MOST:
        return points
    size = -(-2 * len(points) // MOST)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept

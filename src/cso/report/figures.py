"""The figures of a report, drawn: pure functions from numbers to drawings (chart.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cso.dialogue import STAGES
from cso.report.chart import LINE, WIDTH, Drawing, box, escaped, line, plain, short, shortened, text_width, ticks, words

Colours = Mapping[str, str]  # of strategies, in the taxonomy's order
Range = tuple[float, float, float]  # a value and its interval: value, low, high

LEFT, RIGHT = 38.0, WIDTH - 8  # of a plane with numbers at its left
PLANE = 190.0  # height of one
MARKS = 6  # models that one drawing of strengths tells apart


def stages(title: str, counts: Mapping[str, Sequence[int]], colours: Colours) -> Drawing:
    """Figures 3 and 9: how strategies share each of six stages; above each bar, how many turns it stands for."""
    top, bottom = 20.0, 20.0 + PLANE
    step = (RIGHT - LEFT) / STAGES
    parts: list[str] = []
    for place in range(5):
        y = bottom - place * PLANE / 4
        parts.append(line(LEFT, y, RIGHT, y, "fig-grid"))
        parts.append(words(LEFT - 6, y + 4, f"{25 * place}%", "fig-quiet fig-small", anchor="end"))
    for stage in range(STAGES):
        total = sum(counts[name][stage] for name in colours if name in counts)
        x, y = LEFT + stage * step, bottom
        for name, colour in colours.items():
            count = counts[name][stage] if name in counts else 0
            if count:
                height = PLANE * count / total
                y -= height
                said = f"{name}, stage {stage / 5:.1f}: {100 * count / total:.0f} % ({count:,})"
                parts.append(box(x + 4, y, step - 8, height, colour, "fig-gap", said))
        parts.append(words(x + step / 2, top - 6, f"{total:,}", "fig-quiet fig-small", anchor="middle"))
        parts.append(words(x + step / 2, bottom + 16, f"{stage / 5:.1f}", "fig-quiet fig-small", anchor="middle"))
    parts.append(line(LEFT, bottom, RIGHT, bottom, "fig-axis"))
    parts.append(_below((LEFT + RIGHT) / 2, bottom, "stage of the dialogue"))
    description = (
        f"Six stacked bars, one for each sixth of a dialogue from its beginning to its end: the shares of "
        f"{len(colours)} strategies among the replies. Above each bar, the number of replies."
    )
    return Drawing(title, description, bottom + 38, "".join(parts), tuple(colours.items()))


def strengths(title: str, models: Mapping[str, Mapping[str, float]], colours: Colours) -> Drawing:
    """Preference strengths: for each strategy a stem from 1, where a model is even, to each model's strength.

    `models`: at most MARKS.
    """
    lane = 11.0
    highest = max([2.0, *(value for found in models.values() for value in found.values())])
    axis = ticks(0, highest)
    edge, left, right = 6.0, 14.0, WIDTH - 14  # a mark at 0 stands right of the edge
    scale = (right - left) / axis[-1]
    parts: list[str] = []
    y = 0.0
    for place, name in enumerate(models):
        parts.append(_mark(place, 10, y + 9) + words(22, y + 13, shortened(name, WIDTH - 30), "fig-small"))
        y += LINE
    top = y + 10
    bottom = top + len(colours) * (22 + lane * len(models)) + 4
    parts += [line(edge, bottom, left, bottom, "fig-axis"), *_upright(axis, left, scale, bottom)]
    y = top
    for name, colour in colours.items():
        parts += _grid(axis, left, scale, y + 20, y + 22 + lane * len(models), even=1.0)
        parts.append(
            box(edge, y + 6, 10, 10, colour, "fig-swatch") + words(edge + 16, y + 15, shortened(name, 300), "fig-over")
        )
        for place, (model, found) in enumerate(models.items()):
            middle = y + 26 + lane * place
            if name in found:
                x = left + scale * found[name]
                stem = line(left + scale, middle, x, middle, "fig-stem", f' stroke="{colour}"')
                parts.append(stem + _mark(place, x, middle, f"{model}, {name}: {found[name]:.2f}"))
        y += 22 + lane * len(models)
    parts.append(_below((left + right) / 2, bottom, "preference strength (1: even)"))
    description = (
        f"For each of {len(colours)} strategies, how strongly {_listed(models)} prefer it where they are wrong; "
        f"a dashed line at 1, which is even."
    )
    return Drawing(title, description, bottom + 38, "".join(parts))


def counts(title: str, rows: Sequence[tuple[str, int, int]], colours: Colours) -> Drawing:
    """How often each strategy is chosen (to the right, full) and rejected (to the left, light), in that order."""
    middle, room = WIDTH / 2, WIDTH / 2 - 46
    most = max([1, *(count for _, chosen, rejected in rows for count in (chosen, rejected))])
    parts = [
        words(middle - 8, 14, "rejected", "fig-quiet fig-small", anchor="end"),
        words(middle + 8, 14, "chosen", "fig-quiet fig-small"),
    ]
    y = 22.0
    for name, chosen, rejected in rows:
        colour = colours.get(name, "#8d939c")
        left, right = room * rejected / most, room * chosen / most
        parts.append(words(middle, y + 14, shortened(name, WIDTH), anchor="middle"))
        bar = box(middle - left, y + 20, left, 13, colour, "fig-soft", f"{name}, rejected: {rejected:,}")
        parts.append(bar.replace(' class="', f' stroke="{colour}" class="', 1))
        parts.append(box(middle, y + 20, right, 13, colour, "fig-gap", f"{name}, chosen: {chosen:,}"))
        parts.append(words(middle - left - 5, y + 31, f"{rejected:,}", "fig-quiet fig-small", anchor="end"))
        parts.append(words(middle + right + 5, y + 31, f"{chosen:,}", "fig-quiet fig-small"))
        parts.append(line(middle, y + 18, middle, y + 35, "fig-axis"))
        y += 40
    description = f"For each of {len(rows)} strategies, in how many pairs it is chosen (right) and rejected (left)."
    return Drawing(title, description, y + 6, "".join(parts))


def ranges(title: str, rows: Mapping[str, Range], label: str, *, even: float | None = None) -> Drawing:
    """A value with its 95 % interval for each name, on one scale; a dashed line at `even`, where nothing differs."""
    ends = [end for row in rows.values() for end in row] + ([] if even is None else [even])
    axis = ticks(min(ends), max(ends), 4)
    left, right = 10.0, WIDTH - 16
    scale = (right - left) / (axis[-1] - axis[0])
    step = axis[1] - axis[0]
    bottom = len(rows) * 38.0 + 4
    parts = _upright(axis, left, scale, bottom)
    y = 0.0
    for name, (value, low, high) in rows.items():
        said = _said(value, low, high, step)
        first, last, x = (left + (end - axis[0]) * scale for end in (low, high, value))
        parts.append(words(2, y + 15, shortened(name, WIDTH - text_width(said, 11) - 16)))
        parts.append(words(WIDTH - 2, y + 15, said, "fig-quiet fig-small", anchor="end"))
        parts += _grid(axis, left, scale, y + 20, y + 36, even=even)
        parts.append(line(first, y + 27, last, y + 27, "fig-range"))
        parts += [line(end, y + 23, end, y + 31, "fig-range") for end in (first, last)]
        parts.append(f'<circle cx="{short(x)}" cy="{short(y + 27)}" r="4.5" class="fig-solid"/>')
        y += 38
    parts.append(_below((left + right) / 2, bottom, label))
    description = f"{label}: a point and its 95 % interval for each of {_listed(rows)}."
    return Drawing(title, description, bottom + 38, "".join(parts))


def _said(value: float, low: float, high: float, step: float) -> str:
    """A value and its interval, with a place more than the axis has."""
    places = max(1, min(4, 1 - math.floor(math.log10(step))))
    return f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def _upright(axis: Sequence[float], left: float, scale: float, bottom: float) -> list[str]:
    """An axis below, with its ticks' numbers."""
    parts = [line(left, bottom, left + (axis[-1] - axis[0]) * scale, bottom, "fig-axis")]
    for tick in axis:
        x = left + (tick - axis[0]) * scale
        parts.append(words(x, bottom + 16, plain(tick, axis[1] - axis[0]), "fig-quiet fig-small", anchor="middle"))
    return parts


def _grid(
    axis: Sequence[float], left: float, scale: float, top: float, bottom: float, *, even: float | None
) -> list[str]:
    """A line at each tick and a dashed one at `even`, beside a row's marks: its words stay free of them."""
    places = [(tick, "fig-grid") for tick in axis] + ([] if even is None else [(even, "fig-even")])
    xs = [(left + (value - axis[0]) * scale, classes) for value, classes in places]
    return [line(x, top, x, bottom, classes) for x, classes in xs]


def _below(x: float, bottom: float, label: str) -> str:
    """What an axis is of."""
    return words(x, bottom + 33, label, "fig-quiet fig-small", anchor="middle")


def _mark(place: int, x: float, y: float, says: str = "") -> str:
    """A model's mark: circle, square, diamond; full, then hollow."""
    said = f"<title>{escaped(says)}</title>" if says else ""
    look = "fig-solid" if place < 3 else "fig-hollow"
    corners = {
        1: ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        2: ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    }.get(place % 3)
    if corners is None:
        return f'<circle cx="{short(x)}" cy="{short(y)}" r="4" class="{look}">{said}</circle>'
    points = " ".join(f"{short(x + dx)},{short(y + dy)}" for dx, dy in corners)
    return f'<polygon points="{points}" class="{look}">{said}</polygon>'


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)

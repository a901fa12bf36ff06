"""Figure 3, for the seeds and the result side by side. The only module that needs matplotlib (extra `figures`).

(Its functions take keyword arguments of unknown type, so that check is off in this file.)
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cso.dialogue import STAGES
from cso.extract.statistics import StageCounts
from cso.files import replacing
from cso.palette import COLOURS

# Beyond the palette's end the colours come again with a hatch.
HATCHES = ("", "///", "...", "xxx")

_LEGEND_WIDTH = 136  # characters, about

# Words stay words in SVG, dollar signs in a user's strategies are no formulas, and nothing depends on the day.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cso",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


def write_stage_figure(stages: StageCounts, *, svg: Path, png: Path) -> None:
    """How the strategies share each stage, as two files. The SVG's bytes depend on the counts alone."""
    with mpl.rc_context(_STYLE):
        figure = stage_figure(stages)
        with replacing(svg) as draft:
            figure.savefig(draft, format="svg", metadata={"Date": None, "Creator": None})
        with replacing(png) as draft:
            figure.savefig(draft, format="png", dpi=200, metadata={"Software": None})


def stage_figure(stages: StageCounts) -> Figure:
    """Two panels of stacked bars, one bar a stage; above each bar, how many turns it stands for."""
    names = tuple(stages.result)
    columns = max(1, min(4, len(names), _LEGEND_WIDTH // (max(map(len, names)) + 4)))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(7.2, 3.0 + 0.22 * rows), layout="constrained")
    seeds, result = figure.subplots(1, 2, sharey=True)
    _draw(seeds, stages.seed, "Seed dialogues")
    _draw(result, stages.result, "Result")
    seeds.set_ylabel("share of supporter turns")
    figure.legend(
        *seeds.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
    )
    return figure


def _draw(axes: Axes, counts: Mapping[str, Sequence[int]], title: str) -> None:
    totals = [sum(row[i] for row in counts.values()) for i in range(STAGES)]
    heights = [0.0] * STAGES
    for place, (name, row) in enumerate(counts.items()):
        shares = [count / total if total else 0.0 for count, total in zip(row, totals, strict=True)]
        axes.bar(
            range(STAGES),
            shares,
            bottom=heights,
            width=0.82,
            color=COLOURS[place % len(COLOURS)],
            hatch=HATCHES[place // len(COLOURS) % len(HATCHES)],
            edgecolor="white",
            linewidth=0.5,
            label=name,
        )
        heights = [height + share for height, share in zip(heights, shares, strict=True)]
    for i, total in enumerate(totals):
        axes.text(i, 1.015, f"{total:,}", ha="center", va="bottom", fontsize=7, color="#555555")
    axes.set_title(title, fontsize=10, pad=14)
    axes.set_xlabel("stage of the dialogue")
    axes.set_xticks(range(STAGES), [f"{i * 0.2:.1f}" for i in range(STAGES)])
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25%", "50%", "75%", "100%"])
    axes.spines[["top", "right"]].set_visible(False)

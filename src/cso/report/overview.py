"""What the overview of a report shows (overview.html.j2): its figures, and its tables from the modules beside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from markupsafe import Markup

from cso.files import parse_yaml
from cso.pages import asset
from cso.palette import colour
from cso.report.chart import Drawing, beside, inline, standalone
from cso.report.curves import KINDS, curves, lines
from cso.report.facts import Evaluation, Facts
from cso.report.figures import MARKS, Range, counts, ranges, stages, strengths
from cso.report.overview_data import data_tables, toxicity_tables
from cso.report.overview_results import Confusion, confusions, judged, paired_table, scores_table, study_table, test_set
from cso.report.overview_tables import Cell, Table, calls_table, numbers
from cso.report.shapes import Interval, StudyFile
from cso.taxonomy import bundled_taxonomies, load_taxonomy

SCORES = {"Q": ("Q, %", 100.0), "B": ("B", 1.0), "Q_W": ("Q_W, %", 100.0)}  # with what makes them the shown number
HELD_OUT = "Gold, held-out dialogues"


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing in the page, with its numbers; `name` is its file's too, without the ending."""

    name: str
    drawing: Drawing
    numbers: Table

    @property
    def inline(self) -> Markup:
        return inline(self.drawing, f"figure-{self.name}")

    @property
    def file(self) -> Markup:
        """The standalone SVG. All its texts are escaped, so it cannot end the <script> that it lies in."""
        return Markup(standalone(self.drawing, self.name))


@dataclass(frozen=True, slots=True)
class Study:
    title: str
    turns: int
    table: Table
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class Overview:
    """What is there to show; empty or None where the run has none of it yet."""

    colours: Mapping[str, str]  # of the strategies, in their order
    scores: Table | None
    paired: Table | None
    score_figures: Sequence[Figure]
    all_scores: Figure | None
    one_test: bool  # whether all models answered the same turns
    confusions: Sequence[Confusion]
    judged: Sequence[Table]
    studies: Sequence[Study]
    stage_figures: Sequence[Figure]
    all_stages: Figure | None
    strength_figures: Sequence[Figure]
    count_figure: Figure | None
    data: Sequence[Table]
    toxicity: Sequence[Table]
    training_figures: Sequence[Figure]
    rewarded: bool  # whether a training compares rewards
    calls: Table | None
    paper_table2: Mapping[str, Table]  # like the next: nothing where the strategies are of another domain
    paper_table5: Table | None

    def figures(self) -> Sequence[Figure]:
        """All, in the page's order."""
        studies = [figure for study in self.studies for figure in study.figures]
        whole = [figure for figure in (self.all_scores, self.all_stages, self.count_figure) if figure is not None]
        return [
            *self.score_figures,
            *studies,
            *self.stage_figures,
            *self.strength_figures,
            *self.training_figures,
            *whole,
        ]

    def files(self) -> dict[str, str]:
        """Names and contents of the figures as files."""
        return {f"{figure.name}.svg": str(figure.file) for figure in self.figures()}


def contents(facts: Facts) -> Overview:
    """What the page shows of these facts."""
    name, colours, paper = _Names(), _colours(facts), _paper(facts.strategies)
    stage_figures = _stage_figures(facts, colours, name)
    score_figures = _score_figures(facts.evaluations, name)
    return Overview(
        colours=colours,
        scores=scores_table(facts.evaluations) if facts.evaluations else None,
        paired=paired_table(facts.comparisons) if facts.comparisons else None,
        score_figures=score_figures,
        all_scores=_all("scores", "Scores on held-out dialogues", score_figures),
        one_test=len({test_set(each) for each in facts.evaluations.values()}) < 2,
        confusions=confusions(facts.evaluations),
        judged=judged(facts.evaluations),
        studies=[_study(place, study, name) for place, study in facts.studies.items()],
        stage_figures=stage_figures,
        all_stages=_all("stages", "Strategies by stage", stage_figures),
        strength_figures=_strength_figures(facts.evaluations, colours, name),
        count_figure=_count_figure(facts, colours, name),
        data=data_tables(facts.statistics, facts.speakers) if facts.statistics else [],
        toxicity=toxicity_tables(facts.toxicity),
        training_figures=_training_figures(facts, name),
        rewarded=any(lines(log, KINDS["reward margin"]) for log in facts.trainings.values()),
        calls=calls_table(facts) if facts.asked else None,
        paper_table2={
            backbone: numbers(backbone, ("Q", "B", "Q_W", "R-L"), rows, "{:.2f}")
            for backbone, rows in paper.get("table2", {}).items()
        },
        paper_table5=numbers("", ("dialogues", "utterances", "per dialogue", "words each"), paper["table5"], "{:,}")
        if paper
        else None,
    )


class _Names:
    """Names of figures: safe as the name of a file everywhere, each other than those before it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, kind: str, of: str = "") -> str:
        stem = kind + ("-" + (re.sub(r"[^a-z0-9]+", "-", of.lower()).strip("-")[:60] or "model") if of else "")
        number = next(number for number in range(1, 10**6) if _numbered(stem, number) not in self._taken)
        self._taken.add(_numbered(stem, number))
        return _numbered(stem, number)


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"


def _colours(facts: Facts) -> dict[str, str]:
    """Of the taxonomy's strategies by their place, then of others that the files have."""
    found = [each for evaluation in facts.evaluations.values() for each in _stages_of(evaluation)]
    if facts.statistics:
        found += [facts.statistics.stages.seed, facts.statistics.stages.result]
    names = dict.fromkeys([*facts.strategies, *(name for stages in found for name in stages)])
    return {name: colour(place) for place, name in enumerate(names)}


def _stages_of(evaluation: Evaluation) -> tuple[Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]:
    return evaluation.scores.gold_stages, evaluation.scores.stages


def _paper(strategies: Sequence[str]) -> dict[str, Any]:
    """The paper's own numbers, which are those of emotional support: none beside strategies that are not bundled."""
    if all(load_taxonomy(name).names != tuple(strategies) for name in bundled_taxonomies()):
        return {}
    return cast(dict[str, Any], parse_yaml(asset("cso.report", "paper.yaml")))


def _score_figures(evaluations: Mapping[str, Evaluation], name: _Names) -> list[Figure]:
    found: list[Figure] = []
    for score, (label, factor) in SCORES.items():
        each = {model: getattr(evaluation.scores.strategies, score) for model, evaluation in evaluations.items()}
        if each:
            found.append(_ranges(name("scores", score), f"{score} on held-out dialogues", each, label, factor))
    return found


def _ranges(
    name: str, title: str, each: Mapping[str, Interval], label: str, factor: float, even: float | None = None
) -> Figure:
    rows: dict[str, Range] = {
        model: (factor * found.value, factor * found.low, factor * found.high) for model, found in each.items()
    }
    table = numbers(title, (label, "95 % from", "to"), rows, "{:.2f}")
    return Figure(name, ranges(title, rows, label, even=even), table)


def _stage_figures(facts: Facts, colours: Mapping[str, str], name: _Names) -> list[Figure]:
    panels: dict[tuple[str, str], Mapping[str, Sequence[int]]] = {}  # by kind and title
    if facts.statistics:
        panels["stages-seeds", "Seed dialogues"] = facts.statistics.stages.seed
        panels["stages-esc-pro", "ESC-Pro: preferred dialogues"] = facts.statistics.stages.result
    asked: dict[str, str] = {}  # test sets, and the model that is the first to answer each
    for model, each in facts.evaluations.items():
        first = asked.setdefault(test_set(each), model)
        title = HELD_OUT if len(asked) == 1 else f"{HELD_OUT} of {model}"
        if first == model:
            panels["stages-gold", title] = each.scores.gold_stages
    models = {model: each.scores.stages for model, each in facts.evaluations.items()}
    head = ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")

    def figure(file: str, title: str, found: Mapping[str, Sequence[int]]) -> Figure:
        rows = {strategy: found.get(strategy, (0,) * len(head)) for strategy in colours}
        return Figure(file, stages(title, found, colours), numbers(f"turns by stage: {title}", head, rows, "{:,}"))

    return [
        *(figure(name(kind), title, found) for (kind, title), found in panels.items()),
        *(figure(name("stages-model", model), model, found) for model, found in models.items()),
    ]


def _all(name: str, title: str, figures: Sequence[Figure]) -> Figure | None:
    """Figures side by side as one file."""
    if len(figures) < 2:
        return None
    drawing = beside([figure.drawing for figure in figures], title, columns=3)
    return Figure(name, drawing, Table("", (), ()))


def _strength_figures(evaluations: Mapping[str, Evaluation], colours: Mapping[str, str], name: _Names) -> list[Figure]:
    models = {model: each.scores.strengths for model, each in evaluations.items()}
    every = list(models)
    found: list[Figure] = []
    for start in range(0, len(every), MARKS):
        some = {model: models[model] for model in every[start : start + MARKS]}
        rows = {strategy: [each.get(strategy) for each in some.values()] for strategy in colours}
        title = "Preference strength of each strategy"
        drawing = strengths(title, some, colours)
        found.append(Figure(name("strengths"), drawing, numbers(title, tuple(some), rows, "{:.2f}")))
    return found


def _count_figure(facts: Facts, colours: Mapping[str, str], name: _Names) -> Figure | None:
    if facts.statistics is None or not facts.statistics.strategies:
        return None
    each = facts.statistics.strategies
    title = "Pairs by strategy, chosen and rejected"
    rows = [
        (
            row.strategy,
            Cell(f"{row.chosen:,}"),
            Cell(f"{row.rejected:,}"),
            Cell(f"{row.chosen_weight:,.0f}"),
            Cell(f"{row.rejected_weight:,.0f}"),
        )
        for row in each
    ]
    head = ("chosen", "rejected", "chosen, by weight", "rejected, by weight")
    drawing = counts(title, [(row.strategy, row.chosen, row.rejected) for row in each], colours)
    return Figure(name("counts"), drawing, Table(title, head, rows))


def _training_figures(facts: Facts, name: _Names) -> list[Figure]:
    found: list[Figure] = []
    for model, log in facts.trainings.items():
        for kind, keys in KINDS.items():
            drawn = lines(log, keys)
            if not drawn:
                continue
            title = f"{model}: {kind}"
            rows: dict[str, list[float | None]] = {}
            steps = sorted({step for points in drawn.values() for step, _ in points})
            every = -(-len(steps) // 20)
            for step in [*steps[:-1:every], steps[-1]]:
                rows[f"{step:,.0f}"] = [dict(points).get(step) for points in drawn.values()]
            caption = title + (f", every {every}th entry" if every > 1 else "")
            table = numbers(caption, tuple(drawn), rows, "{:.4f}", corner="step")
            found.append(Figure(name(f"curves-{kind.split()[-1]}", model), curves(title, drawn, kind), table))
    return found


def _study(place: str, study: StudyFile, name: _Names) -> Study:
    found: list[Figure] = []
    for score, (label, factor) in SCORES.items():
        each = {
            variant: told.differences[score]
            for variant, told in study.variants.items()
            if variant != told.reference and score in told.differences
        }
        if each and score != "Q_W":
            reference = next(iter(study.variants.values())).reference
            title = f"{score} less {reference}'s: {study.study}"
            label = f"difference in {label}"
            found.append(_ranges(name(f"study-{score.lower()}", place), title, each, label, factor, even=0.0))
    return Study(study.study, study.turns, study_table(study), found)

"""Tables of how models did: scores, F1 and confusion, judges, studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from cso.report.facts import Comparison, Evaluation
from cso.report.overview_tables import NOTHING, Cell, Table, cell, numbers, signed
from cso.report.shapes import Interval, ScoresFile, StudyFile


@dataclass(frozen=True, slots=True)
class Confusion:
    """F1 by strategy, and how often each was said (rows, the last unreadable) where another was gold (columns)."""

    model: str
    strategies: Sequence[str]
    f1: Table
    rows: Sequence[tuple[str, Sequence[tuple[int, float]]]]  # a count and its share of the gold column


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    take: Callable[[ScoresFile], float | Interval | None]
    factor: float = 100.0
    places: int = 1
    better: int = 0  # 1: higher is better, -1: lower; 0: neither is made strong


FAILED = (
    "Requests that failed count as unreadable replies: nothing is bold while there are any. The same cso evaluate asks "
    "them again."
)
SILENT = f"R-L {NOTHING}: no replies were written (evaluate.write=false)."
PAIRED = (
    "Differences in percentage points; that of B as it is, lower being better. Below each its 95 % interval, from a "
    "bootstrap over dialogues, and p, from exchanging the models' answers to whole dialogues: two procedures, which "
    "may disagree near p = .05. A single training of each model is compared: other seeds vary, and cso study repeats "
    "trainings with them."
)
COLUMNS = (
    _Column("Q, %", lambda scores: scores.strategies.Q, better=1),
    _Column("B", lambda scores: _bias(scores), factor=1.0, places=2, better=-1),
    _Column("Q_W, %", lambda scores: scores.strategies.Q_W, better=1),
    _Column("accuracy, %", lambda scores: scores.strategies.accuracy, better=1),
    _Column("R-L, %", lambda scores: scores.texts.get("R-L"), better=1),
    _Column("unreadable, %", lambda scores: scores.strategies.unreadable),
)


def scores_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """A row a model. Strong: better than each other model's, intervals being apart; of the same turns, all answered."""
    tests = list(dict.fromkeys(test_set(each) for each in evaluations.values()))
    failed = any(each.scores.failed for each in evaluations.values())
    best = {column.head: _best(evaluations, column) if len(tests) == 1 and not failed else None for column in COLUMNS}
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = []
    for name, each in evaluations.items():
        scores = each.scores
        cells = [
            cell(column.take(scores), column.factor, column.places, strong=best[column.head] == name)
            for column in COLUMNS
        ]
        place = tests.index(test_set(each))
        test = [Cell(ascii_uppercase[place % 26])] if len(tests) > 1 else []
        rows.append((Cell(name, _told(scores)), *cells, Cell(f"{scores.items:,}"), *test))
    head = (*(column.head for column in COLUMNS), "turns", *(["test set"] if len(tests) > 1 else []))
    silent = any("R-L" not in each.scores.texts for each in evaluations.values())
    return Table("", head, rows, "model", [*([SILENT] if silent else []), *([FAILED] if failed else [])])


def paired_table(comparisons: Sequence[Comparison]) -> Table:
    """A row for each two evaluations of the same turns."""
    scores = ("Q", "B", "Q_W", "accuracy")
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = [
        (Cell(each.one, f"minus {each.other}"), *(_difference(score, each.scores.get(score)) for score in scores))
        for each in comparisons
    ]
    head = tuple(score if score == "B" else f"{score}, points" for score in scores)
    return Table("One minus another, on the same turns", head, rows, "models", [PAIRED])


def test_set(evaluation: Evaluation) -> str:
    """What tells the turns apart that a model was asked at."""
    scores = evaluation.scores
    return repr((scores.identity.get("items"), scores.gold_stages))


def confusions(evaluations: Mapping[str, Evaluation]) -> list[Confusion]:
    found: list[Confusion] = []
    for model, each in evaluations.items():
        scores = each.scores
        names = list(scores.f1)
        gold = [sum(row[place] for row in scores.confusion) for place in range(len(names))]
        rows = [
            (name, [(count, count / of if of else 0.0) for count, of in zip(row, gold, strict=True)])
            for name, row in zip([*names, "unreadable"], scores.confusion, strict=True)
        ]
        f1 = {name: [100 * value, scores.strengths.get(name)] for name, value in scores.f1.items()}
        found.append(Confusion(model, names, numbers("", ("F1, %", "preference strength"), f1, "{:.2f}"), rows))
    return found


def judged(evaluations: Mapping[str, Evaluation]) -> list[Table]:
    """Judges' marks, and their verdicts between two models."""
    marks: list[tuple[str | Cell, *tuple[Cell, ...]]] = []
    verdicts: list[tuple[str | Cell, *tuple[Cell, ...]]] = []
    criteria = list(
        dict.fromkeys(name for each in evaluations.values() for found in each.marks for name in found.means)
    )
    for model, each in evaluations.items():
        for found in each.marks:
            means = [cell(found.means.get(name)) for name in criteria]
            count = Cell(f"{found.judged:,}", f"{found.unread:,} unread" if found.unread else "")
            marks.append((Cell(model, f"by {found.judge}"), *means, count))
        for told in each.verdicts:
            shares = [cell(share, 100.0, 1) for share in (told.win, told.lose, told.tie)]
            itself = [NOTHING if share is None else f"{100 * share:.0f}" for share in (told.agreement, told.first)]
            name = Cell(f"{model} against {told.other}", f"by {told.judge}")
            apart = [(told.same, "equal replies, ties"), (told.unread, "unread")]
            count = Cell(f"{told.judged:,}", "; ".join(f"{number:,} {what}" for number, what in apart if number))
            verdicts.append((name, *shares, *map(Cell, itself), count))
    tables: list[Table] = []
    if marks:
        tables.append(Table("Marks of replies, 1 to 5", (*criteria, "replies"), marks, "model"))
    if verdicts:
        head = ("better, %", "worse, %", "tie, %", "judge agrees with itself, %", "for the one shown first, %", "pairs")
        tables.append(Table("Whose reply is better", head, verdicts, "models"))
    return tables


def study_table(study: StudyFile) -> Table:
    """Means over trainings, and differences from the variant that all are held against."""
    scores = list(dict.fromkeys(name for each in study.variants.values() for name in each.means))
    reference = next(iter(study.variants.values())).reference
    rows: list[tuple[str | Cell, *tuple[Cell, ...]]] = []
    for name, each in study.variants.items():
        means = [cell(each.means.get(score), *_form(score)) for score in scores]
        differences = [
            Cell("") if name == each.reference else signed(each.differences.get(score), *_form(score))
            for score in scores
        ]
        rows.append((name, Cell(f"{each.trainings:,}"), *means, *differences))
    shown = [score if score == "B" else f"{score}, %" for score in scores]
    head = ("trainings", *shown, *(f"{score} less {reference}'s" for score in scores))
    return Table("", head, rows, "variant")


def _best(evaluations: Mapping[str, Evaluation], column: _Column) -> str | None:
    """The model whose interval lies on the better side of all others'; None where there is none."""
    found = {name: column.take(each.scores) for name, each in evaluations.items()}
    intervals = {name: value for name, value in found.items() if isinstance(value, Interval)}
    if not column.better or len(intervals) < 2:
        return None
    for name, one in intervals.items():
        others = [other for each, other in intervals.items() if each != name]
        if all(one.low > other.high if column.better > 0 else one.high < other.low for other in others):
            return name
    return None


def _bias(scores: ScoresFile) -> Interval | None:
    """B; None where no reply named a strategy, which is no evenness."""
    return None if scores.strategies.unreadable.value == 1 else scores.strategies.B


def _told(scores: ScoresFile) -> str:
    """How the model was asked, where that is not the plain way, and what has no answer."""
    settings = scores.identity.get("settings")
    told: dict[str, object] = settings if isinstance(settings, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    baseline = told.get("baseline")
    words = [str(baseline)] if baseline not in (None, "plain") else []
    words += ["strategy by score"] if told.get("choose") == "score" else []
    words += [f"{scores.failed:,} request{'s' if scores.failed > 1 else ''} failed"] if scores.failed else []
    return ", ".join(words)


def _difference(score: str, found: tuple[float, float, float, float] | None) -> Cell:
    """A difference, with its interval and p."""
    if found is None:
        return Cell(NOTHING)
    factor, places = _form(score)
    value, low, high = (f"{factor * number:+.{places}f}" for number in found[:3])
    p = found[3]
    return Cell(value, f"{low} to {high}, {f'p = {p:.3f}' if p >= 0.0005 else 'p < 0.001'}")


def _form(score: str) -> tuple[float, int]:
    """Factor and places."""
    return (1.0, 2) if score == "B" else (100.0, 1)

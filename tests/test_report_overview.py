"""The overview of a run: its figures hold their numbers, its page says what is there, and nothing breaks it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import xml.etree.ElementTree as xml
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page
from typer.testing import CliRunner

from browser import PHONE, open_page, violations
from cso.cli.main import app
from cso.cli.report import facts_of
from cso.cli.shelf import Shelf
from cso.dialogue import Dialogue, Speaker, Turn
from cso.evaluate import Answer, compare, items, load_answers, score
from cso.evaluate.intervals import Difference, Interval
from cso.evaluate.judging import CRITERIA, Marks, Verdicts
from cso.evaluate.results import save
from cso.evaluate.toxicity import Toxicity
from cso.extract import extract
from cso.extract.write import Origin, write_preferences
from cso.files import write_json, write_jsonl
from cso.llm import Answers
from cso.llm.chat import Completion
from cso.report import figure_files, gather, overview
from cso.report import page as page_text
from cso.report.chart import Drawing, beside, standalone, ticks
from cso.report.curves import KINDS, MOST, curves, lines, thinned
from cso.report.figures import PLANE, counts, ranges, stages, strengths
from cso.report.overview import contents
from cso.report.overview_tables import Cell, calls_table
from cso.report.shapes import MetricsLine
from cso.settings import ExtractSettings, Settings
from cso.store import Run
from cso.taxonomy import Speakers, Strategy, Taxonomy, load_taxonomy
from cso.tree import Failure
from extract_trees import end, on, tree

MARKUP, TURNED = '</script><b onload="x">Ask & "why"</b>', "\u202eשלום' {{ x }}"
NAMES = ("Comfort", MARKUP, TURNED)
COLOURS = {"A": "#111111", "B": "#222222", "C": "#333333"}
SECTIONS = ("results", "stages", "preferences", "data", "toxicity", "training", "cost", "settings")
SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: Drawing) -> xml.Element:
    return xml.fromstring(standalone(drawing))


def shapes(drawing: Drawing, tag: str, classes: str) -> list[xml.Element]:
    return [found for found in parsed(drawing).iter(SVG + tag) if classes in found.get("class", "").split()]


def said(drawing: Drawing) -> list[str]:
    return [found.text or "" for found in parsed(drawing).iter(SVG + "text")]


def number(found: xml.Element, name: str) -> float:
    return float(found.get(name, "nan"))


def axis_of(drawing: Drawing) -> tuple[float, float]:
    """What x is at 0 of the axis below, and how much a unit is, read from its ticks."""
    texts = [found for found in parsed(drawing).iter(SVG + "text") if found.get("text-anchor") == "middle"]
    ticked = [
        (number(each, "x"), float(each.text or "")) for each in texts if re.fullmatch(r"[-\d.]+", each.text or "")
    ]
    (x1, one), (x2, other) = ticked[0], ticked[-1]
    unit = (x2 - x1) / (other - one)
    return x1 - one * unit, unit


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    """A run with everything in it that a report shows; two strategies have hostile names."""
    return Run.open(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    taxonomy = Taxonomy("odd", tuple(Strategy(name, f"What {name} is.") for name in NAMES))
    run = Run.create(tmp_path_factory.mktemp("made") / "run", Settings(), taxonomy)
    good = tree(on(NAMES[0], 0.9, end(NAMES[0], 0.9), end(NAMES[1], -0.5)), on(NAMES[2], -1.0, end(NAMES[2], -1.0)))
    failed = replace(tree(id="lost"), failure=Failure("no answer", f"the endpoint said {MARKUP}"))
    for each in (good, failed):
        run.save_tree(each)
    told = ExtractSettings()
    found = asyncio.run(extract([good, failed], told, taxonomy=taxonomy))
    write_preferences(run.preferences, [good, failed], found, told, Origin(taxonomy=taxonomy))
    asyncio.run(ask(run.answers_path("d1")))
    talks = [talk(f"t{number}") for number in range(6)]
    for name, right in (("base", 1), ("sft", 5), (f"cso {MARKUP[:9]}", 34)):
        evaluate(run, name, talks, right)
    log: list[dict[str, Any]] = [{"step": step, "loss": 1 / step, "rewards/margins": step / 9} for step in range(1, 30)]
    write_jsonl(run.model("sft") / "metrics.jsonl", [*log, {"step": 30, "eval_loss": 0.7}, {"step": 30, "loss": None}])
    rated = {group: {"any": Interval(0.1, 0.05, 0.2)} for group in ("chosen", "rejected")}
    toxic = Toxicity(rated, {"any": Difference(0.01, -0.02, 0.03, 0.4)}, {"chosen": 4, "rejected": 4}, 1)
    write_json(run.folder / "toxicity" / "words.json", {"backend": "words", "model": None, **asdict(toxic)})
    write_json(run.folder / "studies" / "main" / "results.json", study())
    return run.folder


def talk(id: str) -> Dialogue:
    turns = [
        Turn(Speaker.SUPPORTER, f"reply {place}", NAMES[place % 3]) if place % 2 else Turn(Speaker.SEEKER, "I am sad")
        for place in range(12)
    ]
    return Dialogue(id, tuple(turns))


async def ask(path: Path) -> None:
    answers = Answers(path)
    for sample in range(3):

        async def answer() -> Completion:
            return Completion("(Comfort) There.", "stop", 1000, 50)

        await answers.ask({"role": "supporter", "model": MARKUP, "sample": sample}, answer)


def evaluate(run: Run, name: str, talks: list[Dialogue], right: int) -> None:
    """Of 36 turns the first `right` are answered as gold, the others by the first strategy."""
    asked = items(talks)
    answers = [Answer(item, item.strategy if k < right else NAMES[0], item.text) for k, item in enumerate(asked)]
    folder = run.evaluation(name)
    save(folder, answers, score(answers, NAMES, draws=50), {"items": "x", "settings": {"choose": "score"}})
    means = {each: Interval(3.5, 3.0, 4.0) for each in (*CRITERIA, "Satisfaction")}
    write_json(folder / "marks-j.json", {"judge": MARKUP, **asdict(Marks(means, 30, 2))})
    third = Interval(1 / 3, 0.2, 0.5)
    verdicts = asdict(Verdicts(third, third, third, 0.8, None, 30, 3, 0))
    write_json(folder / "verdicts-base-j.json", {"judge": "j", "other": "base", **verdicts})


def study() -> dict[str, Any]:
    shares = {score: {"value": 0.3, "low": 0.2, "high": 0.4} for score in ("Q", "B", "Q_W")}
    variants = {
        name: {"trainings": 2, "means": shares, "less SFT": shares, "by training": {}} for name in ("SFT", "CSO")
    }
    return {"study": "main", "turns": 36, "variants": variants}


def report(run: Run) -> Path:
    done = CliRunner().invoke(app, ["report", str(run.folder)])
    assert done.exit_code == 0, done.output
    return run.folder / "report.html"


def test_bars_of_stages_are_the_shares_of_each_strategy() -> None:
    drawing = stages("title", {"A": [1, 0, 5, 0, 0, 2], "B": [3, 0, 5, 0, 7, 0]}, COLOURS)
    bars = shapes(drawing, "rect", "fig-gap")
    heights = [number(bar, "height") / PLANE for bar in bars]
    assert heights == pytest.approx([0.25, 0.75, 0.5, 0.5, 1.0, 1.0], abs=1e-3)
    assert [bar.get("fill") for bar in bars] == ["#111111", "#222222", "#111111", "#222222", "#222222", "#111111"]
    assert number(bars[1], "y") + number(bars[1], "height") == pytest.approx(number(bars[0], "y"), abs=0.02)
    assert [text for text in said(drawing) if text.isdigit()] == ["4", "0", "10", "0", "7", "2"]
    assert [bar.findtext(f"{SVG}title") for bar in bars][:2] == ["A, stage 0.0: 25 % (1)", "B, stage 0.0: 75 % (3)"]
    assert {"A", "B", "C"} <= set(said(drawing))  # the key of a file


def test_points_and_intervals_lie_where_the_axis_says() -> None:
    rows = {"base": (28.1, 27.2, 29.1), "cso": (-3.0, -4.5, 1.0)}
    drawing = ranges("title", rows, "Q", even=0.0)
    zero, unit = axis_of(drawing)
    points = [(number(point, "cx") - zero) / unit for point in parsed(drawing).iter(SVG + "circle")]
    assert points == pytest.approx([28.1, -3.0], abs=0.05)
    lines = [found for found in shapes(drawing, "line", "fig-range") if found.get("y1") == found.get("y2")]
    ends = [((number(found, "x1") - zero) / unit, (number(found, "x2") - zero) / unit) for found in lines]
    assert ends[0] == pytest.approx((27.2, 29.1), abs=0.05)
    assert ends[1] == pytest.approx((-4.5, 1.0), abs=0.05)
    assert number(shapes(drawing, "line", "fig-even")[0], "x1") == pytest.approx(zero, abs=0.02)


def test_stems_of_strengths_go_from_one_to_the_strength() -> None:
    drawing = strengths("title", {"m": {"A": 2.5, "B": 0.0, "C": 1.0}}, COLOURS)
    zero, unit = axis_of(drawing)
    ends = [
        ((number(s, "x1") - zero) / unit, (number(s, "x2") - zero) / unit) for s in shapes(drawing, "line", "fig-stem")
    ]
    assert [x for pair in ends for x in pair] == pytest.approx([1, 2.5, 1, 0, 1, 1], abs=0.02)
    axis = shapes(drawing, "line", "fig-axis")
    assert min(number(each, "x1") for each in axis) <= zero - 5.5  # half of the widest mark


def test_bars_of_chosen_and_rejected_are_as_long_as_the_counts() -> None:
    drawing = counts("title", [("A", 40, 10), ("B", 0, 20)], COLOURS)
    chosen = [number(bar, "width") for bar in shapes(drawing, "rect", "fig-gap")]
    rejected = [number(bar, "width") for bar in shapes(drawing, "rect", "fig-soft")]
    unit = chosen[0] / 40
    assert [*chosen, *rejected] == pytest.approx([40 * unit, 0, 10 * unit, 20 * unit], abs=0.02)


def test_a_curve_passes_through_its_numbers_and_a_long_one_keeps_its_peaks() -> None:
    drawing = curves("title", {"training": [(1, 2.0), (50, 1.0), (100, 0.0)], "held out": [(100, 1.0)]}, "loss")
    first, last = (line.get("points", "").split() for line in parsed(drawing).iter(SVG + "polyline"))
    (x1, y1), (x2, y2), (x3, y3) = (tuple(map(float, point.split(","))) for point in first)
    assert (y2 - y1, x3 - x2) == pytest.approx((y3 - y2, (x3 - x1) * 50 / 99), abs=0.02)
    assert last == [f"{x3:g},{y2:g}"]
    long = [(float(step), 1.0 + (step == 7777) - (step == 3333)) for step in range(10_000)]
    kept = thinned(long)
    assert len(kept) <= MOST
    assert {(7777.0, 2.0), (3333.0, 0.0)} <= set(kept)
    assert kept == sorted(kept)


def test_accuracy_begins_where_rewards_no_longer_tie() -> None:
    def drawn(margin: float, kind: str) -> Any:
        first = {"step": 0, "eval_rewards/margins": margin, "eval_rewards/accuracies": 0.0, "eval_loss": 0.7}
        then = {"step": 9, "eval_rewards/margins": 0.5, "eval_rewards/accuracies": 0.6, "eval_loss": 0.6}
        return lines([MetricsLine.model_validate(each) for each in (first, then)], KINDS[kind])

    assert drawn(0.0, "reward accuracy") == {"held out": [(9, 0.6)]}
    assert drawn(0.2, "reward accuracy") == {"held out": [(0, 0.0), (9, 0.6)]}  # a loss without a reference
    assert drawn(0.0, "reward margin") == {"held out": [(0, 0.0), (9, 0.5)]}
    assert drawn(0.0, "loss") == {"held out": [(0, 0.7), (9, 0.6)]}


@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_ticks_are_few_and_hold_all_numbers_between_them(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-6)
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 9
    assert all(before < after for before, after in pairwise(found))


def test_a_file_needs_nothing_else_and_any_text_stays_text() -> None:
    odd = f"{MARKUP}{TURNED}\x00\ud83d"
    panel = stages(odd, {odd: [1] * 6}, {odd: "#111111"})
    for drawing in (panel, beside([panel] * 4, odd, columns=3), ranges(odd, {odd: (1, 0, 2)}, odd)):
        text = standalone(drawing)
        found = xml.fromstring(text)
        assert {each.tag.removeprefix(SVG) for each in found.iter()} <= {
            *("svg", "title", "desc", "style", "rect", "text", "line", "circle", "g")
        }
        assert "var(" not in text
        assert re.findall(r"https?://[^\"]+|@import|url\(", text) == ["http://www.w3.org/2000/svg"]
        assert "</script" not in text
        assert found.findtext(f"{SVG}title") == f"{MARKUP}{TURNED}\ufffd\ufffd"


def test_the_page_has_the_numbers_of_the_files(run: Run, page: Page) -> None:
    open_page(page, report(run))
    results = page.locator("#results table").first.inner_text()
    scores = json.loads((run.evaluation("sft") / "scores.json").read_text())["strategies"]
    for name, factor, form in (("Q", 100, "{:.1f}"), ("B", 1, "{:.2f}"), ("accuracy", 100, "{:.1f}")):
        value, low, high = (form.format(factor * scores[name][end]) for end in ("value", "low", "high"))
        assert re.search(rf"{value}\s+{low} to {high}", results)
    statistics = json.loads((run.preferences / "statistics.json").read_text())
    data = page.locator("#data").inner_text()
    assert f"{statistics['table5']['rejected']['mean_words']:.2f}" in data
    assert "2 trees, 1 of which failed" in data
    assert "the endpoint said" in (page.locator("#data details").first.text_content() or "")
    assert re.search(r"supporter\s+3\s+3,000\s+150", page.locator("#cost table").inner_text())
    assert re.search(r"rejected minus chosen\s+\+1.00", page.locator("#toxicity").inner_text())
    assert page.locator("#toxicity thead th").first.inner_text() == "share"  # of texts with a word of the list
    assert "by j" in page.locator("#results").inner_text()
    heat = page.locator(".heat").nth(1).locator("tbody tr")
    rows = json.loads((run.evaluation("sft") / "scores.json").read_text())["confusion"]
    assert [row.locator("td").all_text_contents() for row in heat.all()] == [
        [str(cell) for cell in row] for row in rows
    ]
    assert "format: 1" in (page.locator("#settings pre").text_content() or "")


def test_the_papers_numbers_stand_apart(run: Run) -> None:
    text = overview(gather(run.folder, strategies=load_taxonomy("esc8").names))
    asides = re.findall(r'<aside class="paper".*?</aside>', text, flags=re.DOTALL)
    assert [number in aside for aside, number in zip(asides, ("33.11", "8,157"), strict=True)] == [True, True]
    for aside in asides:
        assert "other models" in aside
        text = text.replace(aside, "")
    assert "33.11" not in text
    assert "8,157" not in text


def test_the_papers_numbers_are_not_held_beside_another_domain(run: Run) -> None:
    told = gather(run.folder, strategies=run.taxonomy.names, speakers=Speakers("Learner", "Tutor"), stand_in=True)
    text = overview(told)
    assert 'class="paper"' not in text
    assert "ESC-Pro, learner" in text
    assert "ESC-Pro, seeker" in overview(gather(run.folder))
    assert not re.search(r"support(?!er\b)", text, re.IGNORECASE)  # a role is called supporter


def test_only_a_score_that_is_apart_from_all_others_is_strong(run: Run) -> None:
    facts = gather(run.folder)
    base, sft, cso = (each.scores.strategies for each in facts.evaluations.values())
    assert cso.accuracy.low > max(base.accuracy.high, sft.accuracy.high)
    assert sft.accuracy.low <= base.accuracy.high
    table = contents(facts).scores
    assert table is not None
    place = 1 + list(table.head).index("accuracy, %")
    assert [cell.strong for row in table.rows if isinstance(cell := row[place], Cell)] == [False, False, True]
    evaluation = facts.evaluations["base"]
    other = evaluation.scores.model_copy(update={"identity": {"items": "others"}})  # turns that nobody else answered
    apart = contents(replace(facts, evaluations={**facts.evaluations, "base": replace(evaluation, scores=other)}))
    assert apart.scores is not None
    assert not any(cell.strong for row in apart.scores.rows for cell in row if isinstance(cell, Cell))
    assert not apart.one_test


def shelf_of(run: Run) -> Shelf:
    shelf = Shelf(run)
    shelf.index()
    return shelf


def test_each_model_is_compared_with_base_and_with_sft_on_the_same_turns(run: Run, page: Page) -> None:
    third = f"cso {MARKUP[:9]}"
    evaluate(run, "others", [talk("t")], 3)
    identity = json.loads((run.evaluation("others") / "scores.json").read_text())
    write_json(run.evaluation("others") / "scores.json", identity | {"identity": {"items": "y"}})
    facts = facts_of(shelf_of(run))
    assert [(each.one, each.other) for each in facts.comparisons] == [("sft", "base"), (third, "base"), (third, "sft")]
    answers = load_answers(run.evaluation(third)), load_answers(run.evaluation("sft"))
    found = compare(*answers, NAMES)
    assert facts.comparisons[-1].scores["B"] == (found["B"].value, found["B"].low, found["B"].high, found["B"].p)
    open_page(page, report(run))
    row = page.locator("#results table").nth(1).locator("tbody tr").last.inner_text()
    for name, factor, form in (("Q", 100, "+.1f"), ("B", 1, "+.2f"), ("Q_W", 100, "+.1f"), ("accuracy", 100, "+.1f")):
        value, low, high = (
            format(factor * end, form) for end in (found[name].value, found[name].low, found[name].high)
        )
        assert re.search(rf"{re.escape(f'{value}')}\s+{re.escape(f'{low} to {high}, p = {found[name].p:.3f}')}", row)
    assert "minus sft" in row


def test_comparisons_are_made_once_and_what_cannot_be_read_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = facts_of(shelf_of(run)).comparisons
    replies = run.evaluation("sft") / "replies.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("cso.cli.report.load_answers", None)
        assert facts_of(shelf_of(run)).comparisons == first
    replies.write_text("{}\n")
    facts = facts_of(shelf_of(run))
    assert [each.other for each in facts.comparisons] == ["base"]
    assert facts.unreadable == ["evaluation/sft/replies.jsonl"]
    replies.unlink()
    assert facts_of(shelf_of(run)).unreadable == ["evaluation/sft/replies.jsonl"]


def test_without_base_and_sft_every_two_of_a_few_are_compared(run: Run) -> None:
    for name in ("base", "sft"):
        run.evaluation(name).rename(run.evaluation(f"my-{name}"))
    assert len(facts_of(shelf_of(run)).comparisons) == 3
    for name in ("more", "many"):
        shutil.copytree(run.evaluation("my-sft"), run.evaluation(name))
    assert not facts_of(shelf_of(run)).comparisons


def test_scores_of_words_that_nobody_wrote_are_explained(run: Run) -> None:
    facts = gather(run.folder)
    evaluation = facts.evaluations["base"]
    scores = evaluation.scores.model_copy(update={"texts": {}})
    mute = contents(
        replace(facts, evaluations={**facts.evaluations, "base": replace(evaluation, scores=scores)})
    ).scores
    assert mute is not None
    assert "no replies were written" in mute.notes[0]


def test_a_model_that_ran_here_is_called_as_its_evaluation_and_costs_nothing(run: Run) -> None:
    row = {"role": "strategist", "model": "472212767ddab8a0", "prompt_tokens": 0, "completion_tokens": 0}
    served = {"role": "supporter", "model": "m", "prompt_tokens": 1000, "completion_tokens": 0}
    write_jsonl(run.evaluation("sft") / "answers.jsonl", [row, row])
    facts = gather(run.folder, stand_in=True)
    *_, one, total = calls_table(facts).rows
    assert one == (Cell("sft", "evaluation, strategist"), Cell("2"), Cell("0"), Cell("0"), Cell("none"))
    assert total[-1] == Cell("none")
    write_jsonl(run.evaluation("base") / "answers.jsonl", [served])
    for prices, said, whole in (({"m": (2.0, 0.0)}, "0.00", "0.00"), ({}, "price not known", "price not known")):
        rows = calls_table(gather(run.folder, stand_in=True, prices=prices)).rows
        assert [row[-1] for row in rows if row[0] == Cell("m", "evaluation base, supporter")] == [Cell(said)]
        assert rows[-1][-1] == Cell(whole)


def test_failed_requests_are_said_beside_their_model_and_leave_nothing_strong(run: Run) -> None:
    facts = gather(run.folder)
    evaluation = facts.evaluations["base"]
    for count, words in (
        (1, "strategy by score, 1 request failed"),
        (1200, "strategy by score, 1,200 requests failed"),
    ):
        scores = evaluation.scores.model_copy(update={"identity": {**evaluation.scores.identity, "failed": count}})
        failed = replace(facts, evaluations={**facts.evaluations, "base": replace(evaluation, scores=scores)})
        table = contents(failed).scores
        assert table is not None
        names = [row[0] for row in table.rows]
        assert [name.small for name in names if isinstance(name, Cell)] == [words, *["strategy by score"] * 2]
        assert not any(cell.strong for row in table.rows for cell in row if isinstance(cell, Cell))
        assert "Requests that failed" in table.notes[0]
    whole = contents(facts).scores
    assert whole is not None
    assert not whole.notes


def test_equal_replies_among_verdicts_are_counted(run: Run) -> None:
    verdicts = next(table for table in contents(gather(run.folder)).judged if table.title == "Whose reply is better")
    assert {row[-1] for row in verdicts.rows} == {Cell("30", "3 equal replies, ties")}


def test_figures_that_are_no_more_drawn_are_removed_and_a_users_stay(run: Run) -> None:
    report(run)
    figures = run.folder / "figures"
    drawn = {path.name for path in figures.iterdir()}
    gone = {name for name in drawn if "sft" in name}
    assert gone
    copy = figures / "for-the-talk.svg"
    shutil.copy(figures / min(gone), copy)  # a user's copy of ours
    own = {"own.svg": "<svg/>", "stages-model-mine.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>', "notes.txt": ""}
    for name, text in own.items():
        (figures / name).write_text(text)
    (figures / "odd.svg").write_bytes(b"\xff")
    (figures / "folder.svg").mkdir()
    for folder in (run.evaluation("sft"), run.model("sft")):
        shutil.rmtree(folder)
    report(run)
    assert {path.name for path in figures.iterdir()} == (drawn - gone) | {*own, copy.name, "odd.svg", "folder.svg"}


@pytest.mark.parametrize(("data", "where"), [({}, "'none'"), (None, "'self'")])
def test_only_the_page_that_has_a_server_may_ask_it(run: Run, data: dict[str, str] | None, where: str) -> None:
    assert f"connect-src {where};" in page_text(gather(run.folder), data)


def test_hostile_names_are_text_everywhere(run: Run, page: Page) -> None:
    open_page(page, report(run))
    assert page.locator("main b, main img, main [onload]").count() == 0
    assert page.locator("bdi", has_text=MARKUP).count() > 3
    assert page.locator("svg title", has_text="Ask & ").count() > 3
    files = sorted(path.name for path in (run.folder / "figures").iterdir())
    assert all(re.fullmatch(r"[a-z0-9-]+\.svg", name) for name in files)
    assert "stages-model-cso-script.svg" in files


def test_names_that_are_alike_as_files_get_files_of_their_own(run: Run) -> None:
    for name in ("a b", "A-b", "模型", "другой"):
        evaluate(run, name, [talk("t")], 3)
    files = figure_files(gather(run.folder, strategies=NAMES))
    assert {f"stages-model-{name}.svg" for name in ("a-b", "a-b-2", "model", "model-2")} <= set(files)


def test_the_files_are_those_of_the_page(run: Run) -> None:
    names = re.findall(r'data-name="([^"]+)"', report(run).read_text(encoding="utf-8"))
    assert sorted(f"{name}.svg" for name in names) == sorted(path.name for path in (run.folder / "figures").iterdir())
    assert {"stages", "scores-q", "strengths", "counts", "curves-loss-sft", "study-q-main-results"} <= set(names)
    for name in names:
        xml.parse(run.folder / "figures" / f"{name}.svg")


def test_buttons_give_the_figure_as_svg_and_as_png(run: Run, page: Page) -> None:
    open_page(page, report(run))
    figure = page.locator("[data-name=scores-q]")
    with page.expect_download() as svg:
        figure.get_by_role("button", name="SVG").click()
    assert svg.value.suggested_filename == "scores-q.svg"
    text = Path(svg.value.path()).read_text(encoding="utf-8")
    assert text == (run.folder / "figures" / "scores-q.svg").read_text(encoding="utf-8")
    with page.expect_download() as png:
        figure.get_by_role("button", name="PNG").click()
    assert png.value.suggested_filename == "scores-q.png"
    picture = Path(png.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    size = (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24]))
    drawn = xml.fromstring(text)
    assert size == (3 * number(drawn, "width"), 3 * number(drawn, "height"))
    assert len(picture) > 5000  # not an empty plane


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_a_phone(run: Run, page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    open_page(page, report(run))
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert violations(page) == []
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert all(  # words in figures: at least 4.5 to 1, and as large as at least 10 pixels
        ratio >= 4.5 and size >= 10 for ratio, size in page.locator("svg text").evaluate_all(READABLE)
    )
    names = page.locator("main svg").evaluate_all("all => all.map((each) => each.getAttribute('role'))")
    assert set(names) == {"img"}
    assert page.locator("figure").count() == page.locator("figure details table").count()


READABLE = """(all) => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((each) => each / 255)
      .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return all.map((text) => {
    const ink = light(getComputedStyle(text).fill);
    const scale = text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width;
    const size = scale * parseFloat(getComputedStyle(text).fontSize);
    return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), size];
  });
}"""


def test_a_run_that_has_only_begun_says_what_comes_next(tmp_path: Path, page: Page) -> None:
    run = Run.create(tmp_path / "run", Settings(), Taxonomy("abc", (Strategy("A", "a"), Strategy("B", "b"))))
    open_page(page, report(run))
    for section in SECTIONS[:-1]:
        assert "cso " in page.locator(f"#{section} code").first.inner_text(), section
    assert not (run.folder / "figures").exists()
    assert violations(page) == []


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(run: Run) -> None:
    broken = {
        "preferences/statistics.json": '{"version": 0}',
        "evaluation/base/scores.json": "[]",
        "evaluation/sft/marks-j.json": '{"judge": 7}',
        "evaluation/sft/verdicts-base-j.json": "{",
        "models/sft/metrics.jsonl": '{"step": "x"}\n',
        "toxicity/words.json": '{"groups": {}, "texts": {}}',
        "studies/main/results.json": '{"study": "x", "turns": 1, "variants": {"a": 1}}',
        "trees/lost.json": "no tree",
    }
    for name, text in broken.items():
        (run.folder / name).write_text(text)
    (run.folder / "toxicity" / "other.json").write_bytes(b"\xff\xfe")
    scores = run.evaluation("sft") / "scores.json"
    content = json.loads(scores.read_text())
    for change in ({"confusion": [[1]]}, {"f1": {}}, {"stages": {"A": [1]}}, {"strengths": {"A": float("nan")}}):
        scores.write_text(json.dumps(content | change))
        assert "evaluation/sft/scores.json" in gather(run.folder).unreadable
    scores.write_text(json.dumps(content))
    facts = gather(run.folder, strategies=NAMES)
    assert sorted(facts.unreadable) == sorted([*broken, "toxicity/other.json"])
    shown = overview(facts)
    assert all(name in shown for name in facts.unreadable)
    assert "sft" in shown
    assert "</html>" in page_of(run)


def page_of(run: Run) -> str:
    return page_text(gather(run.folder), Shelf(run).everything())


def test_answers_are_counted_line_by_line_and_a_line_that_is_being_written_is_not_wrong(run: Run) -> None:
    path = run.answers_path("d1")
    whole = path.read_text()
    lines = ["[]", "7", '{"role": "judge"}', '{"role": "judge", "model": "m", "prompt_tokens": -1}', "\x00"]
    path.write_text(whole + "".join(f"{line}\n" for line in lines) + '{"role": "jud')
    facts = gather(run.folder)
    (one,) = facts.asked
    assert (one.purpose, one.role, one.calls, one.prompt_tokens, one.completion_tokens) == (
        "search",
        "supporter",
        3,
        3000,
        150,
    )
    assert facts.unreadable == ["answers/d1.jsonl (5 of 8 lines)"]
    priced = gather(run.folder, prices={MARKUP: (2.0, 10.0)})
    assert one.cost(priced.prices) == pytest.approx((3000 * 2 + 150 * 10) / 1e6)
    path.write_text(whole * 2)
    assert [each.calls for each in gather(run.folder).asked] == [6]

"""The tree explorer and the pairs browser, in Chromium, held to the search and the extraction themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser import PHONE, open_page, until, violations
from cso.extract import pairs, valid_paths
from cso.extract.rows import pair_row
from cso.pages import packed
from cso.report import gather, index_content, pairs_content, tree_content, tree_summary
from cso.report import page as html_of
from cso.search.grow import grow_tree
from cso.settings import ExtractSettings, SearchSettings
from cso.taxonomy import Speakers, Taxonomy
from cso.tree import Expanded, Tree
from golden_searches import NAMES, TAXONOMY, Asked, golden, seed_of, settings_of

HOSTILE = "</script><img src=x onerror=alert(1)> \u202eabc " + "word " * 10_000


@pytest.fixture
def searches() -> list[tuple[list[Tree], SearchSettings]]:
    """The golden searches: the tree after each iteration. (Before `page`, beside which no event loop can run.)"""
    return [grown(name) for name in NAMES]


@pytest.fixture
def trees() -> list[Tree]:
    """The golden searches' last trees, as if of one run; the second has hostile words."""
    found = [replace(tree, seed=replace(tree.seed, id=name)) for name in NAMES for tree in grown(name)[0][-1:]]
    nodes = list(found[1].nodes)
    place = next(node.id for node in nodes if isinstance(node.state, Expanded) and not node.gold)
    nodes[place] = replace(nodes[place], state=replace(nodes[place].state, supporter=HOSTILE, seeker=HOSTILE))
    seed = replace(found[1].seed, scene="<b>bold</b>", situation=HOSTILE)
    return [found[0], replace(found[1], seed=seed, nodes=tuple(nodes)), *found[2:]]


@cache
def grown(name: str) -> tuple[list[Tree], SearchSettings]:
    content = golden(name)
    asked = Asked(**content.get("stand_in", {}))
    steps: list[Tree] = []
    settings = settings_of(content)
    asyncio.run(grow_tree(seed_of(content), asked.cast, TAXONOMY, settings, observe=steps.append))
    return steps, settings


def written(
    folder: Path,
    trees: Sequence[Tree],
    search: SearchSettings | None = None,
    *,
    with_pairs: bool = False,
    taxonomy: Taxonomy = TAXONOMY,
) -> Path:
    """The page of some trees."""
    extract = ExtractSettings()
    lines = [
        {**tree_summary(tree, unfinished=False), "name": tree.seed.id, "data": f"tree-{place}", "stamp": str(place)}
        for place, tree in enumerate(trees)
    ]
    rows = [pair_row(pair, TAXONOMY, {}) for pair in pairs(trees, extract)]
    index = index_content(
        taxonomy,
        search or SearchSettings(),
        extract,
        trees=lines,
        pairs="1" if with_pairs else None,
        unreadable=[],
        stamp="1",
    )
    data = {f"tree-{place}": packed(tree_content(tree, TAXONOMY.names)) for place, tree in enumerate(trees)}
    if with_pairs:
        data["pairs"] = packed(pairs_content(rows, TAXONOMY))
    target = folder / "report.html"
    target.write_text(
        html_of(gather(folder), {"index": packed(index), **data}),
        encoding="utf-8",
        errors="backslashreplace",
    )
    return target


STATE = """(at) => {
    const state = stateAt(explorer.tree, at);
    const found = preferences(explorer.tree, state);
    const nodes = [...explorer.tree.parent.keys()].filter((node) => isBorn(explorer.tree, state, node));
    return {
        n: nodes.map((node) => state.n[node]), q: nodes.map((node) => state.q[node]),
        said: nodes.filter((node) => isSaid(explorer.tree, state, node)),
        closed: [...closedAt(explorer.tree, state)].sort((a, b) => a - b),
        valid: [...found.valid].sort((a, b) => a - b), paths: found.paths, pairs: found.pairs,
    };
}"""


def of_tree(tree: Tree) -> dict[str, Any]:
    """What STATE must give."""
    settings = ExtractSettings()
    paths = valid_paths(tree, threshold=settings.threshold, min_visits=settings.min_visits)
    return {
        "n": [node.visits for node in tree.nodes],
        "q": [node.value for node in tree.nodes],
        "said": [node.id for node in tree.nodes if type(node.state).__name__ != "Unexpanded"],
        "closed": [node.id for node in tree.nodes if node.closed],
        "valid": sorted({node.id for path in paths for node in path}),
        "paths": len(paths),
        "pairs": len({(p.chosen.node, p.rejected.node) for p in pairs(tree, settings)}),
    }


def test_each_step_is_the_searchs_own(
    searches: list[tuple[list[Tree], SearchSettings]], tmp_path: Path, page: Page
) -> None:
    for steps, settings in searches:
        page.goto("about:blank")
        open_page(page, written(tmp_path, steps[-1:], settings), f"#tree={steps[-1].seed.id}")
        until(page, "explorer !== null")
        for tree in (steps[0], *steps[1:-1:5], steps[-1]):
            assert page.evaluate(STATE, tree.iterations) == of_tree(tree), f"after iteration {tree.iterations}"


def test_a_tree_whose_steps_were_not_kept_is_shown_as_it_ended(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    old = replace(trees[0], backups=())
    open_page(page, written(tmp_path, [old]), f"#tree={old.seed.id}")
    expect(page.get_by_text("How this search went was not kept")).to_be_visible()
    assert page.evaluate(STATE, 0) == of_tree(old)


def test_a_tree_is_walked_by_keyboard_and_every_node_has_an_address(
    trees: list[Tree], tmp_path: Path, page: Page
) -> None:
    tree = trees[0]
    open_page(page, written(tmp_path, trees), "#trees")
    page.get_by_role("link", name=tree.seed.id).press("Enter")
    outline = page.get_by_role("tree")
    outline.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    node = int(page.url.split("node=")[1])
    assert page.evaluate("explorer.node") == node != 0
    assert outline.get_attribute("aria-activedescendant") == f"row-{node}"
    expect(page.locator(f"#row-{node}")).to_have_attribute("aria-selected", "true")
    conversation = [turn.text for turn in tree.history(node).turns]
    shown = page.locator(".conversation .turn").all_inner_texts()
    assert [each.split("\n", 1)[1] for each in shown] == conversation
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator(f"#row-{node}")).to_have_attribute("aria-selected", "true")


def test_a_choice_shows_the_parts_of_pucb(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    from cso.search.mcts import pucb

    tree = trees[0]
    node = next(node for node in tree.nodes if node.visits and not node.gold and node.parent is not None)
    assert node.parent is not None
    open_page(page, written(tmp_path, trees), f"#tree={tree.seed.id}&node={node.id}")
    cells = page.locator(".choices tr.selected td").all_inner_texts()
    expected = pucb(node, tree.nodes[node.parent], exploration=1.0)
    assert float(cells[1]) == pytest.approx(node.value, abs=6e-4)
    assert float(cells[3]) == pytest.approx(expected, abs=6e-4)
    assert float(cells[3]) == pytest.approx(float(cells[1]) + float(cells[2]), abs=2e-3)
    assert int(cells[4]) == node.visits


def test_the_slider_goes_through_the_search(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    tree = trees[0]
    open_page(page, written(tmp_path, trees), f"#tree={tree.seed.id}&at=1")
    expect(page.locator("#told")).to_contain_text("1 of ")
    page.get_by_label("Step on").click()
    expect(page.locator("#told")).to_contain_text("2 of ")
    assert page.evaluate("explorer.node") == tree.backups[1].node
    assert "at=2" in page.url


def test_a_row_far_from_the_selection_opens_where_it_is(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    open_page(page, written(tmp_path, trees), f"#tree={trees[0].seed.id}&node=0")
    page.get_by_role("button", name="Open all").click()
    outline = page.get_by_role("tree")
    outline.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    until(page, "document.querySelector('.row:last-child') !== null")
    before = outline.evaluate("box => box.scrollTop")
    assert before > 300
    page.locator(".row[aria-expanded=true] .twist").nth(-3).click()
    assert outline.evaluate("box => box.scrollTop") > before - 300
    assert page.evaluate("explorer.node") == 0


def test_closing_a_row_selects_it_where_the_selection_was_below(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    tree = trees[0]
    deep = max(tree.nodes, key=lambda node: len(tree.path(node.id)) if node.gold else 0)
    above = tree.path(deep.id)[2].id
    open_page(page, written(tmp_path, trees), f"#tree={tree.seed.id}&node={deep.id}")
    page.locator(f"#row-{above} .twist").click()
    assert page.evaluate("explorer.node") == above


def test_the_focus_stays_on_what_was_pressed(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    open_page(page, written(tmp_path, trees, with_pairs=True), f"#tree={trees[0].seed.id}&node=0")
    choice = page.locator(".choices button").nth(2)
    node = choice.get_attribute("data-node")
    choice.press("Enter")
    assert page.evaluate("document.activeElement.dataset.node") == node
    page.goto(page.url.split("#")[0] + "#pairs")
    page.get_by_role("button", name="Show more").press("Enter")
    assert page.evaluate("document.activeElement.closest('.pair') === document.querySelectorAll('.pair')[20]")


def test_a_tree_is_shown_after_another_could_not_be(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    target = written(tmp_path, trees)
    open_page(page, target, f"#tree={trees[0].seed.id}")
    expect(page.get_by_role("tree")).to_be_visible()
    page.evaluate("document.getElementById('data-tree-1').textContent = 'eJw='")
    page.goto(page.url.split("#")[0] + f"#tree={trees[1].seed.id}")
    expect(page.get_by_role("alert")).to_contain_text("This cannot be shown")
    page.goto(page.url.split("#")[0] + f"#tree={trees[0].seed.id}")
    expect(page.get_by_role("tree")).to_be_visible()


@pytest.mark.parametrize("speakers", [Speakers(), Speakers("Learner", "Tutor")])
def test_speakers_are_called_as_the_taxonomy_calls_them(
    speakers: Speakers, trees: list[Tree], tmp_path: Path, page: Page
) -> None:
    open_page(page, written(tmp_path, trees, taxonomy=replace(TAXONOMY, speakers=speakers)), "#trees")
    page.get_by_role("link", name=trees[0].seed.id).press("Enter")
    page.get_by_role("tree").focus()
    page.keyboard.press("End")
    shown = {text.split("\n")[0].split(",")[0] for text in page.locator(".conversation .turn").all_inner_texts()}
    assert shown == {speakers.seeker, speakers.supporter}


def test_hostile_words_are_words(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    tree = trees[1]
    node = next(n.id for n in tree.nodes if isinstance(n.state, Expanded) and n.state.supporter == HOSTILE)
    open_page(page, written(tmp_path, trees, with_pairs=True), f"#tree={tree.seed.id}&node={node}")
    expect(page.locator(".conversation .turn").last).to_contain_text("</script><img src=x onerror=alert(1)>")
    expect(page.locator("#view-tree h1")).to_have_text("<b>bold</b>")
    assert page.locator("main img, h1 b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(page.url.split("#")[0] + "#pairs&text=</script>")
    expect(page.locator(".pair mark").first).to_have_text("</script>")
    assert page.locator("main img, h2 b").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_pairs_are_found_by_words_strategy_and_margin(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    found = pairs(trees, ExtractSettings())
    open_page(page, written(tmp_path, trees, with_pairs=True), "#pairs")
    status = page.locator("#pairs-count")
    expect(status).to_have_text(f"{len(found)} of {len(found)} pairs")
    strategy = found[0].rejected.strategy
    page.get_by_label("Rejected strategy").select_option(strategy)
    alike = [pair for pair in found if pair.rejected.strategy == strategy]
    expect(status).to_have_text(f"{len(alike)} of {len(found)} pairs")
    page.get_by_label("Margin of Q at least").fill("0.5")
    far = [pair for pair in alike if pair.chosen.value - pair.rejected.value >= 0.5]
    expect(status).to_have_text(f"{len(far)} of {len(found)} pairs")
    page.reload()
    expect(status).to_have_text(f"{len(far)} of {len(found)} pairs")  # the filters are in the address
    page.get_by_role("link", name="Pairs").click()
    expect(status).to_have_text(f"{len(found)} of {len(found)} pairs")
    page.go_back()
    expect(status).to_have_text(f"{len(far)} of {len(found)} pairs")
    page.get_by_label("Margin of Q at least").fill("")
    page.get_by_label("Rejected strategy").select_option("any")
    words = found[3].chosen.text.split()[:3]
    page.get_by_label("Words").fill(" ".join(words))

    def has(text: str) -> bool:
        return all(any(word.lower() in said.lower() for said in text.split("\0")) for word in words)

    texts = ["\0".join([*(t.text for t in p.history.turns), p.chosen.text, p.rejected.text]) for p in found]
    expect(status).to_have_text(f"{sum(map(has, texts))} of {len(found)} pairs")
    expect(page.locator("mark").first).to_be_visible()


def test_a_pair_leads_to_its_tree(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    first = pairs(trees, ExtractSettings())[0]
    open_page(page, written(tmp_path, trees, with_pairs=True), "#pairs")
    page.locator(".side.rejected").first.get_by_role("link").click()
    until(page, "explorer !== null")
    assert page.evaluate("[explorer.tree.id, explorer.node]") == [first.history.id, first.rejected.node]


def test_what_is_not_there_is_said(trees: list[Tree], tmp_path: Path, page: Page) -> None:
    open_page(page, written(tmp_path, []), "#trees")
    expect(page.locator("#view-trees")).to_contain_text("No trees yet")
    page.goto(page.url.replace("#trees", "#pairs"))
    expect(page.locator("#view-pairs")).to_contain_text("No pairs yet")
    page.goto(page.url.replace("#pairs", "#tree=<nobody>"))
    expect(page.get_by_text("This run has no tree of")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_are_accessible_and_fit_a_phone(scheme: Any, trees: list[Tree], tmp_path: Path, page: Page) -> None:
    page.emulate_media(color_scheme=scheme)
    target = written(tmp_path, trees, with_pairs=True)
    for view in ("#trees", f"#tree={trees[0].seed.id}&node=5&at=7", "#pairs"):
        page.goto("about:blank")
        open_page(page, target, view)
        until(page, "index !== null")
        expect(page.locator("main h1:visible")).to_be_visible()
        assert violations(page) == [], view
    width, height = PHONE
    page.set_viewport_size({"width": width, "height": height})
    for view in ("#trees", f"#tree={trees[0].seed.id}&node=5&at=7", "#pairs"):
        page.goto("about:blank")
        open_page(page, target, view)
        expect(page.locator("main h1:visible")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view

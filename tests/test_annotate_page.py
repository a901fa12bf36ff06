"""A rater's page in a browser: by keyboard from first to last item, and nothing is lost on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Dialog, Page, expect

from browser import LAPTOP, PHONE, open_page, violations
from cso.annotate import CRITERIA, OF_MODELS, Annotation, Item, Said, agreement, read_ratings, write
from cso.annotate.sources import CHOSEN, REJECTED
from test_annotate import ESC8, annotation, talk

HOSTILE = (
    "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">\u2028 & &amp; <b>"
)
NO_STORAGE = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }"


def opened(page: Page, folder: Path, asked: Annotation, *, begin: bool = True) -> Path:
    (path,) = write(folder, asked, ["rater-1"], ESC8)
    open_page(page, path)
    if begin:
        page.get_by_role("button", name="Begin").click()
    return path


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def download(page: Page, folder: Path, click: str = "Save result") -> tuple[Path, dict[str, Any]]:
    with page.expect_download() as done:
        page.get_by_role("button", name=click).first.click()
    path = folder / done.value.suggested_filename
    done.value.save_as(path)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_a_rater_goes_from_first_to_last_item_by_keyboard_alone(tmp_path: Path, page: Page) -> None:
    asked = annotation(3)
    opened(page, tmp_path, asked, begin=False)
    focus = "document.activeElement.id || document.activeElement.tagName"
    assert page.evaluate(focus) == "begin"
    press(page, "Enter", "1", "2", "3", "2")
    assert page.evaluate(focus) == "next"
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Item 2 of 3")).to_be_visible()
    expect(page.locator("#done")).to_have_text("1 of 3 done")
    press(page, "3", "ArrowLeft", "1", "1", "1")  # on Information an arrow chooses, then a digit
    press(page, *["Shift+Tab"] * 2)  # from Next over Back into the field of comments' helpers
    page.locator("#comment").focus()
    page.keyboard.type("1st: good, 2nd: no")
    press(page, "Tab")
    assert page.evaluate(focus) == "digits"  # the field lets go
    page.locator("#next").focus()
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Item 3 of 3")).to_be_visible()
    assert page.locator("#comment").input_value() == ""
    press(page, "Shift+Enter")
    assert page.locator("#comment").input_value() == "1st: good, 2nd: no"
    press(page, "Enter", "2", "2", "2", "2", "Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    path, saved = download(page, tmp_path)
    assert path.name == "rater-1.json"
    assert (saved["complete"], saved["annotation"], saved["rater"]) == (True, asked.id, "rater-1")
    assert [answer["item"] for answer in saved["answers"]] == list(asked.sheet("rater-1").order)
    names = [each.name for each in asked.criteria]
    assert [[answer["marks"][name] for name in names] for answer in saved["answers"]] == [
        ["A", "tie", "B", "tie"],
        ["B", "A", "A", "A"],
        ["tie"] * 4,
    ]
    assert saved["answers"][1]["comment"] == "1st: good, 2nd: no"
    assert all(0 <= answer["seconds"] < 60 for answer in saved["answers"])
    read = read_ratings([path])
    assert agreement(read.ratings, read.key, draws=10).raters == {"rater-1": 3}


def test_a_reload_restores_and_goes_on_at_the_first_unanswered_item(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, annotation(4))
    press(page, "1", "1", "1", "1", "Enter", "2")
    page.locator("#comment").fill("so far")
    page.reload()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Item 2 of 4")).to_be_visible()
    assert page.locator("input:checked[type=radio]").evaluate_all("found => found.map(each => each.value)") == ["tie"]
    assert page.locator("#comment").input_value() == "so far"
    _, saved = download(page, tmp_path)
    assert saved["complete"] is False
    expect(page.get_by_role("status")).to_have_text("Saved as rater-1.json: incomplete, 1 of 4 items.")


def test_an_item_can_be_passed_over_and_is_found_again(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, annotation(3))
    press(page, "Enter")
    expect(page.get_by_role("status")).to_have_text("Item 1 still lacks marks.")
    press(page, "1", "1", "1", "1", "Enter", "Enter")
    expect(page.get_by_role("heading", name="Not finished yet")).to_be_visible()
    expect(page.locator("#missing")).to_contain_text("2 of 3 items still lack marks")
    page.locator("#end").get_by_role("button", name="First unanswered").click()
    expect(page.get_by_role("heading", name="Item 1 of 3")).to_be_visible()


def test_two_tabs_keep_what_is_marked_in_either(tmp_path: Path, page: Page) -> None:
    path = opened(page, tmp_path, annotation(3))
    other = page.context.new_page()
    open_page(other, path)
    other.get_by_role("button", name="Begin").click()
    press(page, "1", "2")
    expect(other.locator("input:checked[type=radio]")).to_have_count(2)
    expect(other.get_by_role("status")).to_contain_text("open in another tab")
    press(other, "3", "3", "Enter", "1", "1", "1", "1")
    expect(page.locator("#done")).to_have_text("2 of 3 done")
    press(page, "Enter", "Enter", "2")
    _, saved = download(page, tmp_path)
    assert [len(answer["marks"]) for answer in saved["answers"]] == [4, 4, 1]
    assert list(saved["answers"][0]["marks"].values()) == ["A", "tie", "B", "B"]


@pytest.mark.parametrize("script", [NO_STORAGE, FULL], ids=["no storage", "full"])
def test_a_browser_that_keeps_nothing_says_so_and_saves_all_the_same(tmp_path: Path, page: Page, script: str) -> None:
    page.add_init_script(script)
    opened(page, tmp_path, annotation(2), begin=False)
    expect(page.get_by_role("alert")).to_contain_text("does not keep your progress")
    page.get_by_role("button", name="Begin").click()
    press(page, "1", "1", "1", "1")
    asked: list[str] = []

    def no(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", no)
    page.close(run_before_unload=True)
    expect(page.locator("#done")).to_have_text("1 of 2 done")  # still here, since the question was answered with no
    assert asked == ["beforeunload"]
    path, _ = download(page, tmp_path)
    page.reload()  # nothing is unsaved now, so that nothing is asked
    page.locator("#load").set_input_files(path)
    expect(page.locator("#done")).to_have_text("1 of 2 done")
    assert asked == ["beforeunload"]


def test_an_earlier_file_is_loaded_and_later_marks_stand(tmp_path: Path, page: Page) -> None:
    asked = annotation(2)
    opened(page, tmp_path, asked)
    press(page, "1", "1", "1", "1")
    path, saved = download(page, tmp_path)
    press(page, "Shift+Tab")
    page.evaluate("localStorage.clear(); answers = {}")
    page.reload()
    page.get_by_role("button", name="Begin").click()
    press(page, "3")
    page.get_by_role("button", name="Instructions").click()
    page.locator("#load").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("The file's 1 answers are here")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Item 2 of 2")).to_be_visible()
    press(page, "Shift+Enter")
    values = "found => found.map(each => each.value)"
    assert page.locator("input:checked[type=radio]").evaluate_all(values) == ["B", "A", "A", "A"]
    for change, words in (
        ({"annotation": "x"}, "another annotation: x"),
        ({"rater": "b"}, "b's, and this page is rater-1's"),
        ({"answers": None}, "no result saved from such a page"),
        ({"annotation": None}, "no result saved from such a page"),
    ):
        (tmp_path / "odd.json").write_text(json.dumps(saved | change))
        page.locator("#load").set_input_files(tmp_path / "odd.json")
        expect(page.get_by_role("status")).to_contain_text(words)
    (tmp_path / "odd.json").write_text("{")
    page.locator("#load").set_input_files(tmp_path / "odd.json")
    expect(page.get_by_role("status")).to_contain_text("not JSON")


def test_a_later_comment_in_a_file_takes_no_mark_back(tmp_path: Path, page: Page) -> None:
    asked = annotation(1)
    opened(page, tmp_path, asked)
    press(page, "1", "2", "3", "2")
    path, saved = download(page, tmp_path)
    saved["answers"][0] |= {"marks": {"Empathy": "B"}, "comment": "Hard.", "at": "2999-01-01T00:00:00.000Z"}
    path.write_text(json.dumps(saved))
    page.get_by_role("button", name="Instructions").click()
    page.locator("#load").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("The file's 1 answers are here")
    _, both = download(page, tmp_path)
    assert list(both["answers"][0]["marks"].values()) == ["B", "tie", "B", "tie"]
    assert both["answers"][0]["comment"] == "Hard."


@pytest.mark.parametrize(
    "at", ["+275760-09-13T00:00:00.000Z", "-000001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]
)
def test_a_time_that_no_clock_shows_does_not_stop_the_page(tmp_path: Path, page: Page, at: str) -> None:
    asked = annotation(1)
    path = opened(page, tmp_path, asked, begin=False)
    odd = {asked.items[0].id: {"marks": {"Strategy": "B"}, "at": at}}
    page.evaluate("text => localStorage.setItem(KEPT, text)", json.dumps(odd))
    open_page(page, path)
    page.reload()
    page.get_by_role("button", name="Go on").click()
    press(page, "1", "1", "1")
    path, saved = download(page, tmp_path)
    assert list(saved["answers"][0]["marks"].values()).count("A") == 3
    assert saved["complete"]
    assert len(read_ratings([path]).ratings) == 1


def test_the_first_screen_warns_and_begins_without_scrolling(tmp_path: Path, page: Page) -> None:
    everything = tuple(each.name for each in CRITERIA)
    opened(page, tmp_path, replace(annotation(2, criteria=everything), notice="Quoted <b>."), begin=False)
    expect(page.get_by_text("Quoted <b>.")).to_be_visible()
    expect(page.get_by_text("grief, abuse or thoughts of suicide")).to_be_visible()
    for width, height in (LAPTOP, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.get_by_role("button", name="Begin")).to_be_in_viewport(ratio=1)
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Item 1 of 2")).to_be_visible()


def test_what_is_kept_but_cannot_be_read_is_put_aside(tmp_path: Path, page: Page) -> None:
    asked = annotation(2)
    path = opened(page, tmp_path, asked)
    key = f"cso-annotation/{asked.id}/rater-1"
    page.evaluate("key => localStorage.setItem(key, '{torn')", key)
    open_page(page, path)
    page.get_by_role("button", name="Begin").click()
    press(page, "1")
    assert page.evaluate("key => localStorage.getItem(key + '/unreadable')", key) == "{torn"
    odd = {asked.sheet("rater-1").order[0]: {"marks": {"Empathy": "Z", "Strategy": "B"}, "at": "2026"}, "other": 3}
    page.evaluate("([key, text]) => { answers = {}; localStorage.setItem(key, text) }", [key, json.dumps(odd)])
    page.reload()
    page.get_by_role("button", name="Go on").click()
    assert page.locator("input:checked[type=radio]").evaluate_all("all => all.map(each => each.value)") == ["B"]


def test_hostile_texts_are_only_texts(tmp_path: Path, page: Page) -> None:
    long, arabic = "word " * 10_000, "\u202eمرحبا كيف حالك <i>"
    turns = [HOSTILE, arabic, long] * 4 + [HOSTILE]
    asked = annotation(1, criteria=OF_MODELS)
    item = Item(talk(HOSTILE, *turns), 1, (Said(CHOSEN, None, HOSTILE), Said(REJECTED, HOSTILE, arabic + long)))
    opened(page, tmp_path, Annotation("pair", asked.criteria, (item,), 0, {}))
    shown = [page.get_by_role("region", name=f"Reply {side}").text_content() for side in "AB"]
    assert sorted(filter(None, shown)) == sorted([HOSTILE, arabic + long])
    expect(page.locator(".turn")).to_have_count(len(turns))
    page.get_by_text("7 earlier turns").click()
    expect(page.locator(".turn").first).to_be_visible()
    assert page.locator("main img, main script, main i").count() == 0
    assert page.title() == "Comparing replies"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("single", [False, True], ids=["pairs", "single"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scrolling(tmp_path: Path, page: Page, single: bool) -> None:
    opened(page, tmp_path, annotation(2, single=single), begin=False)

    def check(*schemes: Literal["light", "dark"]) -> None:
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})

    check(*() if single else ("light",))
    page.get_by_role("button", name="Begin").click()
    press(page, "2", "1")
    check("light", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
    press(page, "Enter", "Enter")
    check(*() if single else ("light",))


def test_digits_can_be_switched_off_and_marks_chosen_by_mouse(tmp_path: Path, page: Page) -> None:
    opened(page, tmp_path, annotation(2, single=True))
    page.get_by_label("Number keys mark").uncheck()
    press(page, "1")
    expect(page.locator("input:checked[type=radio]")).to_have_count(0)
    page.get_by_role("group", name="Effectiveness").get_by_label("4").check()
    page.get_by_label("Number keys mark").check()
    page.get_by_role("heading", name="Item 1 of 2").click()
    press(page, "5", "6", "0")
    _, saved = download(page, tmp_path)
    assert saved["answers"][0]["marks"] == {"Effectiveness": 4, "Acceptance": 5}

"""`cso view`: the page of a run that goes on, for this machine alone."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Generator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cso.cli.report import report_command
from cso.cli.search import search
from cso.cli.view import serve
from cso.errors import InputError, StoreError
from cso.extract import pairs
from cso.extract.rows import pair_row
from cso.search import grow_tree
from cso.settings import ExtractSettings, Settings, load_settings
from cso.store import Run
from cso.tree import Failure, Tree
from golden_searches import TAXONOMY, Asked, golden, seed_of, settings_of


@pytest.fixture
def steps() -> list[Tree]:
    content = golden("golden_06")
    seen: list[Tree] = []
    asked = Asked(**content["stand_in"])
    asyncio.run(grow_tree(seed_of(content), asked.cast, TAXONOMY, settings_of(content), observe=seen.append))
    return seen


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path / "run", Settings(), TAXONOMY)
    made.save_seeds([])
    return made


@pytest.fixture
def server(run: Run) -> Generator[ThreadingHTTPServer]:
    made = serve(run, 0)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def got(server: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if answer.getheader("Content-Type", "").startswith("application") else text


def test_it_answers_this_machine_alone(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert got(server, "/")[0] == 200
    assert got(server, "/", host="evil.example")[0] == 403  # a name that was made to lead here


@pytest.mark.parametrize("path", ["/nothing", "/data/tree-none", "/data/..%2f..%2fsettings", "/../settings.yaml"])
def test_it_gives_nothing_but_the_parts_of_the_page(server: ThreadingHTTPServer, path: str) -> None:
    assert got(server, path)[0] == 404


def test_the_index_changes_when_something_does(server: ThreadingHTTPServer, run: Run, steps: list[Tree]) -> None:
    _, first = got(server, "/data/index")
    assert got(server, "/data/index")[1] == first
    run.save_growing(steps[3])
    _, second = got(server, "/data/index")
    assert second["stamp"] != first["stamp"]
    assert [(line["iterations"], line["unfinished"]) for line in second["trees"]] == [(3, True)]
    run.save_tree(steps[-1])
    _, third = got(server, "/data/index")
    assert [(line["iterations"], line["unfinished"]) for line in third["trees"]] == [(steps[-1].iterations, False)]


def test_a_damaged_tree_is_named_and_the_others_are_shown(
    server: ThreadingHTTPServer, run: Run, steps: list[Tree]
) -> None:
    run.save_tree(steps[-1])
    run.save_tree(replace(steps[-1], seed=replace(steps[-1].seed, id="other")))
    run.tree_path("other").write_text("{", encoding="utf-8")
    assert "trees/other.json" in got(server, "/")[1]
    _, index = got(server, "/data/index")
    assert [line["id"] for line in index["trees"]] == [steps[-1].seed.id]
    assert index["unreadable"] == ["trees/other.json"]
    run.save_tree(replace(steps[-1], seed=replace(steps[-1].seed, id="other")))
    assert got(server, "/data/index")[1]["stamp"] != index["stamp"]


def test_a_page_that_is_open_follows_the_search(
    run: Run, steps: list[Tree], server: ThreadingHTTPServer, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{server.server_port}/#trees")
    expect(page.locator("#view-trees")).to_contain_text("No trees yet")
    run.save_growing(steps[2])
    expect(page.get_by_role("cell", name="not finished")).to_be_visible()
    page.get_by_role("link", name=steps[0].seed.id).click()
    page.locator("#row-1").click()
    page.get_by_text("Picture", exact=True).click()
    page.get_by_role("tree").focus()
    expect(page.locator("#told")).to_contain_text("2 of 2")
    run.save_tree(steps[-1])
    expect(page.locator("#told")).to_contain_text(f"{steps[-1].iterations} of {steps[-1].iterations}")
    assert page.evaluate("explorer.node") == 1  # one stays where one was
    assert page.evaluate("document.activeElement.getAttribute('role')") == "tree"
    expect(page.locator(".picture")).not_to_be_visible()


def test_a_tree_that_is_grown_again_is_followed(server: ThreadingHTTPServer, run: Run, steps: list[Tree]) -> None:
    run.save_tree(replace(steps[1], failure=Failure("no answer", "the endpoint was away")))
    run.save_growing(steps[5])
    _, index = got(server, "/data/index")
    assert [(line["iterations"], line["unfinished"]) for line in index["trees"]] == [(5, True)]


def test_the_explorer_has_the_threshold_of_the_extraction(server: ThreadingHTTPServer, run: Run) -> None:
    run.preferences.mkdir()
    (run.preferences / "settings.yaml").write_text("extract: {threshold: 0.25}\n", encoding="utf-8")
    assert got(server, "/data/index")[1]["threshold"] == 0.25


def test_a_run_that_is_grown_again_under_other_settings_is_followed(
    server: ThreadingHTTPServer, run: Run, steps: list[Tree]
) -> None:
    run.save_tree(steps[-1])
    run.save_tree(replace(steps[-1], seed=replace(steps[-1].seed, id="left over")))
    assert len(got(server, "/data/index")[1]["trees"]) == 2
    changed = load_settings(None, ["search.exploration=2"])
    Run.create(run.folder, changed, TAXONOMY, replace=True).save_tree(steps[-1])
    _, index = got(server, "/data/index")
    assert (index["exploration"], [line["id"] for line in index["trees"]]) == (2.0, [steps[-1].seed.id])
    assert "1 tree." in got(server, "/overview")[1]


@pytest.mark.parametrize("damage", [{"weight": float("nan")}, {"chosen_prior": "x"}, {"stage": "x"}, {"chosen": []}])
def test_damaged_pairs_are_named(
    server: ThreadingHTTPServer, run: Run, steps: list[Tree], damage: dict[str, Any]
) -> None:
    row = pair_row(pairs(steps[-1], ExtractSettings())[0], TAXONOMY, {}) | damage
    run.preferences.mkdir()
    run.view("dpo").write_text(json.dumps(row), encoding="utf-8")
    status, told = got(server, "/data/pairs")
    assert (status, "extract anew" in told) == (500, True)
    report_command(run.folder)
    assert "preferences/pairs.jsonl" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_an_address_that_is_none_is_refused(server: ThreadingHTTPServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as raw:
        raw.sendall(f"GET http://[ HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
        assert b" 400 " in raw.recv(100)


def test_a_port_that_is_taken_is_said(server: ThreadingHTTPServer, run: Run) -> None:
    with pytest.raises(InputError, match="give another, or 0"):
        serve(run, server.server_port)


@pytest.mark.parametrize("full", [False, True])
def test_a_search_lets_others_look_on_and_ends_even_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    seen: list[int] = []

    def save(run: Run, tree: Tree) -> None:
        seen.append(tree.iterations)
        if full:
            raise StoreError("no space left on device")

    monkeypatch.setattr(Run, "save_growing", save)
    monkeypatch.setattr("cso.growing.SECONDS_OF_A_TREE", 0.0)
    monkeypatch.setattr("cso.growing.SECONDS_OF_ANY", 0.0)
    out = tmp_path / "searched"
    search("bundled", str(out), None, ["search.iterations=4"], limit=1)
    assert seen == ([0] if full else [0, 1, 2, 3, 4])
    assert [tree.failure for tree in Run.open(out).trees()] == [None]

"""Pages in a real browser, headless Chromium. Without one these tests skip, saying so."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

LAPTOP, PHONE = (1280, 800), (390, 844)  # pixels
PATIENCE = 30  # seconds
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture
def page() -> Generator[Page]:
    """An empty page as large as a laptop's. Whatever goes wrong in it, or is asked of a network, fails the test.

    A browser for each test, since playwright's event loop would stop other tests from having one.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    width, height = LAPTOP
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        opened = context.new_page()
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        opened.on("request", lambda request: wrong.append(request.url) if _elsewhere(request.url) else None)
        yield opened
        browser.close()
    assert wrong == []


def _elsewhere(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1:")


def open_page(page: Page, path: Path, fragment: str = "") -> None:
    """Open a page from disk."""
    page.goto(path.resolve().as_uri() + fragment)


def until(page: Page, expression: str) -> None:
    """Wait until an expression holds. (`wait_for_function` evaluates inside the page, whose policy forbids that.)"""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"{expression} did not come to hold in {PATIENCE} seconds"
        page.wait_for_timeout(20)


def violations(page: Page) -> list[str]:
    """What axe finds serious or critical, each rule with the first element it names."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found if rule["impact"] in ("serious", "critical")
    ]

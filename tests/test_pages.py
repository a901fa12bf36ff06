"""What all pages share."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from browser import open_page
from cso.pages import asset, environment, json_text, packed

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028\u202e&amp;\ud800 " + "word " * 10_000


def test_what_a_page_holds_comes_out_as_it_went_in_and_is_only_text(tmp_path: Path, page: Page) -> None:
    content = {"hostile": HOSTILE.replace("\ud800", ""), "numbers": [1, -0.5, None, True]}
    template = environment("cso.pages").from_string(
        "{% extends base %}{% block title %}t{% endblock %}{% block body %}<main>"
        '<script id="plain" type="application/json">{{ plain|json_text }}</script>'
        '<script id="packed" type="text/plain">{{ packed }}</script>'
        '<script>{{ asset("cso.pages", "unpack.js") }}</script></main>{% endblock %}'
    )
    target = tmp_path / "page.html"
    target.write_text(template.render(plain=content, packed=packed(content)), encoding="utf-8")
    open_page(page, target)
    assert page.evaluate("JSON.parse(document.getElementById('plain').textContent)") == content
    assert page.evaluate("unpacked(document.getElementById('packed').textContent)") == content
    assert page.locator("img").count() == 0


def test_half_a_surrogate_pair_does_not_stop_a_page() -> None:
    assert "\\ud800" in json_text("\ud800")
    assert packed("\ud800")


def test_every_page_may_talk_to_nobody_but_its_own_server() -> None:
    assert "default-src 'none'" in asset("cso.pages", "base.html.j2")

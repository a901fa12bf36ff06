"""What all pages share."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, Route

from browser import open_page
from cso.pages import environment, json_text, packed

REACH = """async (places) => {
  const refused = [];
  document.addEventListener("securitypolicyviolation", (event) =>
    refused.push([event.effectiveDirective, event.blockedURI]));
  for (const place of places) {
    await fetch(place, { mode: "no-cors" }).catch(() => {});
    await new Promise((done) => {
      const image = document.createElement("img");
      image.onload = image.onerror = done;
      image.src = place;
      document.body.append(image);
    });
  }
  return refused;
}"""  # all that the browser refuses to fetch, by the rule that forbids it
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


def test_a_page_reaches_nothing_not_even_where_it_came_from(page: Page) -> None:
    html = environment("cso.pages").from_string("{% extends base %}").render()
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(body=html, content_type="text/html")

    own = page.context.new_page()  # in which refusals are no mistakes, as they are in `page`
    own.route("**/*", answer)
    own.goto("http://here.test/")
    refused = own.evaluate(REACH, ["http://here.test/data", "https://elsewhere.test/data"])
    assert sorted(refused) == [
        ["connect-src", "http://here.test/data"],
        ["connect-src", "https://elsewhere.test/data"],
        ["img-src", "http://here.test/data"],
        ["img-src", "https://elsewhere.test/data"],
    ]
    assert asked == ["http://here.test/"]

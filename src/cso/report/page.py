"""The page of a run: overview, trees and pairs, as one file or as what `cso view` serves."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from cso.pages import asset, environment
from cso.report.facts import Facts
from cso.report.overview import contents

SCRIPTS = ("app", "replay", "outline", "picture", "explorer", "trees", "pairs", "figures")
STYLES = ("report", "chart", "overview")


def page(facts: Facts, data: Mapping[str, str] | None) -> str:
    """The HTML. `data`: what the scripts read, by name, packed (see `index_content`); None where a server has it."""
    own = [asset("cso.report", f"web/{script}.js") for script in SCRIPTS]
    return (
        environment("cso.report")
        .get_template("web/page.html.j2")
        .render(
            name=facts.name,
            overview=Markup(overview(facts)),
            data=data,
            styles=[asset("cso.report", f"web/{style}.css") for style in STYLES],
            scripts=[asset("cso.pages", "unpack.js"), *own],
        )
    )


def overview(facts: Facts) -> str:
    """The overview alone, to lie in such a page."""
    return environment("cso.report").get_template("web/overview.html.j2").render(facts=facts, shown=contents(facts))


def figure_files(facts: Facts) -> dict[str, str]:
    """The figures as files of their own: name and SVG."""
    return contents(facts).files()

"""Pages that are one file: they open from disk, load nothing and say so to the browser (base.html.j2)."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from importlib import resources
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cso.palette import colour


def environment(package: str) -> Environment:
    """Templates of `package`, which can extend `base.html.j2` and have every text escaped.

    They know `look`, the style sheet; `asset(package, name)`; `colour(place)`; and `json_text(content)`.
    """
    made = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    base = made.from_string(asset("cso.pages", "base.html.j2"))
    known = cast(dict[str, Any], made.globals)
    known |= {"base": base, "look": asset("cso.pages", "look.css"), "asset": asset, "colour": colour}
    cast(dict[str, Any], made.filters)["json_text"] = json_text
    return made


@cache
def asset(package: str, name: str) -> Markup:
    """A file of ours that goes into a page as it is."""
    return Markup(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def json_text(content: Any) -> Markup:
    """JSON for a <script type="application/json">: no text in it can end the script or begin markup."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def packed(content: Any) -> str:
    """JSON as base64 of a zlib stream, a third of its length, for a <script type="text/plain">.

    In the page, `unpacked` (unpack.js) gives the content back.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "backslashreplace"), 6)).decode("ascii")

"""Drawings as SVG text: their parts, and the two forms of each, in a page and as a file of its own.

A page's drawing has classes (chart.css), so that it follows the page's colours; a file has the same rules within, with
light colours. All are as wide as a phone's page, so that nothing shrinks there: more of them stand side by side.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cso.pages import asset

WIDTH = 360.0  # of a drawing, in pixels where a page has room for it
LINE = 18.0  # from one line of words to the next
GAP = 28.0  # between drawings that are side by side
FONTS = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"  # of a file; a page has its own

_VARIABLE = re.compile(r"--([a-z-]+):\s*([^;]+);")
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SEMITRANSPARENT = re.compile(r"^#([0-9a-f])([0-9a-f])([0-9a-f])[0-9a-f]$")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Elements of SVG on a plane, and what they say, in words."""

    title: str
    description: str
    height: float
    body: str
    key: Sequence[tuple[str, str]] = ()  # names and their colours: a page has them in words, a file below the plane
    width: float = WIDTH


def inline(drawing: Drawing, name: str) -> Markup:
    """The drawing in a page; `name` is its own there. Title and key stand beside it."""
    return Markup(
        f'<svg viewBox="0 0 {short(drawing.width)} {short(drawing.height)}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{escaped(drawing.title)}</title>'
        f'<desc id="{name}-description">{escaped(drawing.description)}</desc>{drawing.body}</svg>'
    )


def standalone(drawing: Drawing, name: str = "") -> str:
    """The drawing as a file: its title above, its key below, light on white, nothing from elsewhere.

    The file says its `name` within, so that `is_ours` knows it again.
    """
    top = 28.0 if drawing.title else 0.0
    key, below = _key(drawing.key, top + drawing.height + 8, drawing.width)
    margin, width, height = 8.0, drawing.width, top + drawing.height + below
    size = f'width="{short(width + 2 * margin)}" height="{short(height + 2 * margin)}"'
    box = f"{short(-margin)} {short(-margin)} {short(width + 2 * margin)} {short(height + 2 * margin)}"
    title = words(0, 14, shortened(drawing.title, width, 14), "fig-title") if drawing.title else ""
    return (
        f'{_head(name)} {size} viewBox="{box}" role="img" font-family="{FONTS}">'
        f"<title>{escaped(drawing.title)}</title><desc>{escaped(drawing.description)}</desc>"
        f"<style>{light_rules()}</style>"
        f'<rect x="{short(-margin)}" y="{short(-margin)}" {size} fill="#fff"/>'
        f'{title}<g transform="translate(0 {short(top)})">{drawing.body}</g>{key}</svg>\n'
    )


def is_ours(text: str, name: str) -> bool:
    """Whether a file of that name is a figure as `standalone` writes it, no copy under another name."""
    return text.startswith(_head(name))


def beside(drawings: Sequence[Drawing], title: str, *, columns: int) -> Drawing:
    """Several drawings as one, each under its own title, with one key."""
    columns = min(columns, len(drawings))
    parts: list[str] = []
    top = 0.0
    for start in range(0, len(drawings), columns):
        row = drawings[start : start + columns]
        for place, drawing in enumerate(row):
            head = words(0, 14, shortened(drawing.title, drawing.width, 12), "fig-quiet")
            body = f'<g transform="translate(0 24)">{drawing.body}</g>'
            parts.append(f'<g transform="translate({short(place * (WIDTH + GAP))} {short(top)})">{head}{body}</g>')
        top += max(drawing.height for drawing in row) + 24 + GAP
    described = " ".join(f"{drawing.title}: {drawing.description}" for drawing in drawings)
    width = columns * (WIDTH + GAP) - GAP
    return Drawing(title, described, top - GAP, "".join(parts), drawings[0].key, width)


def light_rules() -> str:
    """chart.css with the values of look.css, the first of which are light; half seen-through edges made whole."""
    found: dict[str, str] = {}
    for name, value in _VARIABLE.findall(asset("cso.pages", "look.css")):
        found.setdefault(name, "#" + "c" * 3 if _SEMITRANSPARENT.match(value) else value)
    rules = re.sub(r"/\*.*?\*/\s*", "", asset("cso.report", "web/chart.css"), flags=re.DOTALL)
    return re.sub(r"var\(--([a-z-]+)\)", lambda match: found[match[1]], rules)


def escaped(text: str) -> str:
    """Any text as XML's; characters that XML does not have become a replacement mark."""
    return str(Markup.escape(_NO_XML.sub("\ufffd", text)))


def short(number: float) -> str:
    """A coordinate, to a hundredth."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def words(x: float, y: float, text: str, classes: str = "", *, anchor: str = "start") -> str:
    """A line of text on its base line."""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{short(x)}" y="{short(y)}" class="{f"fig-text {classes}".strip()}"{anchored}>{escaped(text)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, classes: str, more: str = "") -> str:
    return f'<line x1="{short(x1)}" y1="{short(y1)}" x2="{short(x2)}" y2="{short(y2)}" class="{classes}"{more}/>'


def box(x: float, y: float, width: float, height: float, colour: str, classes: str, says: str = "") -> str:
    """A rectangle; `says` is shown where a pointer rests on it."""
    said = f"<title>{escaped(says)}</title>" if says else ""
    return (
        f'<rect x="{short(x)}" y="{short(y)}" width="{short(width)}" height="{short(height)}" fill="{colour}" '
        f'class="{classes}">{said}</rect>'
    )


def text_width(text: str, size: float = 12) -> float:
    """About how wide a text is: nothing here measures fonts."""
    return size * sum(_em(character) for character in text)


def shortened(text: str, width: float, size: float = 12) -> str:
    """As much of a text as about fits, with an ellipsis where some is left out."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    room = width - text_width("…", size)
    kept = 0
    while kept < len(text) and (room := room - size * _em(text[kept])) >= 0:
        kept += 1
    return text[:kept].rstrip() + "…"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers about `count` in all, the first at or below `low`, the last at or above `high`."""
    size = max(abs(low), abs(high))
    spread = high - low if high - low > 1e-9 * size else size or 1.0
    rough = max(spread, 1e-12) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def plain(number: float, step: float) -> str:
    """A tick's number, with as many places as its step needs."""
    if not 1e-4 <= step < 1e6:
        return f"{number:.3g}"
    places = next((places for places in range(6) if math.isclose(round(step, places), step)), 6)
    text = f"{number:,.{places}f}"
    return text if float(text.replace(",", "")) else "0"


def _head(name: str) -> str:
    mark = f' id="cso-report-{name}"' if name else ""
    return f'<svg xmlns="http://www.w3.org/2000/svg"{mark}'


def _key(key: Iterable[tuple[str, str]], top: float, width: float) -> tuple[str, float]:
    """Names with squares of their colours, in lines, and how much height they take."""
    parts: list[str] = []
    x, y = 0.0, top + 12
    for name, colour in key:
        name = shortened(name, width - 24)
        wide = 18 + text_width(name) + 14
        if x and x + wide > width + 14:
            x, y = 0.0, y + LINE
        parts.append(box(x, y - 10, 11, 11, colour, "fig-swatch") + words(x + 17, y, name))
        x += wide
    return "".join(parts), (y + 8 - top + 8) if parts else 0.0


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if character in " .,:;'|!ijlftrI()[]":
        return 0.35
    return 0.74 if character.isupper() or character in "mwMW%&@" else 0.6

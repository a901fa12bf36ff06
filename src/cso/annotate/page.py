"""The page of one rater: what it holds, and nothing that tells whose a reply is."""

from __future__ import annotations

from typing import Any

from cso.annotate.items import Annotation, Item, Said
from cso.evaluate.judging import HIGHEST
from cso.pages import environment
from cso.palette import colour
from cso.taxonomy import Speakers, Taxonomy


def page(annotation: Annotation, rater: str, taxonomy: Taxonomy) -> str:
    """The HTML of a rater's page."""
    template = environment("cso.annotate").get_template("annotate.html.j2")
    data = content(annotation, rater, taxonomy)
    pair = annotation.kind == "pair"
    return template.render(data=data, rater=rater, pair=pair, highest=HIGHEST, notice=annotation.notice, told=taxonomy)


def content(annotation: Annotation, rater: str, taxonomy: Taxonomy) -> dict[str, Any]:
    """What the page's script reads. Of strategies it holds only what a criterion asks about."""
    sheet = annotation.sheet(rater)
    items = {item.id: item for item in annotation.items}
    shown = annotation.shows_strategies
    return {
        "annotation": annotation.id,
        "rater": rater,
        "kind": annotation.kind,
        "highest": HIGHEST,
        "criteria": [
            {"name": each.name, "definition": each.definition, "strategy": each.strategy}
            for each in annotation.criteria
        ],
        "strategies": {
            strategy.name: {"definition": strategy.definition, "colour": colour(place)}
            for place, strategy in enumerate(taxonomy)
            if shown
        },
        "items": [
            _item(items[name], taxonomy.speakers, swapped=name in sheet.swapped, shown=shown) for name in sheet.order
        ],
    }


def _item(item: Item, speakers: Speakers, *, swapped: bool, shown: bool) -> dict[str, Any]:
    replies = item.replies[::-1] if swapped else item.replies
    return {
        "id": item.id,
        "history": [
            {"speaker": turn.speaker, "name": speakers.name(turn.speaker), "text": turn.text}
            for turn in item.history.turns
        ],
        "replies": [_reply(reply, shown=shown) for reply in replies],
    }


def _reply(reply: Said, *, shown: bool) -> dict[str, str | None]:
    return {"text": reply.text, **({"strategy": reply.strategy} if shown else {})}

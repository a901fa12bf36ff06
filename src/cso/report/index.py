"""What the page's scripts know from the start (app.js): strategies, the rules of section 3, and the list of trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cso.palette import colour
from cso.settings import ExtractSettings, SearchSettings
from cso.taxonomy import Taxonomy


def index_content(
    taxonomy: Taxonomy,
    search: SearchSettings,
    extract: ExtractSettings,
    *,
    trees: Sequence[Mapping[str, Any]],
    pairs: str | None,
    stamp: str,
) -> dict[str, Any]:
    """`trees` have `tree_summary` and where their data is; `pairs` and `stamp` change when pairs, or anything, do."""
    return {
        "strategies": [
            {"name": strategy.name, "definition": strategy.definition, "colour": colour(place)}
            for place, strategy in enumerate(taxonomy.strategies)
        ],
        "exploration": search.exploration,
        "gold_visits": search.gold_visits,
        "gold_value": search.gold_value,
        "threshold": extract.threshold,
        "min_visits": extract.min_visits,
        "trees": list(trees),
        "pairs": pairs,
        "stamp": stamp,
    }

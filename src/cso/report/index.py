"""What the page's scripts know from the start (app.js): strategies, the rules of section 3, and the list of trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
    unreadable: Sequence[str],
    stamp: str,
) -> dict[str, Any]:
    """`trees`: of each its `tree_summary`, `name` in addresses, `data` (a part's name) and `stamp`.

    A stamp changes when what it stands for does; `pairs` is that of the pairs, None where there are none.
    """
    return {
        "strategies": [
            {"name": strategy.name, "definition": strategy.definition, "colour": colour(place)}
            for place, strategy in enumerate(taxonomy.strategies)
        ],
        "speakers": asdict(taxonomy.speakers),
        "exploration": search.exploration,
        "gold_visits": search.gold_visits,
        "gold_value": search.gold_value,
        "threshold": extract.threshold,
        "min_visits": extract.min_visits,
        "trees": list(trees),
        "pairs": pairs,
        "unreadable": list(unreadable),
        "stamp": stamp,
    }

"""What a model costs: as the user says, or as the list of the extra `prices` (genai-prices) has it."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from cso.llm.address import address_of
from cso.llm.limits import Price


@cache
def listed_price(model: str, base_url: str | None) -> Price | None:
    """USD for a million tokens in and out of a model at its provider's address; None where nobody says.

    The addresses of providers are known to the list: a model of the same name on another server has no price.
    """
    try:
        listing: Any = importlib.import_module("genai_prices")
    except ImportError:
        return None
    usage = listing.Usage(input_tokens=1000, output_tokens=1000)  # few, below any tier for long prompts
    try:
        found = listing.calc_price(usage, model, provider_api_url=address_of(base_url))
    except LookupError:
        return None
    return float(found.input_price) * 1000, float(found.output_price) * 1000

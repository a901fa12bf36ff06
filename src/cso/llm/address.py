"""Where an OpenAI-compatible endpoint is."""

from __future__ import annotations

import os

OPENAI_URL = "https://api.openai.com/v1"


def address_of(base_url: str | None) -> str:
    """The address itself; for None $OPENAI_BASE_URL, or else OpenAI's own."""
    return base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL

"""What all pages of ours share: one look, and data that cannot break out of a page."""

from cso.pages.page import asset, environment, json_text, packed

__all__ = ["asset", "environment", "json_text", "packed"]

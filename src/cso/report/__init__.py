"""A run as one page that opens from disk."""

from cso.report.facts import Facts, gather
from cso.report.page import page

__all__ = ["Facts", "gather", "page"]

"""A run as one page that opens from disk: an overview, an explorer of its trees, a browser of its pairs."""

from cso.report.facts import Facts, gather
from cso.report.index import index_content
from cso.report.page import figure_files, overview, page
from cso.report.pairs import pairs_content
from cso.report.trees import tree_content, tree_summary

__all__ = [
    "Facts",
    "figure_files",
    "gather",
    "index_content",
    "overview",
    "page",
    "pairs_content",
    "tree_content",
    "tree_summary",
]

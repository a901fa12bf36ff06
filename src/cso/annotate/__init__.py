"""Replies judged by people: a page for each rater, and what all of them found (Tables 1, 3 and 6)."""

from cso.annotate.agreement import Agreement, Rating, Row, agreement, fleiss_kappa
from cso.annotate.criteria import CRITERIA, OF_MODELS, OF_PAIRS, OF_REPLIES, Criterion, chosen_criteria
from cso.annotate.items import Annotation, Item, Said, draw
from cso.annotate.key import Key, load_key
from cso.annotate.results import Read, is_agreement, read_ratings
from cso.annotate.sources import of_evaluations, of_pairs, of_replies
from cso.annotate.writing import write

__all__ = [
    "CRITERIA",
    "OF_MODELS",
    "OF_PAIRS",
    "OF_REPLIES",
    "Agreement",
    "Annotation",
    "Criterion",
    "Item",
    "Key",
    "Rating",
    "Read",
    "Row",
    "Said",
    "agreement",
    "chosen_criteria",
    "draw",
    "fleiss_kappa",
    "is_agreement",
    "load_key",
    "of_evaluations",
    "of_pairs",
    "of_replies",
    "read_ratings",
    "write",
]

"""What a model's choices of strategy are worth, on held-out dialogues (section 5.1)."""

from cso.evaluate.answering import Answer, Local, Model, Remote, answer, check_settings, rounds
from cso.evaluate.evaluation import evaluate, short_name
from cso.evaluate.items import Item, drawn, held_out, items
from cso.evaluate.results import Scores, compare, load_answers, load_scores, matrices, save, score
from cso.llm.endpoints import Endpoint

__all__ = [
    "Answer",
    "Endpoint",
    "Item",
    "Local",
    "Model",
    "Remote",
    "Scores",
    "answer",
    "check_settings",
    "compare",
    "drawn",
    "evaluate",
    "held_out",
    "items",
    "load_answers",
    "load_scores",
    "matrices",
    "rounds",
    "save",
    "score",
    "short_name",
]

"""What a model's choices of strategy are worth, on held-out dialogues (section 5.1)."""

from cso.evaluate.answering import Answer, Local, Model, Remote, answer
from cso.evaluate.evaluation import Scores, compare, load_answers, load_scores, matrices, save, score
from cso.evaluate.items import Item, drawn, items

__all__ = [
    "Answer",
    "Item",
    "Local",
    "Model",
    "Remote",
    "Scores",
    "answer",
    "compare",
    "drawn",
    "items",
    "load_answers",
    "load_scores",
    "matrices",
    "save",
    "score",
]

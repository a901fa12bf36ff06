"""What of a run the Hugging Face hub gets: which files, with which card, and how they get there."""

from cso.hub.card import Attribution, completed, model_index, results_section
from cso.hub.contents import MODEL, PREFERENCES, Contents, prepare

__all__ = [
    "MODEL",
    "PREFERENCES",
    "Attribution",
    "Contents",
    "completed",
    "model_index",
    "prepare",
    "results_section",
]

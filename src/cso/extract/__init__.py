"""From trees to preferences (section 3.2). What writes files and draws is in `cso.extract.write`."""

from cso.extract.balance import balanced
from cso.extract.esc_pro import PathDialogue, path_dialogues
from cso.extract.extraction import Dropped, Preferences, extract, preferences
from cso.extract.judging import above_margin, judge_missing, margin
from cso.extract.pairs import pairs
from cso.extract.paths import valid_paths
from cso.extract.statistics import Statistics, statistics
from cso.extract.views import demonstrations, labelled, random_pairs

__all__ = [
    "Dropped",
    "PathDialogue",
    "Preferences",
    "Statistics",
    "above_margin",
    "balanced",
    "demonstrations",
    "extract",
    "judge_missing",
    "labelled",
    "margin",
    "pairs",
    "path_dialogues",
    "preferences",
    "random_pairs",
    "statistics",
    "valid_paths",
]

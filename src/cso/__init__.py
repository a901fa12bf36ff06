"""Chain-of-Strategy Optimization: search conversation trees, extract turn-level strategy preferences.

    trees = cso.grow(seeds, cast_for, taxonomy)      seed dialogues -> trees
    pairs = cso.pairs(trees, cso.ExtractSettings())  trees -> preferences

What needs a heavy library has an address of its own: `cso.corpus_cast` (scikit-learn), `cso.llm.openai` (openai),
`cso.extract.write` (pyarrow, matplotlib), `cso.train` (torch, transformers), `cso.evaluate` (numpy, openai).
"""

from cso.corpora import Corpus, read_corpus
from cso.dialogue import Dialogue, Speaker, Turn
from cso.errors import AnswerError, BudgetSpent, CsoError, EndpointError, InputError, RequestError, StoreError
from cso.extract import Preferences, Statistics, extract, pairs, preferences, statistics, valid_paths
from cso.preference import Labelled, Pair, Reply
from cso.rating import Rating, Rubric, mean_reward, reward
from cso.search import Cast, Judge, Seeker, Strategist, Supporter, Utterance, grow, grow_forest, grow_tree
from cso.settings import EvaluateSettings, ExtractSettings, SearchSettings, Settings, TrainSettings, load_settings
from cso.store import Run
from cso.taxonomy import Strategy, Taxonomy, load_taxonomy
from cso.tree import End, Expanded, Node, Root, Tree, Unexpanded

__all__ = [
    "AnswerError",
    "BudgetSpent",
    "Cast",
    "Corpus",
    "CsoError",
    "Dialogue",
    "End",
    "EndpointError",
    "EvaluateSettings",
    "Expanded",
    "ExtractSettings",
    "InputError",
    "Judge",
    "Labelled",
    "Node",
    "Pair",
    "Preferences",
    "Rating",
    "Reply",
    "RequestError",
    "Root",
    "Rubric",
    "Run",
    "SearchSettings",
    "Seeker",
    "Settings",
    "Speaker",
    "Statistics",
    "StoreError",
    "Strategist",
    "Strategy",
    "Supporter",
    "Taxonomy",
    "TrainSettings",
    "Tree",
    "Turn",
    "Unexpanded",
    "Utterance",
    "extract",
    "grow",
    "grow_forest",
    "grow_tree",
    "load_settings",
    "load_taxonomy",
    "mean_reward",
    "pairs",
    "preferences",
    "read_corpus",
    "reward",
    "statistics",
    "valid_paths",
]

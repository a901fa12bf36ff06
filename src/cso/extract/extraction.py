"""All that is extracted from some trees, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cso.errors import InputError
from cso.extract.balance import balanced
from cso.extract.contrast import contrasts
from cso.extract.judging import DEFAULT_REWARD, Filtered, above_margin, judge_missing
from cso.extract.pairs import key, pairs, tree_pairs
from cso.extract.views import RandomPairs, demonstrations, labelled, random_pairs
from cso.preference import Labelled, Pair
from cso.search.cast import Judge, Supporter
from cso.settings import ExtractSettings, RewardSettings
from cso.taxonomy import Taxonomy
from cso.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What is not in the result, by reason."""

    duplicate_pairs: int = 0  # found in several trees, word for word
    below_margin: int = 0  # pairs whose own-turn rewards differ by less than `min_margin`
    unrated: int = 0  # pairs of unknown margin, where there is a `min_margin`
    balance: int = 0  # pairs that `balance` "drop" took away
    random_balance: int = 0  # those of ESC-Pro-Random
    contradictory_labels: int = 0  # replies chosen in one pair and rejected in another, left out of KTO's rows
    judge_unanswered: int = 0  # replies that the judge was asked for a rating of, and gave none
    random_unanswered: int = 0  # turns for which no reply by a random strategy could be had
    contrast_unanswered: int = 0  # siblings for which no reply, or no rating of it, could be had


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A preference dataset. `found` are the pairs before `min_margin` and `balance`; `pairs` those that are kept.

    `labelled` (KTO) is made of `pairs`; `demonstrations` (SFT) and `random` (None: not asked for) of all valid paths.
    """

    found: tuple[Pair, ...]
    pairs: tuple[Pair, ...]
    labelled: tuple[Labelled, ...]
    demonstrations: tuple[Labelled, ...]
    random: tuple[Pair, ...] | None
    dropped: Dropped


def preferences(
    trees: Sequence[Tree],
    found: Sequence[Pair],
    settings: ExtractSettings,
    *,
    reward: RewardSettings = DEFAULT_REWARD,
    random: RandomPairs | None = None,
    unrated: Literal["refuse", "drop"] = "refuse",
    judge_unanswered: int = 0,
    contrast_unanswered: int = 0,
) -> Preferences:
    """The dataset made of `found`, which is `pairs(trees, settings)` with or without more ratings.

    With a `min_margin`, pairs of unknown margin are an InputError, or dropped and counted where `unrated` is "drop"
    (for when the judge has been asked already and could not answer).
    """
    filtered = above_margin(found, settings.min_margin, reward)
    if filtered.unrated and unrated == "refuse":
        raise InputError(_unrated_message(filtered, len(found), settings))
    kept = balanced(filtered.pairs, settings.balance, seed=settings.seed)
    drawn = None if random is None else balanced(random.pairs, settings.balance, seed=settings.seed)
    labels = labelled(kept, settings.balance)
    keys = [key(pair) for tree in trees for pair in tree_pairs(tree, settings)]
    return Preferences(
        found=tuple(found),
        pairs=tuple(kept),
        labelled=tuple(labels.rows),
        demonstrations=tuple(demonstrations(trees, settings)),
        random=None if drawn is None else tuple(drawn),
        dropped=Dropped(
            duplicate_pairs=len(keys) - len(set(keys)),
            below_margin=filtered.below,
            unrated=filtered.unrated,
            balance=len(filtered.pairs) - len(kept),
            random_balance=len(random.pairs) - len(drawn) if random and drawn is not None else 0,
            contradictory_labels=labels.contradictory,
            judge_unanswered=judge_unanswered,
            random_unanswered=random.unanswered if random else 0,
            contrast_unanswered=contrast_unanswered,
        ),
    )


async def extract(
    trees: Sequence[Tree],
    settings: ExtractSettings,
    *,
    taxonomy: Taxonomy,
    reward: RewardSettings = DEFAULT_REWARD,
    judge: Judge | None = None,
    supporter: Supporter | None = None,
    contrast: tuple[Supporter, Judge] | None = None,
) -> Preferences:
    """From trees to preferences (section 3.2). Trees are taken as they stand, those of a failed search too.

    A `judge` is asked for the ratings that the replies of pairs lack; a `supporter` for ESC-Pro-Random's replies;
    `contrast`, both, for more rejected replies.
    One of each serves all dialogues; what it is shown bears the dialogue's id. Raises InputError where `min_margin`
    needs ratings and there is no judge to ask.
    """
    found = pairs(trees, settings)
    judge_unanswered = contrast_unanswered = 0
    if contrast is not None:
        more = await contrasts(trees, settings, *contrast, taxonomy, reward=reward)
        found = list({key(pair): pair for pair in [*more.pairs, *found]}.values())
        contrast_unanswered = more.unanswered
    if judge is not None:
        judged = await judge_missing(found, judge)
        found, judge_unanswered = judged.pairs, judged.unanswered
    random = await random_pairs(trees, settings, supporter, taxonomy) if supporter is not None else None
    unrated = "refuse" if judge is None else "drop"
    return preferences(
        trees,
        found,
        settings,
        reward=reward,
        random=random,
        unrated=unrated,
        judge_unanswered=judge_unanswered,
        contrast_unanswered=contrast_unanswered,
    )


def _unrated_message(filtered: Filtered, pairs: int, settings: ExtractSettings) -> str:
    return (
        f"extract.min_margin={settings.min_margin} compares the judge's ratings of both replies of a pair, but "
        f"{filtered.unrated} of {pairs} pairs lack one: ask for them with --judge, or leave min_margin unset"
    )

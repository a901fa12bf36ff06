"""What is in a preference dataset: Table 5, Figure 3, how often each strategy is chosen and rejected, margins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from cso.dialogue import STAGES, Dialogue, Speaker, Turn, stage
from cso.extract.esc_pro import PathDialogue
from cso.extract.judging import DEFAULT_REWARD, margin
from cso.preference import Pair
from cso.settings import RewardSettings
from cso.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Texts:
    """How many utterances, and how many words (by white space) they have on average; 0.0 for no utterances."""

    utterances: int
    mean_words: float


@dataclass(frozen=True, slots=True)
class Dialogues:
    """How many dialogues, and how many utterances they have on average; rejected replies are no part of one."""

    dialogues: int
    mean_utterances: float


@dataclass(frozen=True, slots=True)
class Table5:
    """The paper's Table 5. `all` is seeker, preferred, rejected and, which the paper has none of, greetings.

    Counted for each valid path, shared beginnings each time: so there are as many preferred replies as seeker turns.
    """

    seed_dialogues: Dialogues
    seed: Texts
    dialogues: Dialogues
    seeker: Texts
    preferred: Texts
    rejected: Texts
    all: Texts


@dataclass(frozen=True, slots=True)
class StrategyCount:
    """How many pairs have this strategy chosen, and rejected; and the same by weight."""

    strategy: str
    chosen: int
    rejected: int
    chosen_weight: float
    rejected_weight: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Where some numbers lie; all None where there are none."""

    count: int
    lowest: float | None
    median: float | None
    mean: float | None
    highest: float | None


@dataclass(frozen=True, slots=True)
class Margins:
    """Chosen minus rejected. `contradicted`: pairs of which the judge scores the rejected reply above the chosen."""

    value: Spread  # of Q
    reward: Spread  # of the own-turn reward, over the pairs that have both
    contradicted: int
    unrated: int  # pairs without both own-turn rewards


@dataclass(frozen=True, slots=True)
class StageCounts:
    """Figure 3 as counts: for each strategy, in the taxonomy's order, utterances in stage 0.0, 0.2, ..., 1.0."""

    seed: dict[str, tuple[int, ...]]
    result: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Statistics:
    """`margins` are of the pairs as they are written; `margins_found` of those before any were dropped."""

    table5: Table5
    stages: StageCounts
    strategies: tuple[StrategyCount, ...]
    margins: Margins
    margins_found: Margins

    def to_json(self) -> dict[str, Any]:
        """Plain values that `json` can write."""
        return asdict(self)


def statistics(
    seeds: Sequence[Dialogue],
    paths: Sequence[PathDialogue],
    pairs: Sequence[Pair],
    taxonomy: Taxonomy,
    *,
    found: Sequence[Pair] | None = None,
    reward: RewardSettings = DEFAULT_REWARD,
) -> Statistics:
    """The statistics of a dataset: its seeds, its valid paths, its pairs, and the pairs `found` before any dropped."""
    return Statistics(
        table5=table5(seeds, paths),
        stages=StageCounts(
            seed=strategy_stages(seeds, taxonomy),
            result=strategy_stages([path.dialogue for path in paths], taxonomy),
        ),
        strategies=strategy_counts(pairs, taxonomy),
        margins=margins(pairs, reward),
        margins_found=margins(pairs if found is None else found, reward),
    )


def table5(seeds: Sequence[Dialogue], paths: Sequence[PathDialogue]) -> Table5:
    turns = [turn for path in paths for turn in path.dialogue.turns]
    seeker = [turn.text for turn in turns if turn.speaker is Speaker.SEEKER]
    preferred = [turn.text for path in paths for turn in _searched(path)]
    bad = [reply.text for path in paths for replies in path.rejected for reply in replies]
    return Table5(
        seed_dialogues=_dialogues(seeds),
        seed=_texts([turn.text for dialogue in seeds for turn in dialogue.turns]),
        dialogues=_dialogues([path.dialogue for path in paths]),
        seeker=_texts(seeker),
        preferred=_texts(preferred),
        rejected=_texts(bad),
        all=_texts([*(turn.text for turn in turns), *bad]),
    )


def strategy_stages(dialogues: Iterable[Dialogue], taxonomy: Taxonomy) -> dict[str, tuple[int, ...]]:
    """How often each strategy is used in each stage; turns without a strategy are not counted."""
    counts: Counter[tuple[str | None, float]] = Counter(
        (turn.strategy, stage(k, len(dialogue.turns)))
        for dialogue in dialogues
        for k, turn in enumerate(dialogue.turns, start=1)
    )
    return {name: tuple(counts[name, i] for i in range(STAGES)) for name in taxonomy.names}


def strategy_counts(pairs: Iterable[Pair], taxonomy: Taxonomy) -> tuple[StrategyCount, ...]:
    """How often each strategy is chosen and rejected, in the taxonomy's order."""
    chosen: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    chosen_weight = dict.fromkeys(taxonomy.names, 0.0)
    rejected_weight = dict.fromkeys(taxonomy.names, 0.0)
    for pair in pairs:
        chosen[pair.chosen.strategy] += 1
        rejected[pair.rejected.strategy] += 1
        chosen_weight[pair.chosen.strategy] += pair.weight
        rejected_weight[pair.rejected.strategy] += pair.weight
    return tuple(
        StrategyCount(name, chosen[name], rejected[name], chosen_weight[name], rejected_weight[name])
        for name in taxonomy.names
    )


def margins(pairs: Sequence[Pair], reward: RewardSettings = DEFAULT_REWARD) -> Margins:
    own = [difference for pair in pairs if (difference := margin(pair, reward)) is not None]
    return Margins(
        value=_spread([pair.chosen.value - pair.rejected.value for pair in pairs]),
        reward=_spread(own),
        contradicted=sum(difference < 0 for difference in own),
        unrated=len(pairs) - len(own),
    )


def _searched(path: PathDialogue) -> list[Turn]:
    """The supporter turns that are nodes of the tree: all but a greeting."""
    supporter = [turn for turn in path.dialogue.turns if turn.speaker is Speaker.SUPPORTER]
    return supporter[len(supporter) - len(path.rejected) :]


def _dialogues(dialogues: Sequence[Dialogue]) -> Dialogues:
    return Dialogues(len(dialogues), fmean(len(d.turns) for d in dialogues) if dialogues else 0.0)


def _texts(texts: Sequence[str]) -> Texts:
    return Texts(len(texts), fmean(len(text.split()) for text in texts) if texts else 0.0)


def _spread(numbers: Sequence[float]) -> Spread:
    if not numbers:
        return Spread(0, None, None, None, None)
    return Spread(len(numbers), min(numbers), median(numbers), fmean(numbers), max(numbers))

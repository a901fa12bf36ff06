"""An evaluation: a model's answers to a test set, their scores, and the files that hold both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cso.dialogue import STAGES, dialogue_from_json, dialogue_to_json
from cso.errors import InputError, StoreError
from cso.evaluate.answering import Answer
from cso.evaluate.intervals import Array, Difference, Interval, by_dialogue, difference, interval, mean
from cso.evaluate.items import Item
from cso.evaluate.scores import accuracy, bias, confusion, f1, macro_f1, silent, strengths, unreadable, weighted_f1
from cso.evaluate.text import STEMMER, bleu, distinct, rouge_l
from cso.files import write_json, write_jsonl

STRATEGY_SCORES = {"Q": macro_f1, "Q_W": weighted_f1, "B": bias, "accuracy": accuracy, "unreadable": unreadable}
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Scores:
    """What the answers are worth. Shares and F1 lie in [0, 1], B in [0, sqrt(K - 1)]."""

    items: int
    dialogues: int
    strategies: Mapping[str, Interval]  # Q, Q_W, B, accuracy, unreadable
    f1: Mapping[str, float]  # of each strategy
    strengths: Mapping[str, float]  # of each strategy, summing to K
    confusion: list[list[int]]  # rows predicted, the last unreadable; columns gold
    stages: Mapping[str, list[int]]  # how often each strategy was predicted, by stage
    gold_stages: Mapping[str, list[int]]
    texts: Mapping[str, float | Interval]  # R-L, BLEU-2 and so on; empty where no replies were written


def score(answers: Sequence[Answer], names: Sequence[str], *, draws: int = 1000, seed: int = 0) -> Scores:
    """The scores of answers, with intervals over dialogues. Raises InputError where there are none."""
    if not answers:
        raise InputError("expected answers to score, found none")
    each = matrices(answers, names)
    total = each.sum(0)
    return Scores(
        items=len(answers),
        dialogues=len(each),
        strategies={
            name: interval(each, statistic, draws=draws, seed=seed) for name, statistic in STRATEGY_SCORES.items()
        },
        f1=dict(zip(names, map(float, f1(total)), strict=True)),
        strengths=dict(zip(names, map(float, strengths(total)), strict=True)),
        confusion=total.astype(int).tolist(),
        stages=_stages(names, [(answer.strategy, answer.item.stage) for answer in answers]),
        gold_stages=_stages(names, [(answer.item.strategy, answer.item.stage) for answer in answers]),
        texts=_texts(answers, draws=draws, seed=seed),
    )


def compare(
    one: Sequence[Answer], other: Sequence[Answer], names: Sequence[str], *, draws: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """`one` minus `other` in each strategy score, and R-L where both wrote; B only where both named strategies.

    Raises InputError for other items.
    """
    check_same(one, other)
    both = matrices(one, names), matrices(other, names)
    found = {name: difference(*both, statistic, draws=draws, seed=seed) for name, statistic in STRATEGY_SCORES.items()}
    if any(map(silent, both)):
        del found["B"]
    if all(any(answer.text for answer in answers) for answers in (one, other)):
        found["R-L"] = difference(_rouge(one), _rouge(other), mean, draws=draws, seed=seed)
    return found


def check_same(one: Sequence[Answer], other: Sequence[Answer]) -> None:
    """Raises InputError where two evaluations are not of the same moments."""
    if [answer.item for answer in one] != [answer.item for answer in other]:
        raise InputError("expected two evaluations of the same test items, found others: evaluate both alike")


def save(folder: Path, answers: Sequence[Answer], scores: Scores, identity: Mapping[str, object]) -> None:
    """Write replies.jsonl, then scores.json, which says that the evaluation is whole."""
    write_jsonl(folder / "replies.jsonl", map(_row, answers))
    content = {"format": FORMAT, "identity": dict(identity), **asdict(scores), "rouge_stemmer": STEMMER}
    write_json(folder / "scores.json", content)


def load_answers(folder: Path) -> list[Answer]:
    """What `save` wrote. Raises StoreError where there is no whole evaluation."""
    path = folder / "replies.jsonl"
    load_scores(folder)
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [_answer(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: not replies as cso writes them ({error!r}); evaluate again") from error


def load_scores(folder: Path) -> dict[str, Any]:
    """The content of scores.json. Raises StoreError."""
    path = folder / "scores.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["identity"], dict):
            raise TypeError("identity is no object")
        if content["format"] != FORMAT:
            raise StoreError(f"{path}: expected scores of format {FORMAT}, found {content['format']!r}")
    except FileNotFoundError as error:
        raise StoreError(f"{folder}: no finished evaluation; `cso evaluate` makes one") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: not scores as cso writes them ({error!r}); evaluate again") from error
    return content


def matrices(answers: Sequence[Answer], names: Sequence[str]) -> Array:
    """[dialogues, K + 1, K]: the confusion matrix of each dialogue, in the order of their first answers."""
    each = np.stack([confusion([answer.item.strategy], [answer.strategy], names) for answer in answers])
    return by_dialogue([answer.item.dialogue for answer in answers], each)


def _stages(names: Sequence[str], said: Sequence[tuple[str | None, int]]) -> dict[str, list[int]]:
    return {name: [said.count((name, stage)) for stage in range(STAGES)] for name in names}


def _texts(answers: Sequence[Answer], *, draws: int, seed: int) -> dict[str, float | Interval]:
    said, gold = [answer.text for answer in answers], [answer.item.text for answer in answers]
    if not any(said):
        return {}
    return {
        "R-L": interval(_rouge(answers), mean, draws=draws, seed=seed),
        "BLEU-2": bleu(said, gold, order=2),
        "BLEU-4": bleu(said, gold, order=4),
        "distinct-1": distinct(said, order=1),
        "distinct-2": distinct(said, order=2),
    }


def _rouge(answers: Sequence[Answer]) -> Array:
    """[dialogues, 2]: the sum of ROUGE-L and the number of replies."""
    values = rouge_l([answer.text for answer in answers], [answer.item.text for answer in answers])
    return by_dialogue([answer.item.dialogue for answer in answers], np.array([(value, 1.0) for value in values]))


def _row(answer: Answer) -> dict[str, object]:
    item = answer.item
    return {
        "id": item.id,
        "stage": item.stage,
        "gold_strategy": item.strategy,
        "strategy": answer.strategy,
        "gold_text": item.text,
        "text": answer.text,
        "probabilities": list(answer.probabilities),
        "utterance": item.utterance,
        "history": dialogue_to_json(item.history),
    }


def _answer(row: Mapping[str, Any]) -> Answer:
    texts = row["text"], row["gold_text"], row["gold_strategy"], row["history"]["id"], row["strategy"] or ""
    if not all(isinstance(text, str) for text in texts) or row["stage"] not in range(STAGES):
        raise TypeError("a text that is none, or no stage")
    item = Item(
        dialogue_from_json(row["history"]), row["utterance"], row["gold_strategy"], row["gold_text"], row["stage"]
    )
    return Answer(item, row["strategy"], row["text"], tuple(row["probabilities"]))

"""How near replies come to the dialogues' own, in words: ROUGE-L, BLEU and distinct n-grams.

All of them see a text as rouge-score does: lower case, letters a to z and digits. rouge-score and nltk are imported
where they are used, because that takes seconds.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence

STEMMER = True  # ROUGE-L compares Porter stems: "supports" and "supported" are one word


def rouge_l(replies: Sequence[str], gold: Sequence[str]) -> list[float]:
    """ROUGE-L F1 of each reply, in [0, 1]; Lin 2004."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=STEMMER)
    return [scorer.score(true, said)["rougeL"].fmeasure for said, true in zip(replies, gold, strict=True)]


def bleu(replies: Sequence[str], gold: Sequence[str], *, order: int) -> float:
    """Corpus BLEU with n-grams up to `order`, in [0, 1]; Papineni et al. 2002.

    Counts of zero become 0.1 (smoothing 1 of Chen and Cherry 2014).
    """
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    said = [words(reply) for reply in replies]
    if not any(len(each) >= order for each in said):
        return 0.0
    references = [[words(each)] for each in gold]
    smoothing = SmoothingFunction().method1
    return float(corpus_bleu(references, said, weights=[1 / order] * order, smoothing_function=smoothing))  # pyright: ignore


def distinct(replies: Sequence[str], *, order: int) -> float:
    """Different n-grams as a share of all, over all replies, in [0, 1]; Li et al. 2016."""
    grams = [
        tuple(said[place : place + order]) for said in map(words, replies) for place in range(len(said) - order + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def words(text: str) -> list[str]:
    """The words that BLEU and distinct count."""
    from rouge_score.tokenize import tokenize

    return [str(word) for word in tokenize(text, None)]

"""How far raters agree beyond chance: Fleiss 1971, "Measuring nominal scale agreement among many raters"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cso.evaluate.intervals import Array


def fleiss_kappa(counts: Sequence[Sequence[int]] | Array) -> float:
    """Kappa of [items, categories]: how many raters put an item into a category, each item having as many raters.

    1 where all agree, 0 where they agree as often as their categories' shares would by chance, below 0 where less
    often. nan where it is undefined: a single rater, no items, or all marks in one category, since chance alone would
    then agree always.
    """
    table = np.asarray(counts, dtype=float)
    if not table.size:
        return float("nan")
    return float(kappa_of_sums(agreeing(table).sum(0)))


def agreeing(table: Array) -> Array:
    """[items, categories + 2] from counts [items, categories]: P_i of Fleiss's eq. 2, 1, and the counts.

    Sums of these over any items are all that kappa needs of them.
    """
    raters = table.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = ((table**2).sum(-1) - raters) / (raters * (raters - 1))
    return np.concatenate([pairs[..., None], np.ones_like(pairs)[..., None], table], -1)


def kappa_of_sums(sums: Array) -> Array:
    """Eq. 7: (P - Pe) / (1 - Pe), of sums [..., categories + 2] of what `agreeing` gives."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = sums[..., 0] / sums[..., 1]
        shares = sums[..., 2:] / sums[..., 2:].sum(-1, keepdims=True)
        chance = (shares**2).sum(-1)
        found = (observed - chance) / (1 - chance)
    return np.where(chance > 1 - 1e-12, np.nan, found)

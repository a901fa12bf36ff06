"""Multinomial logistic regression on sparse rows: the one place that knows scikit-learn."""
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cso.corpus_cast.terms import Numbers, Vector

TOLERANCE = 1e-9  # largest gradient: so that the machine's way of adding does not show in any answer


class _Fitted(Protocol):
    coef_: Numbers
    intercept_: Numbers
    classes_: NDArray[np.int64]

    def fit(self, rows: object, labels: Sequence[int]) -> object: ...


def fit_logistic(
    rows: Sequence[Vector], labels: Sequence[int], *, width: int, classes: int, strength: float
) -> tuple[Numbers, Numbers]:
    """Coefficients `[classes, width]` and intercepts `[classes]` of the class-balanced regression.

    `strength` is the inverse of the penalty, C. A class without a row has the intercept -inf; where there are no rows
    at all, every class has 0. One thread: with such small pieces more of them took up to five times as long.
    """
    coefficients, intercepts = np.zeros((classes, width)), np.full(classes, -np.inf)
    present = sorted(set(labels))
    if len(present) < 2:
        intercepts[present or range(classes)] = 0.0
        return coefficients, intercepts
    from scipy.sparse import csr_matrix  # here, like the next, because they take seconds to import
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    starts = np.cumsum([0, *(len(row.columns) for row in rows)])
    parts = (np.concatenate([row.weights for row in rows]), np.concatenate([row.columns for row in rows]), starts)
    model = cast(
        _Fitted,
        LogisticRegression(C=strength, class_weight="balanced", solver="newton-cg", tol=TOLERANCE, max_iter=200),
    )
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(csr_matrix(parts, shape=(len(rows), width)), labels)
    if len(present) == 2:  # scikit-learn keeps one row, the odds of the second class
        coefficients[present[1]], intercepts[present] = model.coef_[0], [0.0, model.intercept_[0]]
    else:
        coefficients[model.classes_], intercepts[model.classes_] = model.coef_, model.intercept_
    return coefficients, intercepts

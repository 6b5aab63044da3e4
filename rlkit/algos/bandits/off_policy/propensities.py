"""Propensities that a log lacks: the probability of every action, estimated by a classifier.

A classifier of the action given the context is fitted on all folds but the row's own. Even where
the true propensities are known, estimated ones may give the better weights: they take out chance
that the log happens to show (Hirano, Imbens & Ridder 2003). They are as good as the classifier is
calibrated, and blind to what was decided by more than the context has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlkit.algos.bandits.off_policy.logs.decision_log import first_row
from rlkit.algos.bandits.off_policy.reward_models import folds_of
from rlkit.envs.bandits.counts import whole

Classifier = Callable[[], Any]


def estimate_propensities(
    context: np.ndarray | None,
    action: np.ndarray,
    arms: int,
    make_classifier: Classifier | None = None,
    *,
    mask: np.ndarray | None = None,
    folds: int = 3,
    seed: int = 0,
    floor: float = 1e-3,
) -> np.ndarray:
    """Probabilities [n, K] of every arm in every row, none of an available arm below `floor`.

    `make_classifier` makes a fresh one with `fit(x, y)`, `predict_proba(x)` and `classes_`, as
    scikit-learn's; without it, or without `context` [n, d], shares of the other folds are taken.
    What `mask` [n, K] rules out has probability 0. ValueError for a floor that leaves no room, for
    actions and contexts that are none, naming the row, for a mask that rules out what was done, and
    for a classifier that is none.
    """
    arms = whole("arms", arms)
    action, context = _rows(action, context, arms)
    n = len(action)
    allowed = np.ones((n, arms), bool) if mask is None else np.asarray(mask, bool)
    if allowed.shape != (n, arms):
        raise ValueError(f"mask has shape {allowed.shape}; needed is {(n, arms)}")
    if not (kept := allowed[np.arange(n), action]).all():
        row = first_row(~kept)
        raise ValueError(f"mask of row {row} rules out its action, {action[row]}")
    if not 0.0 <= floor * arms < 1.0:
        raise ValueError(f"floor is {floor}; {arms} arms leave room for less than {1 / arms:.4g}")
    fold = folds_of(n, folds, seed)
    p = np.zeros((n, arms))
    for k in range(folds):
        fit, held = fold != k, fold == k
        if make_classifier is None or context is None or len(np.unique(action[fit])) == 1:
            p[held] = np.bincount(action[fit], minlength=arms) / fit.sum()
            continue
        model = make_classifier()
        model.fit(context[fit], action[fit])
        found = np.asarray(model.predict_proba(context[held]))
        p[np.ix_(held, _classes(model, found, held.sum(), arms))] = found
    p = np.where(allowed, p, 0.0)
    total, choices = p.sum(1, keepdims=True), allowed.sum(1, keepdims=True)
    p = np.where(total > 0, p / np.where(total > 0, total, 1.0), allowed / choices)
    # A mixture with the uniform choice keeps the sum at one and every available arm at the floor.
    return (1.0 - floor * choices) * p + floor * allowed


def _classes(model: Any, found: np.ndarray, rows: int, arms: int) -> np.ndarray:
    """The arms that the columns of `found` are of. Raises ValueError naming what does not fit."""
    name = type(model).__name__
    if not hasattr(model, "classes_"):
        raise ValueError(
            f"{name} has no classes_, the arms that the columns of predict_proba are of, as "
            "scikit-learn's classifiers have after fit"
        )
    given = np.asarray(model.classes_)
    known = given.astype(int) if given.ndim == 1 and given.dtype.kind in "iuf" else np.array([-1])
    if (known < 0).any() or (known >= arms).any() or len(np.unique(known)) < len(known):
        raise ValueError(f"{name} has classes_ {given!r:.80}; arms 0..{arms - 1} are needed")
    if found.shape != (rows, len(known)):
        raise ValueError(
            f"{name}.predict_proba gives shape {found.shape}; needed is {(rows, len(known))}"
        )
    if found.dtype.kind not in "iuf" or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError(f"{name}.predict_proba gives something else than probabilities")
    return known


def _rows(action: Any, context: Any, arms: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Actions [n] int64 and contexts [n, ...] as they are. Raises ValueError naming the fault."""
    given = np.asarray(action)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iuf":
        raise ValueError(f"action has shape {given.shape}; whole numbers [n] are needed")
    outside = ~((given >= 0) & (given < arms) & (given % 1 == 0))
    if outside.any():
        row = first_row(outside)
        raise ValueError(f"action of row {row} is {given[row]}, none of 0..{arms - 1}")
    known = None if context is None else np.asarray(context)
    if known is not None:
        if known.shape[:1] != given.shape:
            raise ValueError(f"context has shape {known.shape}; action has {len(given)} rows")
        numbers = known.reshape(len(given), -1)
        bad = ~np.isfinite(numbers).all(1) if known.dtype.kind == "f" else np.zeros(1, bool)
        if bad.any():
            raise ValueError(f"context of row {first_row(bad)} has NaN or infinite entries")
    return given.astype(np.int64), known

"""Models of the reward for `dm` and `dr`: cross-fitted, refitted for least variance, or linear.

A model is any scikit-learn regressor or classifier (rewards 0 and 1), given by a function that
makes a fresh one. What a row's reward is predicted with was never fitted to that row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rlkit.algos.bandits.off_policy.logs.decision_log import (
    DecisionLog,
    check_target,
    importance_weights,
)
from rlkit.envs.bandits.counts import whole

Factory = Callable[[], Any]


def arm_features(log: DecisionLog) -> np.ndarray:
    """Features of every arm in every row [n, K, F]: the context beside a one-hot arm.

    A context [n, K, d] already tells the arms apart and is used as it is.
    """
    n, arms = len(log), log.arms
    if log.table.context is None:
        return np.broadcast_to(np.eye(arms), (n, arms, arms))
    context = np.asarray(log.table.context, np.float64)
    if context.ndim == 3:
        return context
    rows = np.broadcast_to(context[:, None], (n, arms, context.shape[1]))
    return np.concatenate([rows, np.broadcast_to(np.eye(arms), (n, arms, arms))], axis=2)


def folds_of(n: int, folds: int, seed: int) -> np.ndarray:
    """The fold [n] of every row: sizes differ by at most one, rows in random order."""
    if not 2 <= (folds := whole("folds", folds, 2)) <= n:
        raise ValueError(f"folds is {folds}; it must lie between 2 and the {n} rows")
    return np.random.default_rng(seed).permutation(n) % folds


def fit_predict(
    make_model: Factory,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    new: np.ndarray,
) -> np.ndarray:
    """Predictions [m] at new [m, F] of a fresh model fitted to x [n, F], y [n] and weights [n]."""
    model = make_model()
    classifies = hasattr(model, "predict_proba")
    if classifies:
        if not np.isin(y, (0, 1)).all():
            row = int(np.flatnonzero(~np.isin(y, (0, 1)))[0])
            raise ValueError(f"a classifier needs rewards 0 and 1; one is {y[row]:g}: regress them")
        if (y == y[0]).all():  # one class: nothing to fit
            return np.full(len(new), float(y[0]))
    if weight is None:
        model.fit(x, y)
    else:
        model.fit(x, y, sample_weight=weight)
    if classifies:
        return model.predict_proba(new)[:, list(model.classes_).index(1)]
    return np.asarray(model.predict(new), np.float64)


def predict_all(
    log: DecisionLog,
    make_model: Factory,
    fit_on: np.ndarray,
    predict_on: np.ndarray,
    weight: np.ndarray | None = None,
    by_arm: bool = False,
) -> np.ndarray:
    """q [m, K] for the rows `predict_on` (indices) of models fitted to the rows `fit_on`.

    One model of context and arm, or with `by_arm` one model of the context for every arm (which
    linear models need to tell arms apart by context); an arm without rows to fit gets the mean.
    """
    reward, action = np.asarray(log.table.reward, np.float64), log.table.action
    features = arm_features(log)
    if not by_arm:
        x, new = features[fit_on, action[fit_on]], features[predict_on]
        own = None if weight is None else weight[fit_on]
        flat = fit_predict(make_model, x, reward[fit_on], own, new.reshape(-1, new.shape[2]))
        return flat.reshape(len(predict_on), log.arms)
    q = np.empty((len(predict_on), log.arms))
    for arm in range(log.arms):
        rows = fit_on[action[fit_on] == arm]
        own = None if weight is None else weight[rows]
        if len(rows) == 0 or (own is not None and not own.any()):
            q[:, arm] = reward[fit_on].mean()
            continue
        new = features[predict_on, arm]
        q[:, arm] = fit_predict(make_model, features[rows, arm], reward[rows], own, new)
    return q


def cross_fitted(
    log: DecisionLog,
    make_model: Factory,
    *,
    folds: int = 3,
    seed: int = 0,
    weight: np.ndarray | None = None,
    by_arm: bool = False,
) -> np.ndarray:
    """Predicted rewards q [n, K], each row's by a model fitted to the other folds."""
    fold = folds_of(len(log), folds, seed)
    q = np.empty((len(log), log.arms))
    for k in range(folds):
        held = np.flatnonzero(fold == k)
        q[held] = predict_all(log, make_model, np.flatnonzero(fold != k), held, weight, by_arm)
    return q


def least_variance_weights(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """Sample weights [n] of MRDR: pi_e(a)² (1 - pi_b(a)) / pi_b(a)² at the logged action.

    For a deterministic target the weighted squared error is, up to a constant, the variance of
    `dr` (Farajtabar, Chow & Ghavamzadeh 2018); for a stochastic one it leaves out the products of
    the errors of different arms, which `linear_of_least_variance` keeps.
    """
    p, prob = check_target(log, target), np.asarray(log.table.prob, np.float64)
    taken = p[np.arange(len(log)), log.table.action]
    weight = taken**2 * (1.0 - prob) / prob**2
    if not weight.any():
        raise ValueError(
            "no row has a weight: the target takes none of the logged actions, or the log left "
            "them no alternative"
        )
    return weight


def linear_of_least_variance(
    log: DecisionLog,
    target: np.ndarray,
    features: np.ndarray | None = None,
    *,
    folds: int = 3,
    seed: int = 0,
) -> np.ndarray:
    """q [n, K], linear in features [n, K, F], for which `dr` has the least variance.

    A row of `dr` is w r - c'beta with c = w phi(x, a) - sum_b pi_e(b|x) phi(x, b), of mean zero: so
    MRDR over a linear class is the regression of w r on control variates, and needs no other
    probability than the logged one. beta is fitted on the other folds; a constant in the features
    is the control variate w - 1. `features` default to `arm_features` and a constant.
    """
    if features is None:
        phi = arm_features(log)
        phi = np.concatenate([phi, np.ones((*phi.shape[:2], 1))], axis=2)
    else:
        phi = np.asarray(features, np.float64)
    p, w = check_target(log, target), importance_weights(log, target)
    rows = np.arange(len(log))
    c = w[:, None] * phi[rows, log.table.action] - np.einsum("nk,nkf->nf", p, phi)
    y = w * np.asarray(log.table.reward, np.float64)
    fold = folds_of(len(log), folds, seed)
    q = np.empty((len(log), log.arms))
    for k in range(folds):
        rest = fold != k
        centred = c[rest] - c[rest].mean(0)
        beta = np.linalg.lstsq(centred, y[rest] - y[rest].mean(), rcond=None)[0]
        q[~rest] = phi[~rest] @ beta
    return q


def classifier_weights(
    log: DecisionLog,
    target: np.ndarray,
    make_model: Factory,
    *,
    folds: int = 3,
    seed: int = 0,
) -> np.ndarray:
    """w [n] of the balanced estimator: odds that (x, a) came from the target, not from the log.

    The classifier sees every logged (x, a) as class 0, and every (x, b) as class 1 with the
    target's probability of b as its sample weight; it needs no propensities.
    """
    p, phi = check_target(log, target), arm_features(log)
    fold, action = folds_of(len(log), folds, seed), log.table.action
    w = np.empty(len(log))
    for k in range(folds):
        fit, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        x = np.concatenate([phi[fit, action[fit]], phi[fit].reshape(-1, phi.shape[2])])
        y = np.concatenate([np.zeros(len(fit)), np.ones(len(fit) * log.arms)])
        weight = np.concatenate([np.ones(len(fit)), p[fit].ravel()])
        used = weight > 0
        odds = fit_predict(make_model, x[used], y[used], weight[used], phi[held, action[held]])
        w[held] = odds / np.maximum(1.0 - odds, 1e-12)
    return w

"""Logs of several policies in one: balanced and weighted off-policy estimates.

With n_l rows of policy l, n in all (Agarwal, Basu, Schnabel & Joachims 2017):
  naive      w_i = pi(a_i | x_i) / mu_l(a_i | x_i), l the row's own logger: nothing to do, but one
             logger that hardly takes an action makes all of them as noisy
  balanced   w_i = pi(a_i | x_i) / sum_l (n_l / n) mu_l(a_i | x_i): a log as of the mixture, whose
             variance is never larger
  weighted   sum_l c_l V_l, V_l the estimate of logger l's rows, c_l ∝ n_l / var_l
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from rlkit.algos.bandits.off_policy.evaluation import Estimate, evaluate
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog, first_row


def balanced(log: DecisionLog, logger: np.ndarray, probs: np.ndarray) -> DecisionLog:
    """The log with the propensities of the mixture of its loggers, for any estimator.

    `logger` [n] says which of the L policies decided a row, `probs` [n, L] with which probability
    each of them takes the row's action; the own one must be the logged propensity. ValueError
    naming the row otherwise.
    """
    logger, probs = _checked(log, logger, np.asarray(probs, np.float64))
    own = probs[np.arange(len(log)), logger]
    wrong = ~np.isclose(own, np.asarray(log.table.prob, np.float64), rtol=1e-6, atol=0.0)
    if wrong.any():
        i = first_row(wrong)
        assert log.table.prob is not None
        raise ValueError(
            f"row {i}: logger {logger[i]} takes the action with probability {own[i]:.6g}, but the "
            f"log says {float(log.table.prob[i]):.6g}"
        )
    share = np.bincount(logger, minlength=probs.shape[1]) / len(log)
    return replace(log, table=replace(log.table, prob=probs @ share))


def weighted(
    log: DecisionLog, target: np.ndarray, logger: np.ndarray, estimator: str = "ips", *,
    level: float = 0.95, **options: Any,
) -> Estimate:  # fmt: skip
    """The estimates of every logger's rows, those of less variance counting more, with a normal
    interval. `options` are those of `evaluate`. ValueError for a logger with a single row."""
    from rlkit.eval.statistics import Interval

    logger, _ = _checked(log, logger, None)
    target = np.asarray(target)
    if target.shape[:1] != (len(log),):
        raise ValueError(f"target has shape {target.shape}; the log has {len(log)} rows")
    values, weights, rows = [], [], []
    for k in np.unique(logger):
        mine = np.flatnonzero(logger == k)
        if len(mine) < 2:
            raise ValueError(f"logger {k} has one row, which tells no variance")
        found = evaluate(log.rows(mine), target[mine], estimator, level=level, **options)
        values.append(found.value)
        # Rows that all agree would outweigh every other logger: their variance is not nothing.
        spread = max(float(found.values.var(ddof=1)), 1e-12 * max(found.value**2, 1e-12))
        weights.append(len(mine) / spread)
        rows.append(found.values)
    share = np.array(weights) / np.sum(weights)
    point, half = float(share @ values), float(ndtri(0.5 + 0.5 * level) / np.sqrt(np.sum(weights)))
    interval = Interval(point, point - half, point + half, level)
    return Estimate(f"weighted {estimator}", interval, np.concatenate(rows), tuple(share))


def _checked(log: DecisionLog, logger: Any, probs: Any) -> tuple[np.ndarray, Any]:
    logger = np.asarray(logger)
    if logger.shape != (len(log),) or logger.dtype.kind not in "iu" or (logger < 0).any():
        raise ValueError(f"logger must be whole numbers from 0, one a row ({len(log)})")
    if probs is not None:
        if probs.ndim != 2 or probs.shape[0] != len(log) or probs.shape[1] <= logger.max():
            raise ValueError(
                f"probs has shape {probs.shape}; needed is [{len(log)}, L] with L > {logger.max()}"
            )
        bad = ~((probs >= 0) & (probs <= 1)).all(1)
        if bad.any():
            raise ValueError(f"probs of row {first_row(bad)} are no probabilities")
    return logger, probs

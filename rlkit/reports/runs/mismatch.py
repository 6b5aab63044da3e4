"""Whether a run's better models earned more: objective mismatch, measured.

A model is fitted by likelihood and used for return; the two agree less than one hopes (Lambert,
Amos, Yadan & Calandra 2020, "Objective Mismatch in Model-based Reinforcement Learning", arXiv
2002.04523, who plot one against the other over many models). Here the models are those of one run
at its evaluations: what was recorded of each last before an evaluation, and the mean return of that
evaluation. Both also change as the run goes on, which by itself makes a correlation: of a metric
that falls while returns rise it says no more than that.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from rlkit.core.errors import RunError
from rlkit.core.words.nearest import suggestion
from rlkit.eval import statistics
from rlkit.eval.records import Array
from rlkit.reports.runs.facts import read

_FEWEST = 3  # evaluations that have a rank correlation worth the name


class Correlation(NamedTuple):
    """A metric of the model beside the return, lane by lane."""

    rho: statistics.Interval  # mean over lanes of Spearman's ρ, and its interval
    lanes: Array  # [S] ρ of each lane; NaN where the metric or the return never changes
    steps: Array  # [T] of the evaluations
    metric: Array  # [S, T]
    returns: Array  # [S, T]


def spearman(x: Array, y: Array) -> Array:
    """Rank correlation of `x` and `y` `[..., T]` along the last axis, ties at their mean rank; NaN
    where either does not vary."""
    x, y = (rankdata(z, axis=-1) - (z.shape[-1] + 1) / 2 for z in (x, y))
    norm = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)


def likelihood_return(folder: str | os.PathLike[str], metric: str = "model_nll") -> Correlation:
    """Spearman's ρ of a recorded metric of the model and the evaluated return of the run `folder`.

    Negative for `model_nll` when likelier models earned more. Raises RunError when the run has not
    recorded the metric, or has fewer than three evaluations that follow a record of it.
    """
    run = read(folder)
    if metric not in run.metrics:
        raise RunError(
            f"{folder}: no {metric!r} was recorded{suggestion(metric, run.metrics)}; recorded are "
            f"{', '.join(sorted(run.metrics)) or 'no metrics'}"
        )
    at, values = run.metrics[metric]
    steps, returns = run.returns()
    before = np.searchsorted(at, steps, side="right") - 1
    pairs = before >= 0
    steps, returns, values = steps[pairs], returns[:, pairs], values[:, before[pairs]]
    sound = np.isfinite(values).all(0) & np.isfinite(returns).all(0)
    steps, returns, values = steps[sound], returns[:, sound], values[:, sound]
    if len(steps) < _FEWEST:
        raise RunError(
            f"{folder}: {len(steps)} evaluations follow a record of {metric!r}; a rank correlation "
            f"needs {_FEWEST}: train with more evaluations"
        )
    lanes = spearman(values, returns)
    known = lanes[np.isfinite(lanes)]
    if len(known) == 0:
        nothing = statistics.Interval(np.nan, np.nan, np.nan, why="nothing varies")
        return Correlation(nothing, lanes, steps, values, returns)
    if len(known) == 1:
        rho = statistics.Interval(float(known[0]), np.nan, np.nan)
    else:
        rho = statistics.bootstrap_interval(known[:, None], statistics.mean, reps=2000)
    return Correlation(rho, lanes, steps, values, returns)

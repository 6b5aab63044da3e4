"""Choosing the constant of an estimator from data: SLOPE, or a bound on the mean squared error.

SLOPE accepts a bias as large as the widest interval, which helps where a model bears the rest of
the value; estimators without a model (clipped_ips, sub_ips) lose most of theirs to it where weights
are heavy, and `mse_bound` is the careful choice there.
"""

from collections.abc import Callable, Sequence

import numpy as np

from rlkit.algos.bandits.off_policy.estimators import ESTIMATORS, influence
from rlkit.algos.bandits.off_policy.intervals import bernstein_half_width, half_width

RULES = ("slope", "mse", "mse_bound")
_ONE_ROW = "a constant is chosen by the spread of values, and there is one row: give a number"
_SLACK = np.sqrt(6.0) - 1.0


def grid(name: str, w: np.ndarray, count: int = 16) -> np.ndarray:
    """Constants [<= count] of an estimator, from the least biased to the least variable.

    For clipping and switching quantiles of the positive weights, for dros their squares from far
    above the largest to far below the least, for the sub-Gaussian weights 0 and powers up to 1.
    """
    allowed = ESTIMATORS[name].constant
    if allowed is None:
        raise ValueError(f"{name} has no constant to choose")
    if allowed[1] == 1.0:
        return np.concatenate([[0.0], np.geomspace(1e-4, 1.0, count - 1)])
    positive = w[w > 0]
    if not positive.size:
        raise ValueError("all weights are zero: the target takes none of the logged actions")
    if name == "dros":
        ends = 100.0 * positive.max() ** 2, 0.01 * positive.min() ** 2
        return np.geomspace(*ends, count)
    return np.unique(np.quantile(positive, np.linspace(0.3, 1.0, count)))[::-1]


def least(costs: Sequence[float] | np.ndarray) -> int:
    """The index of the least cost, the first of equals; NaN is no cost and never the least."""
    known = np.flatnonzero(~np.isnan(costs))
    if not known.size:
        raise ValueError("no candidate has a cost: every one of them is NaN")
    return int(known[np.argmin(np.asarray(costs)[known])])


def slope(values: Sequence[np.ndarray], level: float = 0.95) -> int:
    """The index SLOPE chooses (Su, Srinath & Krishnamurthy 2020; Tucker & Lee 2021).

    values[i] [n] come from the least biased to the most biased estimator. They are put in order of
    falling interval width, and the last is taken of those whose estimate satisfies
    |theta_i - theta_j| <= cnf_i + (sqrt(6) - 1) cnf_j with every earlier j.
    """
    theta = np.array([x.mean() for x in values])
    width = np.array([half_width(x, level) for x in values])
    known = np.flatnonzero(~np.isnan(theta) & ~np.isnan(width))
    if not known.size:
        raise ValueError("no candidate has a value: every one of them is NaN")
    order = known[np.argsort(-width[known], kind="stable")]
    best = order[0]
    for k in range(1, len(order)):
        i, before = order[k], order[:k]
        if (np.abs(theta[i] - theta[before]) <= width[i] + _SLACK * width[before]).all():
            best = i
    return int(best)


def mse(
    values: Sequence[np.ndarray], biases: Sequence[np.ndarray], bound: bool, level: float = 0.95
) -> int:
    """The index of the least estimated variance / n plus squared bias.

    biases[i] [n] are (w - w') (r - q), whose mean is the bias of using w' for w; with `bound` its
    empirical Bernstein upper bound is used, which errs to the side of the less biased estimator.
    """
    costs = []
    for x, b in zip(values, biases, strict=True):
        bias = abs(b.mean())
        if bound:
            bias += bernstein_half_width(b, float(np.ptp(b)), level)
        costs.append(x.var(ddof=1) / len(x) + bias**2)
    return least(costs)


def choose(
    name: str,
    rule: str,
    reward: np.ndarray,
    w: np.ndarray,
    q_taken: np.ndarray | None,
    v: np.ndarray | None,
    constants: Sequence[float] | np.ndarray | None = None,
) -> float:
    """The constant that `rule` (slope, mse, mse_bound) picks for an estimator on these rows.

    Rows whose weights are all zero tell nothing of it: the least biased constant is taken.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; choose one of {', '.join(RULES)}")
    if constants is None and not (w > 0).any() and (allowed := ESTIMATORS[name].constant):
        return 0.0 if allowed[1] == 1.0 else np.inf
    candidates = grid(name, w) if constants is None else np.asarray(constants, float)
    if candidates.ndim != 1 or not candidates.size:
        raise ValueError(f"constants has shape {candidates.shape}; give a list of candidates")
    if len(w) < 2:
        raise ValueError(_ONE_ROW)
    values = [influence(name, reward, w, q_taken, v, float(c)) for c in candidates]
    if rule == "slope":
        return float(candidates[slope(values)])
    weighting: Callable = ESTIMATORS[name].weighting
    rest = reward if q_taken is None else reward - q_taken
    biases = [(w - weighting(w, float(c))) * rest for c in candidates]
    return float(candidates[mse(values, biases, rule == "mse_bound")])

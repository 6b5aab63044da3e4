"""Off-policy evaluation for continuous actions: rewards near the target's action, by a kernel.

For a deterministic target tau(x) of actions in R^d, logged with density mu(a | x), a kernel k of
bandwidth h in each dimension (Kallus & Zhou 2018; Gilbert et al.'s names for the kernels):

  w_i = prod_j k((tau_j(x_i) - a_ij) / h_j) / h_j / mu(a_i | x_i)
  ips    mean of w r               snips   sum of w r over sum of w
  dr     mean of q(x, tau(x)) + w (r - q(x, a)),   sndr with w over its mean

A smaller h has less bias, O(h²) for these kernels, and more variance, O(1 / (n h^d)).
`best_bandwidth` weighs both as Lepski's rule does: SLOPE (Su, Srinath & Krishnamurthy 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.algos.bandits.off_policy import intervals, tuning
from rlkit.algos.bandits.off_policy.evaluation import Estimate
from rlkit.algos.bandits.off_policy.logs.decision_log import first_row
from rlkit.core.words.nearest import suggestion

KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gaussian": lambda u: np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi),
    "epanechnikov": lambda u: 0.75 * np.maximum(1.0 - u**2, 0.0),
    "triangular": lambda u: np.maximum(1.0 - np.abs(u), 0.0),
    "cosine": lambda u: np.where(np.abs(u) <= 1.0, np.pi / 4.0 * np.cos(np.pi / 2.0 * u), 0.0),
    "uniform": lambda u: np.where(np.abs(u) <= 1.0, 0.5, 0.0),
}
ESTIMATORS = ("ips", "snips", "dr", "sndr")


_AXES = {"action": 2, "reward": 1, "density": 1, "context": 2}
_SHAPES = {1: "[n]", 2: "[n] or [n, d]"}


@dataclass(frozen=True, eq=False)
class ContinuousLog:
    """Logged actions [n] or [n, d], rewards [n], the densities [n] they were drawn with, contexts.

    A bad row raises a ValueError that names it.
    """

    action: np.ndarray
    reward: np.ndarray
    density: np.ndarray
    context: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(_several("reward", self.reward))
        if n == 0:
            raise ValueError("the log has no rows")
        for name in ("action", "reward", "density", "context"):
            column = getattr(self, name)
            if column is None:
                continue
            column = np.asarray(column, np.float64)
            if len(_several(name, column)) != n:
                raise ValueError(f"{name} has {len(column)} rows, reward has {n}")
            if column.ndim > _AXES[name] or 0 in column.shape:
                raise ValueError(
                    f"{name} has shape {column.shape}; needed is {_SHAPES[_AXES[name]]}"
                )
            bad = ~np.isfinite(column).reshape(n, -1).all(1)
            if bad.any():
                raise ValueError(f"{name} of row {first_row(bad)} has NaN or infinite entries")
            object.__setattr__(self, name, column)
        if (self.density <= 0).any():
            raise ValueError(f"density of row {first_row(self.density <= 0)} is not above 0")
        if self.action.ndim == 1:
            object.__setattr__(self, "action", self.action[:, None])

    def __len__(self) -> int:
        return len(self.reward)


def _several(name: str, values: Any) -> Any:
    """`values` if they are several. Raises ValueError for a single one, and for none."""
    if np.ndim(values) == 0:
        raise ValueError(f"{name} is {values!r}; several are needed, in a list or an array")
    return values


def kernel_weights(
    log: ContinuousLog, target: np.ndarray, bandwidth: float | Sequence[float],
    kernel: str = "epanechnikov",
) -> np.ndarray:  # fmt: skip
    """w [n] of the target's actions [n] or [n, d]; their mean tends to 1. ValueError for shapes,
    kernels and bandwidths that are none."""
    if kernel not in KERNELS:
        raise ValueError(
            f"no kernel {kernel!r}{suggestion(kernel, KERNELS)} (known: {', '.join(KERNELS)})"
        )
    aim = np.asarray(target, np.float64)
    aim = aim[:, None] if aim.ndim == 1 else aim
    if aim.shape != log.action.shape:
        raise ValueError(f"target has shape {aim.shape}; needed is {log.action.shape}")
    h = np.broadcast_to(np.asarray(bandwidth, np.float64), (aim.shape[1],))
    if not (np.isfinite(h) & (h > 0)).all():
        raise ValueError(f"bandwidth is {bandwidth}; it must be above 0")
    return (KERNELS[kernel]((aim - log.action) / h) / h).prod(1) / log.density


def evaluate_continuous(
    log: ContinuousLog, target: np.ndarray, bandwidth: float | Sequence[float],
    estimator: str = "snips", *, kernel: str = "epanechnikov", q: np.ndarray | None = None,
    interval: str = "t", level: float = 0.95, width: float | None = None, seed: int = 0,
) -> Estimate:  # fmt: skip
    """The `Estimate` of the value of a deterministic target [n, d] on the log's contexts.

    `q` [n, 2] are a model's rewards of the logged and of the target's actions, from folds without
    the row, which dr and sndr need. The interval, that of `off_policy.intervals`, covers the
    smoothed value: the kernel's bias is not in it. ValueError where no logged action is near.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"no estimator {estimator!r}{suggestion(estimator, ESTIMATORS)} "
            f"(known: {', '.join(ESTIMATORS)})"
        )
    w, modelled = kernel_weights(log, target, bandwidth, kernel), estimator in ("dr", "sndr")
    if modelled and (q is None or np.shape(q) != (len(log), 2)):
        raise ValueError(f"{estimator} needs q [{len(log)}, 2], the model's rewards")
    if not w.any():
        raise ValueError("no logged action is within a bandwidth of the target's: widen it")
    normal = estimator in ("snips", "sndr")
    scaled = w / w.mean() if normal else w
    known = np.asarray(q, np.float64) if modelled else np.zeros((len(log), 2))
    values = known[:, 1] + scaled * (log.reward - known[:, 0])
    if normal:  # the deviations of a ratio of means
        surplus = float((scaled * (log.reward - known[:, 0])).mean())
        centred = known[:, 1] + surplus + scaled * (log.reward - known[:, 0] - surplus)
        values = centred + (values.mean() - centred.mean())
    found = intervals.interval(values, interval, level=level, width=width, seed=seed)
    return Estimate(f"kernel {estimator}", found, values, (float(np.mean(bandwidth)),))


def best_bandwidth(
    log: ContinuousLog, target: np.ndarray, bandwidths: Sequence[float], estimator: str = "snips",
    *, kernel: str = "epanechnikov", q: np.ndarray | None = None, level: float = 0.95,
) -> float:  # fmt: skip
    """The bandwidth that `tuning.slope` chooses: the widest whose estimate agrees, within their
    intervals, with those of all smaller ones."""
    if not len(_several("bandwidths", bandwidths)):
        raise ValueError("there are no bandwidths to choose from")
    upwards = sorted(bandwidths)
    values = [
        evaluate_continuous(log, target, h, estimator, kernel=kernel, q=q, level=level).values
        for h in upwards
    ]
    return float(upwards[tuning.slope(values, level)])

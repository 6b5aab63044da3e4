"""Estimators of a target policy's value from a log: one value a row, whose mean is the estimate.

w = pi_e(a|x) / pi_b(a|x), q a model of the reward, v(x) = sum_a pi_e(a|x) q(x, a):
  replay       1{a is the target's action} r / mean of that indicator; deterministic targets
  ips          w r                                Horvitz & Thompson 1952
  snips        w r / mean(w)                      Swaminathan & Joachims 2015
  clipped_ips  min(w, c) r                        Bottou et al. 2013
  sub_ips      w / (1 - c + c w) r, c in [0, 1]   Metelli et al. 2021; 0 / 0 at c = 1, w = 0 is 0
  dm           v(x)
  dr           v + w (r - q)                      Dudík et al. 2011
  sndr         v + w / mean(w) (r - q)
  clipped_dr   v + min(w, c) (r - q)
  sub_dr       v + w / (1 - c + c w) (r - q)
  switch_dr    v + w 1{w <= c} (r - q)            Wang et al. 2017; c = inf is dr, c = 0 is dm
  dros         v + c w / (w² + c) (r - q)         Su et al. 2020; c = inf is dr, c = 0 is dm
  mrdr         dr with q fitted for least variance (`reward_models`)   Farajtabar et al. 2018
  balanced     ips with w from a classifier (`reward_models`)          Sondhi et al. 2020
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Weighting = Callable[[np.ndarray, float], np.ndarray]  # w [n], c -> [n]


def plain(w: np.ndarray, c: float) -> np.ndarray:
    return w


def normalised(w: np.ndarray, c: float) -> np.ndarray:
    """w / mean(w); a target that takes none of the logged actions raises."""
    mean = w.mean()
    if not mean > 0:
        raise ValueError("all weights are zero: the target takes none of the logged actions")
    return w / mean


def clipped(w: np.ndarray, c: float) -> np.ndarray:
    return np.minimum(w, c)


def switched(w: np.ndarray, c: float) -> np.ndarray:
    return np.where(w <= c, w, 0.0) if c > 0 else np.zeros_like(w)


def shrunk(w: np.ndarray, c: float) -> np.ndarray:
    """Optimistic shrinkage c w / (w² + c): never above w, and never above sqrt(c) / 2."""
    return w / (w * (w / c) + 1.0) if c > 0 else np.zeros_like(w)


def sub_gaussian(w: np.ndarray, c: float) -> np.ndarray:
    """w / (1 - c + c w), which is 0 at w = 0 for every c < 1 and so in the limit c = 1."""
    below = 1.0 - c + c * w
    return np.divide(w, below, out=np.zeros_like(w), where=below > 0)


def none(w: np.ndarray, c: float) -> np.ndarray:
    return np.zeros_like(w)


@dataclass(frozen=True)
class Estimator:
    """How an estimator weights a row, whether it has a reward model, and the range of its c."""

    weighting: Weighting
    model: bool
    constant: tuple[float, float] | None = None  # least and largest c
    normalised: bool = False


_ANY = (0.0, np.inf)
ESTIMATORS: dict[str, Estimator] = {
    "replay": Estimator(normalised, False, normalised=True),
    "ips": Estimator(plain, False),
    "snips": Estimator(normalised, False, normalised=True),
    "clipped_ips": Estimator(clipped, False, _ANY),
    "sub_ips": Estimator(sub_gaussian, False, (0.0, 1.0)),
    "dm": Estimator(none, True),
    "dr": Estimator(plain, True),
    "sndr": Estimator(normalised, True, normalised=True),
    "clipped_dr": Estimator(clipped, True, _ANY),
    "sub_dr": Estimator(sub_gaussian, True, (0.0, 1.0)),
    "switch_dr": Estimator(switched, True, _ANY),
    "dros": Estimator(shrunk, True, _ANY),
    "mrdr": Estimator(plain, True),
    "balanced": Estimator(plain, False),
}


def constant_of(name: str, c: float | None) -> float:
    """The constant of an estimator, after checking that it is needed and within its range."""
    allowed = ESTIMATORS[name].constant
    if allowed is None:
        if c is not None:
            raise ValueError(f"{name} has no constant")
        return np.inf
    if c is None or not allowed[0] <= c <= allowed[1]:
        raise ValueError(
            f"the constant of {name} is {c}; it must lie in [{allowed[0]:g}, {allowed[1]:g}]"
        )
    return float(c)


def round_values(
    name: str,
    reward: np.ndarray,
    w: np.ndarray,
    q_taken: np.ndarray | None = None,
    v: np.ndarray | None = None,
    c: float | None = None,
) -> np.ndarray:
    """The value of every row [n], whose mean is the estimate.

    reward, w, q_taken (the model at the logged action) and v are [n]; q_taken and v belong to
    estimators with a model. `replay` takes the indicator of agreement as its w.
    """
    estimator = ESTIMATORS[name]
    weight = estimator.weighting(w, constant_of(name, c))
    if not estimator.model:
        return weight * reward
    if q_taken is None or v is None:
        raise ValueError(f"{name} needs a reward model: give q_taken and v")
    return v + weight * (reward - q_taken)


def influence(
    name: str,
    reward: np.ndarray,
    w: np.ndarray,
    q_taken: np.ndarray | None = None,
    v: np.ndarray | None = None,
    c: float | None = None,
) -> np.ndarray:
    """Values [n] with the mean of `round_values`, whose spread gives the standard error.

    They are the round values, but for normalised weights: the denominator varies too, which the
    first-order term of its expansion, -(w / mean(w) - 1) times the ratio, accounts for.
    """
    values = round_values(name, reward, w, q_taken, v, c)
    if not ESTIMATORS[name].normalised:
        return values
    ratio = values.mean() if v is None else (values - v).mean()
    return values - (w * (ratio / w.mean()) - ratio)

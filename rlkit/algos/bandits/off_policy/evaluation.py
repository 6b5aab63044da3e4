"""The value of a target policy from a decision log, with an interval: `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlkit.algos.bandits.off_policy import intervals, tuning
from rlkit.algos.bandits.off_policy.estimators import ESTIMATORS, Estimator, influence
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog, read_target
from rlkit.algos.bandits.off_policy.reward_models import (
    Factory,
    classifier_weights,
    cross_fitted,
    folds_of,
    least_variance_weights,
    predict_all,
)
from rlkit.core.words.nearest import suggestion

if TYPE_CHECKING:
    from rlkit.eval.statistics import Interval


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimated value, its interval, the values [n] it rests on, and the constants used."""

    estimator: str
    interval: Interval
    values: np.ndarray
    constants: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        return self.interval.point

    def __str__(self) -> str:
        return f"{self.estimator} {self.interval}"


def evaluate(
    log: DecisionLog,
    target: np.ndarray,
    estimator: str = "dr",
    *,
    q: np.ndarray | Factory | None = None,
    by_arm: bool = False,
    constant: float | str | None = None,
    constants: Sequence[float] | None = None,
    folds: int = 3,
    interval: str = "t",
    level: float = 0.95,
    width: float | None = None,
    seed: int = 0,
) -> Estimate:
    """The `Estimate` of the value of `target` [n, K] by one of `estimators.ESTIMATORS`.

    q         the reward model of dm, dr and relatives: predictions [n, K], or a function making a
              scikit-learn model (cross-fitted; one an arm with `by_arm`). mrdr and balanced need
              the function; balanced's makes the classifier of target against log.
    constant  c of clipping, switching, shrinking: a number, or slope, mse, mse_bound to choose it
              from `constants` (a grid by default)
    folds     the model that predicts a row was fitted on other folds, and a chosen constant was
              chosen on yet others
    interval  t, bootstrap or bernstein (with `width`); see `intervals`
    Raises ValueError for a target that is no policy on the log's rows.
    """
    kind = _checked(estimator, q, constant)
    action, reward = log.table.action, np.asarray(log.table.reward, np.float64)
    p, taken = read_target(log, target)
    w, weight = taken / np.asarray(log.table.prob, np.float64), None
    if estimator == "replay":
        w = _agreement(p, action)
    elif estimator == "balanced":
        assert callable(q)
        w = classifier_weights(log, p, q, folds=folds, seed=seed)
    elif estimator == "mrdr":
        weight = least_variance_weights(log, p)
    used: tuple[float, ...] = ()
    if isinstance(constant, str):
        if not (w > 0).any():
            raise ValueError("all weights are zero: the target takes none of the logged actions")
        rounds = _Rounds(log, p, w, estimator, q if kind.model else None, by_arm)
        values, used = rounds.with_chosen(constant, constants, folds, seed)
    else:
        if kind.model and callable(q):
            q = cross_fitted(log, q, folds=folds, seed=seed, weight=weight, by_arm=by_arm)
        q_taken, v = _at(q if kind.model else None, p, action)
        values = influence(estimator, reward, w, q_taken, v, constant)
        used = () if constant is None else (float(constant),)
    found = intervals.interval(values, interval, level=level, width=width, seed=seed)
    return Estimate(estimator, found, values, used)


def _checked(name: str, q: np.ndarray | Factory | None, constant: float | str | None) -> Estimator:
    if name not in ESTIMATORS:
        raise ValueError(
            f"estimator {name!r} is unknown{suggestion(name, ESTIMATORS)}; choose one of "
            f"{', '.join(ESTIMATORS)}"
        )
    kind = ESTIMATORS[name]
    if name in ("mrdr", "balanced") and not callable(q):
        raise ValueError(f"{name} fits its own model: give q a function that makes one")
    if kind.model and q is None:
        raise ValueError(f"{name} needs a reward model: give q")
    if isinstance(constant, str) and kind.constant is None:
        raise ValueError(f"{name} has no constant to choose")
    if isinstance(constant, str) and constant not in tuning.RULES:
        raise ValueError(
            f"constant is {constant!r}; give a number or one of {', '.join(tuning.RULES)}"
        )
    return kind


def _agreement(p: np.ndarray, action: np.ndarray) -> np.ndarray:
    """1.0 where the log took the action of a deterministic target, else 0.0 [n]."""
    bad = p.max(1) < 1 - 1e-9
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"replay needs a deterministic target; row {row} has {p[row].max():.3g}")
    return (p.argmax(1) == action).astype(np.float64)


def _at(
    q: np.ndarray | Factory | None, p: np.ndarray, action: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The model at the logged actions [n], and its mean under the target [n]."""
    if q is None:
        return None, None
    model = np.asarray(q, np.float64)
    if model.shape != p.shape:
        raise ValueError(f"q has shape {model.shape}; needed is {p.shape}")
    v = np.einsum("nk,nk->n", p, model)
    bad = ~np.isfinite(v)  # as any entry that is not finite makes it: 0 times infinity is NaN
    if bad.any():
        raise ValueError(f"q of row {int(np.flatnonzero(bad)[0])} has NaN or infinite entries")
    return model[np.arange(len(p)), action], v


@dataclass(frozen=True, eq=False)
class _Rounds:
    """What the values of the rows depend on, but for the constant."""

    log: DecisionLog
    p: np.ndarray
    w: np.ndarray
    estimator: str
    q: np.ndarray | Factory | None
    by_arm: bool

    def with_chosen(
        self, rule: str, constants: Sequence[float] | None, folds: int, seed: int
    ) -> tuple[np.ndarray, tuple[float, ...]]:
        """Values [n], fold by fold with a constant that other folds chose, and the constants.

        Where a model must be fitted too, one fold is valued, the next chooses, the rest fit.
        """
        fold, values, used = folds_of(len(self.log), folds, seed), np.empty(len(self.log)), []
        fits = callable(self.q)
        if fits and folds < 3:
            raise ValueError(f"folds is {folds}; to fit a model and choose a constant needs 3")
        reward = np.asarray(self.log.table.reward, np.float64)
        for k in range(folds):
            held = np.flatnonzero(fold == k)
            others = fold == (k + 1) % folds if fits else fold != k
            chooses = np.flatnonzero(others)
            q_held, q_chooses = self.q, self.q
            if callable(self.q):
                both = np.concatenate([held, chooses])
                fit = np.flatnonzero((fold != k) & ~others)
                predicted = predict_all(self.log, self.q, fit, both, by_arm=self.by_arm)
                q_held, q_chooses = predicted[: len(held)], predicted[len(held) :]
            elif self.q is not None:
                q_held, q_chooses = self.q[held], self.q[chooses]
            action = self.log.table.action
            taken, v = _at(q_chooses, self.p[chooses], action[chooses])
            c = tuning.choose(
                self.estimator, rule, reward[chooses], self.w[chooses], taken, v, constants
            )
            taken, v = _at(q_held, self.p[held], action[held])
            values[held] = influence(self.estimator, reward[held], self.w[held], taken, v, c)
            used.append(c)
        return values, tuple(used)

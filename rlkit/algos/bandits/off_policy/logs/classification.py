"""Classification data as logged bandit feedback, with the exact value of every policy.

A context is a row's features, an arm a class, the reward 1 for the row's class and 0 else
(Beygelzimer & Langford 2009; Dudík et al. 2011). The policies are the decisions of classifiers
fitted on one part of the rows, softened: alpha on the decision, 1 - alpha spread evenly over all
arms. The logs and the truth come from the other part.

Differs from obp: its documentation calls alpha the share of the uniform policy, its code does as
here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.algos.bandits.interface import Feedback, draw
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog
from rlkit.core.words.nearest import suggestion

DATASETS = ("digits", "wine", "iris", "breast_cancer")  # bundled in scikit-learn


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d] and classes [n] of a bundled data set, columns of mean 0 and variance 1.

    A column without variance (digits has some) becomes 0.
    """
    if name not in DATASETS:
        raise ValueError(
            f"data set {name!r} is unknown{suggestion(name, DATASETS)}; choose one of "
            f"{', '.join(DATASETS)}"
        )
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    spread = x.std(0)
    return (x - x.mean(0)) / np.where(spread > 0, spread, 1.0), y.astype(np.int64)


def soften(decisions: np.ndarray, arms: int, alpha: float) -> np.ndarray:
    """The policy [n, K] that plays the decision [n] with alpha, else any arm evenly."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must lie in [0, 1]")
    return alpha * np.eye(arms)[decisions] + (1.0 - alpha) / arms


@dataclass(frozen=True, eq=False)
class ClassificationBandit:
    """A log on held-out rows, the expected reward [n, K] of every arm there, and the policies.

    behaviour and target are [n, K]; `value(p)` is the exact mean reward of a policy p [n, K].
    """

    log: DecisionLog
    rewards: np.ndarray
    behaviour: np.ndarray
    target: np.ndarray

    def value(self, policy: np.ndarray) -> float:
        return float((policy * self.rewards).sum(1).mean())


def classification_bandit(
    x: np.ndarray,
    y: np.ndarray,
    behaviour: Any,
    target: Any,
    *,
    behaviour_alpha: float = 0.4,
    target_alpha: float = 0.9,
    log_share: float = 0.7,
    seed: int = 0,
) -> ClassificationBandit:
    """A `ClassificationBandit` of features x [n, d] and classes y [n] 0..K-1.

    behaviour and target are unfitted scikit-learn classifiers; `log_share` of the rows become the
    log, drawn like the actions by `seed`. The defaults are those of obp's benchmark.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y)
    if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer) or y.min() < 0:
        raise ValueError("y must be integers from 0 on, one a row of x")
    if not 0 < log_share < 1:
        raise ValueError(f"log_share is {log_share}; it must lie strictly between 0 and 1")
    arms, rng = int(y.max()) + 1, np.random.default_rng(seed)
    order = rng.permutation(len(y))
    cut = round(log_share * len(y))
    held, fit = order[:cut], order[cut:]
    policies = [
        soften(np.asarray(model.fit(x[fit], y[fit]).predict(x[held])), arms, alpha)
        for model, alpha in ((behaviour, behaviour_alpha), (target, target_alpha))
    ]
    decision = draw(policies[0], rng)
    rewards = np.eye(arms)[y[held]]
    reward = rewards[np.arange(cut), decision.action]
    table = Feedback(decision.action, reward, x[held], prob=decision.prob)
    return ClassificationBandit(DecisionLog(table, arms), rewards, *policies)

"""Lipschitz constants of finite MDPs on a metric space, and what they say about model error.

If rewards are L_r- and transitions (in Wasserstein-1) L_P-Lipschitz in the state and gamma L_P < 1,
then V* is L_r / (1 - gamma L_P)-Lipschitz. A model wrong by w in Wasserstein-1 changes the value by
at most gamma L_V w / (1 - gamma): the smoother V, the less a wrong model hurts (the argument of
Zheng et al. 2023, "Is model ensemble necessary?").
"""

from __future__ import annotations

import numpy as np

from rlkit.theory.geometry.transport import row_distances, row_transport
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_gamma, check_positive


def lipschitz_constant(values: Array, metric: Array) -> float:
    """max over pairs of |values(s) - values(t)| / metric(s, t); inf if points at distance 0
    differ. `values` [S] or [S, k] (largest over columns)."""
    table = np.asarray(values, np.float64).reshape(len(metric), -1)
    check_metric(metric, len(table))
    worst = 0.0
    for column in table.T:
        worst = max(worst, _largest_ratio(np.abs(column[:, None] - column[None]), metric))
    return worst


def reward_constant(mdp: FiniteMDP, metric: Array) -> float:
    """L_r = max |r(s, a) - r(t, a)| / metric(s, t)."""
    _comparable(mdp)
    return lipschitz_constant(mdp.table(mdp.r), metric)


def transition_constant(mdp: FiniteMDP, metric: Array) -> float:
    """L_P = max W1(P(s, a), P(t, a)) / metric(s, t). ValueError for a model that terminates."""
    _comparable(mdp)
    check_metric(metric, mdp.num_states)
    m = mdp.expanded()
    ground = np.ascontiguousarray(metric, np.float64)
    val = m.val.astype(np.float64, copy=False)
    far = np.zeros(metric.shape)
    actions = m.num_actions
    for s in range(m.num_states):
        for t in range(s):
            far[s, t] = max(
                row_transport(m.row_ptr, m.col, val, s * actions + a, t * actions + a, ground)
                for a in range(actions)
            )
    return _largest_ratio(far, metric)


def value_constant(reward: float, transition: float, gamma: float) -> float:
    """L_r / (1 - gamma L_P), the bound on the Lipschitz constant of V*; inf if gamma L_P >= 1."""
    gamma = check_gamma(gamma)
    reward = check_positive("reward", reward, strict=False)
    transition = check_positive("transition", transition, strict=False)
    return reward / (1.0 - gamma * transition) if gamma * transition < 1.0 else np.inf


def model_distance(mdp: FiniteMDP, model: FiniteMDP, metric: Array) -> Array:
    """W1(P(s, a), P^(s, a)) of every row, [L]. ValueError unless both have the same rows."""
    a, b = mdp.expanded(), model.expanded()
    if not np.array_equal(a.sa_ptr, b.sa_ptr) or not np.array_equal(a.a_id, b.a_id):
        raise ValueError("both models need the same states and feasible actions")
    for m in (a, b):
        if not m.is_stochastic:
            raise ValueError("W1 needs rows of equal mass: make termination an absorbing state")
    check_metric(metric, a.num_states)
    return row_distances(
        a.row_ptr, a.col, a.val.astype(np.float64), b.row_ptr, b.col, b.val.astype(np.float64),
        np.ascontiguousarray(metric, np.float64),
    )  # fmt: skip


def model_gap_bound(
    mdp: FiniteMDP, model: FiniteMDP, value: Array, metric: Array, gamma: float
) -> tuple[float, float]:
    """Bounds on max |T^V - TV| and on max |V^ - V*| for a model with the same rewards.

    `value` is V* of `mdp`, whose Lipschitz constant L enters: gamma L sup W1, and that over
    1 - gamma.
    """
    if check_gamma(gamma) == 1.0:
        raise ValueError("the bound needs gamma < 1")
    step = (
        gamma * lipschitz_constant(value, metric) * float(model_distance(mdp, model, metric).max())
    )
    return step, step / (1.0 - gamma)


def check_metric(metric: Array, size: int) -> None:
    """ValueError unless `metric` is a pseudo-metric on `size` points (symmetry, zero diagonal,
    triangle inequality), naming the points."""
    d = np.asarray(metric)
    if d.shape != (size, size):
        raise ValueError(f"metric has shape {d.shape}, expected {(size, size)}")
    scale = 1e-9 * max(1.0, float(np.abs(d).max(initial=0.0)))
    if not (d >= 0).all() or not np.allclose(d, d.T) or np.abs(np.diag(d)).max() > scale:
        raise ValueError("metric must be non-negative and symmetric with a zero diagonal")
    for k in range(size):
        broken = d > d[:, [k]] + d[[k]] + scale
        if broken.any():
            s, t = np.argwhere(broken)[0]
            raise ValueError(f"metric({s}, {t}) exceeds the way through {k}")


def _largest_ratio(gap: Array, metric: Array) -> float:
    apart = np.asarray(metric) > 0
    scale = 1e-12 * max(1.0, float(gap.max(initial=0.0)))
    if (gap[~apart] > scale).any():
        return np.inf
    return float((gap[apart] / metric[apart]).max(initial=0.0))


def _comparable(mdp: FiniteMDP) -> None:
    if not mdp.is_complete or not mdp.is_stochastic:
        raise ValueError(
            "Lipschitz constants need every action in every state and no termination; add an "
            "absorbing state"
        )

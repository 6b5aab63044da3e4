"""Bisimulation metrics of finite MDPs: optimal, on-policy, MICo, and aggregation by them.

d(s, t) = max_a c_R |r(s, a) - r(t, a)| + gamma W1(d)(P(s, a), P(t, a)) bounds |V*(s) - V*(t)| for
c_R = 1 (Ferns, Panangaden & Precup 2004); on policy, r_pi and P_pi take the place of the maximum
(Castro 2020); MICo couples the next states independently (Castro et al. 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_chain
from rlkit.theory.geometry.transport import metric_sweep, sweep_limit
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_gamma, check_number, check_positive


class StateMetric(NamedTuple):
    """distance [S, S], a lower bound of the fixed point by at most `error`; sweeps taken."""

    distance: Array
    error: float
    sweeps: int

    def __repr__(self) -> str:
        return brief(self)


@named
def bisimulation_metric(
    mdp: FiniteMDP, gamma: float, tolerance: float = 1e-6, reward_weight: float = 1.0
) -> StateMetric:
    """The bisimulation metric, by value iteration from 0 until within `tolerance`.

    Termination counts as an absorbing state of reward 0. Every state needs the same actions
    (ValueError). Work per sweep: S^2 A / 2 transport problems of the size of the supports.
    """
    gamma, reward_weight = _discount(gamma), check_number("reward_weight", reward_weight)
    if not mdp.is_complete:
        raise ValueError("states are comparable only if every action is feasible in all of them")
    p, r = _with_end(mdp.laws(), mdp.r, mdp.num_actions)
    found = _fixed_point(p, reward_weight * r, mdp.num_actions, gamma, tolerance)
    return found._replace(distance=found.distance[: mdp.num_states, : mdp.num_states])


@named
def policy_bisimulation(
    mdp: FiniteMDP, policy: Array, gamma: float, tolerance: float = 1e-6,
    reward_weight: float = 1.0,
) -> StateMetric:  # fmt: skip
    """The on-policy metric |r_pi(s) - r_pi(t)| + gamma W1(P_pi(s), P_pi(t)): bounds |V^pi| gaps."""
    p, r = _with_end(*policy_chain(mdp, policy), 1)
    weight = check_number("reward_weight", reward_weight)
    found = _fixed_point(p, weight * r, 1, _discount(gamma), tolerance)
    return found._replace(distance=found.distance[: mdp.num_states, : mdp.num_states])


@named
def mico_distance(mdp: FiniteMDP, policy: Array, gamma: float) -> Array:
    """U = |r_pi(s) - r_pi(t)| + gamma E U(s', t') for independent s', t', [S, S].

    Not a metric: U(s, s) > 0 unless the future of s is certain. Bounds |V^pi(s) - V^pi(t)|.
    Solved by doubling, to rounding.
    """
    gamma = _discount(gamma)
    p, r = _with_end(*policy_chain(mdp, policy), 1)
    step = np.sqrt(gamma) * p.toarray()
    u = np.abs(r[:, None] - r[None])
    while np.abs(step).max() > 1e-18:
        grown = u + step @ u @ step.T  # twice as many steps each time
        if np.array_equal(grown, u):
            break
        u, step = grown, step @ step
    return u[: mdp.num_states, : mdp.num_states]


def cluster(distance: Array, eps: float) -> Array:
    """Cluster of each state, int64 [S]: greedy balls, any two members less than 2 eps apart.

    A cluster is the set of free states within `eps` (strictly) of the first free state.
    """
    check_positive("eps", eps)
    label = np.full(len(distance), -1)
    count = 0
    for s in range(len(distance)):
        if label[s] < 0:
            label[(label < 0) & ((distance[s] < eps) | (np.arange(label.size) == s))] = count
            count += 1
    return label


def aggregate(mdp: FiniteMDP, label: Array) -> FiniteMDP:
    """The MDP of clusters: rewards and transitions averaged over the members, uniformly.

    If members are within eps of the first in the bisimulation metric, values differ by at most
    2 eps / (1 - gamma).
    """
    label = np.asarray(label)
    if label.shape != (mdp.num_states,) or not mdp.is_complete:
        raise ValueError("need one label a state and every action feasible in every state")
    count, actions = int(label.max()) + 1, mdp.num_actions
    join = sp.csr_array((np.ones(label.size), (np.arange(label.size), label)), (label.size, count))
    size = np.asarray(join.sum(0)).ravel()
    if (size == 0).any():
        raise ValueError(f"cluster {int(np.argmin(size))} has no member")
    rows = np.arange(mdp.num_rows)
    target = label[mdp.state_of_row()] * actions + mdp.a_id
    mean = sp.csr_array((1.0 / size[label[mdp.state_of_row()]], (target, rows)),
                        (count * actions, rows.size))  # fmt: skip
    stop = None if mdp.stop is None else mean @ mdp.stop
    start = None if mdp.mu0 is None else mdp.mu0 @ join
    s, a = np.divmod(np.arange(count * actions), actions)
    return FiniteMDP.from_sparse(mean @ mdp.laws() @ join, mean @ mdp.r, start, stop, s, a)


def _discount(gamma: float) -> float:
    if check_gamma(gamma) == 1.0:
        raise ValueError("bisimulation metrics need gamma < 1")
    return float(gamma)


def _with_end(p: sp.csr_array, r: Array, actions: int) -> tuple[sp.csr_array, Array]:
    """Transitions and rewards with an absorbing end state added, if any row loses mass."""
    missing = np.maximum(0.0, 1.0 - np.asarray(p.sum(1)).ravel())
    missing[missing <= 1e-12] = 0.0  # rows of `laws` sum to one but for float64's own rounding
    if not missing.any():
        return p, r
    n = p.shape[1] + 1
    ending = sp.csr_array(
        (np.ones(actions), (np.arange(actions), np.full(actions, n - 1))), (actions, n)
    )
    live = sp.hstack([p, sp.csr_array(missing[:, None])], format="csr")
    return sp.csr_array(sp.vstack([live, ending], format="csr")), np.append(r, np.zeros(actions))


def _fixed_point(
    p: sp.csr_array, r: Array, actions: int, gamma: float, tolerance: float
) -> StateMetric:
    check_positive("tolerance", tolerance)
    n = r.size // actions
    p = p.copy()
    p.eliminate_zeros()
    p.sort_indices()
    s, t = np.triu_indices(n, 1)
    left = (s[:, None] * actions + np.arange(actions)).ravel()
    right = (t[:, None] * actions + np.arange(actions)).ravel()
    pair_s, pair_t = np.repeat(s, actions), np.repeat(t, actions)
    gap = np.abs(r[left] - r[right])
    top = float(gap.max(initial=0.0)) / (1.0 - gamma)
    d, out = np.zeros((n, n)), np.empty((n, n))
    error, sweeps = top, 0
    for _ in range(sweep_limit(tolerance, gamma, max(top, tolerance)) + 1):
        metric_sweep(left, right, pair_s, pair_t, gap, p.indptr.astype(np.int64), p.indices, p.data,
                     gamma, d, out)  # fmt: skip
        sweeps += 1
        error = min(error * gamma, gamma / (1.0 - gamma) * float(np.abs(out - d).max()))
        d, out = out, d
        if error <= tolerance:
            break
    return StateMetric(d, error, sweeps)

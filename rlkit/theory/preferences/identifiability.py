"""What preferences over segments can tell about a reward: partial return against regret.

Partial return: P(1 > 2) = logistic(sum r(1) - sum r(2)). Regret: P(1 > 2) = logistic(regret(2) -
regret(1)), regret = sum_t V*(s_t) - Q*(s_t, a_t). Regret with noisy labels identifies the reward
up to potential shaping; partial return does not, and `constant_shift`, `stochastic_luck` and
`noiseless_labels` build the witnesses (Knox et al. 2022, "Models of human preference for
learning reward functions"). Sums inside a segment are undiscounted; V* is discounted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.solvers import solve
from rlkit.theory.validate import check_count, check_counts, check_gamma, check_positive


class Segments(NamedTuple):
    """Equally long pieces of trajectories: states [n, T+1] (-1 after termination), actions [n, T].

    A segment that ended has action -1 from then on.
    """

    states: Array
    actions: Array

    def __repr__(self) -> str:
        return brief(self)


class Comparisons(NamedTuple):
    """Pairs of segments (indices [m]) and the probability [m] that the first is preferred."""

    first: Array
    second: Array
    probability: Array

    def __repr__(self) -> str:
        return brief(self)


class Counterexample(NamedTuple):
    """Two models that differ in reward only, and segments on which partial return confuses them.

    Under `model` and `other` the partial-return labels agree (exactly, or once noise is taken
    away), the optimal policies differ, and the regret labels differ.
    """

    name: str
    model: FiniteMDP
    other: FiniteMDP
    gamma: float
    segments: Segments
    noiseless: bool


def segment_sums(mdp: FiniteMDP, segments: Segments, values: Array) -> Array:
    """Sum over each segment of a per-row quantity [L], [n]. ValueError on an infeasible action."""
    table = mdp.row_table()
    states, actions = np.asarray(segments.states)[:, :-1], np.asarray(segments.actions)
    if states.shape != actions.shape:
        raise ValueError(
            f"states must be [n, T+1] and actions [n, T], got {segments.states.shape} and "
            f"{actions.shape}"
        )
    alive = states >= 0
    rows = np.where(alive, table[states, np.where(alive, actions, 0)], 0)
    if (rows < 0).any():
        i, t = np.argwhere(rows < 0)[0]
        raise ValueError(
            f"segment {i} takes action {actions[i, t]} in state {states[i, t]}, not feasible there"
        )
    return np.where(alive, np.asarray(values)[rows], 0.0).sum(1)


def partial_return(mdp: FiniteMDP, segments: Segments) -> Array:
    """Sum of the expected rewards r(s, a) of each segment, [n]."""
    return segment_sums(mdp, segments, mdp.r)


@named
def optimal_advantage(mdp: FiniteMDP, gamma: float) -> Array:
    """A*(s, a) = Q* - V* of every row, [L], at most 0."""
    policy = solve(mdp, gamma, "pi").policy
    v = evaluate_policy(mdp, policy, gamma)
    return mdp.q(v, gamma) - v[mdp.state_of_row()]


@named
def regret(mdp: FiniteMDP, segments: Segments, gamma: float) -> Array:
    """sum_t V*(s_t) - Q*(s_t, a_t) of each segment, [n], at least 0."""
    return -segment_sums(mdp, segments, optimal_advantage(mdp, gamma))


@named
def deterministic_regret(mdp: FiniteMDP, segments: Segments, gamma: float) -> Array:
    """V*(s_0) - (sum r + V*(s_T)), [n]: equal to `regret` for deterministic moves and gamma = 1.

    With random moves it charges luck to the segment.
    """
    v = np.append(solve(mdp, gamma, "pi").value, 0.0)  # index -1: terminated
    states = np.asarray(segments.states)
    return v[states[:, 0]] - partial_return(mdp, segments) - v[states[:, -1]]


def all_segments(mdp: FiniteMDP, length: int, limit: int = 100_000) -> Segments:
    """Every possible segment of `length` steps, from every state. ValueError beyond `limit`."""
    length, limit = check_counts(length=length, limit=limit)
    m = mdp.expanded()
    owner = m.state_of_row()
    states, actions = np.arange(m.num_states)[:, None], np.empty((m.num_states, 0), np.int64)
    for _ in range(length):
        grown_states, grown_actions = [], []
        for path, done in zip(states, actions, strict=True):
            if path[-1] < 0:
                grown_states.append(np.append(path, -1))
                grown_actions.append(np.append(done, -1))
                continue
            for row in np.flatnonzero(owner == path[-1]):
                ends = [-1] if m.stop is not None and m.stop[row] > 0 else []
                for s2 in [*m.col[m.row_ptr[row] : m.row_ptr[row + 1]], *ends]:
                    grown_states.append(np.append(path, s2))
                    grown_actions.append(np.append(done, m.a_id[row]))
            if len(grown_states) > limit:
                raise ValueError(f"more than {limit} segments of length {length}")
        states, actions = np.array(grown_states), np.array(grown_actions, np.int64)
    return Segments(states, actions)


def full_length(segments: Segments) -> Segments:
    """The segments in which every step was taken (termination at the very end counts)."""
    whole = (np.asarray(segments.actions) >= 0).all(1)
    return Segments(segments.states[whole], segments.actions[whole])


def compare_all(score: Array, temperature: float = 1.0) -> Comparisons:
    """All pairs of segments with preference logistic((score_1 - score_2) / temperature).

    `score` is the partial return, or minus the regret. Temperature 0 gives noiseless labels
    (1/2 for ties).
    """
    check_positive("temperature", temperature, strict=False)
    score = np.asarray(score, np.float64)
    first, second = np.triu_indices(score.size, 1)
    gap = score[first] - score[second]
    if temperature == 0.0:
        tied = np.abs(gap) <= 1e-9 * max(1.0, float(np.abs(score).max()))
        return Comparisons(first, second, np.where(tied, 0.5, (gap > 0).astype(float)))
    return Comparisons(first, second, expit(gap / temperature))


def constant_shift() -> Counterexample:
    """Two-step corridor: -1 a step makes "go" optimal, +1 makes staying optimal (V = 10, 10).

    Adding 2 to every step moves all segments of one length alike, so no partial return sees it.
    """
    go, stay = 0, 1
    model = FiniteMDP.from_coo(
        s=np.array([0, 1, 0, 1]), a=np.array([go, go, stay, stay]), s2=np.array([1, -1, 0, 1]),
        p=np.ones(4), r=-np.ones(4), mu0=np.array([1.0, 0.0]),
    )  # fmt: skip
    segments = full_length(all_segments(model, 2))
    return Counterexample(
        "constant shift", model, model.with_rewards(model.r + 2.0), 0.9, segments, False
    )


def stochastic_luck() -> Counterexample:
    """One choice between a sure 0 and a lottery of +1 (p = .8) or -5: its mean, -.2, is worse.

    Outcomes are own states whose only action pays. The mean partial-return preference for the
    lottery is .586, so a learner that credits r(s, a) (`other`) takes it; the regret preference
    is .450.
    """
    model = FiniteMDP.from_coo(
        s=np.array([0, 0, 0, 1, 2, 3]), a=np.array([0, 1, 1, 0, 0, 0]),
        s2=np.array([1, 2, 3, -1, -1, -1]), p=np.array([1, 0.8, 0.2, 1, 1, 1]),
        r=np.array([0.0, 0, 0, 0, 1, -5]), mu0=np.eye(4)[0],
    )  # fmt: skip
    segments = all_segments(model, 2)
    segments = Segments(
        segments.states[segments.states[:, 0] == 0], segments.actions[segments.states[:, 0] == 0]
    )
    p = lottery_preference(model, segments)
    credit = model.with_rewards(np.array([0.0, np.log(p / (1 - p)), 0, 0, 0]))
    return Counterexample("stochastic luck", model, credit, 1.0, segments, False)


def lottery_preference(mdp: FiniteMDP, segments: Segments) -> float:
    """Probability that a segment of action 1 in state 0 is preferred to one of action 0, averaged
    over the outcomes of both (partial return, one step of randomness after state 0)."""
    paid, table = partial_return(mdp, segments), mdp.row_table()
    chance = np.array(
        [mdp.matrix()[[table[0, a]], [s2]][0] for a, s2 in
         zip(segments.actions[:, 0], segments.states[:, 1], strict=True)]
    )  # fmt: skip
    risky = segments.actions[:, 0] == 1
    prefer = expit(paid[risky][:, None] - paid[~risky][None])
    return float(chance[risky] @ prefer @ chance[~risky])


def noiseless_labels() -> Counterexample:
    """Take 1 now, or wait for x: x = 2 and x = 1.05 order the steps 0 < 1 < x alike, yet at
    gamma = .9 waiting is right for x = 2 only. Noiseless regret labels change with the optimum."""

    def model(later: float) -> FiniteMDP:
        return FiniteMDP.from_coo(
            s=np.array([0, 0, 1]), a=np.array([0, 1, 0]), s2=np.array([-1, 1, -1]),
            p=np.ones(3), r=np.array([1.0, 0.0, later]), mu0=np.array([1.0, 0.0]),
        )  # fmt: skip

    segments = all_segments(model(2.0), 1)
    return Counterexample("noiseless labels", model(2.0), model(1.05), 0.9, segments, True)


@named
def fit_reward(
    mdp: FiniteMDP, segments: Segments, comparisons: Comparisons, gamma: float,
    statistic: str = "regret", ridge: float = 1e-9, start: Array | None = None,
    max_iterations: int = 2000,
) -> Array:  # fmt: skip
    """Reward [L] that minimises the cross-entropy of the comparisons, by L-BFGS.

    `statistic` "regret" differentiates through V* with the current greedy policy (envelope
    theorem); "return" is the Bradley-Terry partial-return model. The dynamics are known; the
    rewards of `mdp` are not read. `ridge` |r|^2 picks one reward among equivalent ones.
    ArithmeticError if the optimiser does not settle.
    """
    check_positive("ridge", ridge, strict=False)
    gamma = check_gamma(gamma)
    max_iterations = check_count("max_iterations", max_iterations)
    if statistic not in ("regret", "return"):
        raise ValueError(f"statistic must be 'regret' or 'return', got {statistic!r}")
    first, second = np.asarray(comparisons.first), np.asarray(comparisons.second)
    target = np.asarray(comparisons.probability, np.float64)
    if ((target < 0) | (target > 1)).any():
        raise ValueError("preference probabilities must lie in [0, 1]")
    counts = np.array([segment_sums(mdp, segments, unit) for unit in np.eye(mdp.num_rows)]).T
    design = counts[first] - counts[second]  # [m, L], of the per-row scores
    owner, p = mdp.state_of_row(), mdp.matrix().toarray()
    pick = np.eye(mdp.num_states)[owner]  # [L, S]
    policy: list[Array] = [mdp.a_id[mdp.sa_ptr[:-1]]]

    def score_map(r: Array) -> Array:
        """Linear map [L, L] from r to the scores, at the greedy policy of r."""
        if statistic == "return":
            return np.eye(r.size)
        rows, policy[0] = _greedy_rows(mdp, p, r, gamma, policy[0])
        value = solve_chain(p[rows], np.eye(mdp.num_states), gamma)  # V = value r[rows]
        out = np.eye(r.size)
        out[:, rows] += (gamma * p - pick) @ value
        return out

    def loss(r: Array) -> tuple[float, Array]:
        to_score = score_map(r)
        logit = design @ (to_score @ r)
        error = expit(logit) - target
        value = -(target @ log_expit(logit) + (1 - target) @ log_expit(-logit)) / target.size
        gradient = to_score.T @ (design.T @ error) / target.size
        return float(value + ridge * r @ r), gradient + 2 * ridge * r

    begin = np.zeros(mdp.num_rows) if start is None else np.asarray(start, np.float64)
    options = {"maxiter": max_iterations, "maxfun": 10 * max_iterations, "gtol": 1e-8,
               "ftol": 1e-13, "maxcor": 30}  # fmt: skip
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options)
    if found.nit >= max_iterations:
        raise ArithmeticError(f"the reward did not settle in {max_iterations} iterations")
    return found.x


def _greedy_rows(
    mdp: FiniteMDP, p: Array, r: Array, gamma: float, policy: Array
) -> tuple[Array, Array]:
    """Rows of an optimal policy for rewards r, by dense policy iteration from `policy`."""
    rows = mdp.rows(policy)
    owner, starts = mdp.state_of_row(), mdp.sa_ptr[:-1]
    for _ in range(1000):
        v = solve_chain(p[rows], r[rows], gamma)
        q = r + gamma * p @ v
        top = np.maximum.reduceat(q, starts)
        if (top <= q[rows] + 1e-12 * max(1.0, float(np.abs(v).max()))).all():
            return rows, mdp.a_id[rows]
        best = np.flatnonzero(q == top[owner])
        rows = best[np.searchsorted(best, starts)]
    raise ArithmeticError("policy iteration did not settle")

"""Objectives beyond one expected return, solved over discounted occupancies.

Occupancies d [L] form a polytope, so constraints, maximin and lexicographic orders are linear
programs, any linear objective is an MDP, and concave functions of d yield to Frank-Wolfe. Also:
whether a Markov reward can express a set of accepted policies at all (Abel et al. 2021).
J_k = <d, r_k> is (1 - gamma) times the expected return from the initial law.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, linprog
from scipy.spatial import ConvexHull

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import occupancy
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.linear_program import flow_matrix
from rlkit.theory.planning.solvers import solve
from rlkit.theory.validate import as_reals, check_count, check_gamma, check_positive

_PAIRWISE_STEPS = 10_000  # between two solves; a bound that well-posed objectives never meet


class OccupancyPlan(NamedTuple):
    """occupancy [L], policy [S, A] (uniform where never visited), objectives J [k], optimum."""

    occupancy: Array
    policy: Array
    objectives: Array
    value: float

    def __repr__(self) -> str:
        return brief(self)


def policy_of(mdp: FiniteMDP, d: Array) -> Array:
    """The policy [S, A] that an occupancy [L] follows."""
    owner = mdp.state_of_row()
    sums = np.add.reduceat(d, mdp.sa_ptr[:-1])
    even = 1.0 / np.diff(mdp.sa_ptr)
    visited = sums[owner] > 1e-14
    law = np.where(visited, d / np.where(visited, sums[owner], 1.0), even[owner])
    return mdp.table(law, 0.0)


@named
def chebyshev(
    mdp: FiniteMDP, gamma: float, rewards: Array, target: Array | None = None,
    weights: Array | None = None,
) -> OccupancyPlan:  # fmt: skip
    """Policy that maximises min_k weights_k (J_k - target_k); `rewards` [k, L].

    Without a target and weights this is the maximin objective. The optimum may need randomising.
    """
    rewards = _rewards(mdp, rewards)
    k = len(rewards)
    w = np.ones(k) if weights is None else as_reals("weights", weights, (k,))
    z = np.zeros(k) if target is None else as_reals("target", target, (k,))
    if not (w > 0).all():
        raise ValueError(f"weights must be positive, got {w}")
    # Variables d and the level t: t <= w_k (J_k - z_k).
    return _program(
        mdp, gamma, np.append(np.zeros(mdp.num_rows), -1.0), rewards,
        np.c_[-w[:, None] * rewards, np.ones(k)], -w * z, extra=1,
    )  # fmt: skip


@named
def constrained(
    mdp: FiniteMDP, gamma: float, reward: Array, costs: Array, limits: Array
) -> OccupancyPlan:
    """Policy that maximises J of `reward` [L] with every cost J_k of `costs` [k, L] <= limit.

    ValueError if no policy satisfies the limits.
    """
    costs = _rewards(mdp, costs)
    reward = _rewards(mdp, np.asarray(reward)[None])[0]
    every = np.vstack([reward, costs])
    bounds = as_reals("limits", limits, (len(costs),))
    return _program(mdp, gamma, -reward, every, costs, bounds)


@named
def lexicographic(mdp: FiniteMDP, gamma: float, rewards: Array) -> OccupancyPlan:
    """Policy that maximises J_1, among those J_2, and so on: one programme each, no slack."""
    rewards = _rewards(mdp, rewards)
    rows, levels = np.empty((0, mdp.num_rows)), np.empty(0)
    for reward in rewards:
        plan = _program(mdp, gamma, -reward, rewards, -rows, -levels)
        rows = np.vstack([rows, reward])
        # Programmes are solved to about 1e-9; a harder floor could be infeasible.
        levels = np.append(levels, plan.value - 1e-9 * max(1.0, abs(plan.value)))
    return plan


class Front(NamedTuple):
    """Extreme points of the achievable objectives: points [n, k], their policies [n, S], and the
    weights [n, k] at which each was found."""

    points: Array
    policies: Array
    weights: Array

    def __repr__(self) -> str:
        return brief(self)


@named
def convex_front(mdp: FiniteMDP, gamma: float, rewards: Array, tolerance: float = 1e-9) -> Front:
    """Deterministic policies whose objectives span the convex Pareto front, `rewards` [k, L].

    Outer loop: the facets of what is known give weights, each weight is one MDP, and a point
    beyond its facet is added until none is.
    """
    check_positive("tolerance", tolerance)
    rewards = _rewards(mdp, rewards)
    k = len(rewards)
    if k < 2:
        raise ValueError("a front needs at least two objectives")
    found: dict[tuple[float, ...], tuple[Array, Array, Array]] = {}

    def ask(weight: Array) -> Array:
        policy = solve(mdp.with_rewards(weight @ rewards), gamma, "pi").policy
        point = rewards @ occupancy(mdp, policy, gamma)
        found.setdefault(tuple(np.round(point, 10)), (point, policy, weight))
        return point

    for weight in [*np.eye(k), np.full(k, 1.0 / k)]:
        ask(weight)
    asked: set[tuple[float, ...]] = set()
    while True:
        points = np.array([entry[0] for entry in found.values()])
        floor = points.min(0) - max(1.0, float(np.ptp(points)))
        # With every coordinate also dropped to the floor the hull is closed towards worse points.
        dropped = [np.where(mask, points, floor) for mask in itertools.product((0, 1), repeat=k)]
        hull = ConvexHull(np.unique(np.vstack(dropped), axis=0))
        grown = False
        for equation in hull.equations:
            normal, offset = equation[:-1], -equation[-1]
            if (normal < -1e-9).any() or (normal <= 1e-9).sum() == k - 1:
                continue
            weight = np.maximum(normal, 0.0)
            weight /= weight.sum()
            if (key := tuple(np.round(weight, 9))) in asked:
                continue
            asked.add(key)
            if normal @ ask(weight) > offset + tolerance * max(1.0, abs(offset)):
                grown = True
        if not grown:
            break
    entries = [e for e in found.values() if not _dominated(e[0], points)]
    order = np.argsort([e[0][0] for e in entries])
    return Front(*(np.array([entries[i][j] for i in order]) for j in range(3)))


def _dominated(point: Array, points: Array) -> bool:
    better = (points >= point - 1e-12).all(1) & (points > point + 1e-9).any(1)
    return bool(better.any())


@named
def frank_wolfe(
    mdp: FiniteMDP, gamma: float, objective: Callable[[Array], float],
    gradient: Callable[[Array], Array], tolerance: float = 1e-4, max_steps: int = 2000,
) -> tuple[OccupancyPlan, float]:  # fmt: skip
    """Occupancy that maximises a concave `objective` of it, and a bound on what is missing.

    Fully corrective Frank-Wolfe: each step solves one MDP, whose best policy's occupancy joins the
    corners kept, and moves weight between corners until that gains no more. Steps towards the new
    corner alone would zigzag when the optimum lies on a face, and take thousands. The plan's
    objectives are empty. ArithmeticError when the gap stays above `tolerance`.
    """
    check_positive("tolerance", tolerance)
    max_steps = check_count("max_steps", max_steps)
    d = occupancy(mdp, mdp.table(1.0 / np.diff(mdp.sa_ptr)[mdp.state_of_row()], 0.0), gamma)
    corners, weights = d[None], np.ones(1)
    eps = min(1e-6, 0.1 * tolerance / (1.0 - gamma))
    gap = np.inf
    for _ in range(max_steps):
        slope = gradient(d)
        found = solve(mdp.with_rewards(slope), gamma, "pi", eps)
        gap = (1.0 - gamma) * float(mdp.initial_law() @ found.upper) - float(slope @ d)
        if gap <= tolerance:
            return OccupancyPlan(d, policy_of(mdp, d), np.empty(0), objective(d)), gap
        corners = np.vstack([corners, occupancy(mdp, found.policy, gamma)])
        weights = _corrected(corners, np.append(weights, 0.0), gradient, 0.1 * gap)
        corners, weights = corners[weights > 0], weights[weights > 0]
        d = weights @ corners
    raise ArithmeticError(f"Frank-Wolfe left a gap of {gap:.2g} after {max_steps} steps")


def _corrected(
    corners: Array, weights: Array, gradient: Callable[[Array], Array], accuracy: float
) -> Array:
    """Weights of the corners from which no shift between two of them gains more than `accuracy`.

    Pairwise steps: weight goes from the worst corner that has some to the best one, to where the
    slope along the shift is 0 or the weight is spent.
    """
    for _ in range(_PAIRWISE_STEPS):
        d = weights @ corners
        worth = corners @ gradient(d)
        best, worst = int(worth.argmax()), int(np.where(weights > 0, worth, np.inf).argmin())
        if worth[best] - worth[worst] <= accuracy:
            break
        shift, most = corners[best] - corners[worst], float(weights[worst])

        def slope(x: float, d: Array = d, shift: Array = shift) -> float:
            return float(shift @ gradient(d + x * shift))

        step = most if slope(most) >= 0.0 else brentq(slope, 0.0, most, xtol=1e-14)
        weights[best] += step
        weights[worst] = 0.0 if step == most else most - step
    return weights / weights.sum()


@named
def maximum_entropy(
    mdp: FiniteMDP, gamma: float, tolerance: float = 1e-4, max_steps: int = 2000
) -> tuple[OccupancyPlan, float]:
    """Policy with the most even state occupancy (entropy in nats), by `frank_wolfe`."""
    owner = mdp.state_of_row()

    def states(d: Array) -> Array:
        return np.maximum(np.add.reduceat(d, mdp.sa_ptr[:-1]), 1e-300)

    return frank_wolfe(
        mdp, gamma, lambda d: -float(states(d) @ np.log(states(d))),
        lambda d: -(np.log(np.maximum(states(d), 1e-12)) + 1.0)[owner], tolerance, max_steps,
    )  # fmt: skip


class Expressivity(NamedTuple):
    """Largest margin in J by which one reward separates the policies, and that reward [L]."""

    margin: float
    reward: Array

    def __repr__(self) -> str:
        return brief(self)


@named
def markov_expressivity(
    mdp: FiniteMDP, gamma: float, accepted: list[Array], rejected: list[Array] | None = None
) -> Expressivity:
    """Can a Markov reward in [-1, 1] make all accepted policies equal and better than the rest?

    Policies are deterministic [S]; `rejected` defaults to all others (at most 10^5). A margin of
    0 means that no reward can: the task is outside the formalism.
    """
    if not accepted:
        raise ValueError("at least one policy must be accepted")
    inside = {tuple(np.asarray(p).tolist()) for p in accepted}
    if rejected is None:
        options = [mdp.a_id[a:b] for a, b in itertools.pairwise(mdp.sa_ptr)]
        if np.prod([float(o.size) for o in options]) > 1e5:
            raise ValueError("more than 1e5 policies: list the rejected ones")
        rejected = [np.array(p) for p in itertools.product(*options) if p not in inside]
    good = [occupancy(mdp, np.asarray(p), gamma) for p in accepted]
    bad = [occupancy(mdp, np.asarray(p), gamma) for p in rejected]
    size = mdp.num_rows
    equal = np.array([np.append(d - good[0], 0.0) for d in good[1:]]).reshape(-1, size + 1)
    worse = np.array([np.append(d - good[0], 1.0) for d in bad]).reshape(-1, size + 1)
    found = linprog(
        np.append(np.zeros(size), -1.0), A_ub=worse, b_ub=np.zeros(len(worse)),
        A_eq=equal if len(equal) else None, b_eq=np.zeros(len(equal)) if len(equal) else None,
        bounds=[(-1, 1)] * size + [(0, 2)], method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the program: {found.message}")
    return Expressivity(float(found.x[-1]), found.x[:-1])


def _program(
    mdp: FiniteMDP, gamma: float, cost: Array, rewards: Array, rows: Array, limits: Array,
    extra: int = 0,
) -> OccupancyPlan:  # fmt: skip
    """min cost.(d, extra variables) over occupancies with rows.(d, extra) <= limits."""
    if check_gamma(gamma) == 1.0 or not mdp.is_stochastic:
        raise ValueError("occupancy programmes need gamma < 1 and no termination; see restarting()")
    flow = flow_matrix(mdp, gamma).toarray().T
    found = linprog(
        cost, A_ub=rows if len(rows) else None, b_ub=limits if len(rows) else None,
        A_eq=np.c_[flow, np.zeros((len(flow), extra))], b_eq=(1.0 - gamma) * mdp.initial_law(),
        bounds=[(0, None)] * mdp.num_rows + [(None, None)] * extra, method="highs",
    )  # fmt: skip
    if found.status == 2:
        raise ValueError("no policy satisfies the limits")
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the program: {found.message}")
    d = np.maximum(found.x[: mdp.num_rows], 0.0)
    return OccupancyPlan(d, policy_of(mdp, d), rewards @ d, float(-found.fun))


def _rewards(mdp: FiniteMDP, rewards: Array) -> Array:
    table = np.asarray(rewards, np.float64)
    if table.ndim != 2 or table.shape[1] != mdp.num_rows or not np.isfinite(table).all():
        raise ValueError(f"rewards must be finite [k, {mdp.num_rows}], got {table.shape}")
    return table

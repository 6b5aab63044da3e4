"""Distances between reward functions under fixed dynamics: STARC, EPIC, DARD, and regret.

A STARC metric is m(s(R1), s(R2)) with s(R) = c(R) / n(c(R)): c canonicalises (linear, and equal
exactly for rewards that differ by potential shaping and S'-redistribution), n is a norm, m the
norm of a difference (Skalse et al. 2023, "STARC"). EPIC (Gleave et al. 2020) and DARD (Wulfe et
al. 2022) are invariant to shaping only, so they tell apart rewards with the same policy ordering.

Rewards are tables R [S, A, S]; the dynamics come from a complete FiniteMDP without termination
(make terminal states absorbing with zero reward), whose own rewards are ignored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog

from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.linear_program import flow_matrix
from rlkit.theory.planning.solvers import solve
from rlkit.theory.validate import (
    as_reals,
    check_choice,
    check_fraction,
    check_gamma,
    check_positive,
    settings,
)

Canonical = Callable[[Array, Array, float], Array]  # (P, R, gamma) -> [S, A, S]
TRIVIAL = 1e-10  # a canonical reward this small next to its reward counts as zero


@settings(gamma=check_fraction)
def val_canonical(P: Array, R: Array, gamma: float, policy: Array | None = None) -> Array:
    """Value-adjusted levelling: E_{s'}[R + gamma V(s')] - V(s), the same for every s', [S, A, S].

    V is the value of `policy` [S, A] (default uniform). The image has value 0 under it.
    """
    r = (P * R).sum(2)
    v = _value(P, r, gamma, policy)
    return np.broadcast_to((r + gamma * P @ v - v[:, None])[:, :, None], R.shape).copy()


@settings(gamma=check_fraction)
def val_potential_canonical(P: Array, R: Array, gamma: float, policy: Array | None = None) -> Array:
    """R + gamma V(s') - V(s): shaping by the value only. Not a STARC canonicalisation, because
    rewards with equal means over s' keep different images."""
    v = _value(P, (P * R).sum(2), gamma, policy)
    return R + gamma * v - v[:, None, None]


@settings(gamma=check_fraction)
def minimal_canonical(P: Array, R: Array, gamma: float) -> Array:
    """Reward of least l2 norm among all shapings and S'-redistributions of R, [S, A, S].

    Given its mean e(s, a), the least row is e P(s, a, .) / |P(s, a)|^2, so what is left is a
    weighted least-squares problem in the potential.
    """
    size = np.sqrt((P**2).sum(2))  # [S, A]
    moves = (gamma * P - np.eye(len(P))[:, None, :]) / size[:, :, None]
    mean = (P * R).sum(2) / size
    phi = np.linalg.lstsq(moves.reshape(-1, len(P)), -mean.ravel(), rcond=None)[0]
    return ((mean + moves @ phi) / size)[:, :, None] * P


@settings(gamma=check_fraction)
def minimal_potential_canonical(P: Array, R: Array, gamma: float) -> Array:
    """Reward of least l2 norm among the potential shapings of R (ignores P), [S, A, S].

    The normal equations of R + gamma phi(s') - phi(s) over all triples. Invariant to shaping
    only, hence no STARC canonicalisation.
    """
    n, actions, _ = R.shape
    # Column x of the shaping map is gamma [s' = x] - [s = x].
    gram = actions * (n * (1.0 + gamma**2) * np.eye(n) - 2.0 * gamma)
    slope = gamma * R.sum((0, 1)) - R.sum((1, 2))
    phi = np.linalg.solve(gram, -slope)
    return R + gamma * phi - phi[:, None, None]


@settings(gamma=check_fraction)
def epic_canonical(
    P: Array, R: Array, gamma: float, state_law: Array | None = None,
    action_law: Array | None = None,
) -> Array:  # fmt: skip
    """R + gamma m(s') - m(s) - gamma E m(S), m(s) = E R(s, A, S'), S' and A independent of P.

    The laws [S], [A] default to uniform.
    """
    states = _law(state_law, len(R))
    m = np.einsum("sax,a,x->s", R, _law(action_law, R.shape[1]), states)
    return R + gamma * m - m[:, None, None] - gamma * (states @ m)


@settings(gamma=check_fraction)
def dard_canonical(P: Array, R: Array, gamma: float, action_law: Array | None = None) -> Array:
    """EPIC with next states drawn from P: m(s) = E R(s, A, S'), S' ~ P(s, A), and the constant
    replaced by gamma E R(S', A, S''), S' ~ P(s, A), S'' ~ P(s', A) with the same A."""
    law = _law(action_law, R.shape[1])
    m = (P * R).sum(2) @ law
    pairs = np.zeros((len(R), len(R)))
    for a, weight in enumerate(law):
        pairs += weight * (P[:, a] @ R[:, a] @ P[:, a].T)  # [s, s']
    return R + gamma * m - m[:, None, None] - gamma * pairs[:, None, :]


CANONICAL: dict[str, Canonical] = {
    "val": val_canonical,
    "val_potential": val_potential_canonical,
    "minimal": minimal_canonical,
    "minimal_potential": minimal_potential_canonical,
    "epic": epic_canonical,
    "dard": dard_canonical,
    "none": lambda P, R, gamma: R,
}
STARC = ("val", "minimal")  # the canonicalisations that make a STARC metric


def reward_norm(P: Array, R: Array, order: float = 2, weighted: bool = False) -> float:
    """l1, l2 or max norm of a reward table; `weighted` multiplies |R|^p by P (the max norm then
    looks at possible transitions only)."""
    size = np.abs(as_reals("R", R))
    if isinstance(order, bool):
        raise ValueError(f"norm order must be 1, 2 or inf, got {order}")
    if order == np.inf:
        return float((size * (P > 0) if weighted else size).max())
    if order not in (1, 2):
        raise ValueError(f"norm order must be 1, 2 or inf, got {order}")
    powers = size**order
    return float((powers * P if weighted else powers).sum() ** (1.0 / order))


def standardise(
    mdp: FiniteMDP, R: Array, gamma: float, canonical: str = "val", normaliser: float = 2,
    weighted: bool = False,
) -> Array:  # fmt: skip
    """c(R) / n(c(R)) [S, A, S], all zero if c(R) vanishes (next to R); order 0: c(R) itself."""
    P, R = _tables(mdp, R, gamma)
    check_choice("canonical", canonical, CANONICAL)
    image = CANONICAL[canonical](P, R, gamma)
    if normaliser == 0 and not isinstance(normaliser, bool):
        return image
    size = reward_norm(P, image, normaliser, weighted)
    if size <= TRIVIAL * reward_norm(P, R, normaliser) or size == 0.0:
        return np.zeros_like(image)
    return image / size


def reward_distance(
    mdp: FiniteMDP, R1: Array, R2: Array, gamma: float, canonical: str = "val",
    normaliser: float = 2, metric: float | None = None, weighted: bool = False,
) -> float:  # fmt: skip
    """|s(R1) - s(R2)|, a STARC metric for canonical "val" (default) and "minimal".

    Between 0 and 2 when both norms are the same (halve it for the scale 0..1); a trivial reward
    is at distance 0 from another one and 1 from any other. `normaliser` 0, 1, 2 or inf is the
    norm n (0: none), `metric` the norm of the difference (default: the normaliser, or 2).
    ValueError on shapes, non-finite rewards, gamma outside [0, 1) and terminating models.
    """
    order = metric if metric is not None else (normaliser or 2)
    first = standardise(mdp, R1, gamma, canonical, normaliser, weighted)
    second = standardise(mdp, R2, gamma, canonical, normaliser, weighted)
    return reward_norm(mdp.dense()[0], first - second, order, weighted)


def pearson_distance(
    mdp: FiniteMDP, R1: Array, R2: Array, gamma: float, canonical: str = "epic",
    coverage: Array | None = None,
) -> float:  # fmt: skip
    """sqrt((1 - rho) / 2) of the canonical rewards, rho their correlation under `coverage`.

    With "epic" or "dard" this is the distance of those papers, in [0, 1]. `coverage` [S, A, S]
    is a law over transitions, default uniform. ValueError if a canonical reward is constant.
    """
    P, _ = _tables(mdp, R1, gamma)
    law = np.full(P.shape, 1.0 / P.size) if coverage is None else np.asarray(coverage, float)
    if law.shape != P.shape or (law < 0).any() or not abs(law.sum() - 1.0) < 1e-8:
        raise ValueError(f"coverage must be a law over transitions of shape {P.shape}")
    parts = []
    for name, R in (("R1", R1), ("R2", R2)):
        image = standardise(mdp, R, gamma, canonical, 2)
        image = image - (law * image).sum()
        deviation = np.sqrt((law * image**2).sum())
        if deviation <= TRIVIAL * np.abs(image).max() or deviation == 0.0:
            raise ValueError(f"{name} is constant after canonicalisation: no correlation")
        parts.append(image / deviation)
    # |x - y|^2 / 4 equals (1 - rho) / 2 without cancellation near rho = 1.
    return float(0.5 * np.sqrt((law * (parts[0] - parts[1]) ** 2).sum()))


def equivalent_reward(
    mdp: FiniteMDP, R: Array, gamma: float, potential: Array, noise: Array | None = None,
    scale: float = 1.0,
) -> Array:  # fmt: skip
    """scale (R + gamma phi(s') - phi(s) + noise - E_{s'} noise): the same order of policies.

    `potential` [S]; `noise` [S, A, S] is redistributed over s', its mean taken off.
    """
    P, R = _tables(mdp, R, gamma)
    scale = check_positive("scale", scale)
    phi = np.asarray(potential, np.float64)
    shaped = R + gamma * phi - phi[:, None, None]
    if noise is not None:
        shaped = shaped + noise - (P * noise).sum(2, keepdims=True)
    return scale * shaped


def optimality_regret(mdp: FiniteMDP, R1: Array, R2: Array, gamma: float) -> float:
    """Regret under R1 of a policy optimal for R2, over the range of returns under R1, in [0, 1].

    Starts from the initial law. 0 when every policy has the same return.
    """
    P, R1 = _tables(mdp, R1, gamma)
    _, R2 = _tables(mdp, R2, gamma)
    r, start = (P * R1).sum(2), mdp.initial_law()
    chosen = solve(mdp.with_rewards((P * R2).sum(2)), gamma, "pi").policy
    best = start @ solve(mdp.with_rewards(r), gamma, "pi").value
    worst = -start @ solve(mdp.with_rewards(-r), gamma, "pi").value
    got = start @ _value(P, r, gamma, np.eye(P.shape[1])[chosen])
    spread = best - worst
    return float((best - got) / spread) if spread > 1e-9 * max(abs(best), abs(worst)) else 0.0


def worst_case_regret(mdp: FiniteMDP, R1: Array, R2: Array, gamma: float) -> float:
    """max J1(p1) - J1(p2) over policies with J2(p2) >= J2(p1), over the range of J1, in [0, 1].

    A linear program over two occupancies. This is the quantity that a STARC metric bounds from
    both sides.
    """
    P, R1 = _tables(mdp, R1, gamma)
    _, R2 = _tables(mdp, R2, gamma)
    state, action = mdp.state_of_row(), mdp.a_id
    r1, r2 = (P * R1).sum(2)[state, action], (P * R2).sum(2)[state, action]
    size = max(float(np.abs(r2).max()), np.finfo(float).tiny)
    flow = flow_matrix(mdp, gamma).toarray().T  # [S, L]
    empty = np.zeros_like(flow)
    start = (1.0 - gamma) * mdp.initial_law()
    r1 = r1 / max(float(np.abs(r1).max()), np.finfo(float).tiny)
    spans = [linprog(sign * r1, A_eq=flow, b_eq=start, method="highs").fun for sign in (-1.0, 1.0)]
    spread = -spans[0] - spans[1]
    if spread <= 1e-9:
        return 0.0
    found = linprog(
        np.r_[-r1, r1], A_ub=np.r_[r2, -r2][None] / size, b_ub=[0.0],
        A_eq=np.block([[flow, empty], [empty, flow]]), b_eq=np.r_[start, start], method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the program: {found.message}")
    return float(-found.fun / spread)


def _value(P: Array, r: Array, gamma: float, policy: Array | None) -> Array:
    n, actions = r.shape
    law = np.full((n, actions), 1.0 / actions) if policy is None else np.asarray(policy, float)
    if law.shape != (n, actions) or not np.allclose(law.sum(1), 1.0):
        raise ValueError(f"policy must be a law over actions of shape {(n, actions)}")
    chain = np.einsum("sa,sax->sx", law, P)
    return solve_chain(chain, (law * r).sum(1), gamma)


def _law(law: Array | None, size: int) -> Array:
    weights = np.full(size, 1.0 / size) if law is None else np.asarray(law, np.float64)
    if weights.shape != (size,) or (weights < 0).any() or not abs(weights.sum() - 1.0) < 1e-8:
        raise ValueError(f"need a law over {size} elements, got shape {weights.shape}")
    return weights


def _tables(mdp: FiniteMDP, R: Array, gamma: float) -> tuple[Array, Array]:
    """P and R [S, A, S], checked."""
    if check_gamma(gamma) == 1.0:
        raise ValueError("reward metrics need gamma < 1")
    if not mdp.is_stochastic or not mdp.is_complete:
        raise ValueError(
            "reward metrics need every action in every state and no termination; add an "
            "absorbing state with zero reward"
        )
    P = mdp.dense()[0]
    rewards = np.asarray(R, np.float64)
    if rewards.shape != P.shape:
        raise ValueError(f"R has shape {rewards.shape}, the model needs {P.shape}")
    if not np.isfinite(rewards).all():
        at = tuple(np.argwhere(~np.isfinite(rewards))[0].tolist())
        raise ValueError(f"R{at} is {rewards[at]}")
    return P, rewards

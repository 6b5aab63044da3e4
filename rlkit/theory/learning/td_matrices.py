"""Exact matrices of linear TD learning: key matrices, fixed points, MSPBE, expected updates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import (
    policy_chain,
    policy_model,
    policy_stop,
    require_termination,
)
from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.structure import stationary_law
from rlkit.theory.validate import as_reals, check_count, check_fraction, check_gamma, check_positive


class TDSystem(NamedTuple):
    """A = Phi' D (I - gamma lam P)^-1 (I - gamma P) Phi, b with r_pi, C = Phi' D Phi, diag D."""

    A: Array
    b: Array
    C: Array
    law: Array

    def __repr__(self) -> str:
        return brief(self)

    def fixed_point(self) -> Array:
        """Solution of A theta = b (least norm if A is singular)."""
        return np.linalg.lstsq(self.A, self.b, rcond=None)[0]

    def mspbe(self, theta: Array) -> float:
        """(b - A theta)' C^+ (b - A theta)."""
        gap = self.b - self.A @ theta
        return float(gap @ np.linalg.lstsq(self.C, gap, rcond=None)[0])


@named
def td_system(
    mdp: FiniteMDP, features: Array, target: Array, gamma: float, lam: float = 0.0,
    behaviour: Array | None = None, law: Array | None = None,
) -> TDSystem:  # fmt: skip
    """The system of TD(lam) for `target`, weighted by the law of states under `behaviour`.

    `law` overrides the weights [S]; else they are the stationary law of the behaviour policy
    (default: the target itself). ValueError for a total return (gamma = lam = 1) of a policy that
    need not terminate.
    """
    check_fraction("lam", lam)
    gamma = check_gamma(gamma)
    p, r = policy_model(mdp, target)
    if gamma * lam == 1.0:
        require_termination(mdp, target)
        p, r = policy_chain(mdp, target)
    n = mdp.num_states
    features = as_reals("features", features, (n, None))
    if law is not None:
        law = as_reals("law", law, (n,))
    else:
        law = stationary_law(policy_chain(mdp, target if behaviour is None else behaviour)[0])
    dense = p.toarray()
    spread = solve_chain(
        p, np.c_[(np.eye(n) - gamma * dense) @ features, r], gamma * lam, policy_stop(mdp, target)
    )
    weighted = features.T * law
    return TDSystem(weighted @ spread[:, :-1], weighted @ spread[:, -1], weighted @ features, law)


@named
def nstep_system(
    mdp: FiniteMDP, features: Array, target: Array, gamma: float, n: int,
    behaviour: Array | None = None,
) -> TDSystem:  # fmt: skip
    """The system of n-step TD: A = Phi' D (I - (gamma P)^n) Phi, b with n discounted rewards."""
    gamma, n = check_gamma(gamma), check_count("n", n)
    p, r = policy_model(mdp, target)
    features = as_reals("features", features, (mdp.num_states, None))
    law = stationary_law(policy_chain(mdp, target if behaviour is None else behaviour)[0])
    ahead, paid = features, np.zeros(mdp.num_states)
    for _ in range(n):
        ahead, paid = gamma * (p @ ahead), r + gamma * (p @ paid)
    weighted = features.T * law
    return TDSystem(weighted @ (features - ahead), weighted @ paid, weighted @ features, law)


@named
def emphatic_system(
    mdp: FiniteMDP, features: Array, target: Array, behaviour: Array, gamma: float
) -> TDSystem:
    """The system of emphatic TD(0): D replaced by f = (I - gamma P')^-1 d_mu."""
    gamma = check_gamma(gamma)
    if gamma == 1.0:
        require_termination(mdp, target)
    p, r = policy_chain(mdp, target) if gamma == 1.0 else policy_model(mdp, target)
    law = stationary_law(policy_chain(mdp, behaviour)[0])
    n = mdp.num_states
    features = as_reals("features", features, (n, None))
    f = solve_chain(p, law, gamma, policy_stop(mdp, target), transpose=True)
    weighted = features.T * f
    key = weighted @ ((sp.eye_array(n) - gamma * p) @ features)
    return TDSystem(key, weighted @ r, weighted @ features, f)


def gradient_direction(system: TDSystem, theta: Array, u: Array, method: str) -> Array:
    """Expected theta-step (per unit of step size) of "gtd2" or "tdc" with auxiliary weights u."""
    if method == "gtd2":
        return system.A.T @ u
    if method == "tdc":
        return system.b - system.A @ theta - (system.C - system.A.T) @ u
    raise ValueError(f"method must be 'gtd2' or 'tdc', got {method!r}")


def expected_iterates(
    system: TDSystem, theta: Array, method: str, alpha: float, beta: float, steps: int
) -> Array:
    """Weights [k] after `steps` expected updates of "td", "gtd2" or "tdc" (u starts at 0)."""
    steps = check_count("steps", steps, 0)
    check_positive("alpha", alpha)
    check_positive("beta", beta, strict=False)
    theta, u = np.array(theta, np.float64), np.zeros(len(theta))
    for _ in range(steps):
        gap = system.b - system.A @ theta
        if method == "td":
            theta = theta + alpha * gap
            continue
        step = gradient_direction(system, theta, u, method)
        u = u + beta * (gap - system.C @ u)
        theta = theta + alpha * step
    return theta

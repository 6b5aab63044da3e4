"""f-divergence-regularised MDPs through occupancy measures, and the correlated-proxy bound.

max over occupancies d of <d, r> - alpha D_f(d || d_ref), solved in the dual over v in R^S by a
damped Newton method. chi-square is f(w) = (w - 1)^2 / 2, HALF of sum (d - d_ref)^2 / d_ref; KL is
over state-action pairs (a joint log-sum-exp), not the action-level entropy of soft VI.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.linear_program import flow_matrix
from rlkit.theory.validate import as_reals, check_between, check_count, check_gamma, check_positive


class RegularisedSolution(NamedTuple):
    """Occupancy d of each row [L] (sums to 1), policy [S, A], dual v [S], objective, the
    primal-dual gap, the largest flow violation, and the Newton steps taken."""

    occupancy: Array
    policy: Array
    v: Array
    objective: float
    gap: float
    flow_error: float
    steps: int

    def __repr__(self) -> str:
        return brief(self)


@named
def solve_regularised(
    mdp: FiniteMDP, gamma: float, alpha: float, reference: Array, divergence: str = "chi2",
    tolerance: float = 1e-10, max_steps: int = 200,
) -> RegularisedSolution:  # fmt: skip
    """Optimum of <d, r> - alpha D_f(d || reference) over occupancies from the initial law.

    `reference` [L] is a positive-or-zero law over rows; d stays within its support. "chi2" or
    "kl". The model must not terminate (restart it instead). ValueError on a reference that
    carries no feasible flow, alpha <= 0 or gamma = 1; ArithmeticError if Newton does not settle.
    """
    check_positive("alpha", alpha)
    check_positive("tolerance", tolerance)
    max_steps = check_count("max_steps", max_steps)
    gamma = check_gamma(gamma)
    if gamma == 1.0:
        raise ValueError("occupancies need gamma < 1")
    if divergence not in ("chi2", "kl"):
        raise ValueError(f"divergence must be 'chi2' or 'kl', got {divergence!r}")
    if not mdp.is_stochastic:
        raise ValueError("occupancies need a model without termination; see restarting()")
    ref = as_reals("reference", reference, (mdp.num_rows,))
    if (ref < 0).any() or not abs(ref.sum() - 1.0) < 1e-8:
        raise ValueError(f"reference must be a law over the {mdp.num_rows} rows")
    start = (1.0 - gamma) * mdp.initial_law()
    uncovered = (start > 0) & (np.add.reduceat(ref, mdp.sa_ptr[:-1]) == 0)
    if uncovered.any():
        raise ValueError(f"reference misses state {int(np.argmax(uncovered))}, a starting state")
    flow = flow_matrix(mdp, gamma)  # E - gamma P, [L, S]
    dual = _chi2_dual if divergence == "chi2" else _kl_dual
    # A small alpha makes the dual nearly piecewise linear: follow the path from a large one.
    spread = max(float(np.ptp(mdp.r)), alpha)
    path = alpha * 4.0 ** np.arange(np.ceil(np.log(spread / alpha) / np.log(4.0)), -1.0, -1.0)
    v, steps = np.zeros(mdp.num_states), 0
    for stage in path:
        aim = tolerance if stage == path[-1] else 1e-6
        v, value, d, taken = _newton(dual, v, flow, mdp.r, start, stage, ref, aim, max_steps)
        steps += taken
    error = float(np.abs(flow.T @ d - start).max())
    # For KL the dual carries alpha log E, whose optimum already has sum d = 1.
    primal = float(d @ mdp.r) - alpha * f_divergence(d, ref, divergence)
    sums = np.add.reduceat(d, mdp.sa_ptr[:-1])
    law = np.divide(d, sums[mdp.state_of_row()], out=np.zeros_like(d), where=d > 0)
    policy = mdp.table(law, 0.0)
    empty = sums <= 0
    counts = np.diff(mdp.sa_ptr)
    policy[empty] = mdp.table(1.0 / counts[mdp.state_of_row()], 0.0)[empty]
    return RegularisedSolution(d, policy, v, primal, value - primal, error, steps)


def f_divergence(d: Array, ref: Array, divergence: str) -> float:
    """sum ref f(d / ref): half chi-square or KL; inf if d leaves the support of ref."""
    if (d[ref <= 0] > 0).any():
        return np.inf
    inside = ref > 0
    w = d[inside] / ref[inside]
    if divergence == "chi2":
        return float(0.5 * ref[inside] @ (w - 1.0) ** 2)
    return float(d[inside] @ np.log(np.where(w > 0, w, 1.0)))


def _chi2_dual(
    v: Array, flow: Any, r: Array, start: Array, alpha: float, ref: Array
) -> tuple[float, Array, Array]:
    """Dual value, occupancy and curvature weights: f* is y + y^2/2 for y >= -1, else -1/2."""
    y = (r - flow @ v) / alpha
    live = y >= -1.0
    conjugate = np.where(live, y + 0.5 * y * y, -0.5)
    d = ref * np.where(live, 1.0 + y, 0.0)
    return float(start @ v + alpha * (ref @ conjugate)), d, ref * live / alpha


def _kl_dual(
    v: Array, flow: Any, r: Array, start: Array, alpha: float, ref: Array
) -> tuple[float, Array, Array]:
    """Dual start.v + alpha log E_ref exp(delta / alpha), with sum d = 1 built in."""
    y = (r - flow @ v) / alpha
    top = float(y[ref > 0].max())
    weight = ref * np.exp(np.minimum(y - top, 0.0))
    total = weight.sum()
    d = weight / total
    return float(start @ v + alpha * (np.log(total) + top)), d, d / alpha


def _newton(
    dual: Any, v: Array, flow: Any, r: Array, start: Array, alpha: float, ref: Array,
    tolerance: float, max_steps: int,
) -> tuple[Array, float, Array, int]:  # fmt: skip
    value, d, curvature = dual(v, flow, r, start, alpha, ref)
    for step in range(max_steps):
        gradient = start - flow.T @ d
        if np.abs(gradient).max() <= tolerance:
            return v, value, d, step
        hessian = (flow.T @ (sp.diags_array(curvature) @ flow)).toarray()
        if dual is _kl_dual:
            mean = flow.T @ d
            hessian -= np.outer(mean, mean) / alpha
        # Constants are a null direction of the KL dual, dead rows one of the chi-square dual.
        ridge = 1e-12 * max(float(np.trace(hessian)), 1e-3 / alpha)
        direction = np.linalg.solve(hessian + ridge * np.eye(v.size), -gradient)
        slope = float(gradient @ direction)
        if slope >= 0:
            direction, slope = -gradient, -float(gradient @ gradient)
        length, noise = 1.0, 1e-14 * max(1.0, abs(value))
        while True:
            trial = v + length * direction
            found = dual(trial, flow, r, start, alpha, ref)
            if found[0] <= value + 1e-4 * length * slope + noise or length < 1e-12:
                break
            length *= 0.5
        v, (value, d, curvature) = trial, found
    raise ArithmeticError(
        f"Newton left a flow violation of {np.abs(start - flow.T @ d).max():.2g} after "
        f"{max_steps} steps; the reference may not support any occupancy"
    )


def correlated_proxy_bound(r: Array, proxy: Array, reference: Array, d: Array) -> float:
    """Lower bound on the standardised true return of occupancy d from that of a proxy reward.

    With R, R~ standardised under `reference` and correlation rho > 0: J(R) >= rho J(R~) -
    sqrt((1 - rho^2) chi2(d || reference)), chi2 the full sum (d - ref)^2 / ref (Correlated
    Proxies). ValueError unless d lies in the support of the reference and rho > 0.
    """
    rho, _, stand_in = _standardise(r, proxy, reference)
    if rho <= 0:
        raise ValueError(f"the proxy must correlate positively with the reward, got {rho:.3g}")
    chi2 = 2.0 * f_divergence(d, np.asarray(reference, np.float64), "chi2")
    if not np.isfinite(chi2):
        raise ValueError("d leaves the support of the reference")
    return float(rho * (d @ stand_in) - np.sqrt(max(0.0, 1.0 - rho * rho) * chi2))


def suggested_weight(r_correlation: float, proxy_deviation: float) -> float:
    """Weight sigma sqrt(1 / rho^2 - 1) of sqrt(chi2) that the bound suggests."""
    r_correlation = check_between("r_correlation", r_correlation, 0.0, 1.0)
    spread = check_positive("proxy_deviation", proxy_deviation, strict=False)
    return float(spread * np.sqrt(1.0 / r_correlation**2 - 1.0))


def _standardise(r: Array, proxy: Array, reference: Array) -> tuple[float, Array, Array]:
    parts = []
    for x in (np.asarray(r, np.float64), np.asarray(proxy, np.float64)):
        centred = x - reference @ x
        deviation = np.sqrt(reference @ centred**2)
        if deviation == 0:
            raise ValueError("a reward is constant under the reference")
        parts.append(centred / deviation)
    return float(reference @ (parts[0] * parts[1])), parts[0], parts[1]

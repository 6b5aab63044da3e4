"""Linear TD learning from a simulated stream: TD(lam), n-step, true-online, GTD2, TDC, emphatic.

Sutton & Barto (2018), Maei (2011), van Seijen et al. (2016), Sutton, Mahmood & White (2016).
Whole replicates inside numba; off-policy by importance ratios of target over behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_law
from rlkit.theory.learning.nstep_td import run_nstep
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import stream, uniform
from rlkit.theory.trajectories import first_above
from rlkit.theory.validate import (
    as_reals,
    check_choice,
    check_count,
    check_counts,
    check_fraction,
    check_gamma,
    check_positive,
    check_seed,
    settings,
)

TD, TRUE_ONLINE, GTD2, TDC, EMPHATIC, NSTEP = range(6)
METHODS = {
    "td": TD, "true-online": TRUE_ONLINE, "gtd2": GTD2, "tdc": TDC, "emphatic": EMPHATIC,
    "nstep": NSTEP,
}  # fmt: skip


@dataclass(frozen=True)
class TDRun:
    """Weights [R, C, k] at steps [C]."""

    steps: Array
    theta: Array

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def td_learn(
    mdp: FiniteMDP | Outcomes, features: Array, target: Array, steps: int, *, gamma: float,
    method: str = "td", n: int = 4, alpha: float = 0.05, beta: float | None = None,
    lam: float = 0.0, power: float = 0.0, offset: float = 1.0, behaviour: Array | None = None,
    theta0: Array | None = None, max_length: int = 0, replicates: int = 1, seed: int = 0,
    checkpoints: int = 20, threads: int = 1,
) -> TDRun:  # fmt: skip
    """Weights learnt along `steps` transitions of the behaviour policy (default: the target).

    Step sizes are alpha / (1 + t / offset)**power; `beta` is that of the auxiliary weights
    (default alpha). Bootstraps through truncation (after `max_length` steps, 0: never), not
    through termination; traces and follow-on weights restart with the episode. gtd2, tdc and
    nstep, whose targets have `n` rewards, are for lam = 0 (ValueError otherwise). Of an `Outcomes`
    every step pays the reward of its outcome, of a FiniteMDP the mean of its row. A diverging run
    returns what it had: check for finiteness.
    """
    steps, replicates, checkpoints, threads, n = check_counts(
        steps=steps, replicates=replicates, checkpoints=checkpoints, threads=threads, n=n
    )
    max_length = check_count("max_length", max_length, 0)
    lam = check_fraction("lam", lam)
    alpha = check_positive("alpha", alpha)
    power = check_positive("power", power, strict=False)
    offset = check_positive("offset", offset)
    if beta is not None:
        beta = check_positive("beta", beta)
    check_choice("method", method, METHODS)
    if method in ("gtd2", "tdc", "nstep") and lam != 0.0:
        raise ValueError(f"{method} is implemented for lam = 0, got {lam}")
    if method == "true-online" and behaviour is not None:
        raise ValueError("true-online TD is on-policy: leave behaviour out")
    (m, world), gamma = world_of(mdp), check_gamma(gamma)
    phi = np.ascontiguousarray(as_reals("features", features, (m.num_states, None)))
    if not phi.shape[1]:
        raise ValueError(f"features has shape {phi.shape}: a state has no number")
    goal = policy_law(m, target)
    law = goal if behaviour is None else policy_law(m, behaviour)
    if (row := np.flatnonzero((goal > 0) & (law <= 0))).size:
        raise ValueError(f"behaviour never takes {m._where(int(row[0]))}, which the target takes")
    ratio = np.divide(goal, law, out=np.zeros_like(goal), where=law > 0)
    marks = np.unique(np.linspace(1, steps, checkpoints + 1).astype(np.int64)[1:])
    theta = np.zeros((replicates, marks.size, phi.shape[1]))
    start = np.zeros(phi.shape[1])
    if theta0 is not None:
        start = np.ascontiguousarray(as_reals("theta0", theta0, start.shape))
    kernel: Any = _run
    nstep: Any = run_nstep

    def one(k: int) -> None:
        if method == "nstep":
            nstep(
                world, m.sa_ptr, m.initial_law(), law, ratio, phi, gamma, n, alpha, power, offset,
                max_length, seed, k, start, marks, theta[k],
            )  # fmt: skip
            return
        kernel(
            METHODS[method], world, m.sa_ptr, m.initial_law(), law, ratio, phi, gamma, lam, alpha,
            alpha if beta is None else beta, power, offset, max_length, seed, k, start, marks,
            theta[k],
        )  # fmt: skip

    each(one, replicates, threads)
    return TDRun(marks, theta)


@njit(cache=True, nogil=True)
def _dot(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@njit(cache=True, nogil=True)
def _run(
    method, world, sa_ptr, mu0, law, ratio, phi, gamma, lam, alpha0, beta0, power, offset,
    max_length, seed, replicate, start, marks, out,
):  # fmt: skip
    rng = stream(seed, replicate, 0)
    d = phi.shape[1]
    theta, u, z = start.copy(), np.zeros(d), np.zeros(d)
    zero = np.zeros(d)
    s, length, mark = np.int64(-1), 0, 0
    follow, rho_before, v_old = 0.0, 1.0, 0.0
    for t in range(1, marks[-1] + 1):
        if s < 0:
            s, length = first_above(mu0, 0, mu0.size, uniform(rng)), 0
            z[:] = 0.0
            follow, rho_before, v_old = 0.0, 1.0, 0.0
        i = first_above(law, sa_ptr[s], sa_ptr[s + 1], uniform(rng))
        target, reward = draw(rng, world, i)
        x, ahead = phi[s], phi[target] if target >= 0 else zero
        rho = ratio[i]
        decay = (1.0 + t / offset) ** -power
        alpha, beta = alpha0 * decay, beta0 * decay
        v, v_next = _dot(theta, x), _dot(theta, ahead)
        delta = reward + gamma * v_next - v
        if method == TD:
            for k in range(d):
                z[k] = rho * (gamma * lam * z[k] + x[k])
                theta[k] += alpha * delta * z[k]
        elif method == TRUE_ONLINE:
            shrink = 1.0 - alpha * gamma * lam * _dot(z, x)
            for k in range(d):
                z[k] = gamma * lam * z[k] + shrink * x[k]
            # delta already holds -v: the Dutch-trace form adds v - v_old to it.
            for k in range(d):
                theta[k] += alpha * (delta + v - v_old) * z[k] - alpha * (v - v_old) * x[k]
            v_old = v_next
        elif method == EMPHATIC:
            follow = rho_before * gamma * follow + 1.0
            emphasis = lam + (1.0 - lam) * follow
            for k in range(d):
                z[k] = rho * (gamma * lam * z[k] + emphasis * x[k])
                theta[k] += alpha * delta * z[k]
            rho_before = rho
        else:
            inner = _dot(u, x)
            for k in range(d):
                if method == GTD2:
                    theta[k] += alpha * rho * (x[k] - gamma * ahead[k]) * inner
                else:
                    theta[k] += alpha * rho * (delta * x[k] - gamma * ahead[k] * inner)
                u[k] += beta * (rho * delta - inner) * x[k]
        length += 1
        s = np.int64(-1) if target < 0 or length == max_length else target
        if t == marks[mark]:
            out[mark] = theta
            mark += 1

"""Distributional policy evaluation: the law of the return of a policy, from every state.

Categorical evaluation is a sqrt(gamma)-contraction in the Cramer distance, quantile evaluation a
gamma-contraction in W-infinity; `exact_laws` enumerates atoms over a finite horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import require_termination
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.returns.laws import (
    Categorical,
    Outcomes,
    Quantile,
    make_plan,
    outcomes_of,
    under_policy,
)
from rlkit.theory.validate import check_count, check_counts, check_gamma, check_positive


class ReturnLaws(NamedTuple):
    """Laws [S, m] in representation `law`; `error` bounds their W1 distance from the truth.

    `converged` says whether the last sweep moved no law by more than the tolerance.
    """

    laws: Array
    law: Categorical | Quantile
    error: Array
    sweeps: int
    converged: bool

    def __repr__(self) -> str:
        return brief(self)

    def mean(self) -> Array:
        """Expected return of each state, [S]."""
        return self.law.mean(self.laws)


@named
def evaluate_laws(
    model: Outcomes | FiniteMDP, policy: Array, gamma: float, law: Categorical | Quantile,
    tolerance: float = 1e-8, max_sweeps: int = 100_000,
) -> ReturnLaws:  # fmt: skip
    """Law of the return under a policy ([S] ids or [S, A] law), by iterating from a sure 0.

    A FiniteMDP counts as having certain rewards given (s, a). `error` [S] adds up, discounted,
    what every projection moved and what lies beyond the last sweep. gamma = 1 needs a policy
    that terminates (ValueError); the error is then that of the sweeps done.
    """
    check_positive("tolerance", tolerance)
    max_sweeps = check_count("max_sweeps", max_sweeps)
    gamma = check_gamma(gamma)
    chain = under_policy(as_outcomes(model), policy)
    if gamma == 1.0:
        require_termination(chain.mdp, np.zeros(chain.mdp.num_states, np.int64))
    plan = make_plan(chain, gamma, law)
    n = chain.mdp.num_states
    laws = np.tile(law.point(0.0), (n + 1, 1, 1))
    start = np.append(np.full(n, _start_error(chain, gamma)), 0.0)
    error = start
    p = chain.mdp.matrix()
    converged, sweeps = False, 0
    while sweeps < max_sweeps and not converged:
        fresh, moved = law.backup(plan, laws)
        sweeps += 1
        change = float(law.distance(fresh[:, 0], laws[:-1, 0]).max())
        laws = np.concatenate([fresh, laws[-1:]])
        error = np.append(moved[:, 0] + gamma * (p @ error[:-1]), 0.0)
        converged = change <= tolerance
    return ReturnLaws(laws[:-1, 0], law, error[:-1], sweeps, converged)


@named
def exact_laws(
    model: Outcomes | FiniteMDP, policy: Array, gamma: float, horizon: int,
    merge: float = 1e-10, limit: int = 1_000_000,
) -> list[tuple[Array, Array]]:  # fmt: skip
    """Atoms and probabilities of the `horizon`-step return from each state, exactly.

    Atoms closer than `merge` are one. ValueError when a state needs more than `limit` atoms.
    """
    horizon, limit = check_counts(horizon=horizon, limit=limit)
    check_positive("merge", merge, strict=False)
    gamma = check_gamma(gamma)
    chain = under_policy(as_outcomes(model), policy)
    nothing = (np.zeros(1), np.ones(1))
    laws = [nothing] * chain.mdp.num_states
    cuts = np.append(np.flatnonzero(np.diff(chain.row, prepend=-1)), chain.row.size)
    for _ in range(horizon):
        fresh = []
        for s in range(chain.mdp.num_states):
            values, weights = [], []
            for j in range(cuts[s], cuts[s + 1]):
                z, q = laws[chain.s2[j]] if chain.s2[j] >= 0 else nothing
                values.append(chain.r[j] + gamma * z)
                weights.append(chain.p[j] * q)
            merged = merge_atoms(np.concatenate(values), np.concatenate(weights), merge)
            if merged[0].size > limit:
                raise ValueError(f"state {s} needs {merged[0].size} atoms, more than {limit}")
            fresh.append(merged)
        laws = fresh
    return laws


def merge_atoms(values: Array, weights: Array, width: float) -> tuple[Array, Array]:
    """Sorted atoms with those closer than `width` to their lower neighbour joined."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    first = np.flatnonzero(np.diff(values, prepend=-np.inf) > width)
    return values[first], np.add.reduceat(weights, first)


def as_law(law: Categorical | Quantile, values: Array, weights: Array) -> Array:
    """Projection of atoms on a representation, [m]."""
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    one = FiniteMDP.from_dense(np.zeros((1, 1, 1)), np.zeros((1, 1)), stop="deficit")
    zeros = np.zeros(values.size, np.int64)
    model = Outcomes(one, zeros, weights, values, zeros - 1)
    point = law.point(0.0)
    out, _ = law.backup(make_plan(model, 0.0, law), np.tile(point, (2, 1, 1)))
    return out[0, 0]


def as_outcomes(model: Outcomes | FiniteMDP) -> Outcomes:
    """The model itself, or an MDP with rewards taken as certain given (s, a)."""
    return outcomes_of(model) if isinstance(model, FiniteMDP) else model


def _start_error(chain: Outcomes, gamma: float) -> float:
    """How far a sure 0 can be from the law of the return."""
    return 0.0 if gamma == 1.0 else float(np.abs(chain.r).max()) / (1.0 - gamma)

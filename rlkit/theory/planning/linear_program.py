"""The linear programs of a discounted MDP, solved by HiGHS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from rlkit.keywords import named
from rlkit.theory.backup import Backup
from rlkit.theory.brief import brief
from rlkit.theory.linear import DENSE_LIMIT
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.iterations import Iterate, Watch
from rlkit.theory.planning.policy_iteration import _exact_value, _krylov_value
from rlkit.theory.validate import check_gamma


class LinearProgram(NamedTuple):
    """Optimal value [S], occupancy of each row [L] (sums to 1 if nothing terminates), J = mu v."""

    value: Array
    occupancy: Array
    objective: float

    def __repr__(self) -> str:
        return brief(self)


def flow_matrix(mdp: FiniteMDP, gamma: float) -> sp.csr_array:
    """E - gamma P [L, S], where E picks the state of each row; its transpose is the flow."""
    gamma, shape = check_gamma(gamma), (mdp.num_rows, mdp.num_states)
    own = sp.csr_array(
        (np.ones(mdp.num_rows), (np.arange(mdp.num_rows), mdp.state_of_row())), shape
    )
    return sp.csr_array(own - gamma * mdp.matrix())


@named
def solve_lp(mdp: FiniteMDP, gamma: float, mu: Array | None = None) -> LinearProgram:
    """Optimum of min (1-gamma) mu.v subject to v(s) >= r(s,a) + gamma P(s,a) v.

    `mu` must be positive everywhere (default uniform), or states it misses get arbitrary
    actions: ValueError, as for gamma = 1. The occupancy is the dual solution.
    """
    if check_gamma(gamma) == 1.0:
        raise ValueError("the linear program needs gamma < 1; solve() takes gamma = 1")
    law = np.full(mdp.num_states, 1.0 / mdp.num_states) if mu is None else np.asarray(mu, float)
    if law.shape != (mdp.num_states,) or not (law > 0).all():
        raise ValueError("mu must be a positive weight for every state")
    cost = (1.0 - gamma) * law / law.sum()
    found = linprog(cost, -flow_matrix(mdp, gamma), -mdp.r, bounds=(None, None), method="highs")
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the program: {found.message}")
    return LinearProgram(found.x, -found.ineqlin.marginals, float(found.fun))


def linear_programming(op: Backup, v: Array, watch: Watch) -> Iterate:
    """The LP's policy, read off the dual, evaluated exactly and certified by one backup."""
    m = op.mdp
    program = solve_lp(m, op.gamma)
    shares = program.occupancy
    top = np.maximum.reduceat(shares, m.sa_ptr[:-1])
    heaviest = np.flatnonzero(shares == top[m.state_of_row()])
    rows = heaviest[np.searchsorted(heaviest, m.sa_ptr[:-1])]
    packed = op.pack(rows)
    if v.size <= DENSE_LIMIT:
        v = _exact_value(op, packed, rows, sparse=False)
    else:
        v = _krylov_value(op, packed, program.value, 0.0)
    out = np.empty_like(v)
    low, high = op.bracket(v, *op(v, out))
    if not watch.done(v, low, high) and not watch.reason:
        watch.reason = f"the program's tolerance leaves a certified width of {high - low:.2g}"
    return Iterate(out, low, high)

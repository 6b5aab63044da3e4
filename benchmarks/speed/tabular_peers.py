"""Solvers to compare rlkit's with, behind one interface: set up once, solve, give the value.

Their own extras, not rlkit's:  pip install quantecon pymdptoolbox mdpsolver
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from rlkit.theory import FiniteMDP, solve
from rlkit.theory.mdp import Array

GAMMA, EPS = 0.99, 1e-6
UNLIMITED = 10**7  # iterations; the defaults of the peers stop early without a word


@dataclass(frozen=True)
class Contestant:
    """`setup` builds the solver's own form of the model, `run` solves it from scratch, [S]."""

    name: str
    setup: Callable[[FiniteMDP], Any]
    run: Callable[[Any], Array]
    heavy: bool = False  # too slow or too large for the big models
    fresh: bool = False  # solving changes the solver, so it is set up anew for every round


def rlkit(label: str, method: str = "mpi", float32: bool = False, **options: Any) -> Contestant:
    def setup(mdp: FiniteMDP) -> FiniteMDP:
        return mdp.as_float32() if float32 else mdp

    def run(mdp: FiniteMDP) -> Array:
        return solve(mdp, GAMMA, method, EPS, **options).value

    return Contestant(f"rlkit {label}", setup, run)


def closed(mdp: FiniteMDP) -> FiniteMDP:
    """The plain form of a model, its terminations as steps to a last state that pays nothing."""
    m = mdp.expanded()
    missing = 1.0 - m.matrix().sum(1)
    if missing.max() < 1e-12:
        return m
    n = m.num_states
    ends = sp.csr_array(missing[:, None])
    stay = sp.csr_array((np.ones(m.num_actions), (range(m.num_actions), [n] * m.num_actions)))
    matrix = sp.vstack([sp.hstack([m.matrix(), ends]), stay], format="csr")
    states = np.concatenate([m.state_of_row(), np.full(m.num_actions, n)])
    actions = np.concatenate([m.a_id, np.arange(m.num_actions)])
    rewards = np.concatenate([m.r, np.zeros(m.num_actions)])
    return FiniteMDP.from_sparse(matrix, rewards, None, None, states, actions)


def quantecon(label: str, method: str, heavy: bool = False, **options: Any) -> Contestant:
    """DiscreteDP in its sparse state-action form; the same stopping rule and precision."""

    def setup(mdp: FiniteMDP) -> Any:
        from quantecon.markov import DiscreteDP

        m = closed(mdp)
        p = sp.csr_matrix((m.val, m.col, m.row_ptr), shape=(m.num_rows, m.num_states))
        return DiscreteDP(m.r, p, GAMMA, m.state_of_row(), m.a_id)

    def run(problem: Any) -> Array:
        limit = {} if method == "policy_iteration" else {"epsilon": EPS}
        return problem.solve(method=method, max_iter=UNLIMITED, **limit, **options).v

    return Contestant(f"quantecon {label}", setup, run, heavy)


def mdptoolbox() -> Contestant:
    """pymdptoolbox's value iteration on sparse transitions; needs every action in every state.

    It stops at the span of a step and returns a value off by a constant: the precision given is
    that of the policy. Its constructor (Python loops over the states) counts as setup. Its policy
    iterations, modified or not, make a dense matrix of S x S and take minutes at 10,000 states.
    """

    def setup(mdp: FiniteMDP) -> Any:
        from mdptoolbox import mdp as toolbox

        m = closed(mdp)
        rows, table = m.matrix(), m.row_table()
        matrices = [sp.csr_matrix(rows[table[:, a]]) for a in range(m.num_actions)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return toolbox.ValueIteration(matrices, m.table(m.r), GAMMA, epsilon=EPS)

    def run(problem: Any) -> Array:
        problem.V, problem.iter = np.zeros(problem.S), 0  # else it goes on from where it is
        problem.run()
        return np.array(problem.V)

    return Contestant("pymdptoolbox vi", setup, run, heavy=True)


def mdpsolver(label: str, **options: Any) -> Contestant:
    """mdpsolver (C++, as many OpenMP threads as OMP_NUM_THREADS allows); takes nested lists."""

    def setup(mdp: FiniteMDP) -> Any:
        import mdpsolver as package

        m = closed(mdp)
        rows = [slice(a, b) for a, b in zip(m.row_ptr[:-1], m.row_ptr[1:], strict=True)]
        states = [range(a, b) for a, b in zip(m.sa_ptr[:-1], m.sa_ptr[1:], strict=True)]
        problem = package.model()
        problem.mdp(
            discount=GAMMA,
            rewards=[m.r[list(state)].tolist() for state in states],
            tranMatProbs=[[m.val[rows[i]].tolist() for i in state] for state in states],
            tranMatColumns=[[m.col[rows[i]].tolist() for i in state] for state in states],
        )
        return problem

    def run(problem: Any) -> Array:
        problem.solve(tolerance=EPS, **options)  # a second call would go on from the first
        return np.array(problem.getValueVector())

    return Contestant(f"mdpsolver {label}", setup, run, True, True)


RLKIT = [
    rlkit("mpi"),
    rlkit("mpi, 2 threads", threads=2),
    rlkit("mpi, float32", float32=True),
    rlkit("mpi, float32, 2 threads", float32=True, threads=2),
    rlkit("vi", "vi"),
    rlkit("pi", "pi"),
    rlkit("anderson", "anderson"),
]
QUANTECON = [
    quantecon("mpi, k 20 (default)", "modified_policy_iteration"),
    quantecon("mpi, k 5", "modified_policy_iteration", k=5),
    quantecon("vi", "value_iteration", heavy=True),
]
OTHERS = [
    mdptoolbox(),
    mdpsolver("mpi", algorithm="mpi"),
    mdpsolver("mpi, gs", algorithm="mpi", update="gs"),
]
# quantecon's policy iteration factorises: hopeless on large random graphs, good on small ones.
SLOW_MIXING = [quantecon("pi", "policy_iteration"), rlkit("gs", "gs")]

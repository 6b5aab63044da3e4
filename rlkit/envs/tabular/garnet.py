"""Random MDPs: Garnet, banded Garnet, and a factored Garnet."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.evaluation import policy_model
from rlkit.theory.mdp import MAX_STATES, FiniteMDP
from rlkit.theory.planning.structure import recurrent_classes
from rlkit.theory.streams import integer, stream, uniform
from rlkit.theory.validate import check_count, check_seed, settings

_SIZES = settings(states=check_count, actions=check_count, successors=check_count, seed=check_seed)


@_SIZES
def garnet(
    states: int, actions: int, successors: int, seed: int = 0, unichain: bool = False
) -> FiniteMDP:
    """Garnet(S, A, b): b distinct uniform successors a row, Dirichlet(1) weights, r ~ U(0, 1).

    With `unichain`, resampled (by raising an inner counter) until the policy optimal at
    discount .99 has a single recurrent class.
    """
    _check(states, successors, states)
    for attempt in range(1000):
        mdp = _random_mdp(states, actions, successors, states, seed, attempt)
        if not unichain or _has_unichain_optimum(mdp):
            return mdp
    raise ArithmeticError(f"no unichain Garnet({states}, {actions}, {successors}) in 1000 draws")


@settings(width=partial(check_count, least=0))
@_SIZES
def banded_garnet(
    states: int, actions: int, successors: int, width: int, seed: int = 0
) -> FiniteMDP:
    """Garnet whose successors of s lie within s - width .. s + width (cut at the ends)."""
    _check(states, successors, width + 1)
    return _random_mdp(states, actions, successors, width, seed, 0)


@settings(endogenous=check_count, exogenous=check_count, actions=check_count, seed=check_seed)
def factored_garnet(endogenous: int, exogenous: int, actions: int, seed: int = 0) -> FiniteMDP:
    """Random deterministic moves x a random dense exogenous chain, r ~ U(0, 1)."""
    rng = np.random.default_rng(seed)
    shape = (endogenous, exogenous, actions)
    chain = rng.dirichlet(np.ones(exogenous), exogenous)
    return FiniteMDP.factored(rng.integers(endogenous, size=shape), chain, rng.random(shape))


def _check(states: int, successors: int, room: int) -> None:
    if successors > min(states, room):
        raise ValueError(f"need 1 <= successors <= {min(states, room)}, got {successors}")
    if states > MAX_STATES:
        raise ValueError(f"{states} states do not fit int32 successors")


def _random_mdp(
    states: int, actions: int, successors: int, width: int, seed: int, attempt: int
) -> FiniteMDP:
    rows = states * actions
    col = np.empty(rows * successors, np.int32)
    val = np.empty(rows * successors)
    r = np.empty(rows)
    _fill(states, actions, successors, width, seed, attempt, col, val, r)
    return FiniteMDP(
        sa_ptr=np.arange(states + 1) * actions, row_ptr=np.arange(rows + 1) * successors,
        col=col, val=val, r=r, a_id=np.tile(np.arange(actions, dtype=np.int32), states),
    )  # fmt: skip


def _has_unichain_optimum(mdp: FiniteMDP) -> bool:
    from rlkit.theory.planning.solvers import solve

    p, _ = policy_model(mdp, solve(mdp, 0.99).policy)
    return int(recurrent_classes(p).max()) == 0


@njit(cache=True, nogil=True)
def _fill(states, actions, successors, width, seed, attempt, col, val, r):
    rng = stream(seed, attempt, 0)
    for s in range(states):
        low = max(0, s - width)
        span = min(states, s + width + 1) - low
        for a in range(actions):
            row = s * actions + a
            r[row] = uniform(rng)
            start, total = row * successors, 0.0
            for n in range(successors):
                # Floyd's sampling without replacement, inserted in order.
                j = span - successors + n
                pick = low + integer(rng, j + 1)
                place = start
                while place < start + n and col[place] < pick:
                    place += 1
                if place < start + n and col[place] == pick:
                    pick = low + j
                    place = start + n
                for k in range(start + n, place, -1):
                    col[k] = col[k - 1]
                col[place] = pick
                weight = -math.log(1.0 - uniform(rng))
                val[start + n] = weight
                total += weight
            for k in range(start, start + successors):
                val[k] /= total

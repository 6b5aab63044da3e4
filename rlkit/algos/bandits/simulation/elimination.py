"""Arm elimination: successive elimination and its burn-in form for tallying bandits.

Successive elimination (Even-Dar, Mannor & Mansour 2006): every surviving arm once a round; with n
pulls each and radius sqrt(ln(4 K n² / delta) / (2 n)) drop a if m_a + rad < max_b m_b - rad.

Tallying elimination (in the manner of Malik, Li & Singh 2022/2023, weighted tallying bandits under
repeated exposure optimality; constants ours): in epoch s = 0, 1, ... every surviving arm is played
M times unseen, which saturates its tally, and then 2^s times; drop a if its mean is below the best
by more than 2 sqrt(ln(2 K ceil(log2 T) T) / (2 · 2^s)). Doubling epochs keep the burn-in at
M K log2 T plays; epochs of constant length would pay M plays for every sample.
"""

import math

from rlkit.algos.bandits.simulation.state import CACHE, CACHE_2, CACHE_3
from rlkit.envs.bandits.jit import kernel

SUCCESSIVE_ELIMINATION, TALLYING_ELIMINATION = 30, 31
DROPPED, SUM, COUNT = CACHE, CACHE_2, CACHE_3  # rows of the state block
POINTER, ROUND, PLAYS = 3, 4, 5  # places in the scalars


@kernel()
def _advance(st, sc):
    """Move the pointer to the next surviving arm; True when it wrapped around."""
    arms = st.shape[1]
    arm = int(sc[POINTER]) + 1
    while arm < arms and st[DROPPED, arm] == 1.0:
        arm += 1
    if arm < arms:
        sc[POINTER] = arm
        return False
    arm = 0
    while st[DROPPED, arm] == 1.0:
        arm += 1
    sc[POINTER] = arm
    return True


@kernel()
def _drop(st, width):
    """Drop the arms whose mean lies more than `width` below the largest surviving mean."""
    best = -math.inf
    for a in range(st.shape[1]):
        if st[DROPPED, a] == 0.0:
            best = max(best, st[SUM, a] / st[COUNT, a])
    for a in range(st.shape[1]):
        if st[DROPPED, a] == 0.0 and st[SUM, a] / st[COUNT, a] < best - width:
            st[DROPPED, a] = 1.0


@kernel()
def select_elimination(sc):
    """The arm whose turn it is."""
    return int(sc[POINTER])


@kernel()
def update_elimination(policy, par, horizon, arm, reward, st, sc):
    """Count the reward, and at the end of a round or epoch drop arms."""
    arms = st.shape[1]
    if policy == SUCCESSIVE_ELIMINATION:
        st[SUM, arm] += reward
        st[COUNT, arm] += 1.0
        if _advance(st, sc):
            sc[ROUND] += 1.0
            n = sc[ROUND]
            _drop(st, 2.0 * math.sqrt(math.log(4.0 * arms * n * n / par[0]) / (2.0 * n)))
            if st[DROPPED, int(sc[POINTER])] == 1.0:
                _advance(st, sc)
        return
    burn_in, kept = par[0], 2.0 ** sc[ROUND]
    sc[PLAYS] += 1.0
    if sc[PLAYS] > burn_in:
        st[SUM, arm] += reward
        st[COUNT, arm] += 1.0
    if sc[PLAYS] < burn_in + kept:
        return
    sc[PLAYS] = 0.0
    if _advance(st, sc):
        sc[ROUND] += 1.0
        epochs = max(1.0, math.ceil(math.log2(horizon)))
        _drop(st, 2.0 * math.sqrt(math.log(2.0 * arms * epochs * horizon) / (2.0 * kept)))
        for a in range(arms):
            st[SUM, a], st[COUNT, a] = 0.0, 0.0
        if st[DROPPED, int(sc[POINTER])] == 1.0:
            _advance(st, sc)

"""Policies that forget at a constant rate: action values with a constant step, the gradient bandit.

Sutton & Barto 2018, sections 2.4 to 2.8; no arm is owed a first pull, t is the round:
  constant step  Q_a begins at `initial`;  Q_A += step (r - Q_A), or (r - Q_A) / N_A with step 0;
                 play the largest Q, or with probability eps a uniform arm. An initial value above
                 all rewards makes a greedy policy try every arm.
  gradient       pi = softmax(H);  H_a += step (r - b) (1{a = A} - pi_a),  b the mean of the rewards
                 before this one (of none the reward itself), or 0 without `baseline`. The step's
                 expectation is step times the gradient of the expected reward in H, whatever b.
"""

import math

from rlkit.algos.bandits.simulation.state import (
    CACHE,
    CACHE_2,
    MEAN,
    PULLS,
    argmax_random_tie,
)
from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import below, uniform

CONSTANT_STEP, GRADIENT = 50, 51
VALUE, PREFERENCE, PROBABILITY = MEAN, CACHE, CACHE_2  # rows of the state block
ROUNDS, BASELINE = range(2)  # places in the scalars


@kernel()
def softmax(preference, probability):
    """Write exp(H) / sum exp(H) of [K] into `probability`."""
    top, total = preference[0], 0.0
    for a in range(1, preference.size):
        top = max(top, preference[a])
    for a in range(preference.size):
        probability[a] = math.exp(preference[a] - top)
        total += probability[a]
    for a in range(preference.size):
        probability[a] /= total


@inlined()
def begin_constant(policy, par, st):
    """The state before the first round: all values at `initial`."""
    if policy == CONSTANT_STEP:
        for a in range(st.shape[1]):
            st[VALUE, a] = par[2]


@kernel()
def select_constant(policy, par, st, score, stream):
    """The arm of this round."""
    arms = st.shape[1]
    if policy == CONSTANT_STEP:
        if uniform(stream) < par[0]:
            return below(stream, arms)
        for a in range(arms):
            score[a] = st[VALUE, a]
        return argmax_random_tie(score, stream)
    softmax(st[PREFERENCE], st[PROBABILITY])
    u = uniform(stream)
    for a in range(arms - 1):
        u -= st[PROBABILITY, a]
        if u < 0.0:
            return a
    return arms - 1


@kernel()
def update_constant(policy, par, arm, reward, st, sc):
    """Move the played arm's value, or all preferences, by one step."""
    st[PULLS, arm] += 1.0
    if policy == CONSTANT_STEP:
        step = par[1] if par[1] > 0.0 else 1.0 / st[PULLS, arm]
        st[VALUE, arm] += step * (reward - st[VALUE, arm])
        return
    baseline = 0.0
    if par[1] == 1.0:
        baseline = sc[BASELINE] if sc[ROUNDS] > 0.0 else reward
    for a in range(st.shape[1]):
        taken = 1.0 if a == arm else 0.0
        st[PREFERENCE, a] += par[0] * (reward - baseline) * (taken - st[PROBABILITY, a])
    sc[ROUNDS] += 1.0
    sc[BASELINE] += (reward - sc[BASELINE]) / sc[ROUNDS]

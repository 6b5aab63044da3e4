"""Simple index policies on constant means, many runs in step: the same records as `armed`.

A round of one run is a chain of steps that wait for each other, and each is too short for vector
instructions. Here every step is a loop over `RUNS` runs, innermost and contiguous, which the
compiler turns into vector instructions; the state of these runs stays in the first caches. The
formulas, the streams and the order of draws are those of `index_policies`, so that records agree
bit for bit and a rest of less than `RUNS` runs can go through `armed`.
"""

import math

import numpy as np

from rlkit.algos.bandits.simulation.index_policies import (
    EPS_GREEDY,
    MOSS,
    TS_GAUSS,
    UCB,
    moss_width,
)
from rlkit.envs.bandits.dynamics import (
    BERNOULLI,
    RANDOM_MEANS,
    STATIONARY,
    best_mean,
    noisy,
    reset_memory,
)
from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import (
    ENVIRONMENT,
    POLICY,
    below,
    normals,
    open_stream,
    uniforms,
)

RUNS = 32  # in step
_CACHE = 1 << 19  # bytes of L2 for their state

# Rows of the state: pulls, reward sum, empirical mean, and what the policy's score is made of.
_PULLS, _TOTAL, _MEAN, _INDEX, _SCALE, _SCORE = range(6)
_ROWS = 6
_REWARDS, _CHOICES = range(2)  # streams of a run


def fits(policy, env, paired):
    """Whether `run_in_step` can simulate this."""
    known = policy in (UCB, MOSS, EPS_GREEDY, TS_GAUSS)
    constant = env.kind in (STATIONARY, RANDOM_MEANS)
    return known and constant and not paired and 8 * RUNS * _ROWS * env.arms <= _CACHE


@inlined()
def _leaders(score, best, arm, ties):
    """Of scores [K, W] the largest, the first arm that has it, and how many do; all [W] floats."""
    for w in range(best.size):
        best[w], arm[w], ties[w] = score[0, w], 0.0, 1.0
    for a in range(1, score.shape[0]):
        number = np.float64(a)
        for w in range(best.size):
            x, top = score[a, w], best[w]
            same = ties[w] + 1.0 if x == top else ties[w]
            ties[w] = 1.0 if x > top else same
            arm[w] = number if x > top else arm[w]
            best[w] = x if x > top else top


@inlined()
def _one_of_the_tied(score, best, skip):
    """The arm of score [K] that equals `best` after `skip` others."""
    for a in range(score.size):
        if score[a] == best:
            if skip == 0:
                return a
            skip -= 1
    return 0


@inlined()
def _choose(policy, par, t, st, streams, best, lead, ties, u, arm):
    """The arm of every run in round t, after K initial pulls."""
    arms, choices = st.shape[1], streams[_CHOICES]
    row, eps = _MEAN, 0.0
    if policy == UCB:
        row, width = _SCORE, math.sqrt(0.5 * par[0] * math.log(t))
        for a in range(arms):
            for w in range(arm.size):
                st[_SCORE, a, w] = st[_MEAN, a, w] + width * st[_INDEX, a, w]
    elif policy == MOSS:
        row = _INDEX
    elif policy == TS_GAUSS:
        row = _SCORE
        for w in range(arm.size):
            normals(choices[:, w], st[_INDEX, :, w], st[_SCALE, :, w], st[_SCORE, :, w])
    else:
        eps = par[0]
        if par[1] > 0.0:
            eps = min(1.0, par[1] * arms / (par[2] * par[2] * t))
        uniforms(choices, u)
    score = st[row]
    _leaders(score, best, lead, ties)
    alone = True
    for w in range(arm.size):
        arm[w] = np.int64(lead[w])
        if policy == EPS_GREEDY and u[w] < eps:
            ties[w] = np.float64(arms)
        alone &= ties[w] == 1.0
    if alone:
        return
    for w in range(arm.size):
        if ties[w] > 1.0:
            skip = below(choices[:, w], np.int64(ties[w]))
            if policy == EPS_GREEDY and u[w] < eps:
                arm[w] = skip
            else:
                arm[w] = _one_of_the_tied(score[:, w], best[w], skip)


@inlined()
def _pay(env, means, streams, arm, best, u, reward, regret):
    """The reward of every run's arm."""
    rewards = streams[_REWARDS]
    if env.noise == BERNOULLI:
        uniforms(rewards, u)
        for w in range(arm.size):
            mean = means[w, arm[w]]
            reward[w] = 1.0 if u[w] < mean else 0.0
            regret[w] += best[w] - mean
    else:
        for w in range(arm.size):
            mean = means[w, arm[w]]
            reward[w] = noisy(env, mean, rewards[:, w])
            regret[w] += best[w] - mean


@inlined()
def _learn(policy, par, horizon, st, streams, arm, reward, pulls, total, mean, index):
    """Statistics of every run's arm: gathered, computed side by side, put back."""
    for w in range(arm.size):
        a = arm[w]
        pulls[w] = st[_PULLS, a, w] + 1.0
        total[w] = st[_TOTAL, a, w] + reward[w]
        st[_PULLS, a, w], st[_TOTAL, a, w] = pulls[w], total[w]
    if policy == TS_GAUSS:
        for w in range(arm.size):
            mean[w] = total[w] * (1.0 / (pulls[w] + 1.0))
            index[w] = par[0] / math.sqrt(pulls[w] + 1.0)
        for w in range(arm.size):
            st[_INDEX, arm[w], w], st[_SCALE, arm[w], w] = mean[w], index[w]
        return
    for w in range(arm.size):
        mean[w] = total[w] / pulls[w]
    for w in range(arm.size):
        st[_MEAN, arm[w], w] = mean[w]
    if policy == UCB:
        for w in range(arm.size):
            index[w] = 1.0 / math.sqrt(pulls[w])
    elif policy == MOSS:
        for w in range(arm.size):
            index[w] = mean[w] + moss_width(pulls[w], horizon, st.shape[1])
    else:
        return
    for w in range(arm.size):
        st[_INDEX, arm[w], w] = index[w]


@kernel()
def run_in_step(policy, par, env, first_run, horizon, seed, checkpoints, regret, pulls, path, work):
    """`run_armed` for a multiple of `RUNS` runs, unpaired, where `fits` holds."""
    st, streams, means, memory, arm, top, total, lanes = work
    best, lead, ties, u, reward, count, gained, mean, index = lanes
    for start in range(0, regret.shape[0], arm.size):
        st[:] = 0.0
        total[:] = 0.0
        for w in range(arm.size):
            run = first_run + start + w
            open_stream(streams[_REWARDS, :, w], seed, run, ENVIRONMENT)
            open_stream(streams[_CHOICES, :, w], seed, run, POLICY)
            reset_memory(env, means[w], memory, streams[_REWARDS, :, w])
            top[w] = best_mean(env, 1, means[w])
        c = 0
        for t in range(1, horizon + 1):
            if t <= env.arms:
                arm[:] = t - 1
            else:
                _choose(policy, par, t, st, streams, best, lead, ties, u, arm)
            _pay(env, means, streams, arm, top, u, reward, total)
            _learn(policy, par, horizon, st, streams, arm, reward, count, gained, mean, index)
            if t == checkpoints[c]:
                for w in range(arm.size):
                    regret[start + w, c] = total[w]
                    for a in range(env.arms):
                        pulls[start + w, a] = np.int64(st[_PULLS, a, w])
                        path[c, a] += pulls[start + w, a]
                c += 1


def workspace(env):
    """The work arrays of one `run_in_step` call: state, streams, means, ... and nine rows."""
    return (
        np.empty((_ROWS, env.arms, RUNS)),
        np.empty((2, 2, RUNS), np.uint64),
        np.empty((RUNS, env.arms)),
        np.empty(env.arms, np.int64),
        np.empty(RUNS, np.int64),
        np.empty(RUNS),
        np.empty(RUNS),
        tuple(np.empty(RUNS) for _ in range(9)),
    )

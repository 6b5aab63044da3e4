"""Last-switch-dependent bandits: the randomised cycle policy, and learning it by exploring first.

Cycle policy. Every arm draws one cycle of the relaxation (`planning.relaxation`) with the plan's
probability and a uniform phase. Each round, among the arms whose VIRTUAL cycle plays, the one with
the largest virtual reward is played; the others advance virtually as if played. With rewards that
do not decrease over ..., -2, -1, 1, 2, ... the real state dominates the virtual one, and
independent phases keep at least 1 - 1/e of the relaxation.

Online. Force every (arm, state) `samples` times, plan with the isotonic regression of the means,
rest once, and commit (explore-then-commit, in the manner of Laforgue et al. 2022).
"""

import math

import numpy as np
from scipy.optimize import isotonic_regression

from rlkit.algos.bandits.memory.planning import ALWAYS, CyclePlan, relaxation
from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.dynamics import IDLE, memory_reward, noisy, reset_memory
from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import ENVIRONMENT, POLICY, below, open_stream, uniform


@kernel()
def run_script(env, actions, run, seed, means, memory, stream, rewards, gains):
    """Play `actions` [T] (IDLE allowed); fills realised rewards [T] and expected ones [T]."""
    open_stream(stream, seed, run, ENVIRONMENT)
    reset_memory(env, means, memory, stream)
    for t in range(actions.size):
        gains[t] = memory_reward(env, actions[t], t + 1, means, memory)
        rewards[t] = 0.0 if actions[t] == IDLE else noisy(env, gains[t], stream)


@kernel()
def run_cycles(env, rest, plays, share, rested, played, run, seed, means, memory, streams, out):
    """Follow the cycle plan from fully rested arms for the rounds of out.

    `out` is (gains [T] expected rewards, choices [T] arms or IDLE, cycle [K, 3] work). Virtual
    rewards come from rested, played [K, n]. Returns how often a played arm's real state was below
    its virtual one, which never happens.
    """
    gains, choices, cycle = out
    own, noise = streams[0], streams[1]
    open_stream(own, seed, run, POLICY)
    open_stream(noise, seed, run, ENVIRONMENT)
    reset_memory(env, means, memory, noise)
    arms, n, below_virtual = rest.shape[0], rested.shape[1], 0
    for i in range(arms):
        u, which = uniform(own), IDLE
        if u < share[i, 0]:
            which = 0
        elif u < share[i, 0] + share[i, 1]:
            which = 1
        cycle[i, 1] = 0
        if which != IDLE:
            cycle[i, 0], cycle[i, 1] = rest[i, which], plays[i, which]
            length = cycle[i, 0] + cycle[i, 1]
            # "always play" starts at its limit, as a cycle of unbounded length almost surely does
            cycle[i, 2] = 2 * n if cycle[i, 1] == ALWAYS else below(own, length)
    for t in range(gains.size):
        arm, best, state = IDLE, -1.0, 0
        for i in range(arms):
            if cycle[i, 1] == 0:
                continue
            place = cycle[i, 2] - cycle[i, 0]  # plays already made in this cycle
            if place >= 0:
                virtual = rested[i, cycle[i, 0] - 1] if place == 0 else played[i, min(place, n) - 1]
                if virtual > best:
                    arm, best = i, virtual
                    state = cycle[i, 0] if place == 0 else -min(place, n)
            cycle[i, 2] += 1
            if cycle[i, 2] == cycle[i, 0] + cycle[i, 1]:
                cycle[i, 2] = 0
        if arm != IDLE and memory[arm] < state:
            below_virtual += 1
        choices[t] = arm
        gains[t] = memory_reward(env, arm, t + 1, means, memory)
    return below_virtual


def follow_plan(
    env, plan: CyclePlan, tables: tuple, first_run: int, runs: int, horizon: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Expected rewards [R, T] and choices [R, T] (IDLE is -1) of the cycle policy.

    `env` is the flat `Tables`; `tables` the (rested, played) rewards that the policy believes.
    Raises RuntimeError when a real state fell below its virtual one: the rules are then broken.
    """
    gains, choices = np.empty((runs, horizon)), np.empty((runs, horizon), np.int64)
    work = (np.empty(env.arms), np.empty(env.arms, np.int64), np.empty((2, 2), np.uint64))
    cycle = np.empty((env.arms, 3), np.int64)
    for r in range(runs):
        out = (gains[r], choices[r], cycle)
        parts = (plan.rest, plan.plays, plan.share, *tables, first_run + r, seed, *work, out)
        if run_cycles(env, *parts):
            raise RuntimeError("a real state fell below its virtual one")
    return gains, choices


def exploration_script(arms: int, n: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions [T0] that visit every (arm, state) `samples` times, and the state [T0] of each play.

    States are those of `LastSwitch` (positive: rests, negative: plays in a row), 0 while idle. The
    script ends with n idle rounds, so that it leaves every arm fully rested.
    """
    actions: list[int] = []
    states: list[int] = []
    for arm in range(arms):
        for _ in range(samples):
            # The arm is fully rested here, so the first play also gives a sample of tau = n.
            actions += [arm] * (n + 1)
            states += [n, *range(-1, -n - 1, -1)]
            for a in range(1, n):
                actions += [IDLE] * a + [arm]
                states += [0] * a + [a]
            actions += [IDLE] * n
            states += [0] * n
    return np.array(actions), np.array(states)


def isotonic_tables(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rested, played) [K, n] that do not decrease over -n, ..., -1, 1, ..., n.

    Least squares to the means of sums, counts [K, 2n], whose columns run over the states in that
    order, weighted by counts.
    """
    n = sums.shape[1] // 2
    fits = [
        isotonic_regression(s / np.maximum(c, 1), weights=np.maximum(c, 1e-9)).x
        for s, c in zip(sums, counts, strict=True)
    ]
    fitted = np.clip(np.array(fits), 0.0, None)
    return fitted[:, n:].copy(), fitted[:, :n][:, ::-1].copy()


def default_samples(arms: int, n: int, horizon: int) -> int:
    """Visits of each state: the (T / cost)^(2/3) law, and no more than a quarter of the horizon."""
    horizon = whole("horizon", horizon)
    cost = len(exploration_script(1, n, 1)[0]) * arms
    law = math.ceil((horizon / cost) ** (2.0 / 3.0))
    return max(1, min(law, horizon // (4 * cost)))


def explore_then_follow(
    env, first_run: int, runs: int, horizon: int, seed: int, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Expected rewards [R, T] and choices [R, T] of the online learner; see the module's text."""
    runs, horizon, samples = (
        whole(name, value)
        for name, value in (("runs", runs), ("horizon", horizon), ("samples", samples))
    )
    arms, n = env.arms, env.first.shape[1]
    needed = samples * exploration_script(arms, n, 1)[0].size
    if needed > horizon:
        raise ValueError(
            f"exploring {samples} samples of each state takes {needed} rounds, "
            f"more than the horizon {horizon}; lower samples or raise the horizon"
        )
    script, states = exploration_script(arms, n, samples)
    gains, choices = np.empty((runs, horizon)), np.empty((runs, horizon), np.int64)
    means, memory = np.empty(arms), np.empty(arms, np.int64)
    stream, rewards = np.empty(2, np.uint64), np.empty(script.size)
    played = states != 0
    column = np.where(states < 0, states + n, states + n - 1)[played]
    for r in range(runs):
        head = gains[r, : script.size]
        run_script(env, script, first_run + r, seed, means, memory, stream, rewards, head)
        sums, counts = np.zeros((arms, 2 * n)), np.zeros((arms, 2 * n))
        np.add.at(sums, (script[played], column), rewards[played])
        np.add.at(counts, (script[played], column), 1.0)
        tables = isotonic_tables(sums, counts)
        choices[r, : script.size] = script
        left = horizon - script.size
        tail = follow_plan(env, relaxation(*tables), tables, first_run + r, 1, left, seed)
        gains[r, script.size :], choices[r, script.size :] = tail[0][0], tail[1][0]
    return gains, choices

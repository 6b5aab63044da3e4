"""The simulation loop of K-armed policies: run by run, round by round, one small state block.

Time stays in the inner loop so that a run's state (a few hundred bytes) never leaves the L1 cache;
an array over runs would turn every step into several passes over memory.
"""

import numpy as np

from rlkit.algos.bandits.simulation.adversarial import EXP3, select_adversarial, update_adversarial
from rlkit.algos.bandits.simulation.constant_steps import (
    CONSTANT_STEP,
    begin_constant,
    select_constant,
    update_constant,
)
from rlkit.algos.bandits.simulation.elimination import (
    SUCCESSIVE_ELIMINATION,
    select_elimination,
    update_elimination,
)
from rlkit.algos.bandits.simulation.index_policies import select_index, update_index
from rlkit.algos.bandits.simulation.rotting import RAW_UCB, history, select_rotting, update_rotting
from rlkit.algos.bandits.simulation.state import ROWS, SCALARS
from rlkit.envs.bandits.dynamics import (
    BLOCKING,
    IDLE,
    SEGMENTS,
    begin_round,
    best_mean,
    memory_reward,
    noisy,
    reset_memory,
)
from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import ENVIRONMENT, POLICY, open_stream, open_substream


@kernel()
def _first_unpulled(pulls, available, masked, t):
    """The arm that is owed its first pull in round t; IDLE when there is none."""
    if not masked:
        return t - 1 if t <= pulls.size else IDLE
    for a in range(pulls.size):
        if pulls[a] == 0 and available[a]:
            return a
    return IDLE


@kernel()
def run_armed(
    policy, par, env, first_run, horizon, seed, paired, checkpoints, regret, pulls, path, work
):
    """Simulate runs first_run .. first_run + R - 1 and fill the records in place.

    regret [R, C] sum of reference minus expected reward up to each checkpoint (1-based rounds),
    pulls [R, K] at the end, path [C, K] pulls summed over these runs at each checkpoint.
    """
    arms = env.arms
    st, sc, score, means, memory, available, streams, sums, inverse = work
    env_stream, own_stream, pull_stream = streams[0], streams[1], streams[2]
    masked = env.kind == BLOCKING
    for r in range(regret.shape[0]):
        run = first_run + r
        open_stream(env_stream, seed, run, ENVIRONMENT)
        open_stream(own_stream, seed, run, POLICY)
        open_stream(pull_stream, seed, run, ENVIRONMENT)
        st[:] = 0.0
        sc[:] = 0.0
        begin_constant(policy, par, st)
        reset_memory(env, means, memory, env_stream)
        best, total, c = best_mean(env, 1, means), 0.0, 0
        count = pulls[r]
        for t in range(1, horizon + 1):
            if env.kind >= SEGMENTS:
                begin_round(env, t, means, memory, available)
                best = best_mean(env, t, means)
            if policy < EXP3:
                arm = IDLE
                if t <= arms or masked:
                    arm = _first_unpulled(count, available, masked, t)
                if arm == IDLE:
                    arm = select_index(policy, par, t, st, sc, score, available, masked, own_stream)
            elif policy < SUCCESSIVE_ELIMINATION:
                arm = select_adversarial(policy, par, t, st, sc, own_stream)
            elif policy < RAW_UCB:
                arm = select_elimination(sc)
            elif policy >= CONSTANT_STEP:
                arm = select_constant(policy, par, st, score, own_stream)
            else:
                arm = select_rotting(policy, par, t, count, sums, inverse, score, own_stream)
            mean = means[arm] if env.kind <= SEGMENTS else memory_reward(env, arm, t, means, memory)
            total += best - mean
            if arm != IDLE:
                if paired:
                    open_substream(env_stream, pull_stream, arm, count[arm])
                reward = noisy(env, mean, env_stream)
                count[arm] += 1
                if policy < EXP3:
                    update_index(policy, par, horizon, arm, reward, st, sc, own_stream)
                elif policy < SUCCESSIVE_ELIMINATION:
                    update_adversarial(policy, par, arm, reward, st, sc)
                elif policy < RAW_UCB:
                    update_elimination(policy, par, horizon, arm, reward, st, sc)
                elif policy >= CONSTANT_STEP:
                    update_constant(policy, par, arm, reward, st, sc)
                else:
                    update_rotting(arm, count[arm], reward, sums)
            if t == checkpoints[c]:
                regret[r, c] = total
                for a in range(arms):
                    path[c, a] += count[a]
                c += 1


def workspace(policy, env, horizon):
    """The work arrays of one `run_armed` call: state, scalars, scores, means, memory, streams."""
    windows = history(env.arms, horizon) if RAW_UCB <= policy < CONSTANT_STEP else history(1, 1)
    return (
        np.empty((ROWS, env.arms)),
        np.empty(SCALARS),
        np.empty(env.arms),
        np.empty(env.arms),
        np.empty(max(env.arms, env.weights.size + 1), np.int64),
        np.ones(env.arms, np.bool_),
        np.empty((3, 2), np.uint64),
        *windows,
    )

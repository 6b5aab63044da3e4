"""Dueling policies on a kernel: RUCB, Double Thompson Sampling, sparring, uniform duels.

w_ij wins of i over j, u_ij = w_ij / (w_ij + w_ji) + sqrt(alpha ln t / (w_ij + w_ji)), 1 where no
duel was fought, u_ii = 1/2.
  RUCB      C = {i : u_ij >= 1/2 for all j}; a hypothesised best arm B in C is kept and chosen half
            of the time; its opponent is argmax_j u_jc              Zoghi et al. 2014
  DTS       first: of the arms with the most optimistic wins, the one winning most sampled duels;
            second: the best sampled opponent whose lower bound is at most 1/2   Wu & Liu 2016
  sparring  two anytime Exp3 players, one row and one column        Ailon, Karnin & Joachims 2014
"""

import math

from rlkit.algos.bandits.simulation.adversarial import draw, exponential_weights
from rlkit.algos.bandits.simulation.state import argmax_random_tie
from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import (
    ENVIRONMENT,
    POLICY,
    below,
    gamma,
    open_stream,
    open_substream,
    uniform,
)

UNIFORM_DUELS, RUCB, DOUBLE_TS, SPARRING = range(4)
NOBODY = -1


@kernel()
def _upper_bound(wins, i, j, level):
    if i == j:
        return 0.5
    n = wins[i, j] + wins[j, i]
    return 1.0 if n == 0 else wins[i, j] / n + math.sqrt(level / n)


@kernel()
def _beta(stream, a, b):
    """A Beta(a, b) number for a, b >= 1."""
    da, db = a - 1.0 / 3.0, b - 1.0 / 3.0
    x = gamma(stream, da, 1.0 / math.sqrt(9.0 * da))
    return x / (x + gamma(stream, db, 1.0 / math.sqrt(9.0 * db)))


@kernel()
def _rucb(wins, level, champion, score, stream):
    """(first, second, champion) of RUCB; the first candidates are marked in `score` [K]."""
    arms, candidates = wins.shape[0], 0
    for i in range(arms):
        score[i] = 1.0
        for j in range(arms):
            if _upper_bound(wins, i, j, level) < 0.5:
                score[i] = 0.0
                break
        candidates += int(score[i])
    if champion != NOBODY and score[champion] == 0.0:
        champion = NOBODY
    if candidates == 0:
        first = below(stream, arms)
    elif candidates == 1:
        first = argmax_random_tie(score, stream)
        champion = first
    elif champion != NOBODY and uniform(stream) < 0.5:
        first = champion
    else:
        if champion != NOBODY:
            score[champion] = 0.0
        first = argmax_random_tie(score, stream)
    for j in range(arms):
        score[j] = _upper_bound(wins, j, first, level)
    top = score[0]
    for j in range(1, arms):
        top = max(top, score[j])
    if arms > 1 and score[first] == top:
        others = -math.inf
        for j in range(arms):
            if j != first:
                others = max(others, score[j])
        if others == top:
            score[first] = -math.inf
    return first, argmax_random_tie(score, stream), champion


@kernel()
def _double_ts(wins, level, score, optimistic, stream):
    """(first, second) of Double Thompson Sampling."""
    arms, most = wins.shape[0], -1.0
    for i in range(arms):
        optimistic[i], score[i] = 0.0, 0.0
        for j in range(arms):
            if j != i and _upper_bound(wins, i, j, level) > 0.5:
                optimistic[i] += 1.0
        most = max(most, optimistic[i])
    for i in range(arms):
        for j in range(i + 1, arms):
            if _beta(stream, wins[i, j] + 1.0, wins[j, i] + 1.0) > 0.5:
                score[i] += 1.0
            else:
                score[j] += 1.0
    for i in range(arms):
        if optimistic[i] < most:
            score[i] = -1.0
    first = argmax_random_tie(score, stream)
    for i in range(arms):
        n = wins[i, first] + wins[first, i]
        if i == first:
            score[i] = 0.5
        elif n > 0 and wins[i, first] / n - math.sqrt(level / n) > 0.5:
            score[i] = -1.0
        else:
            score[i] = _beta(stream, wins[i, first] + 1.0, wins[first, i] + 1.0)
    return first, argmax_random_tie(score, stream)


@kernel()
def run_dueling(
    policy, alpha, preferences, reference, first_run, seed, paired, checkpoints, regret, pulls, work
):
    """Simulate duels; fills regret [R, C] and pulls [R, K] (both members of a duel count).

    reference [K] is the regret of having an arm in a duel, before the factor 1/2. `pulls` is also
    counted up to checkpoints in work[-1] [C, K].
    """
    wins, score, other, losses, p, streams, path = work
    env_stream, own, root = streams[0], streams[1], streams[2]
    arms, horizon = wins.shape[0], checkpoints[checkpoints.size - 1]
    for r in range(regret.shape[0]):
        open_stream(env_stream, seed, first_run + r, ENVIRONMENT)
        open_stream(root, seed, first_run + r, ENVIRONMENT)
        open_stream(own, seed, first_run + r, POLICY)
        wins[:] = 0.0
        losses[:] = 0.0
        champion, total, c = NOBODY, 0.0, 0
        for t in range(1, horizon + 1):
            level = alpha * math.log(t)
            if policy == RUCB:
                i, j, champion = _rucb(wins, level, champion, score, own)
            elif policy == DOUBLE_TS:
                i, j = _double_ts(wins, level, score, other, own)
            elif policy == SPARRING:
                eta = math.sqrt(math.log(arms) / (t * arms))
                exponential_weights(losses[0], eta, p[0])
                exponential_weights(losses[1], eta, p[1])
                i, j = draw(p[0], own), draw(p[1], own)
            else:
                i, j = below(own, arms), below(own, arms)
            if paired:
                a, b = min(i, j), max(i, j)
                open_substream(env_stream, root, a * arms + b, int(wins[a, b] + wins[b, a]))
                won = (uniform(env_stream) < preferences[a, b]) == (i <= j)
            else:
                won = uniform(env_stream) < preferences[i, j]
            if won:  # a duel of an arm with itself counts on the diagonal, which no index reads
                wins[i, j] += 1.0
            else:
                wins[j, i] += 1.0
            if policy == SPARRING:
                losses[0, i] += (0.0 if won else 1.0) / p[0, i]
                losses[1, j] += (1.0 if won else 0.0) / p[1, j]
            total += 0.5 * (reference[i] + reference[j])
            pulls[r, i] += 1
            pulls[r, j] += 1
            if t == checkpoints[c]:
                regret[r, c] = total
                for a in range(arms):
                    path[c, a] += pulls[r, a]
                c += 1

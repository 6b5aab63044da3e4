"""Compiled sampling rules of best-arm identification; `pure_exploration` says which is which."""

import math

from rlkit.algos.bandits.identification.allocation import pair_cost, solve_weights
from rlkit.algos.bandits.simulation.state import argmax_random_tie
from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import ENVIRONMENT, POLICY, gamma, normal, open_stream, uniform

TRACK_AND_STOP, TOP_TWO_TS, UNIFORM, ORACLE, LUCB = range(5)
RULES = {
    "track_and_stop": TRACK_AND_STOP,
    "top_two_ts": TOP_TWO_TS,
    "uniform": UNIFORM,
    "oracle": ORACLE,
    "lucb": LUCB,
}
FAMILIES = {"bernoulli": 0, "gaussian": 1}
REDRAWS = 1000  # of a top-two challenger; after that the runner-up of the empirical means


@kernel()
def _pull(family, sigma, means, arm, stream, pulls, total):
    if family == 0:
        total[arm] += 1.0 if uniform(stream) < means[arm] else 0.0
    else:
        total[arm] += means[arm] + sigma * normal(stream)
    pulls[arm] += 1


@kernel()
def _empirical(pulls, total, out, stream):
    """Write the empirical means; returns their best arm, ties at random."""
    for a in range(out.size):
        out[a] = total[a] / pulls[a]
    return argmax_random_tie(out, stream)


@kernel()
def _likelihood_ratio(family, sigma, pulls, m, best):
    least = math.inf
    for a in range(m.size):
        if a != best:
            least = min(least, pair_cost(family, sigma, pulls[best], m[best], pulls[a], m[a]))
    return least


@kernel()
def _draw_means(family, sigma, pulls, total, out, stream):
    """A posterior draw of all means: Beta(1, 1) prior, or a flat Gaussian one."""
    for a in range(out.size):
        if family == 0:
            d1, d2 = 1.0 + total[a] - 1.0 / 3.0, 1.0 + pulls[a] - total[a] - 1.0 / 3.0
            x = gamma(stream, d1, 1.0 / math.sqrt(9.0 * d1))
            out[a] = x / (x + gamma(stream, d2, 1.0 / math.sqrt(9.0 * d2)))
        else:
            out[a] = total[a] / pulls[a] + sigma / math.sqrt(pulls[a]) * normal(stream)


@kernel()
def _top_two(family, sigma, pulls, total, m, best, score, stream):
    _draw_means(family, sigma, pulls, total, score, stream)
    first = argmax_random_tie(score, stream)
    if uniform(stream) < 0.5:
        return first
    for _ in range(REDRAWS):
        _draw_means(family, sigma, pulls, total, score, stream)
        other = argmax_random_tie(score, stream)
        if other != first:
            return other
    for a in range(m.size):
        score[a] = m[a] if a != first else -math.inf
    return argmax_random_tie(score, stream)


@kernel()
def _track(weights, pulls, t, score, stream):
    """D-tracking: forced exploration of the least pulled arm, else the arm furthest behind."""
    arms = weights.size
    least = pulls[0]
    for a in range(1, arms):
        least = min(least, pulls[a])
    for a in range(arms):
        if least < math.sqrt(t) - 0.5 * arms:
            score[a] = -pulls[a]
        else:
            score[a] = t * weights[a] - pulls[a]
    return argmax_random_tie(score, stream)


@kernel()
def _lucb_challenger(pulls, m, best, sigma, log_term, score, stream):
    """The arm besides `best` of the largest upper bound; bounds go to `score`."""
    for a in range(m.size):
        score[a] = m[a] + sigma * math.sqrt(2.0 * log_term / pulls[a])
    score[best] = -math.inf
    return argmax_random_tie(score, stream)


@kernel()
def run_identification(
    rule, family, sigma, means, optimal, delta, cap, first_run, seed, chosen, pulls, stopped, work
):
    """Fill chosen [R], pulls [R, K] and stopped [R] with runs of a fixed-confidence rule."""
    m, score, weights, total, streams = work
    env, own = streams[0], streams[1]
    arms = means.size
    for r in range(chosen.size):
        open_stream(env, seed, first_run + r, ENVIRONMENT)
        open_stream(own, seed, first_run + r, POLICY)
        total[:] = 0.0
        count = pulls[r]
        for a in range(arms):
            _pull(family, sigma, means, a, env, count, total)
        t, refresh = arms, 0
        for a in range(arms):
            weights[a] = optimal[a]
        while True:
            best = _empirical(count, total, m, own)
            chosen[r] = best
            if arms == 1:
                stopped[r] = True
                break
            if rule == LUCB:
                log_term = math.log(1.25 * arms * t**4 / delta)
                challenger = _lucb_challenger(count, m, best, sigma, log_term, score, own)
                lower = m[best] - sigma * math.sqrt(2.0 * log_term / count[best])
                if score[challenger] <= lower:
                    stopped[r] = True
                    break
            elif _likelihood_ratio(family, sigma, count, m, best) > math.log(
                (1.0 + math.log(t)) / delta
            ):
                stopped[r] = True
                break
            if t >= cap:
                break
            if rule == LUCB:
                _pull(family, sigma, means, best, env, count, total)
                arm = challenger
                t += 1
            elif rule == TOP_TWO_TS:
                arm = _top_two(family, sigma, count, total, m, best, score, own)
            elif rule == UNIFORM:
                arm = t % arms
            else:
                if rule == TRACK_AND_STOP and t >= refresh:
                    solve_weights(family, sigma, m, best, weights, score)
                    refresh = t + 1 + t // 50
                arm = _track(weights, count, t, score, own)
            _pull(family, sigma, means, arm, env, count, total)
            t += 1


@kernel()
def run_halving(family, sigma, means, budget, first_run, seed, chosen, pulls, work):
    """Successive halving: ceil(log2 K) rounds that share the budget and keep the better half."""
    m, score, alive, total, streams = work
    env, own = streams[0], streams[1]
    arms = means.size
    rounds = 0
    while (1 << rounds) < arms:
        rounds += 1
    for r in range(chosen.size):
        open_stream(env, seed, first_run + r, ENVIRONMENT)
        open_stream(own, seed, first_run + r, POLICY)
        total[:] = 0.0
        alive[:] = 1.0
        left, count = arms, pulls[r]
        for _ in range(rounds):
            each = budget // (left * rounds)
            for a in range(arms):
                if alive[a] == 1.0:
                    for _ in range(each):
                        _pull(family, sigma, means, a, env, count, total)
            # Drop the worst until the better half is left, ties at random.
            for a in range(arms):
                score[a] = -total[a] / count[a] if alive[a] == 1.0 else -math.inf
            keep = (left + 1) // 2
            while left > keep:
                worst = argmax_random_tie(score, own)
                alive[worst], score[worst] = 0.0, -math.inf
                left -= 1
        for a in range(arms):
            m[a] = alive[a]
        chosen[r] = argmax_random_tie(m, own)

"""Index policies as numba functions on the state block of one run.

Every policy scores all arms into `score` [K] and the caller plays the largest score, ties broken at
random. N pulls, m empirical mean, t round, K arms, ln the natural logarithm; rewards larger-better:
  eps-greedy    m, or a uniform arm with probability eps or min(1, c K / (d² t))
  alpha-UCB     m + sqrt(alpha ln t / (2 N)); UCB1 is alpha = 4
  UCB-tuned     m + sqrt(ln t / N · min(1/4, v + sqrt(2 ln t / N))), v the empirical variance
  MOSS          m + sqrt(max(0, ln(T / (K N))) / N)
  MOSS-anytime  m + sqrt((1 + alpha) / 2 · max(0, ln(t / (K N))) / N)
  KL-UCB        max {q : N kl(m, q) <= ln t + c ln ln t}
  IMED          -(N kl(m, m*) + ln N)
  TS-beta       draw of Beta(1 + S, 1 + N - S), S the reward sum, non-binary rewards made binary
  TS-gauss      draw of N(S / (N + 1), sigma² / (N + 1))
Auer et al. 2002 (the first three), Audibert & Bubeck 2009, Degenne & Perchet 2016, Garivier &
Cappe 2011, Honda & Takemura 2015, Agrawal & Goyal 2012 and 2013.
"""

import math

from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import below, gamma, normals, uniform

RANDOM, EPS_GREEDY, UCB, UCB_TUNED, MOSS, MOSS_ANYTIME = range(6)
KL_UCB, IMED, TS_BETA, TS_GAUSS = range(6, 10)

# Rows of the state block [ROWS, K]. A row past MEAN is a cache that only its arm's pull changes.
PULLS, TOTAL, MEAN, CACHE, CACHE_2, CACHE_3, CACHE_4 = range(7)
ROWS = 7
SCALARS = 8

_EDGE = 1e-15  # means are kept this far inside (0, 1) by the Bernoulli divergence
_GRID = 1.04  # a KL-UCB bound is solved for this multiple of the current round
_UNSOLVED = 2.0  # the bound of an arm since whose last pull none was solved: above every index


@inlined()
def argmax_random_tie(score, stream):
    """First the largest value, then one of the arms holding it, uniformly."""
    # Two maxima side by side, so that each step waits for fewer of those before it.
    half = score.size // 2
    best, other = score[score.size - 1], score[0]
    for a in range(half):
        best = max(best, score[a])
        other = max(other, score[a + half])
    best = max(best, other)
    arm, ties = 0, 0
    for a in range(score.size):
        if score[a] == best:
            ties += 1
            arm = a
    if ties > 1:
        skip = below(stream, ties)
        for a in range(score.size):
            if score[a] == best:
                if skip == 0:
                    return a
                skip -= 1
    return arm


@kernel()
def bernoulli_kl(p, q):
    """kl(p, q) = p ln(p/q) + (1-p) ln((1-p)/(1-q)), both kept inside (0, 1)."""
    p, q = min(max(p, _EDGE), 1.0 - _EDGE), min(max(q, _EDGE), 1.0 - _EDGE)
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))


@kernel()
def negative_entropy(p):
    """p ln p + (1-p) ln(1-p), 0 at both ends."""
    if p <= 0.0 or p >= 1.0:
        return 0.0
    return p * math.log(p) + (1.0 - p) * math.log(1.0 - p)


@kernel()
def kl_upper_bound(p, level):
    """The largest q in [p, 1] with kl(p, q) <= level.

    Newton's method from the right: kl(p, .) is convex and increasing there, so the steps never
    cross the root. The start is the smaller of two upper bounds, Pinsker's and the one that drops
    the term p ln(1/q), which is exact at p = 0.
    """
    if p >= 1.0:
        return 1.0
    if p <= 0.0:
        return 1.0 - math.exp(-level)
    base = negative_entropy(p)
    q = min(p + math.sqrt(0.5 * level), 1.0 - math.exp(-(level - base) / (1.0 - p)))
    q = min(q, 1.0 - _EDGE)
    for _ in range(50):
        slope = (q - p) / (q * (1.0 - q))
        if slope <= 0.0:
            return p
        step = (base - p * math.log(q) - (1.0 - p) * math.log(1.0 - q) - level) / slope
        q = min(max(q - step, p), 1.0)
        if step < 1e-14:
            break
    return q


@inlined()
def _level(par, t):
    """What KL-UCB holds N kl(m, q) against: ln t + c ln ln t."""
    log_t = math.log(t)
    return log_t + par[0] * math.log(max(log_t, 1.0)) if par[0] > 0.0 else log_t


@kernel()
def _kl_ucb(par, t, st, sc, score, stream):
    """The exact KL-UCB arm while solving for few indices.

    An index grows with t while its arm rests, so one solved for a later round bounds it from above.
    The arm with the largest bound is played as soon as it is known to reach the second largest
    bound, which takes one divergence; only otherwise is a bound solved for it, if it has none since
    its last pull, and then its index for the present round.
    """
    level = _level(par, t)
    ahead = t * _GRID + 1.0
    arms = score.size
    if t >= sc[0]:  # some bound has run out
        level_ahead = _level(par, ahead)
        sc[0] = ahead
        for a in range(arms):
            if st[CACHE_2, a] <= t:
                st[CACHE, a] = kl_upper_bound(st[MEAN, a], level_ahead / st[PULLS, a])
                st[CACHE_2, a] = ahead
            sc[0] = min(sc[0], st[CACHE_2, a])
    for a in range(arms):
        score[a] = st[CACHE, a]
        st[CACHE_3, a] = 0.0  # 1 once score[a] is exact
    while True:
        arm = argmax_random_tie(score, stream)
        if st[CACHE_3, arm] == 1.0:
            return arm
        second = -1.0
        for a in range(arms):
            if a != arm:
                second = max(second, score[a])
        reached = second <= st[MEAN, arm]
        if not reached and second < score[arm]:
            reached = st[PULLS, arm] * bernoulli_kl(st[MEAN, arm], second) < level
        if reached:
            return arm
        if score[arm] == _UNSOLVED:
            st[CACHE, arm] = kl_upper_bound(st[MEAN, arm], _level(par, ahead) / st[PULLS, arm])
            st[CACHE_2, arm] = ahead
            sc[0] = min(sc[0], ahead)
            score[arm] = st[CACHE, arm]
            continue
        score[arm] = kl_upper_bound(st[MEAN, arm], level / st[PULLS, arm])
        st[CACHE_3, arm] = 1.0


@kernel()
def _score_imed(st, score):
    arms = score.size
    best = st[MEAN, 0]
    for a in range(1, arms):
        best = max(best, st[MEAN, a])
    best = min(max(best, _EDGE), 1.0 - _EDGE)
    log_best, log_rest = math.log(best), math.log(1.0 - best)
    for a in range(arms):
        mean = st[MEAN, a]
        divergence = st[CACHE, a] - mean * log_best - (1.0 - mean) * log_rest
        score[a] = -(st[PULLS, a] * max(divergence, 0.0) + st[CACHE_2, a])


@inlined()
def _pick(score, available, masked, stream):
    """The arm of largest score among the available ones, -1 when there is none."""
    if masked:
        some = False
        for a in range(score.size):
            if available[a]:
                some = True
            else:
                score[a] = -math.inf
        if not some:
            return -1
    return argmax_random_tie(score, stream)


@inlined()
def select_index(policy, par, t, st, sc, score, available, masked, stream):
    """The arm that index policy `policy` plays in round t (1-based), after K initial pulls."""
    arms = score.size
    if policy == KL_UCB:
        return _kl_ucb(par, t, st, sc, score, stream)
    if policy == UCB:
        width = math.sqrt(0.5 * par[0] * math.log(t))
        for a in range(arms):
            score[a] = st[MEAN, a] + width * st[CACHE, a]
    elif policy == MOSS:
        for a in range(arms):
            score[a] = st[CACHE, a]
    elif policy == TS_GAUSS:
        normals(stream, st[CACHE], st[CACHE_2], score)
    elif policy == TS_BETA:
        for a in range(arms):
            x = gamma(stream, st[CACHE, a], st[CACHE_2, a])
            score[a] = x / (x + gamma(stream, st[CACHE_3, a], st[CACHE_4, a]))
    elif policy == EPS_GREEDY:
        eps = par[0]
        if par[1] > 0.0:
            eps = min(1.0, par[1] * arms / (par[2] * par[2] * t))
        explore = uniform(stream) < eps
        for a in range(arms):
            score[a] = 0.0 if explore else st[MEAN, a]
    elif policy == IMED:
        _score_imed(st, score)
    elif policy == UCB_TUNED:
        log_t = math.log(t)
        for a in range(arms):
            per_pull = log_t / st[PULLS, a]
            variance = st[CACHE, a] + math.sqrt(2.0 * per_pull)
            score[a] = st[MEAN, a] + math.sqrt(per_pull * min(0.25, variance))
    elif policy == MOSS_ANYTIME:
        log_t = math.log(t)
        for a in range(arms):
            width = 0.5 * (1.0 + par[0]) * max(0.0, log_t - st[CACHE, a]) / st[PULLS, a]
            score[a] = st[MEAN, a] + math.sqrt(width)
    else:
        for a in range(arms):
            score[a] = 0.0
    return _pick(score, available, masked, stream)


@inlined()
def moss_width(pulls, horizon, arms):
    """Width of MOSS: sqrt(max(0, ln(T / (K N))) / N)."""
    share = horizon / (arms * pulls)
    # From T / K pulls on the width is 0; the test saves the best arm its logarithm.
    return math.sqrt(math.log(share) / pulls) if share > 1.0 else 0.0


@inlined()
def update_index(policy, par, horizon, arm, reward, st, sc, stream):
    """Refresh the statistics of the pulled arm and the caches its policy keeps."""
    if policy == TS_BETA and reward != 0.0 and reward != 1.0:
        reward = 1.0 if uniform(stream) < reward else 0.0
    pulls = st[PULLS, arm] + 1.0
    total = st[TOTAL, arm] + reward
    mean = total / pulls
    st[PULLS, arm], st[TOTAL, arm], st[MEAN, arm] = pulls, total, mean
    if policy == UCB:
        # Roots are taken one pull ahead, so that the next choice does not wait for them.
        st[CACHE, arm] = st[CACHE_2, arm] if pulls > 1.0 else 1.0
        st[CACHE_2, arm] = 1.0 / math.sqrt(pulls + 1.0)
    elif policy == MOSS:
        width = st[CACHE_2, arm] if pulls > 1.0 else moss_width(1.0, horizon, st.shape[1])
        st[CACHE, arm] = mean + width
        st[CACHE_2, arm] = moss_width(pulls + 1.0, horizon, st.shape[1])
    elif policy == TS_GAUSS:
        st[CACHE, arm] = total * (st[CACHE_4, arm] if pulls > 1.0 else 0.5)
        st[CACHE_2, arm] = st[CACHE_3, arm] if pulls > 1.0 else par[0] / math.sqrt(2.0)
        st[CACHE_3, arm] = par[0] / math.sqrt(pulls + 2.0)
        st[CACHE_4, arm] = 1.0 / (pulls + 2.0)
    elif policy == TS_BETA:
        st[CACHE, arm] = 1.0 + total - 1.0 / 3.0
        st[CACHE_2, arm] = 1.0 / math.sqrt(9.0 * st[CACHE, arm])
        st[CACHE_3, arm] = 1.0 + pulls - total - 1.0 / 3.0
        st[CACHE_4, arm] = 1.0 / math.sqrt(9.0 * st[CACHE_3, arm])
    elif policy == KL_UCB:
        st[CACHE, arm], st[CACHE_2, arm] = _UNSOLVED, math.inf
    elif policy == IMED:
        st[CACHE, arm] = negative_entropy(min(max(mean, 0.0), 1.0))
        st[CACHE_2, arm] = math.log(pulls)
    elif policy == UCB_TUNED:
        st[CACHE_2, arm] += reward * reward
        st[CACHE, arm] = max(0.0, st[CACHE_2, arm] / pulls - mean * mean)
    elif policy == MOSS_ANYTIME:
        st[CACHE, arm] = math.log(st.shape[1] * pulls)

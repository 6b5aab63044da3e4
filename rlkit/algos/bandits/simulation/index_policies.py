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

from rlkit.algos.bandits.simulation.beta_thompson import score_betas, select_beta, update_beta
from rlkit.algos.bandits.simulation.kl_ucb import (
    EDGE,
    negative_entropy,
    select_kl_ucb,
    update_kl_ucb,
)
from rlkit.algos.bandits.simulation.state import (
    CACHE,
    CACHE_2,
    CACHE_3,
    CACHE_4,
    MEAN,
    PULLS,
    TOTAL,
    argmax_random_tie,
)
from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import normals, uniform

RANDOM, EPS_GREEDY, UCB, UCB_TUNED, MOSS, MOSS_ANYTIME = range(6)
KL_UCB, IMED, TS_BETA, TS_GAUSS = range(6, 10)


@kernel()
def _score_imed(st, score):
    arms = score.size
    best = st[MEAN, 0]
    for a in range(1, arms):
        best = max(best, st[MEAN, a])
    best = min(max(best, EDGE), 1.0 - EDGE)
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
        return select_kl_ucb(par, t, st, sc, score, stream)
    if policy == TS_BETA and not masked:
        return select_beta(st, sc, stream)
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
        score_betas(st, score, stream)
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
        update_beta(arm, reward, st, sc)
    elif policy == KL_UCB:
        update_kl_ucb(arm, reward, st, sc)
    elif policy == IMED:
        st[CACHE, arm] = negative_entropy(min(max(mean, 0.0), 1.0))
        st[CACHE_2, arm] = math.log(pulls)
    elif policy == UCB_TUNED:
        st[CACHE_2, arm] += reward * reward
        st[CACHE, arm] = max(0.0, st[CACHE_2, arm] / pulls - mean * mean)
    elif policy == MOSS_ANYTIME:
        st[CACHE, arm] = math.log(st.shape[1] * pulls)

"""KL-UCB, the largest q with N kl(m, q) <= ln t + c ln ln t, while solving for few indices.

Garivier & Cappe 2011, for rewards in [0, 1]; kl is the Bernoulli divergence.
"""

import math

from rlkit.algos.bandits.simulation.state import (
    CACHE,
    CACHE_2,
    CACHE_3,
    CACHE_4,
    MEAN,
    PULLS,
    argmax_random_tie,
)
from rlkit.envs.bandits.jit import inlined, kernel

EDGE = 1e-15  # means are kept this far inside (0, 1) by the Bernoulli divergence
_GRID = 1.04  # a bound is solved for this multiple of the current round
_UNSOLVED = 2.0  # the bound of an arm since whose last pull none was solved: above every index
_BASE = CACHE_4  # row of negative entropies
_SURE = 1.0 - 1e-6  # share of the level that leaves room for rounding

# Scalars: when the first bound runs out; the arm played last (plus 1, 0 for none) if it only had to
# reach the second largest bound q, with q, a bound on its N kl(m, q), the level that this may not
# exceed, 1 / q and 1 / (1 - q).
_RUNS_OUT, _HELD, _SECOND, _DIVERGENCE, _LEVEL, _PER_WIN, _PER_LOSS = range(7)


@kernel()
def bernoulli_kl(p, q):
    """kl(p, q) = p ln(p/q) + (1-p) ln((1-p)/(1-q)), both kept inside (0, 1)."""
    p, q = min(max(p, EDGE), 1.0 - EDGE), min(max(q, EDGE), 1.0 - EDGE)
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))


@kernel()
def negative_entropy(p):
    """p ln p + (1-p) ln(1-p), 0 at both ends."""
    if p <= 0.0 or p >= 1.0:
        return 0.0
    return p * math.log(p) + (1.0 - p) * math.log(1.0 - p)


@inlined()
def _start(p, base, level):
    """Not below the largest q in [p, 1] with kl(p, q) <= level; `base` is p's negative entropy.

    The smaller of two upper bounds, Pinsker's and the one that drops the term p ln(1/q), which is
    exact at p = 0 and counts near 1 only.
    """
    q = p + math.sqrt(0.5 * level)
    return min(q, 1.0 - math.exp(-(level - base) / (1.0 - p))) if q > 0.75 else q


@inlined()
def _from_right(p, base, level, q, steps):
    """At most `steps` of Newton's method for the root of kl(p, .) = level from q on its right.

    kl(p, .) is convex and increasing there, so that no step crosses the root.
    """
    q = min(q, 1.0 - EDGE)
    for _ in range(steps):
        slope = (q - p) / (q * (1.0 - q))
        if slope <= 0.0:
            return p
        step = (base - p * math.log(q) - (1.0 - p) * math.log(1.0 - q) - level) / slope
        q = min(max(q - step, p), 1.0)
        if step < 1e-14:
            break
    return q


@kernel()
def kl_upper_bound(p, level):
    """The largest q in [p, 1] with kl(p, q) <= level."""
    if p >= 1.0:
        return 1.0
    if p <= 0.0:
        return 1.0 - math.exp(-level)
    base = negative_entropy(p)
    return _from_right(p, base, level, _start(p, base, level), 50)


@inlined()
def _entropy(st, arm):
    """The negative entropy of the arm's mean, computed once after its last pull."""
    if st[_BASE, arm] == _UNSOLVED:
        st[_BASE, arm] = negative_entropy(st[MEAN, arm])
    return st[_BASE, arm]


@kernel()
def _bound(st, arm, level):
    """A number hardly larger than the arm's index at N kl(m, q) <= level."""
    p, level = st[MEAN, arm], level / st[PULLS, arm]
    if p <= 0.0 or p >= 1.0:
        return kl_upper_bound(p, level)
    base = _entropy(st, arm)
    return _from_right(p, base, level, _start(p, base, level), 2)


@kernel()
def _index(st, arm, level, above):
    """The arm's index, given a number above it."""
    p, level = st[MEAN, arm], level / st[PULLS, arm]
    if p <= 0.0 or p >= 1.0:
        return kl_upper_bound(p, level)
    return _from_right(p, _entropy(st, arm), level, above, 50)


@inlined()
def _divergence(st, arm, q):
    """N kl(m, q) for q in (0, 1)."""
    p = st[MEAN, arm]
    rest = _entropy(st, arm) - p * math.log(q) - (1.0 - p) * math.log(1.0 - q)
    return st[PULLS, arm] * rest


@inlined()
def _level(par, t):
    """What KL-UCB holds N kl(m, q) against: ln t + c ln ln t."""
    log_t = math.log(t)
    return log_t + par[0] * math.log(max(log_t, 1.0)) if par[0] > 0.0 else log_t


@kernel()
def _hold(st, sc, arm, level):
    """Note that `arm` was played, and the bound that the others leave it to reach."""
    mean, second = st[MEAN, arm], 0.0
    for a in range(st.shape[1]):
        if a != arm:
            second = max(second, st[CACHE, a])
    sc[_HELD], sc[_SECOND], sc[_LEVEL] = arm + 1, second, _SURE * level
    sc[_DIVERGENCE] = _divergence(st, arm, second) if mean < second < 1.0 else math.inf
    sc[_PER_WIN], sc[_PER_LOSS] = 1.0 / second, 1.0 / (1.0 - second)


@inlined()
def update_kl_ucb(arm, reward, st, sc):
    """After a pull: no bound is known; N kl(m, q) of a held arm grows by at most a little.

    D(S, N) = N kl(S / N, q) is convex and homogeneous, so a reward r raises it by at most its
    slope after the pull, r ln(m / q) + (1 - r) ln((1 - m) / (1 - q)), and ln x <= x - 1.
    """
    st[CACHE, arm], st[CACHE_2, arm], st[_BASE, arm] = _UNSOLVED, math.inf, _UNSOLVED
    if arm + 1 == sc[_HELD]:
        mean = st[MEAN, arm]
        win, loss = mean * sc[_PER_WIN] - 1.0, (1.0 - mean) * sc[_PER_LOSS] - 1.0
        sc[_DIVERGENCE] += reward * win + (1.0 - reward) * loss


@kernel()
def _search(par, t, st, sc, score, stream):
    """The exact KL-UCB arm while solving for few indices.

    An index grows with t while its arm rests, so one solved for a later round bounds it from above.
    The arm with the largest bound is played as soon as it is known to reach the second largest
    bound, which takes one divergence; only otherwise is a bound solved for it, if it has none since
    its last pull, and then its index for the present round.
    """
    level = _level(par, t)
    sc[_HELD] = 0.0
    ahead = t * _GRID + 1.0
    arms = score.size
    if t >= sc[_RUNS_OUT]:  # some bound has run out
        level_ahead = _level(par, ahead)
        sc[_RUNS_OUT] = ahead
        for a in range(arms):
            if st[CACHE_2, a] <= t:
                st[CACHE, a] = _bound(st, a, level_ahead)
                st[CACHE_2, a] = ahead
            sc[_RUNS_OUT] = min(sc[_RUNS_OUT], st[CACHE_2, a])
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
        if not reached and second < min(score[arm], 1.0):
            reached = _divergence(st, arm, second) < level
        if reached:
            _hold(st, sc, arm, level)
            return arm
        if score[arm] == _UNSOLVED:
            st[CACHE, arm] = _bound(st, arm, _level(par, ahead))
            st[CACHE_2, arm] = ahead
            sc[_RUNS_OUT] = min(sc[_RUNS_OUT], ahead)
            score[arm] = st[CACHE, arm]
            continue
        score[arm] = _index(st, arm, level, score[arm])
        st[CACHE_3, arm] = 1.0


@inlined()
def select_kl_ucb(par, t, st, sc, score, stream):
    """The arm of round t: the held one at once while it surely reaches the second largest bound."""
    held = int(sc[_HELD]) - 1
    surely = st[MEAN, held] >= sc[_SECOND] or sc[_DIVERGENCE] < sc[_LEVEL]
    if held >= 0 and t < sc[_RUNS_OUT] and surely:
        return held
    return _search(par, t, st, sc, score, stream)

"""Beta Thompson sampling without drawing the arms that cannot matter, exact in law.

A round of Thompson sampling asks for the argmax of one draw X_a ~ Beta(A_a, B_a) an arm. A line
l is laid between the leading arm and the others: if the leader's draw is above it and all others'
are below, the leader is played and nobody needs to know the draws. Densities of Beta laws with
A, B >= 1 are log-concave, so beyond its mode arm a's density f_a lies below the exponential that
touches it at the line, whose mass is

  g_a = f_a(l) / k_a,   k_a = |d ln f_a / dx| at l

With probability g_a arm a is a candidate: a point of that exponential is drawn, and kept with the
ratio of the densities there; what is kept is X_a, distributed as it should be, and in all other
cases X_a is known to lie on its own side of the line, on which it may still be drawn by rejection
if it is asked for (Devroye 1986, VII.2). An arm whose g_a exceeds one half is drawn in any case
(g_a = 1). All candidates at once:

  with probability Q = prod (1 - g_a)   nobody is a candidate: the leader is played, for one number
  otherwise                             the first candidate is found from the same number, the
                                        later ones have one each, and the draws are compared

f_a(l) follows a reward by one product, B(A + 1, B) = B(A, B) A / (A + B), and the line is laid anew
after some rounds that were not quiet.
"""

import math

from rlkit.algos.bandits.simulation.state import CACHE, CACHE_2, CACHE_3, PULLS, TOTAL
from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import gamma, uniform

DENSITY, MASS, DRAWN = CACHE, CACHE_2, CACHE_3  # rows: f, g, X
LEADER, LINE, QUIET, OTHERS, LOUD = range(5)  # scalars; OTHERS is Q without the leader's factor
_FAINT = 1e-200  # densities below are computed afresh, as too little may be left of them
_PATIENCE = 8.0  # rounds with candidates that a line outlives
_LEAN = 1.25  # how much further the line is from the leader, whose being below costs most
_ALWAYS = 0.5  # an arm that is oftener a candidate is drawn in every round


@kernel()
def _gamma_of(shape, stream):
    return gamma(stream, shape - 1.0 / 3.0, 1.0 / math.sqrt(9.0 * shape - 3.0))


@kernel()
def draw_beta(a, b, stream):
    """A draw of Beta(a, b), a and b at least 1: the share of one gamma number in two."""
    x = _gamma_of(a, stream)
    return x / (x + _gamma_of(b, stream))


@inlined()
def _slope(st, arm, point):
    """d ln f / dx of the arm at the point."""
    wins = st[TOTAL, arm]
    return wins / point - (st[PULLS, arm] - wins) / (1.0 - point)


@inlined()
def _set_mass(st, sc, arm):
    """The arm's g after its f or the line has changed."""
    slope = _slope(st, arm, sc[LINE])
    if arm != int(sc[LEADER]):
        slope = -slope
    mass = st[DENSITY, arm] / slope
    st[MASS, arm] = mass if slope > 0.0 and mass <= _ALWAYS else 1.0


@inlined()
def _set_quiet(st, sc, others):
    """Q, and its part without the leader if `others` have changed."""
    leader = int(sc[LEADER])
    if others:
        product = 1.0
        for a in range(st.shape[1]):
            product *= 1.0 if a == leader else 1.0 - st[MASS, a]
        sc[OTHERS] = product
    sc[QUIET] = sc[OTHERS] * (1.0 - st[MASS, leader])


@kernel()
def lay_line(st, sc):
    """Choose the leader and the line, and bring every arm's f, g to it.

    The leader has the largest mean; the line is as many standard deviations below it as above the
    arm for which these are fewest.
    """
    arms, leader, best = st.shape[1], 0, -1.0
    for a in range(arms):
        mean = (1.0 + st[TOTAL, a]) / (2.0 + st[PULLS, a])
        st[DRAWN, a] = math.sqrt(mean * (1.0 - mean) / (3.0 + st[PULLS, a]))
        if mean > best:
            leader, best = a, mean
    line, nearest = 0.5 * best, math.inf
    for a in range(arms):
        if a != leader:
            mean = (1.0 + st[TOTAL, a]) / (2.0 + st[PULLS, a])
            apart = (best - mean) / (_LEAN * st[DRAWN, leader] + st[DRAWN, a])
            if apart < nearest:
                line, nearest = best - _LEAN * apart * st[DRAWN, leader], apart
    old = sc[LINE]
    sc[LEADER], sc[LINE], sc[LOUD] = leader, line, 0.0
    log_line, log_rest = math.log(line), math.log(1.0 - line)
    grown, shrunk = math.log(line / old), math.log((1.0 - line) / (1.0 - old))
    for arm in range(arms):
        wins, losses = st[TOTAL, arm], st[PULLS, arm] - st[TOTAL, arm]
        if _FAINT < st[DENSITY, arm] < math.inf:
            st[DENSITY, arm] *= math.exp(wins * grown + losses * shrunk)
        else:
            both = math.lgamma(2.0 + wins + losses)
            log_beta = math.lgamma(1.0 + wins) + math.lgamma(1.0 + losses) - both
            st[DENSITY, arm] = math.exp(wins * log_line + losses * log_rest - log_beta)
        _set_mass(st, sc, arm)
    _set_quiet(st, sc, True)


@kernel()
def _past(st, arm, point, slope, stream):
    """A draw of a candidate that lies beyond the point, or -1 if it is none.

    The exponential that touches the density at the point falls away from it with rate |slope|.
    """
    a = 1.0 + st[TOTAL, arm]
    b = 2.0 + st[PULLS, arm] - a
    step = -math.log(1.0 - uniform(stream))
    x = point - step / slope  # above the point where the density falls, below where it grows
    if not 0.0 < x < 1.0:
        return -1.0
    kept = (a - 1.0) * math.log(x / point) + (b - 1.0) * math.log((1.0 - x) / (1.0 - point)) + step
    return x if math.log(1.0 - uniform(stream)) < kept else -1.0


@inlined()
def _draw(st, arm, stream):
    wins = st[TOTAL, arm]
    return draw_beta(1.0 + wins, 1.0 + st[PULLS, arm] - wins, stream)


@kernel()
def _below(st, sc, arm, point, stream):
    """A draw of an arm that is below the line, or -1 where it is below the point, too.

    What is drawn as if the line were at the point, until it is below the line.
    """
    line, wins = sc[LINE], st[TOTAL, arm]
    losses = st[PULLS, arm] - wins
    slope = wins / point - losses / (1.0 - point)
    shift = wins * math.log(point / line) + losses * math.log((1.0 - point) / (1.0 - line))
    mass = -st[DENSITY, arm] * math.exp(shift) / slope
    while True:
        if slope < 0.0 and mass <= _ALWAYS:
            x = _past(st, arm, point, slope, stream) if uniform(stream) < mass else -1.0
        else:
            x = _draw(st, arm, stream)
        if x <= line:
            return x


@inlined()
def _against_all(st, sc, own, best, arm, stream):
    """The arm to play when nobody is above the line; the leader's draw is `own`."""
    leader = int(sc[LEADER])
    if own >= best:
        best, arm = own, leader
    for a in range(st.shape[1]):
        if a != leader and st[DRAWN, a] < 0.0:
            x = _below(st, sc, a, best, stream)
            if x > best:
                best, arm = x, a
    return arm


@kernel()
def _compare(st, sc, u, stream):
    """The arm to play in a round with candidates; u in [0, 1 - Q) finds the first."""
    arms, leader, line = st.shape[1], int(sc[LEADER]), sc[LINE]
    none_before, found = 1.0, False
    best, arm = -1.0, leader
    for a in range(arms):
        mass, is_one = st[MASS, a], False
        if found:
            is_one = mass == 1.0 or uniform(stream) < mass
        else:
            share = none_before * mass
            is_one = u < share
            u, none_before = u - share, none_before - share
        found |= is_one
        x = -1.0
        if is_one and mass == 1.0:
            x = _draw(st, a, stream)
        elif is_one:
            x = _past(st, a, line, _slope(st, a, line), stream)
        st[DRAWN, a] = x
        if a != leader and x > best:
            best, arm = x, a
    own = st[DRAWN, leader]
    if own < 0.0:  # above the line
        if best <= line:
            return leader
        while own <= line:
            own = _draw(st, leader, stream)
    elif max(own, best) <= line:
        return _against_all(st, sc, own, best, arm, stream)
    return arm if best > own else leader


@inlined()
def select_beta(st, sc, stream):
    """The arm of the largest draw; every arm has been pulled once."""
    if sc[LOUD] >= _PATIENCE or sc[LINE] == 0.0:
        lay_line(st, sc)
    u = uniform(stream)
    if u < sc[QUIET]:
        return int(sc[LEADER])
    sc[LOUD] += 1.0
    return _compare(st, sc, u - sc[QUIET], stream)


@inlined()
def score_betas(st, score, stream):
    """A draw of every arm into `score` [K], for rounds in which not all are available."""
    for a in range(score.size):
        score[a] = _draw(st, a, stream)


@inlined()
def update_beta(arm, reward, st, sc):
    """Bring f, g of the pulled arm and Q to its new statistics; `reward` is 0 or 1."""
    if sc[LINE] == 0.0:
        return
    wins, pulls = st[TOTAL, arm], st[PULLS, arm]
    if reward == 1.0:
        st[DENSITY, arm] *= sc[LINE] * (1.0 + pulls) / wins
    else:
        st[DENSITY, arm] *= (1.0 - sc[LINE]) * (1.0 + pulls) / (pulls - wins)
    _set_mass(st, sc, arm)
    _set_quiet(st, sc, arm != int(sc[LEADER]))

"""Games of general preferences: who beats whom, the minimax winner, Nash-MD and its relatives.

P [n, n] holds P(y beats y'), P + P' = 1. The game is symmetric with value 1/2. Policies are laws
over the n answers. `eta` is a step size everywhere; papers that write 1/eta for it (INPO) are
converted. Sources: Munos et al. 2024 (Nash-MD), Swamy et al. 2024 (SPO), Zhang et al. 2025
(INPO), Wu et al. 2024 (SPPO, which is multiplicative weights), He et al. 2025 (accelerated).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog
from scipy.special import expit, log_softmax

from rlkit.keywords import named
from rlkit.theory.preferences.games import log_law, quantal_response, solve_zero_sum
from rlkit.theory.preferences.mirror_maps import Array, entropy
from rlkit.theory.preferences.online_learning import Hint, Play, constant, mirror_descent
from rlkit.theory.validate import check_count, check_fraction, check_positive, settings


def check_preferences(P: Array) -> Array:
    """P as float64. ValueError naming the pair where P + P' = 1 or 0 <= P <= 1 fails."""
    P = np.asarray(P, np.float64)
    if P.ndim != 2 or P.shape[0] != P.shape[1] or P.size == 0:
        raise ValueError(f"preferences must be square, got shape {P.shape}")
    wrong = ~(np.abs(P + P.T - 1.0) <= 1e-9) | ~((P >= 0) & (P <= 1))
    if wrong.any():
        i, j = np.argwhere(wrong)[0].tolist()
        raise ValueError(f"P[{i}, {j}] = {P[i, j]} and P[{j}, {i}] = {P[j, i]} must sum to 1")
    return P


def bradley_terry(scores: Array) -> Array:
    """P(y beats y') = logistic(scores(y) - scores(y')), [n, n]."""
    scores = np.asarray(scores, np.float64)
    return expit(scores[:, None] - scores[None])


def exploitability(P: Array, policy: Array) -> Array:
    """max_y P(y beats policy) - 1/2, [...] for policies [..., n]; the duality gap is twice it."""
    return (np.asarray(policy) @ check_preferences(P).T).max(-1) - 0.5


def minimax_winner(P: Array) -> Array:
    """A Nash policy of the preference game, [n], by linear programming."""
    return solve_zero_sum(check_preferences(P)).row


def group_maxmin(P: Array) -> tuple[Array, float]:
    """Policy [n] and level v: the largest v such that it beats every answer with probability v
    in every group. P is [groups, n, n]."""
    groups = [check_preferences(p) for p in np.asarray(P)]
    n = len(groups[0])
    against = np.vstack([p.T for p in groups])  # [groups n, n]
    found = linprog(
        np.r_[np.zeros(n), -1.0], A_ub=np.c_[-against, np.ones(len(against))],
        b_ub=np.zeros(len(against)), A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)], method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the game: {found.message}")
    policy = np.maximum(found.x[:n], 0.0)
    return policy / policy.sum(), float(found.x[n])


def regularised_nash(P: Array, tau: float, reference: Array | None = None) -> Array:
    """The unique policy proportional to reference exp(P policy / tau), [n].

    It solves the game P(pi beats pi') - tau KL(pi || ref) + tau KL(pi' || ref).
    """
    P, tau = check_preferences(P), check_positive("tau", tau)
    # Both players' logits solve the same equation, so the two-player solution is symmetric.
    return quantal_response(P, tau, reference, reference).row


@named
def self_play(
    P: Array, eta: float, rounds: int, hint: Hint = "none", start: Array | None = None
) -> Play:
    """Multiplicative weights against oneself, pi <- pi exp(eta P pi): points [rounds, n].

    The average approaches the minimax winner while the last iterate circles it (SPO, SPPO); with
    hint "last" the last iterate converges as well.
    """
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    P = check_preferences(P)
    first = None if start is None else np.exp(log_law(start, len(P)))
    return mirror_descent(
        lambda t, x: -(x @ P.T), entropy(len(P)), constant(eta), rounds, hint, first
    )


@named
def nash_md(
    P: Array, tau: float, rounds: int, eta: float | None = None, reference: Array | None = None,
    start: Array | None = None,
) -> Array:  # fmt: skip
    """Nash-MD policies [rounds + 1, n]: m = pi^(1 - eta tau) ref^(eta tau), pi <- m exp(eta P m).

    The opponent is the mixture m, not pi. eta None is 2 / (tau (t + 2)), with KL(pi*, pi_t) <=
    8 / (tau^2 (t + 1)) for pi* = `regularised_nash`; a fixed eta (at most 1 / tau) settles near
    it, at pi = ref exp(P m / tau).
    """
    check_positive("tau", tau)
    if eta is not None:
        check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    return _regularised_descent(
        P, tau, rounds, lambda t: 2.0 / (tau * (t + 2)) if eta is None else eta, reference, start,
        True,
    )  # fmt: skip


def regularised_descent(
    P: Array, tau: float, rounds: int, eta: float, reference: Array | None = None,
    start: Array | None = None,
) -> Array:  # fmt: skip
    """INPO's exact update [rounds + 1, n]: pi <- pi^(1 - eta tau) ref^(eta tau) exp(eta P pi).

    Mirror descent on the regularised game (opponent pi itself). INPO writes 1 / eta for our eta.
    """
    check_positive("tau", tau)
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    return _regularised_descent(P, tau, rounds, lambda t: eta, reference, start, False)


@settings(size=check_count)
def accelerated(
    payoff: Array | Callable[[Array], Array], eta: float, alpha: float, rounds: int,
    start: Array | None = None, size: int | None = None,
) -> Array:  # fmt: skip
    """Accelerated preference optimisation, policies [rounds + 1, n].

    Step q = pi exp(eta payoff(pi)), then extrapolate: pi <- q (q / q_before)^alpha. alpha = 0 is
    multiplicative weights. `payoff` is a preference matrix or a function of the policy (then
    `size` is n).
    """
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    if check_fraction("alpha", alpha) == 1.0:
        raise ValueError(f"alpha must lie in [0, 1), got {alpha}")
    if callable(payoff):
        score, n = payoff, size
    else:
        P = check_preferences(payoff)
        score, n = (lambda pi: P @ pi), len(P)
    if n is None:
        raise ValueError("a payoff function needs the number of answers, `size`")
    log_pi = before = log_law(start, n)
    out = [np.exp(log_pi)]
    for _ in range(rounds):
        step = log_softmax(log_pi + eta * score(out[-1]))
        log_pi, before = log_softmax(step + alpha * (step - before)), step
        out.append(np.exp(log_pi))
    return np.array(out)


def _regularised_descent(
    P: Array, tau: float, rounds: int, step: Callable[[int], float], reference: Array | None,
    start: Array | None, mixture: bool,
) -> Array:  # fmt: skip
    P = check_preferences(P)
    ref = log_law(reference, len(P))
    log_pi = ref if start is None else log_law(start, len(P))
    out = [np.exp(log_pi)]
    for t in range(rounds):
        eta = step(t)
        if not 0 < eta * tau <= 1.0 + 1e-12:
            raise ValueError(f"eta tau must lie in (0, 1], got {eta * tau} in round {t}")
        mixed = log_softmax((1.0 - eta * tau) * log_pi + eta * tau * ref)
        opponent = np.exp(mixed if mixture else log_pi)
        log_pi = log_softmax(mixed + eta * (P @ opponent))
        out.append(np.exp(log_pi))
    return np.array(out)

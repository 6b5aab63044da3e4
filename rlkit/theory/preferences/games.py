"""Two-player zero-sum matrix games: exact solution, regularised equilibrium, learning dynamics.

The row player picks x and receives x' A y, the column player picks y and receives -x' A y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.special import log_softmax, logsumexp, xlogy

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.preferences.mirror_maps import Array, entropy, product
from rlkit.theory.preferences.online_learning import (
    Hint,
    Play,
    StepRule,
    constant,
    extragradient,
    mirror_descent,
)
from rlkit.theory.validate import check_count, check_positive


class Equilibrium(NamedTuple):
    """Strategies of both players [n], [m] and the value for the row player."""

    row: Array
    column: Array
    value: float

    def __repr__(self) -> str:
        return brief(self)


class Profile(NamedTuple):
    """Strategies played over time, [T, n] and [T, m]."""

    row: Array
    column: Array

    def __repr__(self) -> str:
        return brief(self)


def solve_zero_sum(A: Array) -> Equilibrium:
    """A Nash equilibrium by linear programming (row player's programme, duals for the column)."""
    A = _matrix(A)
    n, m = A.shape
    shift = A.min()  # positive payoffs keep the value free of sign constraints
    found = linprog(
        np.r_[np.zeros(n), -1.0], A_ub=np.c_[-(A - shift).T, np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the game: {found.message}")
    column = np.maximum(-found.ineqlin.marginals, 0.0)
    row = np.maximum(found.x[:n], 0.0)
    return Equilibrium(row / row.sum(), column / column.sum(), float(found.x[n] + shift))


def nash_conv(A: Array, row: Array, column: Array) -> Array:
    """Sum of both players' best-response gains, [...] (the duality gap); 0 only at equilibrium.

    Half of it is the exploitability of sequential games.
    """
    A = _matrix(A)
    row, column = np.asarray(row), np.asarray(column)
    return (column @ A.T).max(-1) - (row @ A).min(-1)


def kl(p: Array, q: Array) -> Array:
    """KL(p || q) along the last axis, [...]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (xlogy(p, p) - np.where(p > 0, p * np.log(q), 0.0)).sum(-1)


@named
def quantal_response(
    A: Array, temperature: float, row_reference: Array | None = None,
    column_reference: Array | None = None, tolerance: float = 1e-12,
) -> Equilibrium:  # fmt: skip
    """The unique equilibrium of x'Ay - t KL(x || rho) + t KL(y || sigma), t = `temperature`.

    Uniform references give the logit quantal response equilibrium. Solved by Newton along a
    falling temperature: the Jacobian is the identity plus a skew part, so it is never singular.
    ArithmeticError if the residual stays above `tolerance`.
    """
    check_positive("temperature", temperature)
    check_positive("tolerance", tolerance)
    A = _matrix(A)
    n, m = A.shape
    base = np.r_[log_law(row_reference, n), log_law(column_reference, m)]
    skew = np.block([[np.zeros((n, n)), A], [-A.T, np.zeros((m, m))]])
    cuts = (slice(0, n), slice(n, n + m))
    logits = base.copy()
    t = max(temperature, float(np.abs(A).max()))
    while True:
        t = max(temperature, t)
        logits = _newton_response(skew, base, logits, t, cuts, tolerance)
        if t == temperature:
            break
        t *= 0.5
    x, y = (np.exp(log_softmax(logits[c])) for c in cuts)
    return Equilibrium(x, y, float(x @ A @ y))


def _newton_response(
    skew: Array, base: Array, logits: Array, t: float, cuts: tuple[slice, ...], tolerance: float
) -> Array:
    def law(z: Array) -> Array:
        return np.concatenate([np.exp(log_softmax(z[c])) for c in cuts])

    def residual(z: Array) -> Array:
        out = z - base - skew @ law(z) / t
        for c in cuts:  # logits are meant up to a constant a player
            out[c] -= out[c].mean()
        return out

    rest = residual(logits)
    for _ in range(100):
        if np.abs(rest).max() <= tolerance:
            return logits
        p = law(logits)
        spread = np.diag(p)
        for c in cuts:
            spread[c, c] -= np.outer(p[c], p[c])
        step = np.linalg.solve(np.eye(logits.size) - skew @ spread / t, -rest)
        length = 1.0
        while length > 1e-9:
            trial = residual(logits + length * step)
            if np.linalg.norm(trial) <= (1 - 1e-4 * length) * np.linalg.norm(rest):
                break
            length *= 0.5
        else:
            # Rounding is all that is left when no shorter step improves.
            if np.abs(rest).max() <= 1e3 * tolerance:
                return logits
            break
        logits, rest = logits + length * step, trial
    raise ArithmeticError(f"Newton left a residual of {np.abs(rest).max():.2g} at temperature {t}")


@named
def magnetic_descent(
    A: Array, temperature: float, eta: float, rounds: int, row_reference: Array | None = None,
    column_reference: Array | None = None,
) -> Profile:  # fmt: skip
    """Magnetic mirror descent: x <- (x exp(eta A y) rho^(eta t))^(1 / (1 + eta t)), both at once.

    Its last iterate converges linearly to `quantal_response` for eta <= t / L^2, L the largest
    |A| (Sokota et al. 2023). Strategies [rounds + 1, ...], the first being the references.
    """
    check_positive("temperature", temperature)
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    A = _matrix(A)
    rho, sigma = log_law(row_reference, A.shape[0]), log_law(column_reference, A.shape[1])
    x, y = rho, sigma
    rows, columns = [np.exp(x)], [np.exp(y)]
    pull = eta * temperature
    for _ in range(rounds):
        gain, loss = A @ columns[-1], A.T @ rows[-1]
        x = log_softmax((x + eta * gain + pull * rho) / (1.0 + pull))
        y = log_softmax((y - eta * loss + pull * sigma) / (1.0 + pull))
        rows.append(np.exp(x))
        columns.append(np.exp(y))
    return Profile(np.array(rows), np.array(columns))


@named
def regret_matching_plus(A: Array, rounds: int) -> tuple[Profile, Equilibrium]:
    """Regret matching+ with alternating updates and linear averaging: the play and its average.

    The averages approach an equilibrium (Tammelin 2014).
    """
    rounds = check_count("rounds", rounds)
    A = _matrix(A)
    n, m = A.shape
    regret_x, regret_y = np.zeros(n), np.zeros(m)
    x, y = np.full(n, 1.0 / n), np.full(m, 1.0 / m)
    rows, columns = np.empty((rounds, n)), np.empty((rounds, m))
    for t in range(rounds):
        gain = A @ y
        regret_x = np.maximum(regret_x + gain - x @ gain, 0.0)
        x = _proportional(regret_x)
        gain = -(x @ A)
        regret_y = np.maximum(regret_y + gain - y @ gain, 0.0)
        y = _proportional(regret_y)
        rows[t], columns[t] = x, y
    weight = 2.0 * np.arange(1, rounds + 1) / (rounds * (rounds + 1))
    mean_x, mean_y = weight @ rows, weight @ columns
    return Profile(rows, columns), Equilibrium(mean_x, mean_y, float(mean_x @ A @ mean_y))


@named
def game_descent(
    A: Array, steps: StepRule | float, rounds: int, hint: Hint = "none",
    start: Array | None = None,
) -> Profile:  # fmt: skip
    """Both players run (optimistic) multiplicative weights at the same time."""
    rounds = check_count("rounds", rounds)
    A = _matrix(A)
    rule = steps if callable(steps) else constant(steps)
    mirror = product(entropy(A.shape[0]), entropy(A.shape[1]))
    return _profile(
        mirror_descent(lambda t, z: _operator(A, z), mirror, rule, rounds, hint, start), A
    )


def game_extragradient(A: Array, eta: float, rounds: int, start: Array | None = None) -> Profile:
    """Mirror-prox of both players; eta <= 1 / max |A| converges."""
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    A = _matrix(A)
    mirror = product(entropy(A.shape[0]), entropy(A.shape[1]))
    return _profile(extragradient(lambda z: _operator(A, z), mirror, eta, rounds, start), A)


def _operator(A: Array, z: Array) -> Array:
    n = A.shape[0]
    return np.concatenate([-z[..., n:] @ A.T, z[..., :n] @ A], axis=-1)


def _profile(play: Play, A: Array) -> Profile:
    return Profile(play.points[..., : A.shape[0]], play.points[..., A.shape[0] :])


def _proportional(positive: Array) -> Array:
    total = positive.sum()
    return positive / total if total > 0 else np.full(positive.size, 1.0 / positive.size)


def log_law(law: Array | None, size: int) -> Array:
    """Logarithm of a full-support law [n], uniform if None. ValueError otherwise."""
    if law is None:
        return np.full(size, -np.log(size))
    weights = np.asarray(law, np.float64)
    if weights.shape != (size,) or not (weights > 0).all():
        raise ValueError(f"need a positive law over {size} actions, got {weights}")
    return np.log(weights) - logsumexp(np.log(weights))


def _matrix(A: Array) -> Array:
    A = np.asarray(A, np.float64)
    if A.ndim != 2 or A.size == 0 or not np.isfinite(A).all():
        raise ValueError(f"a matrix game needs finite payoffs [n, m], got shape {A.shape}")
    return A

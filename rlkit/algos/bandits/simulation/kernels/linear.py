"""Linear bandits on a kernel: LinUCB, OFUL and LinTS with shared or disjoint ridge models.

V = lambda I + sum x x', theta = V^-1 sum r x, s_a = sqrt(x_a' V^-1 x_a):
  LinUCB  argmax x_a' theta + alpha s_a                                       Li et al. 2010
  OFUL    alpha = R sqrt(2 ln(det(V)^1/2 lambda^-d/2 / delta)) + sqrt(lambda) S
                                                      Abbasi-Yadkori, Pal & Szepesvari 2011
  LinTS   shared: one draw theta + v L^-T z a round, V = L L'; disjoint: every arm its own draw,
          which is x' theta_a + v s_a z_a in law      Agrawal & Goyal 2013
A play changes V by rank one: u = V^-1 x, q = x'u, V^-1 -= u u' / (1 + q), ln det V += ln(1 + q),
theta += u (r - x' theta) / (1 + q). Every 1000 plays of a model it is solved anew from V.
"""

import math

from rlkit.algos.bandits.simulation.state import argmax_random_tie
from rlkit.envs.bandits.dynamics import GAUSSIAN
from rlkit.envs.bandits.jit import dense, kernel
from rlkit.envs.bandits.linear import FIXED, PER_ROUND
from rlkit.envs.bandits.streams import (
    ENVIRONMENT,
    NOISE,
    POLICY,
    normal,
    open_stream,
    open_substream,
)

LINUCB, OFUL, LINTS, LINEAR_GREEDY = range(4)
RESOLVE_EVERY = 1000


@dense()
def dot(x, y):
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@dense()
def copy_rows(source, target):
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


@dense()
def matvec(matrix, x, out):
    for i in range(x.size):
        total = 0.0
        for j in range(x.size):
            total += matrix[i, j] * x[j]
        out[i] = total


@dense()
def add_outer(matrix, x, scale):
    """matrix += scale x x'."""
    for i in range(x.size):
        s = scale * x[i]
        for j in range(x.size):
            matrix[i, j] += s * x[j]


@kernel()
def cholesky(matrix, lower):
    """The lower factor of a positive definite matrix; the upper triangle is set to zero."""
    n = matrix.shape[0]
    for j in range(n):
        for i in range(n):
            if i < j:
                lower[i, j] = 0.0
                continue
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(total) if i == j else total / lower[j, j]


@kernel()
def cholesky_update(lower, x):
    """Make `lower` the factor of L L' + x x'; x is overwritten."""
    n = x.size
    for k in range(n):
        r = math.sqrt(lower[k, k] * lower[k, k] + x[k] * x[k])
        c, s = r / lower[k, k], x[k] / lower[k, k]
        lower[k, k] = r
        for i in range(k + 1, n):
            lower[i, k] = (lower[i, k] + s * x[i]) / c
            x[i] = c * x[i] - s * lower[i, k]


@kernel()
def solve_transposed(lower, z):
    """z <- L^-T z."""
    for i in range(z.size - 1, -1, -1):
        total = z[i]
        for k in range(i + 1, z.size):
            total -= lower[k, i] * z[k]
        z[i] = total / lower[i, i]


@kernel()
def _solve_anew(inverse, precision, moment, theta, lower, scratch):
    """Recompute V^-1 and theta from V and sum r x through the Cholesky factor."""
    n = theta.size
    cholesky(precision, lower)
    for j in range(n):  # column j of the inverse: L L' y = e_j
        for i in range(n):
            total = 1.0 if i == j else 0.0
            for k in range(i):
                total -= lower[i, k] * scratch[k]
            scratch[i] = total / lower[i, i]
        solve_transposed(lower, scratch)
        for i in range(n):
            inverse[i, j] = scratch[i]
    matvec(inverse, moment, theta)


@kernel()
def _unit_vector(stream, out):
    size = 0.0
    for i in range(out.size):
        out[i] = normal(stream)
        size += out[i] * out[i]
    for i in range(out.size):
        out[i] /= math.sqrt(size)


@kernel()
def _draw_features(env, features, stream):
    if env.common_context:
        _unit_vector(stream, features[0])
        for a in range(1, features.shape[0]):
            for i in range(features.shape[1]):
                features[a, i] = features[0, i]
    else:
        for a in range(features.shape[0]):
            _unit_vector(stream, features[a])


@kernel()
def run_linear(
    policy, par, disjoint, env, first_run, seed, paired, checkpoints, regret, pulls, path, work
):
    """Simulate runs; fills regret [R, C], pulls [R, K], path [C, K] and covered [R] in work.

    par is (lambda, alpha or v, R, S, delta). covered[r] stays True while the shared model's OFUL
    ellipsoid holds the true parameters.
    """
    inverse, precision, moment, theta, truth, features, ux, score, draw, lower, vector = work[:11]
    log_det, plays, streams, covered = work[11:]
    env_stream, own, noise_stream, root = streams[0], streams[1], streams[2], streams[3]
    arms, dim = features.shape
    ridge = par[0]
    horizon = checkpoints[checkpoints.size - 1]
    for r in range(regret.shape[0]):
        open_stream(env_stream, seed, first_run + r, ENVIRONMENT)
        open_stream(own, seed, first_run + r, POLICY)
        open_stream(noise_stream, seed, first_run + r, NOISE)
        open_stream(root, seed, first_run + r, NOISE)
        inverse[:], precision[:], moment[:], theta[:], lower[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        log_det[:], plays[:] = 0.0, 0
        for m in range(theta.shape[0]):
            for i in range(dim):
                inverse[m, i, i], precision[m, i, i] = 1.0 / ridge, ridge
        for i in range(dim):
            lower[i, i] = math.sqrt(ridge)
        copy_rows(env.theta, truth)
        if env.random_theta:
            for m in range(truth.shape[0]):
                _unit_vector(env_stream, truth[m])
        copy_rows(env.features, features)
        if env.draw != FIXED:
            _draw_features(env, features, env_stream)
        covered[r] = True
        total, c = 0.0, 0
        for t in range(1, horizon + 1):
            if env.draw == PER_ROUND and t > 1:
                _draw_features(env, features, env_stream)
            if policy == LINTS and not disjoint:
                for i in range(dim):
                    draw[i] = normal(own)
                solve_transposed(lower, draw)
                for i in range(dim):
                    draw[i] = theta[0, i] + par[1] * draw[i]
            best = -math.inf
            for a in range(arms):
                x, m = features[a], a if disjoint else 0
                best = max(best, dot(x, truth[a if truth.shape[0] > 1 else 0]) + env.offsets[a])
                if policy == LINEAR_GREEDY:
                    score[a] = dot(x, theta[m])
                elif policy == LINTS and not disjoint:
                    score[a] = dot(x, draw)
                else:
                    matvec(inverse[m], x, ux[a])
                    width = par[1]
                    if policy == OFUL:
                        width = par[2] * math.sqrt(log_det[m] - 2.0 * math.log(par[4]))
                        width += math.sqrt(ridge) * par[3]
                    if policy == LINTS:
                        width *= normal(own)
                    score[a] = dot(x, theta[m]) + width * math.sqrt(max(dot(x, ux[a]), 0.0))
            arm = argmax_random_tie(score, own)
            x, m, u = features[arm], arm if disjoint else 0, ux[arm]
            mean = dot(x, truth[arm if truth.shape[0] > 1 else 0]) + env.offsets[arm]
            total += best - mean
            reward = mean
            if env.noise == GAUSSIAN:
                if paired:
                    open_substream(noise_stream, root, arm, pulls[r, arm])
                reward += env.sigma * normal(noise_stream)
            if policy == LINEAR_GREEDY or (policy == LINTS and not disjoint):
                matvec(inverse[m], x, u)
            q = dot(x, u)
            error = reward - dot(x, theta[m])
            for i in range(dim):
                theta[m, i] += u[i] * error / (1.0 + q)
                moment[m, i] += reward * x[i]
            add_outer(inverse[m], u, -1.0 / (1.0 + q))
            add_outer(precision[m], x, 1.0)
            log_det[m] += math.log1p(q)
            plays[m] += 1
            if plays[m] % RESOLVE_EVERY == 0:
                _solve_anew(inverse[m], precision[m], moment[m], theta[m], lower, vector)
            elif policy == LINTS and not disjoint:
                for i in range(dim):
                    vector[i] = x[i]
                cholesky_update(lower, vector)
            pulls[r, arm] += 1
            if policy == OFUL and not disjoint and truth.shape[0] == 1:
                for i in range(dim):
                    draw[i] = theta[0, i] - truth[0, i]
                matvec(precision[0], draw, vector)
                width = par[2] * math.sqrt(log_det[0] - 2.0 * math.log(par[4]))
                width += math.sqrt(ridge) * par[3]
                if dot(draw, vector) > width * width:
                    covered[r] = False
            if t == checkpoints[c]:
                regret[r, c] = total
                for a in range(arms):
                    path[c, a] += pulls[r, a]
                c += 1

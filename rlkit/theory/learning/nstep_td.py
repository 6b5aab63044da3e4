"""The stepping kernel of n-step TD prediction, Sutton & Barto 2018, section 7.1 and 7.3.

    theta += alpha rho_{t:t+n-1} (G_{t:t+n} - theta' phi_t) phi_t
    G_{t:t+n} = r_t + ... + gamma^{n-1} r_{t+n-1} + gamma^n theta' phi_{t+n}

with rho the product of the ratios of target over behaviour. Near the end of an episode the returns
are shorter: those to a termination end with it, those to a truncation are bootstrapped there.
"""

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.learning.sampling import draw
from rlkit.theory.streams import stream, uniform
from rlkit.theory.trajectories import first_above


@njit(cache=True, nogil=True)
def _value(theta, phi, s):
    """theta' phi(s), 0 at the end."""
    total = 0.0
    if s >= 0:
        for k in range(theta.size):
            total += theta[k] * phi[s, k]
    return total


@njit(cache=True, nogil=True)
def run_nstep(
    world, sa_ptr, mu0, law, ratio, phi, gamma, n, alpha0, power, offset, max_length, seed,
    replicate, start, marks, out,
):  # fmt: skip
    """One replicate; the weights at the marks into `out`."""
    rng = stream(seed, replicate, 0)
    theta = start.copy()
    states, rewards, ratios = np.empty(n, np.int64), np.empty(n), np.empty(n)
    s, length, mark = np.int64(-1), 0, 0
    for t in range(1, marks[-1] + 1):
        if s < 0:
            s, length = first_above(mu0, 0, mu0.size, uniform(rng)), 0
        i = first_above(law, sa_ptr[s], sa_ptr[s + 1], uniform(rng))
        target, reward = draw(rng, world, i)
        slot = length % n
        states[slot], rewards[slot], ratios[slot] = s, reward, ratio[i]
        length += 1
        over = target < 0 or length == max_length
        alpha = alpha0 * (1.0 + t / offset) ** -power
        ahead = _value(theta, phi, target)
        first = max(0, length - n)
        last = length - 1 if over else first
        if length >= n or over:
            for j in range(first, last + 1):
                total, weight, rho = 0.0, 1.0, 1.0
                for k in range(j, length):
                    total += weight * rewards[k % n]
                    rho *= ratios[k % n]
                    weight *= gamma
                x = states[j % n]
                step = alpha * rho * (total + weight * ahead - _value(theta, phi, x))
                for k in range(theta.size):
                    theta[k] += step * phi[x, k]
        s = np.int64(-1) if over else target
        if t == marks[mark]:
            out[mark] = theta
            mark += 1

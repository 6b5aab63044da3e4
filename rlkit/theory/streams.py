"""Counter-based random streams for numba kernels: draw n of a stream is a hash of (key, n).

A stream is a uint64 array [key, counter]. Keys come from (seed, replicate, purpose), so a
replicate draws the same numbers in any company and on any number of threads.
"""

import math

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.validate import ROW_ROUNDING, ROW_ROUNDING_F32

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_ONE = np.uint64(1)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def _mix(z):
    """The finaliser of SplitMix64, a bijection of 64-bit words."""
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True)
def stream(seed, replicate, purpose):
    """A fresh stream [key, counter], keyed by three non-negative integers."""
    key = _mix(np.uint64(seed) + _GOLDEN)
    key = _mix(key ^ (np.uint64(replicate) * _MIX1 + _ONE))
    key = _mix(key ^ (np.uint64(purpose) * _MIX2 + _GOLDEN))
    out = np.empty(2, np.uint64)
    out[0] = key
    out[1] = np.uint64(0)
    return out


@njit(cache=True, nogil=True)
def uniform(rng):
    """The next number in [0, 1)."""
    rng[1] += _ONE
    z = _mix(_mix(rng[1] * _GOLDEN + rng[0]) ^ rng[0])
    return np.float64(z >> _S11) * _UNIT


@njit(cache=True, nogil=True)
def integer(rng, n):
    """The next integer in 0..n-1."""
    return min(int(uniform(rng) * n), n - 1)


@njit(cache=True, nogil=True)
def normal(rng):
    """The next standard normal (Box-Muller, one of the pair)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(rng)))
    return radius * math.cos(2.0 * math.pi * uniform(rng))


@njit(cache=True, nogil=True)
def gamma_variate(rng, shape):
    """The next Gamma(shape, 1) number (Marsaglia & Tsang, boosted for shape < 1)."""
    boost, a = 1.0, shape
    if a < 1.0:
        boost = (1.0 - uniform(rng)) ** (1.0 / a)
        a += 1.0
    d = a - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(rng)
        t = 1.0 + c * x
        if t <= 0.0:
            continue
        cube = t * t * t
        if math.log(1.0 - uniform(rng)) < 0.5 * x * x + d - d * cube + d * math.log(cube):
            return boost * d * cube


@njit(cache=True, nogil=True)
def beta_variate(rng, a, b):
    """The next Beta(a, b) number."""
    x = gamma_variate(rng, a)
    y = gamma_variate(rng, b)
    return x / (x + y) if x + y > 0.0 else 0.5


@njit(cache=True, nogil=True)
def drawn(rng, law):
    """The next index of a law [n] of all the mass."""
    u, mass = uniform(rng), 0.0
    for k in range(law.size):
        mass += law[k]
        if u < mass:
            return k
    return law.size - 1


@njit(cache=True, nogil=True)
def categorical(rng, col, val, start, end):
    """The next successor of the row start..end, or -1 where its missing mass (the end) falls."""
    u, total = uniform(rng), 0.0
    for k in range(start, end):
        total += val[k]
        if u < total:
            return np.int64(col[k])
    # What a row may miss by rounding (see FiniteMDP) is no end.
    slack = (end - start) * (ROW_ROUNDING_F32 if val.itemsize == 4 else ROW_ROUNDING)
    return np.int64(col[end - 1]) if end > start and total >= 1.0 - slack else np.int64(-1)

"""numpy's PCG64 generator as kernels: the same seed gives the same numbers, bit for bit.

A generator is an array `[6]` uint64: state (high, low), increment (high, low), whether half of a
number waits (numpy hands out 64 bits as two of 32), and that half. PCG64 is O'Neill's PCG XSL-RR
128/64; a seed becomes a state through numpy's `SeedSequence`.
"""

import numpy as np

from rlkit.core.jit import njit

SIZE = 6
_U0, _U1, _U16, _U32, _U58, _U63 = (np.uint64(k) for k in (0, 1, 16, 32, 58, 63))
_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIER_HIGH, _MULTIPLIER_LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
# SeedSequence: first values and multipliers of its two hashes, and of its mixing
_POOL = 4
_HASH, _HASH_BY = np.uint64(0x43B0D7E5), np.uint64(0x931E8875)
_OUT, _OUT_BY = np.uint64(0x8B51F9DD), np.uint64(0x58F38DED)
_MIX_LEFT, _MIX_RIGHT = np.uint64(0xCA01F9DD), np.uint64(0x4973F715)


@njit(cache=True, nogil=True)
def seed(rng: np.ndarray, value: np.uint64) -> None:
    """Makes `rng` the generator of `np.random.default_rng(value)`."""
    words = np.zeros(2, np.uint64)
    words[0], words[1] = value & _LOW, value >> _U32
    pool, const = np.zeros(_POOL, np.uint64), _HASH
    for i in range(_POOL):
        pool[i], const = _hashed(words[i] if i < 2 else _U0, const, _HASH_BY)
    for source in range(_POOL):
        for to in range(_POOL):
            if source != to:
                hashed, const = _hashed(pool[source], const, _HASH_BY)
                mixed = (_MIX_LEFT * pool[to] - _MIX_RIGHT * hashed) & _LOW
                pool[to] = mixed ^ (mixed >> _U16)
    state, const = np.zeros(4, np.uint64), _OUT
    for i in range(4):
        low, const = _hashed(pool[(2 * i) % _POOL], const, _OUT_BY)
        high, const = _hashed(pool[(2 * i + 1) % _POOL], const, _OUT_BY)
        state[i] = low | (high << _U32)
    rng[:] = 0
    rng[2] = (state[2] << _U1) | (state[3] >> _U63)
    rng[3] = (state[3] << _U1) | _U1
    _advance(rng)
    low = rng[1] + state[1]
    rng[0] += state[0] + (_U1 if low < state[1] else _U0)
    rng[1] = low
    _advance(rng)


@njit(cache=True, nogil=True)
def below(rng: np.ndarray, low: int, high: int) -> int:
    """`Generator.integers(low, high)`: uniform on low .. high - 1; no number is drawn where there
    is no choice. Needs low < high."""
    span = np.uint64(high - low)
    if span == _U1:
        return low
    product = _half(rng) * span
    if product & _LOW < span:
        threshold = (_LOW - (span - _U1)) % span
        while product & _LOW < threshold:
            product = _half(rng) * span
    return low + np.int64(product >> _U32)  # type: ignore[return-value]  # an int in the kernel


@njit(cache=True, nogil=True)
def shuffle(rng: np.ndarray, values: np.ndarray) -> None:
    """`Generator.shuffle` of a list of these values (that of an array draws otherwise)."""
    for i in range(len(values) - 1, 0, -1):
        mask = np.uint64(i)
        for bits in (1, 2, 4, 8, 16):
            mask |= mask >> np.uint64(bits)
        j = _half(rng) & mask
        while j > np.uint64(i):
            j = _half(rng) & mask
        values[i], values[j] = values[j], values[i]


@njit(cache=True, nogil=True)
def _half(rng: np.ndarray) -> np.uint64:
    """The next 32 bits: the lower half of a number first, then the upper."""
    if rng[4]:
        rng[4] = _U0
        return rng[5]
    _advance(rng)
    turn = rng[0] >> _U58
    folded = rng[0] ^ rng[1]
    number = (folded >> turn) | (folded << ((np.uint64(64) - turn) & _U63))
    rng[4], rng[5] = _U1, number >> _U32
    return number & _LOW


@njit(cache=True, nogil=True)
def _advance(rng: np.ndarray) -> None:
    """state <- state * multiplier + increment, modulo 2**128."""
    high, low = rng[0], rng[1]
    product = low * _MULTIPLIER_LOW
    carried = _upper(low, _MULTIPLIER_LOW) + high * _MULTIPLIER_LOW + low * _MULTIPLIER_HIGH
    rng[1] = product + rng[3]
    rng[0] = carried + rng[2] + (_U1 if rng[1] < product else _U0)


@njit(cache=True, nogil=True)
def _upper(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 bits of a product of 128."""
    a0, a1, b0, b1 = a & _LOW, a >> _U32, b & _LOW, b >> _U32
    middle = a1 * b0 + ((a0 * b0) >> _U32)
    return a1 * b1 + (middle >> _U32) + (((middle & _LOW) + a0 * b1) >> _U32)


@njit(cache=True, nogil=True)
def _hashed(value: np.uint64, const: np.uint64, by: np.uint64) -> tuple[np.uint64, np.uint64]:
    """A word of 32 bits hashed, and the constant of the next."""
    value ^= const
    const = (const * by) & _LOW
    value = (value * const) & _LOW
    return value ^ (value >> _U16), const

"""Counter-based random streams for numba kernels: one stream a run, the same for any thread count.

A stream is a `uint64[2]` array `[state, gamma]`: the state walks in odd steps `gamma` and every
output is a bijective mix of it (SplitMix, Steele, Lea & Flood 2014). A draw is thus a pure function
of (key, counter), so K draws of one step do not wait for one another, and the n-th reward of an arm
can be looked up without drawing the ones before it.

Where many streams draw at once ([2, W], one a column), each draws what it would alone.

Normals: ziggurat with 256 layers (Marsaglia & Tsang 2000). Gammas: Marsaglia & Tsang 2000.
"""

import math

import numpy as np

from rlkit.envs.bandits.jit import inlined, kernel

ENVIRONMENT, POLICY, NOISE = np.uint64(1), np.uint64(2), np.uint64(3)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_ODD = np.uint64(1)
_S27, _S30, _S31, _S12, _S11 = (np.uint64(n) for n in (27, 30, 31, 12, 11))
_LAYER_MASK = np.uint64(255)
_SIGN = np.uint64(256)
_UNIT53 = 1.0 / 9007199254740992.0
_UNIT52 = 1.0 / 4503599627370496.0
_TAIL = 3.6541528853610088  # right edge of the lowest layer
_AREA = 0.00492867323399  # area of each of the 256 layers


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    """Edges x[257] (x[0] is the virtual width of the lowest layer) and densities exp(-x²/2)."""
    x = np.zeros(257)
    x[0], x[1] = _AREA / math.exp(-0.5 * _TAIL**2), _TAIL
    for i in range(2, 256):
        x[i] = math.sqrt(-2.0 * math.log(_AREA / x[i - 1] + math.exp(-0.5 * x[i - 1] ** 2)))
    return x, np.exp(-0.5 * x**2)


_EDGE, _DENSITY = _ziggurat()


@inlined()
def mix(z):
    """A well mixed 64-bit word for each 64-bit word (bijective)."""
    z = (z ^ (z >> _S30)) * _MULTIPLIER_1
    z = (z ^ (z >> _S27)) * _MULTIPLIER_2
    return z ^ (z >> _S31)


@kernel()
def open_stream(stream, seed, run, purpose):
    """Set `stream` to the start of the stream of (seed, run, purpose)."""
    key = mix(mix(mix(np.uint64(seed) + _GOLDEN) + np.uint64(run) * _GOLDEN) + purpose * _GOLDEN)
    stream[0] = mix(key + _GOLDEN)
    stream[1] = mix(key + _GOLDEN + _GOLDEN) | _ODD


@kernel()
def open_substream(stream, parent, first, second):
    """Set `stream` to the substream (first, second) of a just opened `parent`."""
    key = mix(mix(parent[0] + np.uint64(first) * parent[1]) + np.uint64(second) * _GOLDEN)
    stream[0] = key
    stream[1] = parent[1]


@inlined()
def next_word(stream):
    stream[0] += stream[1]
    return mix(stream[0])


@inlined()
def uniform(stream):
    """A number in [0, 1) with 53 random bits."""
    return np.float64(next_word(stream) >> _S11) * _UNIT53


@inlined()
def uniforms(streams, out):
    """One draw of each of the streams [2, W], as `uniform` draws it."""
    for w in range(out.size):
        streams[0, w] += streams[1, w]
        out[w] = np.float64(mix(streams[0, w]) >> _S11) * _UNIT53


@inlined()
def below(stream, n):
    """An integer in 0..n-1 (n far below 2**53, where the bias is below n / 2**53)."""
    return int(uniform(stream) * n)


@kernel()
def _slow_normal(stream, layer, signed):
    """The rare half of the ziggurat: wedge and tail, with fresh words until one is accepted."""
    while True:
        z = signed * _EDGE[layer]
        if abs(z) < _EDGE[layer + 1]:
            return z
        if layer == 0:
            while True:
                x = -math.log(1.0 - uniform(stream)) / _TAIL
                y = -math.log(1.0 - uniform(stream))
                if y + y > x * x:
                    return _TAIL + x if signed > 0 else -(_TAIL + x)
        low, high = _DENSITY[layer], _DENSITY[layer + 1]
        if low + uniform(stream) * (high - low) < math.exp(-0.5 * z * z):
            return z
        word = next_word(stream)
        layer = np.int64(word & _LAYER_MASK)
        signed = np.float64(word >> _S12) * _UNIT52
        if word & _SIGN:
            signed = -signed


@inlined()
def normal(stream):
    """A standard normal number: 98.8 % of draws cost one word and one multiplication."""
    word = next_word(stream)
    layer = np.int64(word & _LAYER_MASK)
    signed = np.float64(np.int64(word) >> 11) * _UNIT53 * 2.0
    z = signed * _EDGE[layer]
    if abs(z) < _EDGE[layer + 1]:
        return z
    return _slow_normal(stream, layer, signed)


@inlined()
def normals(stream, mean, scale, out):
    """out = mean + scale z with independent standard normal z, all [K]; draws as `normal` does.

    The state stays in a register: `out` might be the stream itself, for all the compiler knows.
    """
    state, step = stream[0], stream[1]
    for a in range(out.size):
        state += step
        word = mix(state)
        layer = np.int64(word & _LAYER_MASK)
        signed = np.float64(np.int64(word) >> 11) * _UNIT53 * 2.0
        z = signed * _EDGE[layer]
        if abs(z) >= _EDGE[layer + 1]:
            stream[0] = state
            z = _slow_normal(stream, layer, signed)
            state = stream[0]
        out[a] = mean[a] + scale[a] * z
    stream[0] = state


@kernel()
def gamma(stream, d, c):
    """A Gamma(shape, 1) number for shape >= 1, given d = shape - 1/3 and c = 1/sqrt(9 d)."""
    while True:
        x = normal(stream)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(stream)
        square = x * x
        if u < 1.0 - 0.0331 * square * square:
            return d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return d * v

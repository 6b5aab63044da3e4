import numpy as np
from numba import njit
from scipy import stats

from rlkit.theory.streams import beta_variate, categorical, gamma_variate, normal, stream, uniform


@njit
def draw(kind, seed, replicate, n):
    rng, out = stream(seed, replicate, 0), np.empty(n)
    for i in range(n):
        if kind == 0:
            out[i] = uniform(rng)
        elif kind == 1:
            out[i] = normal(rng)
        elif kind == 2:
            out[i] = gamma_variate(rng, 0.4)
        else:
            out[i] = beta_variate(rng, 2.0, 3.0)
    return out


def test_laws_by_kolmogorov_smirnov():
    laws = (stats.uniform(), stats.norm(), stats.gamma(0.4), stats.beta(2, 3))
    for kind, law in enumerate(laws):
        assert stats.kstest(draw(kind, 1, 0, 20_000), law.cdf).pvalue > 1e-3


def test_streams_are_keyed_and_unrelated():
    a, b, c = draw(0, 1, 0, 5000), draw(0, 1, 1, 5000), draw(0, 2, 0, 5000)
    np.testing.assert_array_equal(a, draw(0, 1, 0, 5000))
    for x, y in ((a, b), (a, c), (b, c), (a[1:], a[:-1]), (a[1:], b[:-1])):
        assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(5000)


def test_missing_mass_is_the_end():
    col, val = np.array([4, 7], np.int32), np.array([0.3, 0.2])
    rng = stream(0, 0, 0)
    draws = np.array([categorical(rng, col, val, 0, 2) for _ in range(4000)])
    np.testing.assert_allclose(
        [(draws == x).mean() for x in (4, 7, -1)], [0.3, 0.2, 0.5], atol=0.03
    )

"""Random streams: the right laws, and independence of company and order."""

import numpy as np
import pytest
from scipy import stats

from rlkit.envs.bandits.jit import kernel
from rlkit.envs.bandits.streams import (
    ENVIRONMENT,
    NOISE,
    POLICY,
    below,
    gamma,
    normal,
    normals,
    open_stream,
    open_substream,
    uniform,
)

SHAPE = 1.7


@kernel()
def fill(law, seed, run, purpose, stream, out):
    open_stream(stream, seed, run, purpose)
    d = SHAPE - 1.0 / 3.0
    for i in range(out.size):
        if law == 0:
            out[i] = uniform(stream)
        elif law == 1:
            out[i] = normal(stream)
        elif law == 2:
            out[i] = gamma(stream, d, 1.0 / np.sqrt(9.0 * d))
        else:
            out[i] = below(stream, 7)


@kernel()
def fill_by_rows(seed, stream, mean, scale, out):
    open_stream(stream, seed, 0, ENVIRONMENT)
    for i in range(out.shape[0]):
        normals(stream, mean, scale, out[i])


def numbers(law: int, n: int, seed: int = 0, run: int = 0, purpose=ENVIRONMENT) -> np.ndarray:
    out = np.empty(n)
    fill(law, seed, run, purpose, np.empty(2, np.uint64), out)
    return out


@pytest.mark.parametrize(
    ("law", "target"), [(0, stats.uniform()), (1, stats.norm()), (2, stats.gamma(SHAPE))]
)
def test_draws_follow_their_law(law, target):
    x = numbers(law, 400_000, seed=5)
    assert stats.kstest(x, target.cdf).pvalue > 1e-3
    mean, variance, skew, kurtosis = (float(v) for v in target.stats("mvsk"))
    assert x.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / x.size))
    assert stats.skew(x) == pytest.approx(skew, abs=0.05)
    assert stats.kurtosis(x) == pytest.approx(kurtosis, abs=0.25)
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / np.sqrt(x.size)


def test_normal_tail_beyond_the_ziggurat_base():
    x = numbers(1, 3_000_000, seed=1)
    for edge in (3.0, 3.6541528853610088, 4.2):
        expected = 2 * stats.norm.sf(edge) * x.size
        assert (np.abs(x) > edge).sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))
    assert (x > 3.7).any()
    assert (x < -3.7).any()


def test_normals_of_many_arms_are_those_drawn_one_by_one():
    out = np.empty((20_000, 10))  # thousands of them go the slow way
    mean, scale = np.arange(10.0), np.linspace(0.5, 2.0, 10)
    fill_by_rows(3, np.empty(2, np.uint64), mean, scale, out)
    alone = numbers(1, out.size, seed=3).reshape(out.shape)
    np.testing.assert_allclose(out, mean + scale * alone, rtol=1e-15, atol=1e-15)


def test_integers_are_uniform():
    counts = np.bincount(numbers(3, 70_000).astype(int), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_streams_are_reproducible_and_distinct():
    base = numbers(0, 1000)
    np.testing.assert_array_equal(base, numbers(0, 1000))
    np.testing.assert_array_equal(base[:10], numbers(0, 10))
    others = [numbers(0, 1000, seed=1), numbers(0, 1000, run=1)]
    others += [numbers(0, 1000, purpose=p) for p in (POLICY, NOISE)]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15
        assert not np.isin(base, other).any()


def test_first_draws_of_neighbouring_runs_are_uniform():
    first = np.array([numbers(0, 1, run=r)[0] for r in range(4000)])
    assert stats.kstest(first, stats.uniform().cdf).pvalue > 1e-3
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.08


def test_substreams_are_keyed_by_both_numbers():
    root, sub = np.empty(2, np.uint64), np.empty(2, np.uint64)
    open_stream(root, 3, 0, ENVIRONMENT)
    draws = np.empty((60, 60))
    for a in range(60):
        for n in range(60):
            open_substream(sub, root, a, n)
            draws[a, n] = uniform(sub)
    assert np.unique(draws).size == draws.size
    assert stats.kstest(draws.ravel(), stats.uniform().cdf).pvalue > 1e-3
    assert abs(np.corrcoef(draws[1:].ravel(), draws[:-1].ravel())[0, 1]) < 0.08
    assert abs(np.corrcoef(draws[:, 1:].ravel(), draws[:, :-1].ravel())[0, 1]) < 0.08

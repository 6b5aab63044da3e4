"""Counter-based streams: (seed, name, step) alone decides what a lane draws."""

import numpy as np
import pytest
from scipy import stats

from rlkit.core import streams
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Draw, Streams, generator

KINDS = ("normal", "uniform", "gumbel")
MANY = (50_000,)  # numbers a step: two steps make a block, so a few steps cross several blocks


@pytest.mark.parametrize("kind", KINDS)
def test_a_lane_draws_the_same_in_any_company(kind: streams.Kind) -> None:
    company = Streams((7, 0, 3)).draw("a", kind, 5, (4, 2), 6)
    alone = Streams((3,)).draw("a", kind, 5, (4, 2), 6)
    assert company.shape == (6, 3, 4, 2)
    assert np.array_equal(company[:, 2:], alone)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [0, 3])
def test_any_split_into_calls_gives_the_same_numbers(kind: streams.Kind, step: int) -> None:
    whole = Streams((2, 5)).draw("a", kind, step, MANY, 9)
    for cuts in ([1] * 9, [2, 7], [5, 1, 3], [4, 4, 1]):
        one = Streams((2, 5))
        pieces, at = [], step
        for count in cuts:
            pieces.append(one.draw("a", kind, at, MANY, count))
            at += count
        assert np.array_equal(np.concatenate(pieces), whole)


def test_order_of_questions_is_irrelevant() -> None:
    first, second = Streams((1,)), Streams((1,))
    ahead = [first.draw("a", "normal", step, MANY) for step in (0, 1, 4, 5)]
    second.draw("b", "uniform", 2, (3,))
    back = [second.draw("a", "normal", step, MANY) for step in (5, 4, 1, 0)]
    for one, other in zip(ahead, reversed(back), strict=True):
        assert np.array_equal(one, other)


def test_a_step_larger_than_a_block_and_a_scalar_step() -> None:
    large = Streams((1,)).draw("a", "uniform", 3, (400, 400), 2)
    assert large.shape == (2, 1, 400, 400)
    assert np.array_equal(large[1], Streams((1,)).draw("a", "uniform", 4, (400, 400))[0])
    assert Streams((1, 2)).draw("a", "uniform", 9, (), 3).shape == (3, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_stays_inside_its_own_counters(kind: streams.Kind) -> None:
    rng = generator(4, "a", 6)
    streams._draw(rng, kind, (streams._BLOCK_NUMBERS,))
    words = rng.bit_generator.state["state"]["counter"]
    assert list(words[1:]) == [0, 6, 0]
    assert 0 < words[0] <= streams._BLOCK_NUMBERS


def test_neighbouring_blocks_share_no_number() -> None:
    raw = [generator(4, "a", block).bit_generator.random_raw(1 << 16) for block in (0, 1, 2)]
    assert len(np.unique(np.concatenate(raw))) == 3 * (1 << 16)


@pytest.mark.parametrize(
    ("kind", "dtype", "law"),
    [
        ("normal", np.float32, stats.norm()),
        ("uniform", np.float64, stats.uniform()),
        ("gumbel", np.float32, stats.gumbel_r()),
    ],
)
def test_numbers_follow_their_law(kind: streams.Kind, dtype: type, law) -> None:
    x = Streams((11, 12)).draw("law", kind, 0, (100,), 1000)
    assert x.dtype == dtype
    x = x.astype(np.float64).ravel()  # 200 000 numbers across lanes, steps and blocks
    error = law.std() / np.sqrt(x.size)
    assert abs(x.mean() - law.mean()) < 4 * error
    assert x.var() == pytest.approx(law.var(), rel=0.02)
    assert stats.kstest(x, law.cdf).pvalue > 1e-3


def test_uniform_fills_the_half_open_interval_evenly() -> None:
    x = Streams((3,)).draw("u", "uniform", 0, (1000,), 400).ravel()
    assert x.min() >= 0
    assert x.max() < 1
    counts = np.bincount((x * 100).astype(int), minlength=100)
    assert stats.chisquare(counts).pvalue > 1e-3


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1]) * np.sqrt(x.size)


def test_names_lanes_and_steps_are_independent() -> None:
    one = Streams((0, 1))
    a = one.draw("a", "normal", 0, (100,), 600)
    b = one.draw("b", "normal", 0, (100,), 600)
    assert abs(_correlation(a, b)) < 4
    assert abs(_correlation(a[:, 0], a[:, 1])) < 4
    assert abs(_correlation(a[1:], a[:-1])) < 4
    assert abs(_correlation(np.square(a[:, 0]), np.square(a[:, 1]))) < 4
    assert np.intersect1d(a, b).size < 0.02 * a.size  # float32 repeats by chance only


def test_a_caller_who_writes_into_its_numbers_spoils_no_later_draw() -> None:
    one = Streams((0,))
    first = one.draw("a", "normal", 0, (5,))
    expected = first.copy()
    first *= 0
    assert np.array_equal(one.draw("a", "normal", 0, (5,)), expected)


def test_draw_knows_its_shape() -> None:
    spec = Spec(4, Discrete(3), (0, 1))
    assert Draw("normal", "B", "A").shape(spec, 32) == (32, 3)
    assert Draw("uniform", 10, "B", 1).shape(spec, 32) == (10, 32, 1)
    assert Draw("uniform").shape(spec, 32) == ()


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of noise 'cauchy'"):
        Streams((0,)).draw("a", "cauchy", 0, (2,))  # type: ignore[arg-type]

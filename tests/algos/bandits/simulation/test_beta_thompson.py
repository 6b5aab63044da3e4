"""Beta Thompson sampling by events: the law of the choice is that of the argmax of plain draws."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, chisquare

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.beta_thompson import (
    DENSITY,
    LEADER,
    LINE,
    MASS,
    QUIET,
    lay_line,
    select_beta,
    update_beta,
)
from rlkit.algos.bandits.simulation.state import PULLS, ROWS, SCALARS, TOTAL
from rlkit.envs.bandits.streams import POLICY, next_word, open_stream

# (successes, failures) of every arm: an early round, a settled one, ties, one far behind, one alone
COUNTS = {
    "early": ([1, 0, 1], [0, 1, 1]),
    "settled": ([480, 9, 14, 3], [420, 14, 19, 9]),
    "equal": ([5, 5, 5], [5, 5, 5]),
    "two leaders": ([300, 280, 2], [200, 201, 40]),
    "far": ([9000, 1], [1000, 60]),
    "alone": ([3], [4]),
    "sure": ([40, 0, 20], [0, 9, 1]),
}


def state(wins, losses):
    st, sc = np.zeros((ROWS, len(wins))), np.zeros(SCALARS)
    st[TOTAL], st[PULLS] = wins, np.add(wins, losses)
    return st, sc


def chances(wins, losses):
    """P(arm a has the largest draw), by integration."""
    laws = [beta(1 + w, 1 + f) for w, f in zip(wins, losses, strict=True)]

    def chance(a):
        others = [law for i, law in enumerate(laws) if i != a]
        points = [law.mean() for law in laws]
        inside = lambda x: laws[a].pdf(x) * np.prod([law.cdf(x) for law in others])  # noqa: E731
        return quad(inside, 0, 1, points=points, limit=400)[0]

    return np.array([chance(a) for a in range(len(laws))])


@pytest.mark.parametrize("name", COUNTS)
def test_choices_have_the_probabilities_of_the_largest_draw(name):
    wins, losses = COUNTS[name]
    st, sc = state(wins, losses)
    stream = np.empty(2, np.uint64)
    open_stream(stream, 7, 0, POLICY)
    draws = 40_000
    found = np.bincount([select_beta(st, sc, stream) for _ in range(draws)], minlength=len(wins))
    expected = draws * chances(wins, losses)
    assert expected.sum() == pytest.approx(draws, rel=1e-6)
    often = expected >= 5
    seen = [*found[often], found[~often].sum() + 1]  # the rest is one cell, never an empty one
    due = np.array([*expected[often], expected[~often].sum() + 1])
    assert chisquare(seen, due * (sum(seen) / due.sum())).pvalue > 1e-3


def test_densities_at_the_line_are_those_of_the_laws_through_many_pulls():
    rng = np.random.default_rng(3)
    st, sc = state([1, 0, 1, 0], [0, 1, 0, 1])
    lay_line(st, sc)
    for n in range(4000):
        arm = int(rng.integers(4)) if n % 3 else 0
        reward = float(rng.random() < 0.3 + 0.1 * (arm == 0))
        st[PULLS, arm] += 1.0
        st[TOTAL, arm] += reward
        update_beta(arm, reward, st, sc)
        if n % 50 == 0:
            lay_line(st, sc)
        if n % 37 == 0:
            exact = beta(1 + st[TOTAL], 1 + st[PULLS] - st[TOTAL]).pdf(sc[LINE])
            np.testing.assert_allclose(st[DENSITY], exact, rtol=1e-9)
            assert sc[QUIET] == pytest.approx(np.prod(1.0 - st[MASS]), rel=1e-12)


def test_the_mass_is_never_below_the_chance_of_crossing_the_line():
    for wins, losses in COUNTS.values():
        st, sc = state(wins, losses)
        lay_line(st, sc)
        law = beta(1.0 + st[TOTAL], 1.0 + st[PULLS] - st[TOTAL])
        crossing = law.sf(sc[LINE])
        leader = int(sc[LEADER])
        crossing[leader] = law.cdf(sc[LINE])[leader]
        assert (st[MASS] >= crossing - 1e-12).all()


def test_regret_is_that_of_plain_draws():
    """Beside a loop that draws every arm in every round."""
    means, runs, horizon = np.array([0.5, 0.4, 0.4, 0.3]), 2000, 400
    run = simulate("ts_beta", means, runs=runs, horizon=horizon, seed=5)
    rng = np.random.default_rng(0)
    wins, count = np.zeros((runs, 4)), np.zeros((runs, 4))
    regret, row = np.zeros(runs), np.arange(runs)
    for t in range(horizon):
        draw = rng.beta(1 + wins, 1 + count - wins)
        arm = np.full(runs, t) if t < 4 else draw.argmax(1)
        reward = rng.random(runs) < means[arm]
        count[row, arm] += 1
        wins[row, arm] += reward
        regret += 0.5 - means[arm]
    error = np.hypot(run.standard_error()[-1], regret.std() / runs**0.5)
    assert run.mean()[-1] == pytest.approx(regret.mean(), abs=3.5 * error)
    spread = run.regret[:, -1].std() / regret.std()
    assert spread == pytest.approx(1.0, abs=0.15)


def test_a_round_without_candidates_takes_one_number():
    st, sc = state([9000, 1], [1000, 60])
    lay_line(st, sc)
    assert sc[QUIET] > 1 - 1e-9
    stream, other = np.empty(2, np.uint64), np.empty(2, np.uint64)
    for which in (stream, other):
        open_stream(which, 1, 0, POLICY)
    assert select_beta(st, sc, stream) == 0
    next_word(other)
    np.testing.assert_array_equal(stream, other)

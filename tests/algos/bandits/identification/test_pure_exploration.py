"""Best-arm identification: allocations, error probabilities, stopping times, halving."""

import numpy as np
import pytest

from rlkit.algos.bandits.identification.allocation import optimal_allocation, pair_cost
from rlkit.algos.bandits.identification.pure_exploration import identify

MEANS = [0.5, 0.3, 0.25, 0.2]


def value(weights, means, family, sigma=1.0):
    best = int(np.argmax(means))
    number = {"bernoulli": 0, "gaussian": 1}[family]
    return min(
        pair_cost(number, sigma, weights[best], means[best], weights[a], means[a])
        for a in range(len(means))
        if a != best
    )


def test_two_gaussian_arms_in_closed_form():
    for gap, sigma in ((0.5, 1.0), (0.2, 3.0)):
        weights, time = optimal_allocation([0.1 + gap, 0.1], "gaussian", sigma)
        np.testing.assert_allclose(weights, 0.5, atol=1e-9)
        assert time == pytest.approx(8 * sigma**2 / gap**2)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_allocation_beats_every_other(family):
    rng = np.random.default_rng(0)
    for _ in range(20):
        means = rng.uniform(0.05, 0.95, 4)
        weights, time = optimal_allocation(means, family)
        assert weights.sum() == pytest.approx(1.0)
        assert (weights > 0).all()
        best = value(weights, means, family)
        assert 1 / time == pytest.approx(best, rel=1e-7)
        assert best >= value(np.full(4, 0.25), means, family)
        for other in rng.dirichlet(np.ones(4), 200):
            assert value(other, means, family) <= best * (1 + 1e-9)
        for _ in range(50):  # nor does a small step from it help
            near = np.abs(weights * (1 + 0.02 * rng.standard_normal(4)))
            assert value(near / near.sum(), means, family) <= best * (1 + 1e-9)


def test_a_tied_best_arm_has_no_finite_time():
    weights, time = optimal_allocation([0.4, 0.4, 0.1])
    assert np.isinf(time)
    np.testing.assert_allclose(weights, 1 / 3)


@pytest.mark.parametrize("rule", ["lucb", "track_and_stop", "top_two_ts", "oracle", "uniform"])
def test_error_probability_is_kept(rule):
    count = 1000 if rule in ("lucb", "track_and_stop") else 300
    runs = identify(rule, MEANS, delta=0.1, runs=count, threads=2, seed=3)
    assert runs.stopped.all()
    assert (runs.chosen != 0).mean() <= 0.1


def test_track_and_stop_approaches_the_lower_bound_and_uniform_does_not():
    means = [0.6, 0.3, 0.3, 0.1]
    weights, time = optimal_allocation(means)
    ratios = []
    for delta in (1e-2, 1e-6, 1e-12):
        runs = identify("track_and_stop", means, delta=delta, runs=100)
        ratios.append(runs.times().mean() / (time * np.log(1 / delta)))
    assert ratios[0] > ratios[1] > ratios[2]
    assert 1.0 < ratios[2] < 1.35
    share = runs.pulls.sum(0) / runs.pulls.sum()
    np.testing.assert_allclose(share, weights, atol=0.04)
    slow = identify("uniform", means, delta=1e-12, runs=100).times().mean()
    best = identify("oracle", means, delta=1e-12, runs=100).times().mean()
    assert best < slow
    assert runs.times().mean() < 0.9 * slow
    # The bound kl(delta, 1 - delta) T* holds for every rule.
    assert best > time * np.log(1 / 1e-12) * 0.98


def test_two_arms_are_tracked_evenly():
    runs = identify("track_and_stop", [0.5, 0.0], family="gaussian", delta=0.01, runs=200)
    even = identify("uniform", [0.5, 0.0], family="gaussian", delta=0.01, runs=200)
    assert (np.abs(runs.pulls[:, 0] - runs.pulls[:, 1]) <= 2).all()
    error = np.hypot(runs.times().std(), even.times().std()) / np.sqrt(200)
    assert abs(runs.times().mean() - even.times().mean()) < 4 * error


def test_halving_spends_its_budget_by_rounds():
    arms, rounds = 8, 3
    runs = identify(
        "successive_halving", np.linspace(0.9, 0.2, arms), budget=arms * rounds, runs=50
    )
    assert (np.sort(runs.pulls, axis=1)[:, :4] == 1).all()  # half saw only the first round
    assert (np.sort(runs.pulls, axis=1)[:, 4:] == [3, 3, 7, 7]).all()
    assert (runs.times() <= arms * rounds).all()
    odd = identify("successive_halving", [0.1, 0.9, 0.2, 0.3, 0.4], budget=3000, runs=50)
    assert (odd.chosen == 1).all()
    assert (odd.times() <= 3000).all()


def test_halving_beats_a_uniform_budget_with_many_poor_arms():
    means = [0.6, 0.5] + [0.2] * 30
    halving = identify("successive_halving", means, budget=3000, runs=500)
    even = identify("uniform_budget", means, budget=3000, runs=500)
    assert (even.times() == 3000).all()
    assert (halving.chosen == 0).mean() > (even.chosen == 0).mean() + 0.02


def test_runs_do_not_depend_on_threads():
    for rule, options in (("track_and_stop", {}), ("successive_halving", {"budget": 200})):
        a = identify(rule, MEANS, runs=9, threads=1, delta=0.2, **options)
        b = identify(rule, MEANS, runs=9, threads=4, delta=0.2, **options)
        np.testing.assert_array_equal(a.pulls, b.pulls)
        np.testing.assert_array_equal(a.chosen, b.chosen)


def test_caps_and_trivial_problems():
    capped = identify("lucb", [0.5, 0.5], runs=3, cap=500)
    assert not capped.stopped.any()
    assert (capped.times() <= 501).all()
    single = identify("track_and_stop", [0.4], runs=2)
    assert single.stopped.all()
    assert (single.times() == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "tas", "means": MEANS}, "no rule 'tas'"),
        ({"rule": "lucb", "means": [0.1, 1.5]}, r"means\[1\] is 1.5"),
        ({"rule": "lucb", "means": MEANS, "delta": 0.0}, "delta is 0"),
        ({"rule": "lucb", "means": MEANS, "family": "poisson"}, "family is 'poisson'"),
        ({"rule": "successive_halving", "means": MEANS}, "budget is None"),
        ({"rule": "successive_halving", "means": MEANS, "budget": 7}, "budget is 7"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        identify(**arguments)

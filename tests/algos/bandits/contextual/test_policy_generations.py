"""Policies in generations: what a fit may see, exact limits, and the oscillation."""

import numpy as np
import pytest

from rlkit.algos.bandits.contextual.logistic import LogisticModel
from rlkit.algos.bandits.contextual.oracle_policies import square_cb
from rlkit.algos.bandits.contextual.policy_generations import (
    Config,
    arrived,
    calibration_error,
    log_loss,
    oscillation,
    rule_probabilities,
    run_generations,
)
from rlkit.algos.bandits.interface import Feedback, Observation, draw
from rlkit.envs.bandits.payment_routing import PaymentRouting, tweak_matrix

TWEAKS = tweak_matrix()


def model(ridge=10.0):
    return LogisticModel(TWEAKS, 16, ridge, prior=0.85)


def run(rule="greedy", *, kappa=1.0, delay=0.3, ridge=10.0, env=0, **options):
    options = {"size": 1500, "generations": 6, "held_out": 2000, **options}
    return run_generations(PaymentRouting(kappa, delay, env), model(ridge), Config(rule, **options))


@pytest.fixture(scope="module")
def forgetful():
    """Greedy policies that remember one generation, strongly regularised, in four processors."""
    return [
        run(delay=0.0, ridge=1000.0, env=s, seed=s, size=3000, generations=14) for s in range(4)
    ]


@pytest.fixture(scope="module")
def remembering():
    """The same with all memory and a model class that is right."""
    return [
        run(kappa=0.0, delay=0.0, ridge=30.0, env=s, seed=s, size=700, generations=12, window=None)
        for s in range(4)
    ]


def shortfall(runs):
    return np.array([r.value - r.best for r in runs])


def test_generations_that_forget_oscillate(forgetful, remembering):
    moving, still = (oscillation(shortfall(runs)) for runs in (forgetful, remembering))
    assert moving.of_levels < -0.4  # good and bad generations take turns
    assert moving.of_changes < -0.65  # noise alone has -0.5
    assert moving.amplitude > 3 * still.amplitude
    uniform = [run("uniform", env=s, seed=s, size=3000, generations=14) for s in range(4)]
    assert moving.amplitude > 4 * oscillation(shortfall(uniform)).amplitude


def test_a_better_policy_has_a_worse_successor(forgetful):
    change = np.diff(shortfall(forgetful)[:, 3:], axis=1)
    before = shortfall(forgetful)[:, 3:-1]
    above = before > before.mean(1, keepdims=True)
    assert change[above].mean() < -0.003
    assert change[~above].mean() > 0.003


def test_memory_and_a_right_model_class_do_not_degrade(remembering):
    late = shortfall(remembering)
    assert (late[:, -1] > late[:, 0] + 0.01).all()
    assert (late[:, -3:].mean(1) > late[:, 1:4].mean(1)).all()
    assert np.diff(late[:, 1:], axis=1).min() > -0.006


def test_greedy_logs_are_poor_teachers():
    """Entropy collapses, and the model fitted to a greedy log is worse on uniform rows."""
    runs = [run(env=s, seed=s, size=2500, generations=3, delay=0.0) for s in range(4)]
    for r in runs:
        assert r.entropy[0] > 2.5
        assert r.entropy[1:].max() < 1e-9
    rise = np.array([r.held_loss[2] - r.held_loss[1] for r in runs])
    assert rise.mean() > 0.003
    assert (rise > 0).sum() >= 3


def test_gamma_zero_is_uniform_play_in_every_generation():
    r = run("square_cb", gamma=0.0)
    np.testing.assert_allclose(r.value, r.uniform)
    assert np.ptp(r.value) < 0.01


def test_failures_become_rare_as_gamma_grows():
    share = [
        np.mean([run("square_cb", gamma=g, env=s, seed=s).positive[2:] for s in range(3)])
        for g in (0.0, 100.0, 10_000.0)
    ]
    assert share[0] + 0.003 < share[1]
    assert share[1] + 0.003 < share[2]


def test_no_delay_is_the_driver_without_arrivals():
    """A loop that knows nothing of arrivals: fit to the whole generation, act with that."""
    env, config = (
        PaymentRouting(delay=0.0),
        Config("square_cb", size=400, generations=4, held_out=9),
    )
    found = run_generations(env, model(), config)
    world, own, _, _ = (np.random.default_rng(s) for s in np.random.SeedSequence(0).spawn(4))
    plain, predicted = model(), None
    for g in range(4):
        obs, means = env.draw(g, 400, world)
        rewards = env.sample(means, world)
        if g:
            predicted = plain.predict(obs)
        mask = obs.mask
        p = mask / mask.sum(1, keepdims=True) if g == 0 else square_cb(predicted, mask, 100.0)
        action = draw(p, own).action
        plain.fit(obs.context, action, rewards[np.arange(400), action])
        assert (p * means).sum(1).mean() == found.value[g]


def table(g, arrival):
    n = len(arrival)
    return Feedback(np.zeros(n, int), np.zeros(n), np.zeros((n, 1)), t=np.full(n, g),
                    arrival_t=np.array(arrival))  # fmt: skip


def test_fits_see_answers_of_their_window_and_no_others():
    log = [table(0, [0.2, 0.9, 1.4, 3.7]), table(1, [1.1, 1.99, 2.0, 2.5])]
    assert arrived(log, 1, None).arrival_t.tolist() == [0.2, 0.9, 1.4, 1.1, 1.99]
    assert arrived(log, 1, 1).arrival_t.tolist() == [1.4, 1.1, 1.99]
    assert arrived(log, 2, 1).arrival_t.tolist() == [2.0, 2.5]
    assert arrived(log, 3, 2).arrival_t.tolist() == [3.7, 2.0, 2.5]


def test_missing_answers_are_never_learned_from():
    class Spy(LogisticModel):
        sizes: list[int] = []

        def fit(self, context, action, reward, weight=None):
            assert set(np.unique(reward)) <= {0.0, 1.0}
            self.sizes.append(len(action))
            return super().fit(context, action, reward, weight)

    for window, delay in ((1, 0.3), (None, 0.3), (1, 1e9)):
        Spy.sizes = []
        spy = Spy(TWEAKS, 16, prior=0.85)
        config = Config("greedy", window=window, size=2000, generations=5, held_out=100)
        r = run_generations(PaymentRouting(delay=delay), spy, config)
        np.testing.assert_array_equal(r.fitted_rows[1:], Spy.sizes[:-1])
        if delay > 1:
            assert Spy.sizes == [0] * 5
            continue
        # A row waits on: P(arrives in its own generation) = 1 - E exp(-(1 - u) / 0.3)
        own = 1 - 0.3 * (1 - np.exp(-1 / 0.3))
        assert Spy.sizes[0] == pytest.approx(2000 * own, rel=0.03)
        if window is None:
            assert Spy.sizes[4] == pytest.approx(2000 * (4 + own), rel=0.03)
        else:
            assert Spy.sizes[4] == pytest.approx(2000, rel=0.05)


def test_records_of_a_generation():
    r = run("eps_greedy", generations=4)
    assert np.isnan([r.positive[0], r.held_loss[0], r.own_error[0]]).all()
    assert r.effective.shape == (4, 24)
    assert (r.regret > 0).all()
    assert (r.best > r.value).all()
    assert r.least.min() >= 0.05 / 24
    assert r.median[2] > 0.9
    assert r.held_loss[1] == pytest.approx(0.45, abs=0.06)
    assert r.foreseen[0] > r.value[1] + 0.02  # its model was fitted to the very same rows


def test_rules():
    predicted, mask = np.array([[0.5, 0.9, 0.8, 0.1]]), np.array([[True, False, True, True]])

    def p(rule, **options):
        return rule_probabilities(Config(rule, **options), predicted, mask)[0]

    np.testing.assert_allclose(p("uniform"), [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(p("greedy"), [0, 0, 1, 0])
    np.testing.assert_allclose(p("greedy", slice=0.3), [0.1, 0, 0.8, 0.1])
    np.testing.assert_allclose(p("eps_greedy", eps=0.3), [0.1, 0, 0.8, 0.1])
    np.testing.assert_allclose(
        p("square_cb", gamma=10.0, scaled=True, size=100), square_cb(predicted, mask, 100.0)[0]
    )
    assert p("fast_cb")[2] > 0.5
    even = rule_probabilities(Config("greedy"), None, mask)
    np.testing.assert_allclose(even[0], [1 / 3, 0, 1 / 3, 1 / 3])


def test_measures():
    reward, p = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.9, 0.2, 0.6, 0.9])
    by_hand = -(2 * np.log(0.9) + np.log(0.8) + np.log(0.6)) / 4
    assert log_loss(p, reward) == pytest.approx(by_hand)
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    reward = (rng.random(20_000) < p).astype(float)
    assert calibration_error(p, reward) < 0.015
    assert calibration_error(p**2, reward) == pytest.approx(1 / 6, abs=0.02)  # E p - p²


def test_oscillation_of_known_series():
    t = np.arange(12)
    swing = oscillation(np.where(t % 2, 1.0, 0.0), after=0)
    assert swing.of_levels == pytest.approx(-11 / 12)
    assert swing.of_changes == pytest.approx(-10 / 11, abs=0.05)
    assert swing.amplitude == 1.0
    climb = oscillation(t.astype(float), after=0)
    assert climb.of_levels > 0.5
    assert climb.of_changes == 0.0
    noise = oscillation(np.random.default_rng(0).standard_normal((200, 400)))
    assert noise.of_changes == pytest.approx(-0.5, abs=0.01)
    assert noise.of_levels == pytest.approx(0.0, abs=0.01)
    with pytest.raises(ValueError, match="2 generations after the first 6"):
        oscillation(np.zeros(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "best"}, "unknown rule 'best'"),
        ({"window": 0}, "window is 0"),
        ({"size": 0}, "size is 0"),
        ({"eps": 1.5}, "eps is 1.5"),
    ],
)
def test_bad_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run_generations(PaymentRouting(), model(), Config(**options))


def test_model_and_environment_must_fit():
    with pytest.raises(ValueError, match="the model has 3 arms, the environment 24"):
        run_generations(PaymentRouting(), LogisticModel(np.eye(3), 16))
    assert model().predict(Observation(np.zeros((2, 16)))).shape == (2, 24)

import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea, jao, river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.optimistic_q import learn_optimistic_q

SWIM, SPAN = river_swim(), 6.32


def test_theory_constants_find_the_good_action_and_regret_flattens():
    run = learn_optimistic_q(jao(8, which=5), 1_000_000, 1.43, replicates=2)
    early, late = run.regret[:, 1] / run.steps[1], run.regret[:, -1] - run.regret[:, -3]
    assert (late / (run.steps[-1] - run.steps[-3]) < 0.4 * early).all()
    assert (late / (run.steps[-1] - run.steps[-3]) < 0.1 * run.optimal_gain).all()
    assert (run.v >= run.horizon * run.optimal_gain - 1.43).all()


def test_the_least_q_is_pessimistic_without_a_bonus():
    # Q^ is a minimum over noisy values: unscaled, the bonus pays for that; without it Q^ sinks.
    run = learn_optimistic_q(jao(8, which=5), 100_000, 1.43, scale=0.0, horizon=20, replicates=2)
    assert (run.v < run.horizon * run.optimal_gain - 1.43).all()
    assert (run.regret[:, -1] > 0.15 * 100_000).all()


def test_short_runs_leave_no_room_to_learn_in():
    run = learn_optimistic_q(SWIM, 20_000, SPAN, replicates=2)
    assert run.horizon < 12
    np.testing.assert_array_equal(run.v, run.horizon)


def test_values_only_fall_and_are_maxima():
    mdp = garnet(6, 3, 2, seed=1)
    short, long = (learn_optimistic_q(mdp, n, 2.0, horizon=20, scale=0.05) for n in (300, 30_000))
    assert (long.q <= short.q + 1e-12).all()
    assert (long.q <= 20).all()
    np.testing.assert_allclose(long.v, long.q.reshape(1, 6, 3).max(2))


def test_replicates_do_not_depend_on_company_or_threads():
    options = dict(horizon=30, scale=0.001, bernoulli=True)
    many = learn_optimistic_q(SWIM, 3000, SPAN, replicates=3, threads=2, **options)
    one = learn_optimistic_q(SWIM, 3000, SPAN, **options)
    np.testing.assert_array_equal(many.regret[0], one.regret[0])
    np.testing.assert_array_equal(many.q[0], one.q[0])
    assert not np.array_equal(many.q[0], many.q[1])


def test_one_arm_follows_the_published_recursion():
    """H, the bonus 4 sp sqrt(H / n ln(2 T / delta)) and the step (H + 1) / (H + n), by hand."""
    arm, steps, span, delta = FiniteMDP.from_dense(np.ones((1, 1, 1)), [[0.3]]), 4000, 0.02, 0.05
    run = learn_optimistic_q(arm, steps, span, delta=delta)
    horizon = min(np.sqrt(span * steps), (steps / np.log(4 * steps / delta)) ** (1 / 3))
    assert run.horizon == pytest.approx(horizon)
    q = least = horizon
    for n in range(1, steps + 1):
        alpha = (horizon + 1) / (horizon + n)
        extra = 4 * span * np.sqrt(horizon / n * np.log(2 * steps / delta))
        q = (1 - alpha) * q + alpha * (0.3 + (1 - 1 / horizon) * least + extra)
        least = min(least, q)
    np.testing.assert_allclose(run.q, least, rtol=1e-12)
    assert least < 0.9 * horizon


def test_bad_requests():
    with pytest.raises(ValueError, match="without termination"):
        learn_optimistic_q(deep_sea(3), 10, 1.0)
    with pytest.raises(ValueError, match="rewards in"):
        learn_optimistic_q(SWIM.with_rewards(SWIM.r * 2), 10, 1.0)
    with pytest.raises(ValueError, match="span must be positive"):
        learn_optimistic_q(SWIM, 10, 0.0)

"""Follow-the-leader policies: solved weights, unbiased estimates, regret in both regimes."""

import numpy as np
import pytest
from scipy.optimize import brentq

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.adversarial import (
    ETA,
    EXP3,
    EXP3_IX,
    LOSS,
    PROBABILITY,
    TSALLIS_INF,
    exponential_weights,
    select_adversarial,
    tsallis_weights,
    update_adversarial,
)
from rlkit.algos.bandits.simulation.state import ROWS, SCALARS
from rlkit.envs.bandits.armed import Switching
from rlkit.envs.bandits.streams import POLICY, open_stream


def tsallis(losses, eta, root=0.0):
    p = np.empty(len(losses))
    return p, tsallis_weights(np.asarray(losses, float), eta, root, p)


def test_tsallis_reference_values():
    p, root = tsallis([0.0, 1.0, 2.0], 1.0)
    np.testing.assert_allclose(p, [0.534814, 0.286762, 0.178424], atol=5e-7)
    assert root == pytest.approx(-2.734818, abs=5e-7)
    np.testing.assert_allclose(tsallis([3.0, 3.0], 0.7)[0], [0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize("start", [-1e6, 0.0, 1e6])
def test_tsallis_root_from_any_start_equals_a_bracketed_solver(start):
    rng = np.random.default_rng(0)
    for _ in range(50):
        arms, eta = int(rng.integers(1, 30)), 10 ** rng.uniform(-3, 0.5)
        losses = rng.exponential(10 ** rng.uniform(-1, 4), arms)
        low = losses.min()
        exact = (
            brentq(
                lambda x, losses=losses, eta=eta: (4 / (eta * (losses - x)) ** 2).sum() - 1,
                low - 2 * np.sqrt(arms) / eta - 1e-9,
                low - 2 / eta + 1e-12 * max(1.0, abs(low)),
                xtol=1e-13,
            )
            if arms > 1
            else low - 2 / eta
        )
        p, root = tsallis(losses, eta, start)
        assert p.sum() == pytest.approx(1.0, abs=1e-12)
        assert root == pytest.approx(exact, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(p, 4 / (eta * (losses - exact)) ** 2, rtol=1e-6)


def test_exponential_weights_survive_huge_losses():
    losses = np.array([1e9, 1e9 + 1.0, 2e9])
    p = np.empty(3)
    exponential_weights(losses, 1.0, p)
    np.testing.assert_allclose(p, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("policy", "par", "kind"),
    [
        (EXP3, 0.3, "equal"),
        (TSALLIS_INF, 0.0, "equal"),
        (TSALLIS_INF, 1.0, "equal"),
        (EXP3_IX, 0.0, "below"),
    ],
)
def test_expected_loss_estimate(policy, par, kind):
    losses = np.array([0.2, 0.9, 0.55])
    st, sc, par = np.zeros((ROWS, 3)), np.zeros(SCALARS), np.array([par, 0.0])
    st[LOSS] = [1.0, 0.0, 2.0]
    stream = np.empty(2, np.uint64)
    open_stream(stream, 0, 0, POLICY)
    select_adversarial(policy, par, 9, st, sc, stream)
    expected = np.zeros(3)
    for arm in range(3):
        after = st.copy()
        update_adversarial(policy, par, arm, 1.0 - losses[arm], after, sc)
        expected += st[PROBABILITY, arm] * (after[LOSS] - st[LOSS])
    if kind == "equal":
        np.testing.assert_allclose(expected, losses, atol=1e-12)
    else:
        np.testing.assert_allclose(
            expected, losses * st[PROBABILITY] / (st[PROBABILITY] + sc[ETA] / 2), atol=1e-12
        )
        assert (expected < losses).all()


def test_stochastic_growth_of_tsallis_inf_is_logarithmic_and_of_exp3_ix_is_not():
    options = {"runs": 40, "horizon": 100_000, "seed": 0, "checkpoints": [10_000]}
    means = [0.5, 0.4, 0.4, 0.4, 0.4]
    tsallis_regret = simulate("tsallis_inf", means, **options).mean()
    exp3_regret = simulate("exp3_ix", means, **options).mean()
    assert tsallis_regret[1] / tsallis_regret[0] < 2.0
    assert 2.3 < exp3_regret[1] / exp3_regret[0] < 3.7  # sqrt(10) = 3.16


def test_exp3_tuned_to_its_horizon_grows_like_the_root():
    # With steps of sqrt(ln K / (t K)) it adapts to such easy arms: its ratio is near 2.
    growth = {}
    for policy in ("exp3", "exp3_anytime"):
        short, long = (
            simulate(policy, [0.5, 0.4], runs=30, horizon=horizon).mean()[-1]
            for horizon in (10_000, 100_000)
        )
        growth[policy] = long / short
    assert 2.7 < growth["exp3"] < 3.7  # sqrt(10) = 3.16
    assert growth["exp3_anytime"] < 2.4


def test_a_flip_halfway_defeats_neither_ucb1_nor_tsallis_inf():
    """Means .6 and .4 change places at half time.

    It is sometimes told as an adversary that costs UCB1 a linear regret. It does not: what UCB1
    knows of the worse arm are few pulls, so that the arm's mean rises as soon as it is better, and
    the regret even against the best arm of each half grows like a logarithm. Tsallis-INF stays
    below the best fixed arm too. The adversary of the next test does defeat UCB1.
    """
    against_both_halves = []
    for horizon in (10_000, 40_000):
        env = Switching([[0.6, 0.4], [0.4, 0.6]], [1, horizon // 2 + 1])
        ucb = simulate("ucb1", env=env, runs=40, horizon=horizon).mean()[-1]
        against_both_halves.append(ucb + 0.1 * horizon)  # .6 T instead of the best fixed arm's .5 T
        leader = simulate("tsallis_inf", env=env, runs=40, horizon=horizon)
        assert leader.mean()[-1] < 2 * np.sqrt(2 * horizon)
    short, long = against_both_halves
    assert 0 < short < 0.02 * 10_000
    assert long < 2.5 * short  # four times the rounds


def rewards_against_ucb1(horizon: int) -> np.ndarray:
    """An oblivious sequence [T, 2] that pays UCB1's choice (next to) nothing in every round."""
    low = np.array([0.0, 0.001])  # different, so that UCB1 never has to break a tie
    pulls, rewards = np.zeros(2), np.empty((horizon, 2))
    for t in range(1, horizon + 1):
        arm = t - 1 if t <= 2 else int((low + np.sqrt(2 * np.log(t) / pulls)).argmax())
        pulls[arm] += 1
        rewards[t - 1] = 1.0
        rewards[t - 1, arm] = low[arm]
    return rewards


def test_an_oblivious_adversary_gives_ucb1_linear_and_tsallis_inf_small_regret():
    horizon = 4000
    env = Switching(rewards_against_ucb1(horizon), np.arange(1, horizon + 1), noise="none")
    ucb = simulate("ucb1", env=env, runs=2, horizon=horizon, checkpoints=[2000])
    assert ucb.regret[:, 0].min() > 0.45 * 2000
    assert ucb.regret[:, 1].min() > 0.45 * 4000
    for policy in ("tsallis_inf", "exp3_ix", "exp3"):
        leader = simulate(policy, env=env, runs=100, horizon=horizon)
        assert leader.mean()[-1] < 4 * np.sqrt(2 * horizon)


def test_regret_under_switching_counts_the_best_fixed_arm_of_each_prefix():
    env = Switching([[0.9, 0.1], [0.0, 1.0]], starts=[1, 11], noise="none")
    run = simulate("random", env=env, runs=3, horizon=40, checkpoints=[10, 15, 40])
    fixed = [[9.0, 1.0], [9.0, 6.0], [9.0, 31.0]]  # reward of each fixed arm up to a checkpoint
    for r in range(3):
        single = simulate(
            "random", env=env, runs=3, horizon=40, checkpoints=np.arange(1, 41)
        ).regret[r]
        np.testing.assert_allclose(run.regret[r], single[[9, 14, 39]])
    played = run.mean_pulls * 3
    first = 0.9 * played[0, 0] + 0.1 * played[0, 1]
    second = first + (played[2, 1] - played[0, 1])
    assert run.regret[:, 0].sum() == pytest.approx(3 * max(fixed[0]) - first)
    assert run.regret[:, 2].sum() == pytest.approx(3 * max(fixed[2]) - second)


def test_batched_exp3_holds_its_arm_and_is_exp3_for_batches_of_one():
    options = {"means": [0.7, 0.4, 0.4], "runs": 20, "horizon": 3000}
    single = simulate("exp3_batched", batch=1, **options)
    plain = simulate("exp3_anytime", **options)
    np.testing.assert_array_equal(single.regret, plain.regret)
    every = np.arange(1, 3001)
    held = simulate("exp3_batched", batch=7, checkpoints=every, **(options | {"runs": 1}))
    played = np.diff(held.mean_pulls, axis=0, prepend=np.zeros((1, 3))).argmax(1)
    batches = played[: 3000 // 7 * 7].reshape(-1, 7)
    assert (batches == batches[:, :1]).all()
    assert len(np.unique(played)) == 3
    # Its losses are means of 7 rounds, so that it learns from 3000 / 7 of them.
    assert held.regret[0, -1] < 0.8 * simulate("random", **options).regret[:, -1].mean()

import numpy as np
import pytest

from rlkit.envs.tabular.chains import jao, river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.loop import _row_parameters, loop_finite, loop_linear_mixture
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.returns.laws import Outcomes, outcomes_from_coo

MODELS = [jao(8, which=k) for k in range(8)]


@pytest.mark.parametrize("loss", ["model", "value"])
def test_jao_eight_switches_five_times_and_locks_on(loss):
    found = loop_finite(MODELS[5], MODELS, 40_000, 5, loss, replicates=3)
    np.testing.assert_array_equal(found.switches, 5)
    np.testing.assert_array_equal(found.held[:, -1], 5)
    assert found.in_set.all()
    # The sheet's ranges at 2.5k, 5k, 10k, 20k and 40k steps, widened by three seeds' noise.
    low, high = [430, 900, 1050, 1000, 950], [620, 1200, 1320, 1320, 1320]
    curve = found.regret[:, [0, 1, 3, 7, 15]]
    assert (curve >= low).all()
    assert (curve <= high).all()


def test_switches_do_not_grow_with_time():
    for horizon in (40_000, 160_000):
        assert loop_finite(MODELS[5], MODELS, horizon, 5).switches[0] == 5


@pytest.mark.parametrize("truth", [0, 6, 9])
def test_what_is_played_promises_at_least_the_true_gain(truth):
    base, rng = garnet(4, 3, 2, seed=3), np.random.default_rng(0)
    p, r = base.dense()
    near = [0.5 * p + 0.5 * rng.dirichlet(np.ones(4), (4, 3)) for _ in range(9)]
    models = [base, *(FiniteMDP.from_dense(x, r) for x in near)]
    gains = np.array([relative_value_iteration(m, 1e-11).gain[0] for m in models])
    found = loop_finite(models[truth], models, 20_000, truth, replicates=3)
    assert found.in_set.all()
    assert (gains[found.held] >= gains[truth] - 1e-9).all()


def test_tabular_is_the_mixture_of_all_transitions():
    one_hot = np.zeros((2, 8, 2, 32))
    for i, (s, a, t) in enumerate(np.ndindex(2, 8, 2)):
        one_hot[s, a, t, i] = 1.0
    found = loop_linear_mixture(MODELS[5], one_hot, 12_000, 1.43, norm=4.0, scale=0.1)
    assert found.switches[0] < 16 * np.log2(12_000)
    late = found.regret[0, -1] - found.regret[0, 7]
    assert late < 0.4 * found.regret[0, 7]


def test_smaller_set_is_quicker():
    found = loop_finite(MODELS[5], MODELS, 40_000, 5, scale=0.1, replicates=3)
    np.testing.assert_array_equal(found.switches, 5)
    assert found.regret[:, -1].mean() < 300


def test_river_swim_with_other_currents_never_switches():
    models = [river_swim(6, v) for v in ("ucrl", "strong_current")]
    found = loop_finite(models[0], models, 4000, 0)
    assert found.switches[0] == 0


def test_single_hypothesis_has_no_regret_but_mixing():
    found = loop_finite(MODELS[2], [MODELS[2]], 20_000, 0, replicates=5)
    assert (found.switches == 0).all()
    assert np.abs(found.regret[:, -1]).max() < 4 * np.sqrt(20_000)


def test_linear_mixture_learns_with_few_switches():
    features = np.stack([m.dense()[0] for m in MODELS], -1)
    found = loop_linear_mixture(MODELS[5], features, 20_000, 1.43, scale=0.1, replicates=3)
    assert (found.switches < 8 * np.log2(20_000)).all()
    assert found.regret[:, -1].mean() < 300
    half = found.regret[:, 7].mean()
    assert found.regret[:, -1].mean() < 1.5 * half + 100
    with pytest.raises(ValueError, match="features must have shape"):
        loop_linear_mixture(MODELS[5], features[0], 100, 1.0)


def test_a_row_s_parameter_is_the_plan_s_value_and_lies_in_the_set():
    rng = np.random.default_rng(0)
    phi, v = rng.standard_normal((4, 2, 4, 3)), rng.random(4)
    root = rng.standard_normal((3, 3))
    sigma, theta, held = np.eye(3) + 5 * root @ root.T, rng.standard_normal(3), np.zeros((8, 3))
    _row_parameters(phi, theta, np.linalg.inv(sigma), 0.5, v, held)
    x = (v @ phi).reshape(8, 3)
    free = x @ theta + 0.5 * np.sqrt(np.einsum("id,de,ie->i", x, np.linalg.inv(sigma), x))
    np.testing.assert_allclose((held * x).sum(1), np.clip(free, v.min(), v.max()))
    away = held - theta
    distance = np.sqrt(np.einsum("id,de,ie->i", away, sigma, away))
    inside = (free >= v.min()) & (free <= v.max())
    assert 0 < inside.sum() < 8
    np.testing.assert_allclose(distance[inside], 0.5)


def test_mixture_switches_by_its_loss_more_rarely_than_by_doubling():
    features = np.stack([m.dense()[0] for m in MODELS], -1)
    options = {"scale": 0.1, "replicates": 3}
    found = {
        rule: loop_linear_mixture(MODELS[5], features, 20_000, 1.43, rule=rule, **options)
        for rule in ("loss", "doubling")
    }
    assert (found["loss"].switches > 3).all()
    assert (found["loss"].switches < 0.6 * found["doubling"].switches).all()
    assert all(x.regret[:, -1].mean() < 300 for x in found.values())
    with pytest.raises(ValueError, match="rule must be one of loss, doubling"):
        loop_linear_mixture(MODELS[5], features, 100, 1.43, rule="determinant")


def test_bad_hypotheses_are_refused():
    with pytest.raises(ValueError, match="hypothesis 1 does not have"):
        loop_finite(MODELS[0], [MODELS[0], river_swim()], 100, 0)
    with pytest.raises(ValueError, match=r"true_index must lie in 0\.\.7"):
        loop_finite(MODELS[0], MODELS, 100, 8)


def paid_on_arrival(mdp: FiniteMDP, spread: float) -> Outcomes:
    """The same model, of which each row's rewards differ by successor around the same mean."""
    m = mdp.expanded()
    row = np.repeat(np.arange(m.num_rows), np.diff(m.row_ptr))
    by_place = spread * (m.col / (m.num_states - 1) - 0.5)
    mean = np.bincount(row, m.val * by_place, m.num_rows)
    r = m.r[row] + by_place - mean[row]
    s, a = np.divmod(row, m.num_actions)
    return outcomes_from_coo(s, a, m.col, m.val, r, m.num_states, m.initial_law())


@pytest.mark.parametrize("loss", ["model", "value"])
def test_rewards_by_successor_cost_no_more_than_their_spread(loss):
    plain = loop_finite(MODELS[5], MODELS, 40_000, 5, loss, replicates=3)
    same = loop_finite(paid_on_arrival(MODELS[5], 0.0), MODELS, 40_000, 5, loss, replicates=3)
    assert same.beta == plain.beta
    np.testing.assert_array_equal(same.held, plain.held)
    np.testing.assert_allclose(same.regret, plain.regret, atol=1e-6)
    wide = loop_finite(paid_on_arrival(MODELS[5], 2.0), MODELS, 160_000, 5, loss, replicates=3)
    assert wide.beta > plain.beta
    assert wide.in_set.all()
    np.testing.assert_array_equal(wide.held[:, -1], 5)


def test_mixtures_pay_by_successor_what_they_pay_in_the_mean():
    truth = garnet(5, 2, 2, seed=1)
    p, _ = truth.dense()
    features = np.stack([p, np.full_like(p, 0.2)], -1)
    options = {"horizon": 20_000, "span": 5.0, "replicates": 2}
    plain = loop_linear_mixture(truth, features, **options)
    same = loop_linear_mixture(paid_on_arrival(truth, 0.0), features, **options)
    np.testing.assert_allclose(same.regret, plain.regret, atol=1e-6)
    wide = loop_linear_mixture(paid_on_arrival(truth, 1.0), features, **options)
    np.testing.assert_array_equal(wide.switches, plain.switches)  # plans know the means
    assert abs(wide.regret[:, -1] - plain.regret[:, -1]).max() < 4 * np.sqrt(20_000) * 0.5
    assert not np.array_equal(wide.regret, plain.regret)

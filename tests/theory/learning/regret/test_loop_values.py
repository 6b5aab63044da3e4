import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea, jao, river_swim
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.loop_values import linear_plan, loop_linear, own_loss, regressed
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.returns.laws import outcomes_from_coo


def aggregation(seed, states=8, actions=4, d=3):
    """A model whose rows mix d laws: the features span r + P V for every V."""
    rng = np.random.default_rng(seed)
    phi = rng.dirichlet(np.full(d, 0.3), (states, actions))
    model = FiniteMDP.from_dense(phi @ rng.dirichlet(np.full(states, 0.3), d), phi @ rng.random(d))
    return model, phi


def planned(model, phi, visits, radius, ridge=1e-9, span=100.0):
    """q, v of a plan on `visits` of every row that fell out exactly as their law says."""
    p, r = model.dense()
    rows = p.shape[0] * p.shape[1]
    x, seen, paid = phi.reshape(rows, -1), visits * p.reshape(rows, -1), visits * r.ravel()
    inverse = np.linalg.inv(ridge * np.eye(x.shape[1]) + visits * x.T @ x)
    q, v, policy = np.zeros(rows), np.zeros(p.shape[0]), np.zeros(p.shape[0], np.int64)
    sweeps = linear_plan(x, seen, paid, inverse, radius, 0.0, 1.0, span, 1e-10, q, v, policy)
    assert sweeps < 2000
    return q, v, (x, seen, paid, inverse)


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_on_exact_data_is_the_optimal_bias_and_gain(seed):
    model, phi = aggregation(seed)
    exact = relative_value_iteration(model, 1e-12)
    q, v, _ = planned(model, phi, 100.0, 0.0)
    np.testing.assert_allclose(v, exact.bias - exact.bias.min(), atol=1e-7)
    np.testing.assert_allclose(q, model.q(v, 1.0).ravel(), atol=1e-7)
    np.testing.assert_allclose(q.reshape(8, 4).max(1) - v, exact.gain[0], atol=1e-7)
    hopeful, at, _ = planned(model, phi, 100.0, 0.5)
    assert (hopeful.reshape(8, 4).max(1) - at > exact.gain[0]).all()


def test_the_span_of_a_plan_is_clipped():
    swim = river_swim()
    one_hot = np.eye(12).reshape(6, 2, 12)
    for span in (2.0, 20.0):
        _, v, _ = planned(swim, one_hot, 100.0, 0.0, span=span)
        assert np.ptp(v) == pytest.approx(min(span, np.ptp(relative_value_iteration(swim).bias)))


def test_the_excess_is_that_of_the_data_themselves():
    rng = np.random.default_rng(1)
    x, q, v, ridge = rng.standard_normal((6, 4)), rng.random(6), rng.random(3), 0.7
    seen, paid = np.zeros((6, 3)), np.zeros(6)
    row, s2, r = rng.integers(6, size=50), rng.integers(3, size=50), rng.random(50)
    np.add.at(seen, (row, s2), 1.0)
    np.add.at(paid, row, r)
    y = r + v[s2]
    gram = ridge * np.eye(4) + x[row].T @ x[row]
    w = np.linalg.solve(gram, x[row].T @ y)
    least = ((x[row] @ w - y) ** 2).sum() + ridge * w @ w
    pull = regressed(x, seen, paid, v)
    excess = own_loss(seen, paid, q, v) + pull @ np.linalg.solve(gram, pull)
    assert excess == pytest.approx(((q[row] - y) ** 2).sum() - least)


def test_a_relaxed_plan_s_excess_is_one_beta_for_every_row():
    model = aggregation(0)[0]
    radius = 0.3
    q, v, (x, seen, paid, inverse) = planned(
        model, np.eye(32).reshape(8, 4, 32), 1e4, radius, ridge=1e-6
    )
    pull = regressed(x, seen, paid, v)
    excess = own_loss(seen, paid, q, v) + pull @ inverse @ pull
    assert excess == pytest.approx(32 * radius**2, rel=1e-3)


@pytest.mark.parametrize("rule", ["loss", "doubling"])
@pytest.mark.parametrize("seed", range(3))
def test_it_learns_models_that_its_features_span(rule, seed):
    model, phi = aggregation(seed)
    exact = relative_value_iteration(model, 1e-11)
    lost = 40_000 * (exact.gain[0] - model.r.mean())  # about what a random policy loses
    found = loop_linear(
        model, phi, 40_000, 1.5 * np.ptp(exact.bias), scale=0.2, rule=rule, replicates=3
    )
    assert found.regret[:, -1].mean() < 0.01 * lost
    assert (found.switches > 3).all()
    assert (found.switches < 3 * np.log2(40_000)).all()


def test_the_loss_switches_a_tabular_learner_rarely_and_it_locks_on():
    truth, one_hot = jao(8, which=5), np.eye(16).reshape(2, 8, 16)
    found = {
        rule: loop_linear(truth, one_hot, 80_000, 1.43, scale=0.1, rule=rule, replicates=3)
        for rule in ("loss", "doubling")
    }
    assert (found["loss"].switches < 0.5 * found["doubling"].switches).all()
    for run in found.values():
        assert run.regret[:, -1].mean() < 400
        # the second half costs the noise of its rewards and no more
        assert (abs(run.regret[:, -1] - run.regret[:, 7]) < 2 * np.sqrt(40_000)).all()
    wide = loop_linear(truth, one_hot, 80_000, 1.43, scale=0.3, replicates=3)
    assert (wide.regret[:, -1] > 3 * found["loss"].regret[:, -1].mean()).all()


def test_a_span_that_is_too_small_hurts():
    swim, one_hot = river_swim(), np.eye(12).reshape(6, 2, 12)
    right, small = (
        loop_linear(swim, one_hot, 80_000, span, scale=0.1, replicates=2) for span in (7.0, 0.5)
    )
    late = [x.regret[:, -1] - x.regret[:, 7] for x in (right, small)]
    assert late[0].mean() < 200
    assert right.regret[:, -1].mean() < small.regret[:, -1].mean() - 500


def test_rewards_by_successor_are_learnt_in_the_mean():
    # state 1 pays on arrival; action 1 is likelier to lead there: the gain is that likelihood
    s, a, s2 = (x.ravel() for x in np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"))
    p = np.where(s2 == 1, np.where(a == 1, 0.8, 0.3), np.where(a == 1, 0.2, 0.7))
    one_hot, options = np.eye(4).reshape(2, 2, 4), {"scale": 0.2, "replicates": 2}
    model = outcomes_from_coo(s, a, s2, p, s2.astype(float), 2, np.eye(2)[0])
    found = loop_linear(model, one_hot, 20_000, 0.5, **options)
    assert (found.regret[:, -1] < 0.05 * 20_000).all()
    flat = outcomes_from_coo(s, a, s2, p, np.where(a == 1, 0.8, 0.3), 2, np.eye(2)[0])
    same, plain = (loop_linear(x, one_hot, 2000, 0.5, **options) for x in (flat, flat.mdp))
    np.testing.assert_allclose(same.regret, plain.regret, atol=1e-9)


def test_replicates_are_the_same_on_two_threads():
    model, phi = aggregation(0)
    one, two = (loop_linear(model, phi, 3000, 0.5, replicates=3, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.regret, two.regret)
    assert not np.array_equal(one.regret[0], one.regret[1])


def test_unsuitable_arguments_are_refused():
    model, phi = aggregation(0)
    with pytest.raises(ValueError, match="features"):
        loop_linear(model, phi[0], 100, 1.0)
    with pytest.raises(ValueError, match="rule must be one of loss, doubling"):
        loop_linear(model, phi, 100, 1.0, rule="lazy")
    with pytest.raises(ValueError, match="span"):
        loop_linear(model, phi, 100, 0.0)
    with pytest.raises(ValueError, match="no termination"):
        loop_linear(deep_sea(3), np.ones((1, 1, 1)), 100, 1.0)

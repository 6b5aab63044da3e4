"""FastCB's gamma follows the loss, not the rounds: what its first-order regret rests on."""

import numpy as np
import pytest

from rlkit.algos.bandits.contextual import neural_gap, oracle_policies
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.neural_gap import NeuralGapPolicy
from rlkit.algos.bandits.contextual.oracle_policies import (
    OraclePolicy,
    fast_cb,
    first_order_gamma,
)
from rlkit.algos.bandits.contextual.oracles import MeanOracle
from rlkit.algos.bandits.contextual.policy_generations import Config, rule_probabilities
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.envs.bandits.contextual import TabularContexts

K = 4
ALL = np.ones((1, K), bool)


def gamma(loss, rows, mask=ALL, scale=10.0):
    return first_order_gamma(np.atleast_1d(loss), np.atleast_1d(rows), mask, scale)


def test_gamma_is_the_root_of_the_loss_and_at_least_ten_a_free_arm():
    assert gamma(0.0, 0) == 0.0  # nothing learned: uniform
    assert gamma(0.0, 10**6) == 10 * K  # a perfect arm: no growth with the rounds
    assert gamma(99.0, 100) == 100.0
    assert gamma(9999.0, 10**6) == 1000.0
    # The paper's max(sqrt(K L / (3 Reg)), 10 K) with scale sqrt(K / (3 Reg)).
    regret, loss = 0.02, 5000.0
    paper = max(np.sqrt(K * loss / (3 * regret)), 10 * K)
    assert gamma(loss - 1, 10**5, scale=np.sqrt(K / (3 * regret))) == pytest.approx(paper)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    np.testing.assert_array_equal(gamma(0.0, 5, mask), [[20.0], [40.0]])


def test_lanes_have_their_own_gamma():
    found = first_order_gamma(
        np.array([99.0, 0.0, 5.0]), np.array([100, 100, 0]), np.ones((6, 2)), 10.0
    )
    np.testing.assert_array_equal(found[:, 0], [100, 100, 20, 20, 0, 0])


@pytest.mark.parametrize("rule", ["fast_cb", "square_cb"])
def test_exploration_at_no_loss_stays_for_fast_cb_alone(rule):
    """With losses of zero throughout, 100 times the rows change gamma of square_cb only."""
    policy = OraclePolicy(MeanOracle(1, 2, prior=0.5, weight=1e9), oracle_policies.Config(rule))
    policy.oracle.total[:] = [[3e8, 0.0]]  # predictions .8 and .5, which the rows do not move
    obs, seen = Observation(np.ones((1, 1))), []
    for rows in (100, 10_000):
        policy.learn(Feedback(np.zeros(rows, int), np.ones(rows), np.ones((rows, 1))))
        seen.append(policy.dist(obs)[0, 1])
    assert np.isclose(seen[1], seen[0], rtol=1e-3) == (rule == "fast_cb")
    if rule == "fast_cb":
        policy.learn(Feedback(np.zeros(10_000, int), np.zeros(10_000), np.ones((10_000, 1))))
        assert policy.dist(obs)[0, 1] < 0.1 * seen[1]  # losses do


def test_a_lane_is_the_same_in_any_company():
    rng = np.random.default_rng(0)
    context, action = rng.standard_normal((12, 3)), rng.integers(0, K, 12)
    reward = np.repeat([1.0, 0.0], 6)  # the first lane without loss, the second with nothing else
    for make in (
        lambda seeds: NeuralGapPolicy(
            K, 3, neural_gap.Config("fast", hidden=(8,), gamma=80.0, seeds=seeds)
        ),
        lambda seeds: OraclePolicy(
            NetworkOracle(K, 3, hidden=(8,), seeds=seeds),
            oracle_policies.Config("fast_cb", gamma=80.0),
        ),
    ):
        both, alone = make((1, 2)), make((2,))
        both.learn(Feedback(action, reward, context))
        alone.learn(Feedback(action[6:], reward[6:], context[6:]))
        np.testing.assert_allclose(
            both.dist(Observation(context))[6:], alone.dist(Observation(context[6:])), rtol=1e-4
        )


def test_state_keeps_the_loss():
    policy = OraclePolicy(MeanOracle(2, K), oracle_policies.Config("fast_cb"))
    play(policy, TabularContexts([[0.2, 0.5, 0.9, 0.1], [0.6, 0.1, 0.2, 0.3]]), 500)
    other = OraclePolicy(MeanOracle(2, K), oracle_policies.Config("fast_cb"))
    other.load_state_dict(policy.state_dict())
    obs = Observation(np.eye(2))
    np.testing.assert_array_equal(policy.dist(obs), other.dist(obs))
    assert 0 < policy.loss[0] < 500


def test_generations_scale_with_the_loss_of_what_they_learned_from():
    predicted, size = np.array([[0.5, 0.9, 0.8, 0.1]]), 10_000

    def p(loss):
        c = Config("fast_cb", gamma=10.0, scaled=True, size=size)
        return rule_probabilities(c, predicted, ALL, loss)

    np.testing.assert_allclose(p(0.0), fast_cb(predicted, ALL, 10.0 * K))
    np.testing.assert_allclose(p(0.25), fast_cb(predicted, ALL, 10.0 * np.sqrt(2501)))

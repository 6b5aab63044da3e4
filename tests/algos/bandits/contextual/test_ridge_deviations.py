"""Widths of ridge models by any route: few models or many, in one part or in several."""

import numpy as np
import pytest

from rlkit.algos.bandits.contextual import linear, ridge
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.ridge import ArmFeatures, RidgeModels
from rlkit.algos.bandits.interface import Feedback, Observation, draw, draw_greedy, greedy

DIM = 4


def taught(arms, disjoint, rng):
    models = RidgeModels(arms if disjoint else 1, DIM)
    for m in range(len(models.theta)):
        models.add(m, rng.standard_normal((3, DIM)), rng.random(3))
    return models


@pytest.mark.parametrize("arms", [2, ridge.MANY, ridge.MANY + 8])
@pytest.mark.parametrize(("disjoint", "per_arm"), [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("chunk", [1, 200, 2**17])
def test_widths_are_the_quadratic_forms(arms, disjoint, per_arm, chunk, monkeypatch):
    monkeypatch.setattr(ridge, "CHUNK", chunk)
    rng = np.random.default_rng(arms)
    models, features = taught(arms, disjoint, rng), ArmFeatures(arms, DIM, disjoint, per_arm)
    x = rng.standard_normal((11, arms, DIM) if per_arm else (11, DIM))
    for _ in range(2):  # the second time after one model has learned
        expected = np.empty((11, arms))
        for b in range(11):
            for a in range(arms):
                row = x[b, a] if per_arm else x[b]
                expected[b, a] = np.sqrt(row @ models.inverse[a if disjoint else 0] @ row)
        np.testing.assert_allclose(features.deviations(x, models), expected, rtol=1e-12)
        models.add(0, rng.standard_normal((1, DIM)), np.ones(1))
        models.load_state_dict(models.state_dict())


def test_a_greedy_draw_is_the_draw_of_greedy_probabilities():
    rng = np.random.default_rng(0)
    mask = rng.random((50, 4)) < 0.7
    mask[:, 1] = True
    for scores in (rng.random((50, 4)), rng.integers(0, 2, (50, 4)).astype(float)):
        for shown in (None, mask):
            allowed = np.ones((50, 4), bool) if shown is None else shown
            found = draw_greedy(scores, shown, np.random.default_rng(1))
            expected = draw(greedy(scores, allowed), np.random.default_rng(1))
            np.testing.assert_array_equal(found.action, expected.action)
            np.testing.assert_array_equal(found.prob, expected.prob)


@pytest.mark.parametrize("rule", ["linucb", "oful", "greedy"])
def test_acting_is_drawing_from_dist(rule):
    rng = np.random.default_rng(2)
    policy = LinearPolicy(40, DIM, linear.Config(rule, disjoint=True))
    obs = Observation(rng.standard_normal((60, DIM)), rng.random((60, 40)) < 0.8)
    for _ in range(2):  # nothing learned yet, so that all is tied, and then something
        found, expected = policy.act(obs, np.random.default_rng(3)), policy.dist(obs)
        other = draw(expected, np.random.default_rng(3))
        np.testing.assert_array_equal(found.action, other.action)
        np.testing.assert_array_equal(found.prob, other.prob)
        policy.learn(
            Feedback(rng.integers(0, 40, 200), rng.random(200), rng.standard_normal((200, DIM)))
        )

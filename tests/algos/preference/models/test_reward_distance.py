"""A reward fitted to a teacher's choices, held against the true one by STARC and EPIC."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos.preference.feedback import from_dataset, pair_dataset
from rlkit.algos.preference.models.reward_model import Fit, OwnInit, RewardNet, fit, mean_reward
from rlkit.core.spec import Discrete, Spec
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.preferences.reward_metrics import (
    equivalent_reward,
    pearson_distance,
    reward_distance,
)

GAMMA, STATES, ACTIONS = 0.9, 6, 3


@pytest.fixture(scope="module")
def learnt(walk):
    """The process, its reward and the one fitted to 6000 answers, each [S, A, S]."""
    mdp = garnet(STATES, ACTIONS, 3, seed=1)
    store = walk(mdp, 4000, 50)
    answered = pair_dataset(store, 6000, 4, "noisy:4", seed=0)
    spec = Spec(STATES, Discrete(ACTIONS), (0,), torch.float64)
    net = RewardNet(OwnInit(spec, "test"), (), 1, bounded=False)
    fit(
        net,
        from_dataset(answered, spec, Transforms()),
        spec,
        Fit(lr=0.05, batch=6000, passes=120, stop=2.0),
    )
    eye = torch.eye(STATES, dtype=torch.float64).repeat_interleave(ACTIONS, 0).unsqueeze(0)
    action = torch.arange(ACTIONS).repeat(STATES).unsqueeze(0)
    found = mean_reward(net, eye, action).view(STATES, ACTIONS, 1).numpy()
    shape = (STATES, ACTIONS, STATES)
    true = np.broadcast_to(mdp.dense()[1][..., None], shape)
    return mdp, true.copy(), np.broadcast_to(found, shape).copy()


def starc(mdp, one, other) -> float:
    return reward_distance(mdp, one, other, GAMMA) / 2


def epic(mdp, one, other) -> float:
    return pearson_distance(mdp, one, other, GAMMA)


@pytest.mark.parametrize("distance", [starc, epic])
def test_the_learnt_reward_is_near_the_true_one(learnt, distance) -> None:
    mdp, true, found = learnt
    assert distance(mdp, true, found) < 0.06
    assert abs(found - true).max() > 0.2  # although it is another table: scale and constant


@pytest.mark.parametrize("distance", [starc, epic])
def test_shaping_it_by_a_potential_keeps_it_near(learnt, distance) -> None:
    mdp, true, found = learnt
    phi = np.random.default_rng(0).normal(size=STATES) * 10
    shaped = equivalent_reward(mdp, found, GAMMA, phi)
    assert distance(mdp, true, shaped) == pytest.approx(distance(mdp, true, found), abs=1e-6)


@pytest.mark.parametrize("distance", [starc, epic])
def test_wrong_shaping_takes_it_far_away(learnt, distance) -> None:
    """+φ(s') without -φ(s) pays for being somewhere; the negative reward is as far as can be."""
    mdp, true, found = learnt
    phi = np.random.default_rng(0).normal(size=STATES) * 10
    assert distance(mdp, true, found + GAMMA * phi) > 0.3
    assert distance(mdp, true, -found) > 0.9

"""Environments of models in which some action is not always feasible."""

import numpy as np
import pytest

from rlkit.envs.tabular.classics import inventory
from rlkit.envs.tabular.env import make
from rlkit.envs.tabular.families import FAMILIES, find_model
from rlkit.envs.tabular.latent import make as make_latent
from rlkit.envs.tabular.latent import probe
from rlkit.theory.mdp import FiniteMDP

SOURCES = {
    "deep_sea": "deep_sea:n=4",
    "garnet": "garnet:states=8,actions=2,successors=2",
    "banded_garnet": "banded_garnet:states=9,actions=2,successors=2,width=2",
    "pendulum": "pendulum:angles=5,speeds=3,torques=3",
}
LATENT = ("probe", "random_latent")
NEEDS_ARRAYS = ("maze", "factored_garnet")


def gappy() -> FiniteMDP:
    """Action 1 is feasible in state 0 only, action 0 in state 1 only, action 2 in both."""
    return FiniteMDP.from_coo(
        np.array([0, 0, 1, 1]), np.array([1, 2, 0, 2]), np.array([1, 0, 0, 1]), np.ones(4),
        np.array([1.0, -2.0, 3.0, 0.5]), mu0=np.array([1.0, 0.0]),
    )  # fmt: skip


@pytest.mark.parametrize("observation", ["index", "one_hot"])
@pytest.mark.parametrize("infeasible", ["mask", "penalty"])
@pytest.mark.parametrize("name", sorted(set(FAMILIES) - set(LATENT) - set(NEEDS_ARRAYS)))
def test_stable_baselines3_accepts_every_family(name, infeasible, observation):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    mdp = find_model(SOURCES.get(name, name))
    checker.check_env(make(mdp, observation, infeasible=infeasible, max_steps=5))


def test_stable_baselines3_accepts_latent_environments():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make_latent(probe()))


def test_a_masked_action_is_the_next_feasible_one():
    env = make(gappy(), infeasible="mask")
    for state, action, taken in ((0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 0, 0), (1, 1, 2), (1, 2, 2)):
        env.reset(options={"state": state}, seed=0)
        row = int(gappy().row_table()[state, taken])
        after, reward, *_, info = env.step(action)
        assert reward == gappy().r[row]
        assert after == gappy().col[row]
        np.testing.assert_array_equal(env.action_masks(), gappy().row_table()[after] >= 0)
        np.testing.assert_array_equal(info["action_mask"], env.action_masks())


def test_a_penalised_action_stays_and_costs():
    env = make(gappy(), infeasible="penalty", max_steps=2)
    env.reset(seed=0)
    assert env.step(0)[:4] == (0, -7.0, False, False)  # least reward -2, spread 5
    assert env.step(0)[:4] == (0, -7.0, False, True)
    env = make(gappy(), infeasible="penalty", penalty=-0.5)
    env.reset(seed=0)
    assert env.step(0)[1] == -0.5
    assert env.step(1)[:2] == (1, 1.0)


def test_bad_requests():
    env = make(inventory())
    env.reset(seed=0, options={"state": inventory().num_states - 1})
    with pytest.raises(ValueError, match="infeasible='mask' or 'penalty'"):
        env.step(int(np.argmin(env.action_masks())))
    masked = make(gappy(), infeasible="mask")
    masked.reset(seed=0)
    with pytest.raises(ValueError, match=r"action 3 lies outside 0\.\.2"):
        masked.step(3)
    with pytest.raises(ValueError, match="infeasible must be"):
        make(gappy(), infeasible="ignore")
    with pytest.raises(ValueError, match="penalty is a number, for"):
        make(gappy(), infeasible="mask", penalty=-1.0)
    for steps in (0, -1, 2.5, float("nan")):
        with pytest.raises(ValueError, match="max_steps must be"):
            make(gappy(), max_steps=steps)

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlkit.envs.tabular.chains import chain, deep_sea, jao, lock, river_swim
from rlkit.envs.tabular.classics import baird, boyan_chain, forest, inventory, ring
from rlkit.envs.tabular.control import pendulum
from rlkit.envs.tabular.env import TabularEnv, make
from rlkit.envs.tabular.garnet import banded_garnet, factored_garnet, garnet
from rlkit.envs.tabular.grids import frozen_lake, maze

FAMILIES = {
    "river_swim": river_swim(),
    "deep_sea": deep_sea(4, seed=1),
    "chain": chain(),
    "lock": lock(3),
    "jao": jao(4),
    "garnet": garnet(8, 3, 3),
    "banded_garnet": banded_garnet(9, 2, 3, 2),
    "factored_garnet": factored_garnet(3, 3, 2),
    "frozen_lake": frozen_lake(),
    "maze": maze(3, slip=0.3),
    "forest": forest(4),
    "inventory": inventory(5),
    "ring": ring(5),
    "baird": baird().mdp,
    "boyan": boyan_chain().mdp,
    "pendulum": pendulum(7, 5, 3),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_simulation_agrees_with_the_model(name):
    mdp = FAMILIES[name].expanded()
    env = TabularEnv(mdp)
    env.reset(seed=7)
    rng = np.random.default_rng(1)
    p, stop = mdp.matrix().toarray(), np.zeros(mdp.num_rows) if mdp.stop is None else mdp.stop
    draws = 400
    for row in rng.choice(mdp.num_rows, min(mdp.num_rows, 12), replace=False):
        s = int(mdp.state_of_row()[row])
        counts, ends = np.zeros(mdp.num_states), 0
        for _ in range(draws):
            env.reset(options={"state": s})
            t, reward, terminated, truncated, _ = env.step(mdp.a_id[row])
            assert reward == mdp.r[row]
            assert not truncated
            ends += terminated
            counts[t] += not terminated
        tolerance = 4.5 * np.sqrt(0.25 / draws)
        np.testing.assert_allclose(counts / draws, p[row], atol=tolerance)
        assert (counts[p[row] == 0] == 0).all()
        assert ends / draws == pytest.approx(stop[row], abs=tolerance)
        if stop[row] in (0.0, 1.0):
            assert ends == draws * stop[row]


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("observation", ["index", "one_hot"])
def test_gymnasium_accepts_the_environment(observation):
    check_env(make(river_swim(), observation, max_steps=20), skip_render_check=True)


def test_truncation_is_not_termination():
    env = make(river_swim(), max_steps=3)
    env.reset(seed=0)
    flags = [env.step(0)[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]


def test_seed_fixes_the_episode_and_start_follows_the_initial_law():
    def episode(seed):
        env = make(garnet(10, 2, 4), max_steps=30)
        states = [env.reset(seed=seed)[0]]
        return states + [env.step(0)[0] for _ in range(30)]

    assert episode(3) == episode(3)
    assert episode(3) != episode(4)
    assert {make(deep_sea(3)).reset(seed=k)[0] for k in range(5)} == {0}


def test_infeasible_action_and_bad_options_are_refused():
    env = make(inventory(4))
    env.reset(seed=0, options={"state": 4})
    with pytest.raises(ValueError, match="action 2 is not feasible in state 4"):
        env.step(2)
    assert env._info()["action_mask"].tolist() == [1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="bernoulli"):
        make(inventory(4), bernoulli=True)
    with pytest.raises(ValueError, match="'index' or 'one_hot'"):
        make(ring(), "pixels")
    with pytest.raises(ValueError, match=r"features must have shape \(6, d\)"):
        TabularEnv(ring(), features=np.ones((5, 2)))


def test_bernoulli_rewards_have_the_model_mean():
    env = make(chain(3), bernoulli=True)
    env.reset(seed=1)
    rewards = []
    for _ in range(3000):
        env.reset(options={"state": 0})
        rewards.append(env.step(0)[1])
    assert set(rewards) == {0.0, 1.0}
    assert np.mean(rewards) == pytest.approx(0.05, abs=0.02)


def test_our_frozen_lake_is_gymnasiums():
    from rlkit.theory import FiniteMDP

    for name in ("4x4", "8x8"):
        for slippery in (True, False):
            env = gymnasium.make("FrozenLake-v1", map_name=name, is_slippery=slippery)
            theirs, ours = FiniteMDP.from_gymnasium(env), frozen_lake(name, slippery)
            np.testing.assert_allclose(ours.dense()[0], theirs.dense()[0], atol=1e-15)
            np.testing.assert_allclose(ours.r, theirs.r, atol=1e-15)

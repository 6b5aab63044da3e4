import gymnasium
import minigrid  # noqa: F401
import numpy as np
import pytest

from rlkit.envs.tabular.minigrid import enumerate_minigrid, state_key
from rlkit.theory import solve


def test_enumeration_agrees_with_the_environment():
    env = gymnasium.make("MiniGrid-DoorKey-5x5-v0", max_episode_steps=10_000)
    mdp, keys = enumerate_minigrid(env, seed=1)
    index = {key: s for s, key in enumerate(keys)}
    table, rng = mdp.row_table(), np.random.default_rng(0)
    env.reset(seed=1)
    inner = env.unwrapped
    for _ in range(500):
        s, a = index[state_key(inner)], int(rng.integers(7))
        row = table[s, a]
        _, reward, terminated, truncated, _ = inner.step(a)
        assert terminated == (mdp.stop[row] == 1.0)
        assert (reward > 0) == (mdp.r[row] == 1.0)
        if terminated:
            inner.reset(seed=1)
        else:
            assert mdp.col[mdp.row_ptr[row]] == index[state_key(inner)]
        if truncated:
            inner.reset(seed=1)


def test_empty_room_value_is_the_shortest_path():
    mdp, _ = enumerate_minigrid(gymnasium.make("MiniGrid-Empty-5x5-v0"))
    assert solve(mdp, 0.9).value[0] == pytest.approx(0.9**4, abs=1e-6)  # 5 steps


def test_moving_layouts_and_large_ones_are_refused():
    with pytest.raises(ValueError, match="draws random numbers"):
        enumerate_minigrid(gymnasium.make("MiniGrid-Dynamic-Obstacles-5x5-v0"))
    with pytest.raises(ValueError, match="more than 10 states"):
        enumerate_minigrid(gymnasium.make("MiniGrid-Empty-5x5-v0"), max_states=10)

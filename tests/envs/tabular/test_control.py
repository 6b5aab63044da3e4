import gymnasium
import numpy as np
import pytest

from rlkit.envs.tabular.control import pendulum
from rlkit.theory import solve


def test_mean_move_is_gymnasiums_step():
    angles, speeds, torques = 40, 33, 5
    mdp = pendulum(angles, speeds, torques)
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    p = mdp.matrix()
    omega = np.linspace(-8, 8, speeds)
    for i, j, a in ((22, 16, 1), (5, 20, 4), (30, 10, 2)):
        theta = -np.pi + 2 * np.pi * i / angles
        env.state = np.array([theta, omega[j]])
        _, reward, *_ = env.step(np.array([np.linspace(-2, 2, torques)[a]]))
        row = mdp.row_table()[i * speeds + j, a]
        law = p[[row]].toarray().ravel().reshape(angles, speeds)
        assert mdp.r[row] == pytest.approx(float(reward), abs=1e-12)
        assert law.sum(0) @ omega == pytest.approx(env.state[1])
        offset = (np.arange(angles) - i + angles // 2) % angles - angles // 2
        moved = theta + 2 * np.pi / angles * (law.sum(1) @ offset)
        assert moved == pytest.approx(env.state[0])


def test_swing_up_is_worth_more_than_doing_nothing():
    mdp = pendulum(31, 31, 3)
    found = solve(mdp, 0.98)
    hanging = int(np.argmax(mdp.mu0))
    assert found.value[hanging] > -(np.pi**2) / (1 - 0.98)
    upright = 15 * 31 + 15
    assert found.value[upright] > found.value[hanging]
    with pytest.raises(ValueError, match="too coarse"):
        pendulum(2, 2, 2)

"""Termination rules against the simulators themselves."""

import gymnasium
import numpy as np
import pytest
import torch

from rlkit.envs import terminations
from rlkit.envs.make import make

CASES = [
    *("Hopper-v4", "Hopper-v5", "Walker2d-v4", "Walker2d-v5", "Ant-v4", "Ant-v5"),
    *("Humanoid-v4", "Humanoid-v5", "InvertedPendulum-v4", "InvertedPendulum-v5"),
    *("InvertedDoublePendulum-v4", "InvertedDoublePendulum-v5"),
    *("HalfCheetah-v4", "HalfCheetah-v5", "Swimmer-v5", "Reacher-v5", "Pusher-v5", "Pendulum-v1"),
]
SOMETIMES = ("Hopper", "Walker2d", "Ant", "Humanoid", "Inverted")  # end within a few steps


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
@pytest.mark.parametrize("env_id", CASES)
def test_agrees_with_the_simulator(env_id: str) -> None:
    """Every next observation of random episodes; where episodes end, some of them do."""
    env = make(env_id)
    rng = np.random.default_rng(0)
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    observed, ended = [], []
    env.reset(seed=0)
    for t in range(800 if env_id.startswith("Ant") else 400):
        if t % 10 == 0:  # held for a while, so that Ant too leaves its range
            action = space.high * rng.choice((-1, 1), space.shape)
        obs, _, terminated, truncated, _ = env.step(action.astype(space.dtype))
        observed.append(obs)
        ended.append(terminated)
        if terminated or truncated:
            env.reset()
    env.close()
    x = torch.from_numpy(np.array(observed))
    wanted = torch.tensor(ended)
    assert torch.equal(terminations.termination(env_id)(x), wanted)
    assert bool(wanted.any()) == env_id.startswith(SOMETIMES)


def test_shapes_are_leading_axes() -> None:
    x = torch.zeros(3, 7, 11)
    for rule in terminations.TERMINATIONS.values():
        ended = rule(x)
        assert ended.shape == (3, 7)
        assert ended.dtype == torch.bool


@pytest.mark.parametrize(
    ("rule", "at", "low", "high", "closed"),
    [
        (terminations.walker2d, 0, 0.8, 2.0, False),
        (terminations.walker2d, 1, -1.0, 1.0, False),
        (terminations.hopper, 1, -0.2, 0.2, False),
        (terminations.humanoid, 0, 1.0, 2.0, False),
        (terminations.ant, 0, 0.2, 1.0, True),
        (terminations.inverted_pendulum, 1, -0.2, 0.2, True),
    ],
)
def test_bounds_are_open_or_closed(
    rule: terminations.Termination, at: int, low: float, high: float, closed: bool
) -> None:
    x = torch.zeros(4, 11, dtype=torch.float64)
    if at != 0:
        x[:, 0] = 1.25  # a height all of them survive
    x[:, at] = torch.tensor([low, high, low - 1e-9, high + 1e-9], dtype=torch.float64)
    assert rule(x).tolist() == [not closed, not closed, True, True]


def test_a_diverging_model_ends_the_hopper() -> None:
    x = torch.zeros(4, 11)
    x[:, 0] = 1.25
    x[1, 7], x[2, 7], x[3, 7] = 101.0, -101.0, float("nan")
    assert terminations.hopper(x).tolist() == [False, True, True, True]


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(ValueError, match="'Hoper-v5'; did you mean 'Hopper-v5'"):
        terminations.termination("Hoper-v5")
    with pytest.raises(ValueError, match="known are Ant-v4"):
        terminations.termination("CartPole-v1")
    with pytest.raises(ValueError, match="the task has no name"):
        terminations.termination(None)

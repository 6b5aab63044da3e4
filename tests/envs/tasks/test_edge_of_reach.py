"""The plane against its own closed forms."""

import gymnasium
import numpy as np
import pytest
import torch

from rlkit.envs.snapshot import restore, snapshot
from rlkit.envs.tasks import edge_of_reach
from rlkit.envs.tasks.edge_of_reach import EdgeOfReach
from rlkit.eval.rollout import episode_seed, rollout

GRID = torch.from_numpy(np.random.default_rng(0).uniform(-14, 14, (500, 2)))


def test_the_environment_steps_as_its_dynamics_say() -> None:
    env = EdgeOfReach()
    obs, _ = env.reset(seed=3)
    s = torch.from_numpy(env.state)
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    env.action_space.seed(0)
    for t in range(30):
        action = env.action_space.sample()
        s, r = edge_of_reach.transition(s, torch.from_numpy(action).double())
        obs, reward, terminated, truncated, _ = env.step(action)
        assert env.observation_space.contains(obs)
        np.testing.assert_allclose(obs, s.numpy(), rtol=1e-6)
        assert reward == pytest.approx(float(r))
        assert not terminated
        assert truncated == (t == 29)


def test_starts_fill_their_square_and_follow_the_seed() -> None:
    env = EdgeOfReach()
    first = np.array([env.reset(seed=k)[0] for k in range(400)])
    assert np.abs(first).max() <= 2
    assert (np.abs(first).max(0) > 1.9).all()
    assert np.array_equal(first[5], env.reset(seed=5)[0])


def test_actions_beyond_the_box_are_clipped_and_a_reset_must_come_first() -> None:
    env = EdgeOfReach()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros(2))
    start, _ = env.reset(seed=0)
    obs, *_ = env.step(np.array([5.0, -0.5]))
    np.testing.assert_allclose(obs - start, [1.0, -0.5], rtol=1e-5)


def test_reward_is_highest_at_the_goal_and_falls_by_its_width() -> None:
    g, w = edge_of_reach.GOAL, edge_of_reach.WIDTH
    s = torch.tensor([[g[0], g[1]], [g[0] + w, g[1]], [g[0], g[1] - w]]).double()
    s2, r = edge_of_reach.transition(s, torch.zeros(3, 2).double())
    assert torch.equal(s2, s)
    torch.testing.assert_close(r, torch.tensor([1.0, np.exp(-0.5), np.exp(-0.5)]))


@pytest.mark.parametrize("steps", [None, 7])
def test_values_satisfy_the_bellman_equation(steps: int | None) -> None:
    """V(s) = max_a r + γ V(s'): equal at the optimal action, never below at others."""
    gamma = 0.9
    left = None if steps is None else steps - 1

    def backup(a: torch.Tensor) -> torch.Tensor:
        s2, r = edge_of_reach.transition(GRID, a)
        return r + gamma * edge_of_reach.optimal_value(s2, gamma, left)

    v = edge_of_reach.optimal_value(GRID, gamma, steps)
    torch.testing.assert_close(v, backup(edge_of_reach.optimal_action(GRID)))
    rng = np.random.default_rng(1)
    for _ in range(100):
        others = torch.from_numpy(rng.uniform(-1, 1, (500, 2)))
        assert (backup(others) <= v + 1e-12).all()


def test_optimal_return_is_what_the_optimal_policy_collects() -> None:
    def act(obs: np.ndarray, slots: object) -> np.ndarray:
        return edge_of_reach.optimal_action(torch.from_numpy(obs)).numpy()

    episodes = rollout(act, EdgeOfReach, 5, [0, 1])
    for e in episodes:
        env = EdgeOfReach()
        s, _ = env.reset(seed=episode_seed(e.seed, e.episode))
        expected = edge_of_reach.optimal_value(torch.from_numpy(s).double(), 1.0, 30)
        assert e.return_ == pytest.approx(float(expected), rel=1e-5)
        assert e.length == 30


def test_an_endless_return_needs_a_discount() -> None:
    with pytest.raises(ValueError, match=r"gamma 1.0 must be below 1"):
        edge_of_reach.optimal_value(GRID, 1.0)


def test_beyond_reach_is_met_at_the_last_step_only() -> None:
    """Whatever the actions; and full speed outwards does meet it there."""
    length, rng = 6, np.random.default_rng(2)
    s = torch.from_numpy(edge_of_reach.starts(rng, 2000))
    outwards = s.sign()
    for t in range(1, length + 1):
        random = torch.from_numpy(rng.uniform(-1, 1, s.shape))
        a = torch.where(torch.arange(2000).unsqueeze(-1) % 2 == 0, outwards, random)
        s, _ = edge_of_reach.transition(s, a)
        assert bool(edge_of_reach.beyond_reach(s, length).any()) == (t == length)


def test_a_saved_episode_goes_on() -> None:
    env, other = EdgeOfReach(), EdgeOfReach()
    env.reset(seed=4)
    for _ in range(3):
        env.step(np.array([0.3, -0.7]))
    restore(other, snapshot(env))
    for _ in range(27):
        mine, theirs = (e.step(np.array([-0.2, 0.1])) for e in (env, other))
        assert np.array_equal(mine[0], theirs[0])
        assert mine[1:4] == theirs[1:4]
    assert np.array_equal(env.reset()[0], other.reset()[0])

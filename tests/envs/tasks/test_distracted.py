"""Distractors: the task is the one inside, and what follows is what it is said to be."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import rlkit
from rlkit.envs.snapshot import restore, snapshot
from rlkit.envs.tasks.distracted import IDS, Distracted, rotation
from rlkit.envs.terminations import TERMINATIONS


def episode(env: gymnasium.Env, steps: int = 60) -> list[Any]:
    """[(observation, reward, terminated)] under random actions of one seed."""
    seen: list[Any] = [(env.reset(seed=3)[0], 0.0, False)]
    env.action_space.seed(0)
    for _ in range(steps):
        observation, r, terminated, *_ = env.step(env.action_space.sample())
        seen.append((observation, float(r), terminated))
    return seen


@pytest.mark.parametrize("name", ["rlkit/PendulumDistracted-v1", "rlkit/HopperNoisy-v5"])
def test_the_task_is_the_one_inside(name: str) -> None:
    inner, _ = IDS[name]
    ours, theirs = rlkit.make(name), gymnasium.make(inner)
    assert ours.spec is not None
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps  # type: ignore[union-attr]
    ours.reset(seed=3)
    theirs.reset(seed=3)
    rule = TERMINATIONS[name]
    for _ in range(20):
        action = ours.action_space.sample()
        seen, r, terminated, *_ = ours.step(action)
        exact, expected, ended, *_ = theirs.step(action)
        assert ours.observation_space.contains(seen)
        if name.startswith("rlkit/Pendulum"):  # Hopper draws its next start with our generator
            assert seen[: len(exact)].tolist() == exact.tolist()
            assert r == expected
        assert bool(rule(torch.from_numpy(seen))) == terminated
        if terminated or ended:
            break


def test_every_id_has_a_rule_of_termination() -> None:
    assert set(IDS) <= set(TERMINATIONS)
    assert {n for n in TERMINATIONS if "Distracted" in n or "Noisy" in n} == set(IDS)


def test_linear_distractors_turn_and_noise_does_not_remember() -> None:
    linear = np.stack([o[3:] for o, *_ in episode(rlkit.make("rlkit/PendulumDistracted-v1"))])
    r = rotation(10)
    np.testing.assert_allclose(r @ r.T, np.eye(10), atol=1e-12)
    np.testing.assert_allclose(linear[1:], linear[:-1] @ r.T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(linear, axis=1), np.linalg.norm(linear[0]), rtol=1e-5)
    noise = np.stack([o[3:] for o, *_ in episode(rlkit.make("rlkit/PendulumNoisy-v1", scale=2.0))])
    assert noise.std() == pytest.approx(2.0, rel=0.1)
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.15


def test_episodes_are_the_seeds_and_go_on_from_a_snapshot() -> None:
    one, other = (rlkit.make("rlkit/PendulumNoisy-v1", dims=4) for _ in range(2))
    first = episode(one)
    assert all((a == b).all() for (a, *_), (b, *_) in zip(first, episode(other), strict=True))
    restore(other, snapshot(one))
    for _ in range(5):
        action = one.action_space.sample()
        assert one.step(action)[0].tolist() == other.step(action)[0].tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"dims": 0}, "dims 0"), ({"scale": 0.0}, "scale 0.0"), ({"kind": "square"}, "'square'")],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Distracted(gymnasium.make("Pendulum-v1"), **given)
    with pytest.raises(ValueError, match="no vectors"):
        Distracted(gymnasium.make("FrozenLake-v1"))

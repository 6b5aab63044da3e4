"""Policies both ways between rlkit and stable-baselines3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import rlkit
from rlkit.data.recorder import record, record_episode
from rlkit.envs.make import make
from rlkit.eval.rollout import Slots, episode_seed, rollout
from rlkit.policy.policy import Policy
from rlkit.policy.sb3 import Predictor, actor
from rlkit.run.policies.export import export
from rlkit.run.settings.options import Options
from rlkit.run.train import train

PENDULUM = "InvertedPendulum-v5"


@pytest.fixture(scope="module")
def model() -> SAC:
    """An untrained SAC of stable-baselines3's."""
    return SAC("MlpPolicy", PENDULUM, seed=0, device="cpu", policy_kwargs={"net_arch": [16]})


@pytest.fixture
def policy(offline: Callable[..., Options]) -> Policy:
    return rlkit.load(train(offline(steps=10)).folder)


def returns_by_hand(
    env_id: str, predict: Callable[[np.ndarray], Any], seeds: list[int]
) -> list[float]:
    env, found = make(env_id), []
    for seed in seeds:
        obs, total, over = env.reset(seed=seed)[0], 0.0, False
        while not over:
            obs, reward, terminated, truncated, _ = env.step(predict(obs))
            total, over = total + float(reward), terminated or truncated
        found.append(total)
    env.close()
    return found


def test_our_policy_is_evaluated_by_theirs(policy: Policy) -> None:
    env = DummyVecEnv([lambda: make(PENDULUM)])
    env.seed(7)
    mean, _ = evaluate_policy(Predictor(policy), env, n_eval_episodes=3, warn=False)  # type: ignore[arg-type]
    env.close()
    found, single = [], make(PENDULUM)
    obs, _ = single.reset(seed=7)
    for _ in range(3):
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, _ = single.step(policy.act(obs))
            total, over = total + float(reward), terminated or truncated
        found.append(total)
        obs, _ = single.reset()
    assert mean == pytest.approx(np.mean(found))


def test_predict_like_theirs(policy: Policy, model: SAC) -> None:
    obs = np.random.default_rng(0).standard_normal((5, 4))
    for thing in (Predictor(policy), model):
        actions, state = thing.predict(obs, deterministic=True)
        assert actions.shape == (5, 1)
        assert state is None
        assert thing.predict(obs[0], deterministic=True)[0].shape == (1,)
        drawn, _ = thing.predict(obs)  # samples unless told otherwise
        assert not np.array_equal(drawn, actions)
    np.testing.assert_array_equal(
        Predictor(policy).predict(obs, deterministic=True)[0], policy.act(obs)
    )


def test_their_model_in_our_rollout() -> None:
    task = "Pendulum-v1"  # where no two episodes return the same
    model = SAC("MlpPolicy", task, seed=0, device="cpu", policy_kwargs={"net_arch": [16]})
    found = rollout(actor(model), lambda: make(task), 2, [4, 9], batch=2)
    seeds = [episode_seed(seed, e) for seed in (4, 9) for e in range(2)]
    by_hand = returns_by_hand(task, lambda o: model.predict(o, deterministic=True)[0], seeds)
    np.testing.assert_allclose([e.return_ for e in found], by_hand, rtol=1e-5)
    assert len(set(by_hand)) == 4


def test_their_model_in_our_recorder(model: SAC) -> None:
    env = make(PENDULUM)
    episode = record_episode(env, actor(model), seed=3)
    env.close()
    expected, _ = model.predict(episode["obs"][:-1], deterministic=True)
    np.testing.assert_allclose(episode["action"], expected, atol=1e-6)
    vector = gymnasium.make_vec(
        PENDULUM,
        num_envs=2,
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
    )
    episodes = record(vector, actor(model), episodes=3, seed=3)
    vector.close()
    np.testing.assert_allclose(episodes[0]["action"], episode["action"], atol=1e-6)
    assert len(episodes) == 3


def test_discrete_actions() -> None:
    model = DQN("MlpPolicy", "CartPole-v1", seed=0, device="cpu", buffer_size=10)
    found = rollout(actor(model), lambda: make("CartPole-v1"), 2, [0])
    assert all(e.terminated for e in found)
    drawn = actor(model, deterministic=False)(np.zeros((3, 4), np.float32))
    assert drawn.shape == (3,)
    assert drawn.dtype.kind == "i"


def test_observations_are_normalised_as_in_their_training(model: SAC) -> None:
    normalise = VecNormalize(DummyVecEnv([lambda: make(PENDULUM)]), training=False)
    normalise.obs_rms.mean, normalise.obs_rms.var = np.full(4, 3.0), np.full(4, 25.0)
    obs = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32) * 5 + 3
    seen, _ = model.predict(np.clip((obs - 3) / 5, -10, 10).astype(np.float32), deterministic=True)
    np.testing.assert_allclose(actor(model, normalise=normalise)(obs), seen, atol=1e-5)
    normalise.close()


class Remembering:
    """A recurrent model: the action is how many steps it has seen since its episode began."""

    def predict(
        self,
        observation: np.ndarray,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        count = np.zeros(len(observation)) if state is None else state[0]
        if episode_start is not None:
            count = np.where(episode_start, 0, count)
        return count[:, None].copy(), (count + 1,)


def test_a_recurrent_model_begins_every_episode_afresh() -> None:
    act = actor(Remembering())
    obs = np.zeros((1, 2, 4))
    seen = []
    for t in ([0, 0], [1, 1], [2, 0], [3, 1]):
        slots = Slots(np.zeros((1, 2), int), np.array([t]), np.ones((1, 2), bool), np.zeros((1, 2)))
        seen.append(act(obs, slots)[0, :, 0].tolist())
    assert seen == [[0, 0], [1, 1], [2, 0], [3, 1]]


def test_our_exported_policy_predicts_too(policy: Policy, tmp_path: Path) -> None:
    folder = next(tmp_path.glob("run"))
    file = Policy.load(export(folder, tmp_path / "deep" / "policy.safetensors").path)
    obs = np.random.default_rng(0).standard_normal((5, 4))
    np.testing.assert_allclose(
        Predictor(file).predict(obs, deterministic=True)[0], policy.act(obs), atol=1e-5
    )

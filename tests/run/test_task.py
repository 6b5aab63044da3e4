"""Tasks: what a dataset and an environment say, checked against each other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.core.errors import RunError, UsageError
from rlkit.core.spec import Box, Discrete
from rlkit.data.formats import minari_io
from rlkit.data.store import EpisodeStore
from rlkit.run import env_task, preparing
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options, resolve
from rlkit.run.task import Task, actor, make_agent

Build = Callable[..., Options]


def test_a_dataset_says_what_is_trained_on(offline: Build) -> None:
    task, store = prepare(resolve(offline(normalise_obs=True)))
    assert store is not None
    assert (task.obs, task.act, task.env) == ((4,), Box(1), "InvertedPendulum-v5")
    assert task.transforms.action_high is not None
    assert task.transforms.action_high.tolist() == [3.0]
    np.testing.assert_allclose(task.transforms.obs(store.obs).mean(0), 0, atol=1e-6)
    assert task.dataset is not None
    assert task.dataset["episodes"] == 60
    assert task.dataset["behaviour_return"] == pytest.approx(store.returns().mean())
    env = task.make_env()
    assert env.spec is not None
    assert env.spec.max_episode_steps == 1000
    env.close()


@pytest.mark.parametrize("env", ["Hopper-v5", "MiniGrid-Empty-5x5-v0", "rlkit-test/Choice-v0"])
def test_tasks_survive_json(env: str) -> None:
    task, store = prepare(Options("iql", env=env))
    assert store is None
    back = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert back.to_json() == task.to_json()
    assert back.spec((0, 1)) == task.spec((0, 1))


def test_actions_come_out_as_the_environment_takes_them() -> None:
    choice, _ = prepare(Options("iql", env="rlkit-test/Choice-v0"))
    assert choice.act == Discrete(3)
    assert choice.to_env(np.array([[0, 2]])).tolist() == [[-1, 1]]
    assert choice.encode(np.float32(0.5)).shape == (1,)
    matrix = dataclasses.replace(prepare(Options("sac", env="Hopper-v5"))[0], action_shape=(3, 1))
    out = matrix.to_env(np.zeros((2, 5, 3), np.float32))
    assert out.shape == (2, 5, 3, 1)
    assert out.dtype == np.float32


def test_an_actor_takes_environment_units_and_gives_them(offline: Build) -> None:
    options = resolve(offline(seeds=(0, 1), normalise_obs=True))
    task, store = prepare(options)
    assert store is not None
    agent, _, spec = make_agent(options, task, (0, 1))
    act = actor(agent, spec, task)
    obs = store.obs[:6].reshape(2, 3, 4)
    actions = act(obs)
    assert actions.shape == (2, 3, 1)
    assert np.abs(actions).max() <= 3
    shifted = dataclasses.replace(
        task, transforms=dataclasses.replace(task.transforms, obs_mean=task.transforms.obs_mean + 1)
    )
    np.testing.assert_allclose(actor(agent, spec, shifted)(obs + 1), actions, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "rlkit/hoper/medium-v0"}, "no dataset 'rlkit/hoper/medium-v0'"),
        ({"dataset": "tests/pendulum/randm-v0"}, "did you mean 'tests/pendulum/random-v0'"),
        ({"env": "InvertedPendulm-v5"}, "did you mean 'InvertedPendulum-v5'"),
        ({"env": "Hopper-v5"}, "does not fit environment Hopper-v5: observations"),
        ({"env": "CartPole-v1"}, "does not fit environment CartPole-v1: actions"),
    ],
)
def test_what_does_not_exist_or_fit_is_named(
    offline: Build, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(resolve(offline(**change)))


def test_a_recipe_that_is_not_built_says_how(offline: Build) -> None:
    with pytest.raises(UsageError, match="rlkit dataset build rlkit/minigrid"):
        prepare(resolve(offline(dataset=recipe("minigrid"))))


def recipe(word: str) -> str:
    from rlkit.data.recipes import cards

    return next(name for name in cards.all_recipes() if word in name)


def test_unsupported_actions_are_refused(offline: Build) -> None:
    with pytest.raises(UsageError, match="are not supported"):
        env_task.action_layout(spaces.MultiDiscrete([2, 2]))


def test_bad_data_is_refused_by_column_and_row(
    offline: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = minari_io.read
    options = resolve(offline())

    def spoilt(column: str, value: float) -> Callable[..., Any]:
        def with_a_bad_row(name: str) -> Any:
            store, meta = read(name)
            values = getattr(store, column).copy()
            values[17] = value
            return dataclasses.replace(store, **{column: values}), meta

        return with_a_bad_row

    monkeypatch.setattr(minari_io, "read", spoilt("reward", np.nan))
    with pytest.raises(ValueError, match=r"reward: row 17 .* NaN"):
        prepare(options)
    monkeypatch.setattr(minari_io, "read", spoilt("action", 3.5))
    with pytest.raises(ValueError, match=r"random-v0 .*column action: row 17 .* outside"):
        prepare(options)


def test_a_dataset_that_changed_is_not_trained_on(
    offline: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = resolve(offline())
    task, store = prepare(options)
    assert store is not None
    again = preparing.rows(options, task)
    assert again is not None
    assert np.array_equal(again.obs, store.obs)
    changed = store.reward.copy()
    changed[3] += 1
    meta = minari_io.read_meta(options.dataset or "")
    other = dataclasses.replace(store, reward=changed)
    monkeypatch.setattr(minari_io, "read", lambda name: (other, meta))
    with pytest.raises(RunError, match="has changed since this run began"):
        preparing.rows(options, task)


def test_the_algorithm_chooses_the_episodes_it_learns_from(offline: Build) -> None:
    whole = prepare(resolve(offline(algo="bc", config={})))[1]
    best = prepare(resolve(offline(algo="bc", config={"fraction": 0.1})))[1]
    assert whole is not None
    assert best is not None
    assert len(best) <= 0.1 * len(whole)
    assert best.returns().min() >= np.quantile(whole.returns(), 0.9)
    lanes = resolve(offline(algo="bc", seeds=(0, 1), config={"fraction": (0.1, 0.2)}))
    with pytest.raises(UsageError, match="fraction"):
        prepare(lanes)


def test_a_d4rl_file_is_a_dataset(offline: Build, tmp_path: Any) -> None:
    _, store = prepare(resolve(offline()))
    assert isinstance(store, EpisodeStore)
    with h5py.File(tmp_path / "mine.hdf5", "w") as file:
        file["observations"], file["actions"] = store.obs, store.action / 3
        file["rewards"], file["next_observations"] = store.reward, store.next_obs
        file["terminals"], file["timeouts"] = store.terminated, store.truncated
    task, read = prepare(resolve(offline(dataset=str(tmp_path / "mine.hdf5"))))
    assert read is not None
    assert len(read) == len(store)
    assert not task.has_env

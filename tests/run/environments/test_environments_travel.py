"""The environment with its arguments travels with run, policy and data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec

from rlkit.data.formats import minari_io
from rlkit.data.recorder import record_episode
from rlkit.envs.make import make
from rlkit.policy.policy import read
from rlkit.run.clips.playing import player
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.policies.recording import record
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options, resolve
from rlkit.run.task import Task
from rlkit.run.train import train
from tests.run.environments.own_environment import SMALL

Build = Callable[..., Options]


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    """Options of a training on data of Pendulum with g = 9 and 30 steps an episode."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (tmp_path / "minari").mkdir()

    def build(eval_spec: EnvSpec | None = None, **given: Any) -> Options:
        env, rng = make("Pendulum-v1", g=9.0, max_episode_steps=30), np.random.default_rng(0)
        episodes = [record_episode(env, lambda o: rng.uniform(-2, 2, 1), n) for n in range(4)]
        where = minari_io.write(
            episodes, "tests/heavy-v0", observation_space=env.observation_space,
            action_space=env.action_space, env_spec=env.spec, overwrite=True,
        )  # fmt: skip
        if eval_spec is not None:
            path = where / "data" / "metadata.json"
            raw = json.loads(path.read_text())
            path.write_text(json.dumps(raw | {"eval_env_spec": eval_spec.to_json()}))
        values: dict[str, Any] = {
            "algo": "bc", "dataset": "tests/heavy-v0", "steps": 2, "out": str(tmp_path / "run"),
            "engine": "eager", "eval_episodes": 1, "quiet": True, "config": SMALL,
        }  # fmt: skip
        return resolve(Options(**values | given))

    return build


def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Gravity of each pendulum that steps from now on."""
    from gymnasium.envs.classic_control.pendulum import PendulumEnv

    found, step = [], PendulumEnv.step

    def watched(self: Any, action: Any) -> Any:
        found.append(self.g)
        return step(self, action)

    monkeypatch.setattr(PendulumEnv, "step", watched)
    return found


def test_arguments_and_time_limit_travel_with_run_and_policy(
    heavy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train(heavy())
    file = export(tmp_path / "run").path
    assert read(file)[0].env == "Pendulum-v1"
    gravity = made(monkeypatch)
    (episode,) = evaluate_file(file, 1)
    assert (episode.length, set(gravity)) == (30, {9.0})
    gravity.clear()
    episodes, _ = evaluate_run(tmp_path / "run", 1)
    assert (episodes[0].length, set(gravity)) == (30, {9.0})
    (episode,) = evaluate_file(file, 1, env="Pendulum-v1")
    assert episode.length == 200
    assert set(gravity) == {9.0, 10.0}


def test_arguments_of_an_id_travel_too(
    register: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    name = register(entry, g=8.0)
    train(
        Options(
            "sac", env=name, steps=4, warmup=4, utd=0, out=str(tmp_path / "run"), engine="eager",
            eval_episodes=0, quiet=True, config=SMALL,
        )
    )  # fmt: skip
    file = export(tmp_path / "run", checkpoint="last").path
    del gymnasium.registry[name]  # as in a process that never heard of it
    gravity = made(monkeypatch)
    monkeypatch.setattr("rlkit.run.policies.evaluation._LONGEST", 5)
    evaluate_file(file, 1)
    evaluate_run(tmp_path / "run", 1, "last")
    assert set(gravity) == {8.0}
    gymnasium.register(name, entry)


def test_the_environment_named_for_evaluation_is_the_one(
    heavy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = dataclasses.replace(
        gymnasium.spec("Pendulum-v1"), kwargs={"g": 7.0}, max_episode_steps=50
    )
    gravity = made(monkeypatch)
    options = heavy(named)
    gravity.clear()
    result = train(options)
    assert set(gravity) == {7.0}
    (told,) = [note for note in result.notes if "evaluated in" in note]
    assert "Pendulum-v1 (g 7.0, 50 steps)" in told
    assert "its rows are of Pendulum-v1 (g 9.0, 30 steps)" in told
    episodes, _ = evaluate_run(tmp_path / "run", 1)
    assert episodes[0].length == 50


def test_a_policy_that_has_no_spaces_is_still_held_to_its_bounds(
    heavy: Build, tmp_path: Path
) -> None:
    train(heavy(eval_episodes=0))
    task = Task.from_json(run_folder.read_config(tmp_path / "run")["task"])
    old = dataclasses.replace(task, spaces=None)
    assert torch.equal(torch.tensor(old.to_env(np.ones((1, 1)))), torch.tensor([[2.0]]))


def test_a_recorded_dataset_has_the_policys_environment_whole(
    heavy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Arguments, time limit and wrappers, from the run folder and from the exported file."""
    env = make("Pendulum-v1", g=8.0, max_episode_steps=20)
    wrapped = gymnasium.wrappers.ClipReward(env, -1.0, 0.5)
    folder = train(heavy(wrapped.spec)).folder
    for number, policy in enumerate((folder, export(folder).path)):
        gravity = made(monkeypatch)
        record(policy, f"tests/of-{number}-v0", episodes=2, seed=number)
        store, meta = minari_io.read(f"tests/of-{number}-v0")
        assert set(gravity) == {8.0}
        assert (len(store), store.reward.min() >= -1) == (40, True)
        spec = meta.env_spec
        assert spec is not None
        assert (spec.id, spec.kwargs["g"], spec.max_episode_steps) == ("Pendulum-v1", 8.0, 20)
        assert [w.name for w in spec.additional_wrappers] == ["ClipReward"]
        assert make(spec).unwrapped.g == 8.0
        record(policy, f"tests/of-{number}-v0", episodes=1, env="Pendulum-v1", overwrite=True)
        spec = minari_io.read_meta(f"tests/of-{number}-v0").env_spec
        assert spec is not None
        assert (spec.kwargs, spec.max_episode_steps) == ({}, 200)  # the one that was named


def test_a_policy_names_the_environment_it_was_evaluated_in(heavy: Build) -> None:
    """Not the one its data are of: its card, the run and a film of it say one thing."""
    kind = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    gymnasium.register("Moon-v0", kind, kwargs={"g": 1.6}, max_episode_steps=7)
    try:
        folder = train(heavy(gymnasium.spec("Moon-v0"))).folder
        card = read(export(folder).path)[0]
        assert (run_folder.read(folder).task.env, card.env) == ("Moon-v0", "Moon-v0")
        (episode,) = evaluate_run(folder, 1)[0]
        assert episode.length == 7
        assert player(folder).name == "bc Moon-v0"
    finally:
        del gymnasium.registry["Moon-v0"]

"""Agents of stable-baselines3 are runs like ours: records, checkpoints, evaluation, export."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch

import rlkit
from rlkit.core.errors import CheckpointError, UsageError
from rlkit.envs.make import make
from rlkit.eval.records import read_episodes, read_progress
from rlkit.policy.policy import Policy
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.fits import SB3
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import resume, train

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 8, "n_epochs": 1},
    "a2c": {"n_steps": 8},
    "dqn": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1e3},
    "sac": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1e3},
    "td3": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1e3, "explore": 0.1},
    "ddpg": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1e3},
}


def options(name: str, tmp_path: Path, **given: Any) -> Options:
    env = "CartPole-v1" if "discrete" in SB3[f"sb3:{name}"] else "Pendulum-v1"
    given = {
        **{"env": env, "steps": 40, "eval_every": 20, "eval_episodes": 2, "log_every": 20},
        **{"out": str(tmp_path / "run"), "quiet": True},
        "config": SMALL[name] | {"hidden": (8,)} | given.pop("config", {}),
    } | given
    return Options(f"sb3:{name}", **given)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_of_theirs_is_a_run(name: str, tmp_path: Path) -> None:
    folder = train(options(name, tmp_path, seeds=(0, 3))).folder
    rows = read_episodes(folder / "episodes.csv")
    assert {(r["lane"], r["seed"], r["step"]) for r in rows} == {
        (0, 0, 20), (0, 0, 40), (1, 3, 20), (1, 3, 40)
    }  # fmt: skip
    assert [row["step"] for row in read_progress(folder / "progress.jsonl")] == [20, 40]
    assert run_folder.read_config(folder)["options"]["config"]["hidden"] == [8]
    assert run_folder.steps(folder) == [20, 40]
    # theirs reads what stands there, and ours acts as theirs
    zipped = run_folder.group_folder(run_folder.step_folder(folder, 40), 0) / "lane_1.zip"
    theirs = getattr(stable_baselines3, name.upper()).load(zipped, device="cpu")
    assert theirs.num_timesteps >= 40
    env = make(rows_env(folder))
    obs = np.stack([env.reset(seed=k)[0] for k in range(20)])
    expected = theirs.predict(obs, deterministic=True)[0]
    ours = rlkit.load(folder, lane=1, checkpoint="last").act(obs)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    made = export(folder, lane=1, checkpoint="last")
    np.testing.assert_allclose(Policy.load(made.path).act(obs), expected, atol=1e-4)
    found, _ = evaluate_run(folder, episodes=2)
    assert {e.lane for e in found} == {0, 1}
    assert len(evaluate_file(made.path, episodes=2)) == 2
    assert train(options(name, tmp_path, seeds=(0, 3))).status == "reused"


def rows_env(folder: Path) -> str:
    return run_folder.read_config(folder)["options"]["env"]


def test_ppo_on_a_box_keeps_its_units(tmp_path: Path) -> None:
    folder = train(options("ppo", tmp_path, env="Pendulum-v1")).folder
    zipped = run_folder.group_folder(run_folder.step_folder(folder, 40), 0) / "lane_0.zip"
    theirs = stable_baselines3.PPO.load(zipped, device="cpu")
    with torch.no_grad():  # means outside the box, which both clip
        obs = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32) * 50
    expected = theirs.predict(obs, deterministic=True)[0]
    np.testing.assert_allclose(rlkit.load(folder, checkpoint="last").act(obs), expected, atol=1e-5)


def test_a_run_of_theirs_is_as_learn_alone(tmp_path: Path) -> None:
    """The stops for evaluation change nothing in what is learnt."""
    folder = train(options("dqn", tmp_path, steps=60, eval_every=7)).folder
    given = {k: int(v) for k, v in SMALL["dqn"].items()} | {"policy_kwargs": {"net_arch": [8]}}
    from stable_baselines3.common.env_util import make_vec_env

    alone = stable_baselines3.DQN(
        "MlpPolicy", make_vec_env(lambda: make("CartPole-v1"), 1, seed=0), seed=0, device="cpu",
        **given,
    )  # fmt: skip
    alone.learn(60)
    zipped = run_folder.group_folder(run_folder.step_folder(folder, 60), 0) / "lane_0.zip"
    ours = stable_baselines3.DQN.load(zipped, device="cpu")
    for a, b in zip(alone.policy.parameters(), ours.policy.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_run_of_theirs_goes_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(options(name, tmp_path)).folder

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was unpickled")

    monkeypatch.setattr("cloudpickle.loads", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    result = resume(folder, steps=60, quiet=True)
    assert result.status == "resumed"
    assert run_folder.steps(folder)[-1] == 60
    assert set(read_episodes(folder / "episodes.csv")["step"]) == {20, 40, 60}
    assert any("empty replay" in note for note in result.notes)
    zipped = run_folder.group_folder(run_folder.step_folder(folder, 60), 0) / "lane_0.zip"
    zipped.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"lane_0\.zip"):
        resume(folder, steps=80, quiet=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"learning_rate": -1.0}}, "learning_rate is -1.0"),
        ({"config": {"lr": 1e-3}}, "did you mean 'learning_rate'"),
        ({"env": "CartPole-v1"}, "sb3:sac is for continuous actions"),
        ({"dataset": "x", "env": None}, "learns from an environment alone"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        train(options("sac", tmp_path, **change))
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="unknown agent 'sb3:pqo'; did you mean 'sb3:ppo'"):
        resolve(dataclasses.replace(options("ppo", tmp_path), algo="sb3:pqo"))

"""Datasets of policies: of run folders, exported files and stable-baselines3's models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3

import rlkit
from rlkit.cli.dataset_commands import dataset as command
from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.trust import trusting
from rlkit.data.formats import minari_io
from rlkit.policy.policy import Policy
from rlkit.run.policies import recording
from rlkit.run.policies.export import export
from rlkit.run.settings.options import Options
from rlkit.run.train import train

ENV = "InvertedPendulum-v5"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.fixture
def folder(online: Callable[..., Options]) -> Path:
    """A run folder of SAC, hardly trained."""
    return train(online(steps=20, warmup=10, eval_every=20)).folder


def test_a_run_folder_and_its_exported_file_give_the_same_rows(folder: Path) -> None:
    file = export(folder).path
    recording.record(folder, "mine/run-v0", episodes=3, seed=4)
    recording.record(file, "mine/file-v0", episodes=3, seed=4)
    (run, meta), (exported, _) = (minari_io.read(f"mine/{kind}-v0") for kind in ("run", "file"))
    assert run.episodes == 3
    np.testing.assert_allclose(exported.action, run.action, atol=1e-5)
    policy = Policy.load(file)
    np.testing.assert_allclose(policy.act(run.obs), run.action, atol=1e-5)
    assert meta.env_id == ENV
    assert meta.algorithm == "sac (rlkit)"
    assert meta.details["sampled"] is False


def test_an_episode_depends_on_its_number_alone(folder: Path) -> None:
    for name, episodes, seed in (("a", 2, 0), ("b", 4, 0), ("c", 2, 1)):
        recording.record(folder, f"mine/{name}-v0", episodes=episodes, seed=seed, sample=True)
    a, b, c = (minari_io.read(f"mine/{name}-v0")[0] for name in "abc")
    np.testing.assert_array_equal(a.obs, b.obs[: len(a)])
    np.testing.assert_array_equal(a.action, b.action[: len(a)])
    assert not np.array_equal(a.obs[0], c.obs[0])
    likely = rlkit.load(folder).act(a.obs)
    assert np.abs(likely - a.action).mean() > 0.01  # drawn, not the likeliest


@pytest.mark.parametrize("kind", [SAC, TD3, PPO, A2C])
def test_models_of_stable_baselines3(kind: type, tmp_path: Path) -> None:
    model = kind("MlpPolicy", ENV, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
    model.save(tmp_path / "model.zip")
    with trusting():
        recording.record(tmp_path / "model.zip", "mine/sb3-v0", episodes=2, env=ENV)
    store, meta = minari_io.read("mine/sb3-v0")
    assert meta.algorithm == f"{kind.__name__} (stable-baselines3)"
    wanted = model.predict(store.obs, deterministic=True)[0]
    np.testing.assert_allclose(store.action, wanted, atol=1e-5)


def test_discrete_models_too(tmp_path: Path) -> None:
    model = DQN("MlpPolicy", "CartPole-v1", seed=0, device="cpu")
    model.save(tmp_path / "dqn.zip")
    words = ["record", "--policy", str(tmp_path / "dqn.zip"), "--out", "mine/dqn-v0", "--quiet"]
    command([*words, "--env", "CartPole-v1", "--episodes", "2", "--trust"])
    store, _ = minari_io.read("mine/dqn-v0")
    assert store.discrete
    assert store.episodes == 2


def test_a_zip_is_code_and_is_not_read_unasked(tmp_path: Path) -> None:
    model = SAC("MlpPolicy", ENV, device="cpu", policy_kwargs={"net_arch": [8]})
    model.save(tmp_path / "model.zip")
    with pytest.raises(UsageError, match="--trust"):
        recording.record(tmp_path / "model.zip", "mine/sb3-v0", episodes=1, env=ENV)


def test_what_does_not_fit_is_said_before_the_first_step(
    folder: Path, tmp_path: Path, root: Path
) -> None:
    for change, words in (
        ({"episodes": 0}, "must lie in 1"),
        (
            {"env": "Hopper-v5"},
            r"does not fit Hopper-v5 .*: observations have shape \(11,\); the policy takes",
        ),
        ({"env": "Hoper-v5"}, "did you mean 'Hopper-v5'"),
        ({"dataset_id": "no version"}, "must read"),
    ):
        given = {"dataset_id": "mine/x-v0", "episodes": 1} | change
        with pytest.raises(ValueError, match=words):
            recording.record(folder, **given)
    with pytest.raises(RlkitError, match="no run folder or policy file"):
        recording.record(tmp_path / "nothing", "mine/x-v0", episodes=1)
    assert not (root / "mine" / "x-v0").exists()
    recording.record(folder, "mine/x-v0", episodes=1)
    with pytest.raises(UsageError, match="already stands"):
        recording.record(folder, "mine/x-v0", episodes=1)
    recording.record(folder, "mine/x-v0", episodes=2, overwrite=True)
    assert minari_io.read("mine/x-v0")[0].episodes == 2


def test_the_command_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match="give --policy"):
        command(["record", "--episodes", "3"])

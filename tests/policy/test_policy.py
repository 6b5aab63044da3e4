"""Policies of run folders and of exported files: what they give, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
import torch

import rlkit
from rlkit.algos import iql
from rlkit.core.errors import CheckpointError, RlkitError, UsageError
from rlkit.eval.records import Episode, append_episodes, read_episodes
from rlkit.policy import program
from rlkit.policy.policy import Policy, draw
from rlkit.run.policies import export as export_module
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import best_lane, export
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.task import actor
from rlkit.run.train import train

Build = Callable[..., Options]
LAST = {"checkpoint": "last"}


@pytest.fixture(scope="module")
def trained(minari_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lanes of IQL on normalised observations, 10 updates, and the first lane's file."""
    options = Options(
        "iql",
        dataset="tests/pendulum/random-v0",
        seeds=(0, 5),
        steps=10,
        out=str(tmp_path_factory.mktemp("runs") / "run"),
        engine="eager",
        eval_episodes=2,
        normalise_obs=True,
        quiet=True,
        config={"hidden": (16, 16), "batch_size": 16},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(minari_root))
        folder = train(options).folder
    export(folder, lane=0)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def observations(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 4))


def test_a_lane_of_a_run_acts_as_in_training(run: Path) -> None:
    restored = run_folder.restore(run)
    obs = observations(20)
    together = actor(restored.agent, restored.spec, restored.task)(np.stack([obs, obs]))
    for lane in (0, 1):
        policy = rlkit.load(run, lane=lane, **LAST)
        np.testing.assert_allclose(policy.act(obs), together[lane], atol=1e-6)
        assert policy.card.seed == (0, 5)[lane]
    assert not np.allclose(together[0], together[1])


def test_one_observation_or_a_batch(run: Path) -> None:
    policy = rlkit.load(run)
    obs = observations(3)
    batch = policy.act(obs)
    assert batch.shape == (3, 1)
    assert batch.dtype == np.float32
    for k in range(3):
        assert policy.act(obs[k]).shape == (1,)
        np.testing.assert_allclose(policy.act(obs[k]), batch[k], atol=1e-6)
    assert policy.act(obs[:0]).shape == (0, 1)


def test_actions_are_drawn_on_request(run: Path) -> None:
    policy, obs = rlkit.load(run), observations(200)
    mode, drawn = policy.act(obs), policy.act(obs, deterministic=False)
    assert np.abs(drawn - mode).max() > 0.5
    assert np.abs(drawn).max() <= 3.0  # InvertedPendulum's bounds
    assert not np.array_equal(drawn, policy.act(obs, deterministic=False))
    again = rlkit.load(run).act(obs, deterministic=False)
    np.testing.assert_array_equal(again, drawn)
    rng = np.random.default_rng(4)
    given = policy.act(obs, False, rng)
    np.testing.assert_array_equal(policy.act(obs, False, np.random.default_rng(4)), given)


def test_bad_observations_are_refused(run: Path) -> None:
    policy = rlkit.load(run)
    with pytest.raises(ValueError, match=r"shape \(5,\); the policy takes \(4,\)"):
        policy.act(np.zeros(5))
    with pytest.raises(ValueError, match=r"shape \(2, 2, 4\)"):
        policy.act(np.zeros((2, 2, 4)))
    obs = observations(4)
    obs[2, 1] = np.nan
    with pytest.raises(ValueError, match="observation 2 is not finite"):
        policy.act(obs)


@pytest.mark.parametrize("lane", [0, 1])
def test_an_exported_file_gives_the_same_actions(run: Path, lane: int) -> None:
    made = export(run, lane=lane, **LAST)
    assert made.path == run / "policy.safetensors"
    ours, file = rlkit.load(run, lane=lane, **LAST), Policy.load(made.path)
    obs = observations(50)
    np.testing.assert_allclose(file.act(obs), ours.act(obs), atol=1e-5)
    drawn = [p.act(obs, False, np.random.default_rng(1)) for p in (file, ours)]
    np.testing.assert_allclose(*drawn, atol=1e-5)
    assert file.card == ours.card
    assert (file.card.lane, file.card.seed) == (lane, (0, 5)[lane])
    assert (file.card.env, file.card.step) == ("InvertedPendulum-v5", 10)
    assert file.transforms.state() == ours.transforms.state()


def test_an_exported_file_needs_numpy_alone(run: Path) -> None:
    path = run / "policy.safetensors"
    code = f"""
import sys
import numpy as np
from rlkit.policy.policy import Policy
action = Policy.load({str(path)!r}).act(np.zeros(4))
heavy = {{"torch", "gymnasium", "scipy", "minari", "mujoco"}} & set(sys.modules)
assert not heavy, heavy
print(float(action[0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(float(Policy.load(path).act(np.zeros(4))[0]))


def test_onnx_gives_the_same_actions(run: Path) -> None:
    made = export(run, onnx=True, **LAST)
    assert made.path == run / "policy.onnx"
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    ours = rlkit.load(run, **LAST)
    for count in (1, 33):
        obs = observations(count).astype(np.float32)
        np.testing.assert_allclose(session.run(None, {"obs": obs})[0], ours.act(obs), atol=1e-4)
    about = json.loads(session.get_modelmeta().custom_metadata_map["rlkit"])
    assert about["seed"] == ours.card.seed
    loaded = rlkit.load(made.path)
    np.testing.assert_allclose(loaded.act(obs[0]), loaded.act(obs)[0], atol=1e-5)
    with pytest.raises(ValueError, match=r"shape \(3,\); the policy takes \(4,\)"):
        loaded.act(np.zeros(3))


@pytest.fixture
def iql_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A discrete policy that draws its actions, without a dataset to make first."""
    monkeypatch.setattr(iql, "FITS", (*iql.FITS, "online"))


@pytest.mark.usefixtures("iql_anywhere")
def test_grid_observations_and_discrete_actions(online: Build) -> None:
    options = online(algo="iql", env="MiniGrid-Empty-5x5-v0", steps=40)
    folder = train(options).folder
    obs = np.random.default_rng(0).integers(0, 4, (30, 7, 7, 3)).astype(np.uint8)
    ours = rlkit.load(folder)
    file = Policy.load(export(folder).path)
    session = onnxruntime.InferenceSession(
        str(export(folder, onnx=True).path), providers=["CPUExecutionProvider"]
    )
    actions = ours.act(obs)
    assert actions.shape == (30,)
    assert actions.dtype == np.int64
    np.testing.assert_array_equal(file.act(obs), actions)
    np.testing.assert_array_equal(session.run(None, {"obs": obs.astype(np.float32)})[0], actions)
    drawn = file.act(obs, deterministic=False)
    assert set(drawn) <= set(range(7))
    assert len(set(drawn)) > 1


@pytest.mark.usefixtures("iql_anywhere")
def test_discrete_actions_that_do_not_begin_at_zero(online: Build) -> None:
    options = online(algo="iql", env="rlkit-test/Choice-v0", steps=60)
    folder = train(options).folder
    for onnx in (False, True):
        made = export(folder, onnx=onnx)
        assert made.difference == 0
    drawn = rlkit.load(folder).act(np.zeros((50, 1)), deterministic=False)
    assert set(drawn) == {-1, 0, 1}
    assert Policy.load(folder / "policy.safetensors").act(np.zeros(1)) in (-1, 0, 1)


def test_a_file_that_would_act_otherwise_is_not_written(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "policy.safetensors").read_bytes()
    broken = program.OPERATIONS | {"relu": lambda x: np.maximum(x, 0.05)}
    with monkeypatch.context() as patch:
        patch.setattr(program, "OPERATIONS", broken)
        with pytest.raises(RlkitError, match=r"not written: its actions differ from torch's"):
            export(run)
    assert (run / "policy.safetensors").read_bytes() == before
    monkeypatch.setattr(export_module, "_run_onnx", lambda path, obs: np.full((64, 1), np.nan))
    with pytest.raises(RlkitError, match="not written"):
        export(run, onnx=True)
    assert not (run / "policy.onnx").exists()
    assert not list(run.glob(".*.tmp"))


def test_a_folder_is_never_replaced_by_a_policy(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "data").touch()
    with pytest.raises(UsageError, match="is a folder; give the file"):
        export(run, folder)
    assert [path.name for path in folder.iterdir()] == ["data"]


def test_onnx_is_an_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rlkit.policy.onnx_graph", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        RlkitError, match=r"writing ONNX needs more packages: pip install .*\[onnx\]'"
    ):
        export(run, onnx=True)
    assert not (run / "policy.onnx").exists()


def test_the_best_lane_is_chosen(run: Path) -> None:
    rows = read_episodes(run / "episodes.csv")
    template = rows[0]
    assert best_lane(run) in (0, 1)
    for lane in (1, 0):  # the later record overrules
        values = dict(zip(Episode._fields, template.tolist(), strict=True))
        for other, high in ((lane, 1e6 * (2 - lane)), (1 - lane, 0.0)):
            changed = values | {"lane": other, "seed": (0, 5)[other], "return_": high}
            append_episodes(run / "episodes.csv", [Episode(**changed)])
        assert best_lane(run) == lane


def test_files_that_are_no_policies(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RlkitError, match="no run folder or policy file at"):
        Policy.load(tmp_path / "nothing.safetensors")
    foreign = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"w": np.zeros(2)}, foreign)
    with pytest.raises(RlkitError, match="holds no policy"):
        Policy.load(foreign)
    path = run / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RlkitError, match="is damaged, or is not a policy file"):
        Policy.load(path)
    with pytest.raises(RlkitError, match="not a run folder"):
        rlkit.load(tmp_path)
    with pytest.raises(UsageError, match=r"not a policy file; rlkit\.load takes"):
        Policy.load(run)


def test_a_damaged_checkpoint_names_the_file(run: Path) -> None:
    path = next((run / "checkpoints").rglob("agent.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is damaged"):
        rlkit.load(run)
    with pytest.raises(CheckpointError):
        export(run, run / "another.safetensors")
    assert not (run / "another.safetensors").exists()


def test_noise_is_of_the_declared_kind() -> None:
    rng = np.random.default_rng(0)
    normal, gumbel, uniform = (draw(k, (2,), 20_000, rng) for k in ("normal", "gumbel", "uniform"))
    for sample, mean, std in (
        (normal, 0.0, 1.0),
        (gumbel, np.euler_gamma, np.pi / np.sqrt(6)),
        (uniform, 0.5, np.sqrt(1 / 12)),
    ):
        assert sample.shape == (20_000, 2)
        assert sample.dtype == np.float32
        assert sample.mean() == pytest.approx(mean, abs=0.03)
        assert sample.std() == pytest.approx(std, rel=0.03)


# --- evaluation -----------------------------------------------------------------------------------
def test_evaluation_of_a_run_and_of_its_file(run: Path) -> None:
    found, dataset = evaluate_run(run, 4, "last")
    assert [(e.lane, e.seed, e.step, e.episode) for e in found] == [
        (lane, seed, 10, k) for lane, seed in ((0, 0), (1, 5)) for k in range(4)
    ]
    assert dataset is not None
    path = export(run, lane=1, **LAST).path
    alone = evaluate_file(path, 4)
    assert [e._replace(lane=1) for e in alone] == found[4:]
    assert evaluate_run(run, 4, "last", lanes=[1])[0] == found[4:]


def test_seed_zero_repeats_the_evaluation_of_the_training(run: Path) -> None:
    rows = read_episodes(run / "episodes.csv")
    again, _ = evaluate_run(run, 2, "last", seed=0)
    assert [e.return_ for e in again] == rows["return"].tolist()
    fresh, _ = evaluate_run(run, 2, "last", seed=1)
    assert [e.return_ for e in fresh] != rows["return"].tolist()


def test_evaluation_in_an_environment_that_does_not_fit(run: Path) -> None:
    with pytest.raises(RlkitError, match=r"observations of shape \(11,\)"):
        evaluate_run(run, 1, env="Hopper-v5")
    with pytest.raises(UsageError, match="did you mean 'Hopper-v5'"):
        evaluate_run(run, 1, env="Hoper-v5")


def test_nothing_touches_the_global_generators(run: Path) -> None:
    state, numpy_state = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    export(run)
    rlkit.load(run).act(observations(2), deterministic=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002

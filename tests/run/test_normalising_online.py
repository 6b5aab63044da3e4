"""Observations normalised by running statistics while an agent collects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import rlkit
from rlkit.core import state
from rlkit.core.errors import UsageError
from rlkit.run import loops
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.records import folder as run_folder
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.settings.plan import settled
from rlkit.run.task import Task, built
from rlkit.run.train import train

Build = Callable[..., Options]
SMALL = {"hidden": (8, 8), "batch_size": 8}


def played(options: Options, lanes: list[int] | None = None) -> Session:
    session = Session(options, lanes=lanes)
    for _ in loops.run(session):
        pass
    session.close()
    return session


def algo(name: str) -> dict[str, Any]:
    env = "CartPole-v1" if name == "dqn" else "InvertedPendulum-v5"
    return {"algo": name, "env": env, "normalise_obs": True, "config": SMALL}


@pytest.mark.parametrize("name", ["sac", "td3", "dqn"])
def test_the_statistics_are_of_what_was_acted_on(name: str, online: Build) -> None:
    session = played(online(**algo(name), seeds=(0, 3), capacity=200, envs=2, eval_every=0))
    replay, seen = session.replay, session.agent.normaliser
    assert replay is not None
    rows = replay.rows("s").double().numpy()  # raw, for statistics move
    assert seen.count.tolist() == [120, 120]
    np.testing.assert_allclose(seen.mean, rows.mean(1), atol=1e-6)
    np.testing.assert_allclose(seen.scale, rows.std(1) + 1e-3, rtol=1e-4, atol=1e-6)
    assert not torch.equal(seen.mean[0], seen.mean[1])


@pytest.mark.parametrize("name", ["sac", "td3", "dqn"])
def test_a_lane_has_the_same_statistics_in_any_company(name: str, online: Build) -> None:
    """Until the first update: a processor may round an update's sums by the number of lanes."""
    still = algo(name) | {"seeds": (0, 3), "envs": 2, "eval_every": 0, "warmup": 120}
    together, alone = played(online(**still)), played(online(**still), [1])
    for of in ("count", "mean", "squares"):
        both, one = (getattr(session.agent.normaliser, of) for session in (together, alone))
        assert torch.equal(both[1], one[0])
        assert of == "count" or not torch.equal(both[0], both[1])


def test_evaluations_add_nothing(online: Build) -> None:
    often = played(online(**algo("sac"), eval_every=20))
    never = played(online(**algo("sac"), eval_episodes=0))
    assert torch.equal(often.agent.normaliser.mean, never.agent.normaliser.mean)


def test_a_resumed_run_is_the_same_bit_for_bit(
    online: Build, digests: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    straight = online(**algo("sac"), out=str(tmp_path / "straight"))
    train(straight)
    half = dataclasses.replace(straight, steps=60, out=str(tmp_path / "half"))
    train(half)
    rlkit.resume(half.folder(), steps=120, quiet=True)
    assert digests(half.folder()) == digests(straight.folder())


@pytest.mark.parametrize("name", ["sac", "dqn"])
def test_files_take_raw_observations(name: str, online: Build) -> None:
    options = online(**algo(name), seeds=(0, 3))
    folder = train(options).folder
    restored = run_folder.restore(folder, "last", [1])
    assert restored.spec.normaliser is not None
    assert int(restored.spec.normaliser.count) == 120
    policy = rlkit.load(folder, lane=1, checkpoint="last")
    obs = np.random.default_rng(0).normal(0, 0.2, (20, *policy.card.obs_shape)).astype(np.float32)
    expected = policy.act(obs)
    for onnx in (False, True):
        file = export(folder, lane=1, checkpoint="last", onnx=onnx).path
        np.testing.assert_allclose(rlkit.load(file).act(obs), expected, atol=1e-5)
    s = torch.from_numpy(obs).unsqueeze(0)
    net = restored.agent.q if name == "dqn" else restored.agent.pi.encoder
    before = net(s)
    restored.agent.normaliser.shift += 1
    assert not torch.allclose(net(s), before, atol=1e-3)  # the nets do look through it
    found = evaluate_run(folder, 2, "last", [1])[0]
    again = evaluate_file(export(folder, lane=1, checkpoint="last").path, 2)
    np.testing.assert_allclose([e.return_ for e in again], [e.return_ for e in found], rtol=1e-3)


def test_a_stock_is_read_as_it_stands(online: Build) -> None:
    stocked = {"algo": "stock_dqn", "env": "rlkit/BetTwice-v1", "normalise_obs": True}
    folder = train(online(**stocked, seeds=(0, 3), config={**SMALL, "gamma": 1.0})).folder
    agent = run_folder.restore(folder, "last").agent
    assert (agent.normaliser.count > 100).all()
    s = torch.tensor([[[1.0, 0.0, 2.5]]]).expand(2, 1, 3)  # state, stock
    points = agent.read(s, s[..., -1])[..., 2:]
    assert points.sum().item() == pytest.approx(2.0)
    agent.normaliser.shift += 1
    assert torch.equal(agent.read(s, s[..., -1])[..., 2:], points)
    assert not torch.equal(agent.read(s, s[..., -1])[..., :2], s[..., :2])
    policy = rlkit.load(folder, lane=1, checkpoint="last")
    obs = np.random.default_rng(0).normal(0, 2, (20, *policy.card.obs_shape)).astype(np.float32)
    for onnx in (False, True):
        file = export(folder, lane=1, checkpoint="last", onnx=onnx).path
        np.testing.assert_array_equal(rlkit.load(file).act(obs), policy.act(obs))


def test_compiled_updates_are_the_eager_ones(online: Build) -> None:
    found = []
    for engine in ("eager", "compile"):
        session = played(online(**algo("dqn"), engine=engine, eval_every=0, warmup=60))
        assert session.engine.mode == engine, session.engine.reason
        found.append(session)
    first, second = (state.tensors(session.agent) for session in found)
    for name_, tensor in first.items():
        torch.testing.assert_close(second[name_], tensor, rtol=2e-2, atol=2e-3, msg=name_)


def test_statistics_stay_with_the_agent_that_goes_on(online: Build, tmp_path: Path) -> None:
    start = train(online(**algo("sac"))).folder
    options = online(**algo("wsrl") | {"normalise_obs": False}, from_run=str(start))
    options = dataclasses.replace(options, out=str(tmp_path / "on"), steps=40)
    session = played(options)
    assert session.agent.normaliser.count.tolist() == [160]
    with pytest.raises(UsageError, match="normalise_obs is given by the run"):
        settled(dataclasses.replace(options, normalise_obs=True))


def test_where_it_has_no_sense_it_is_refused(online: Build) -> None:
    with pytest.raises(UsageError, match="for rlkit's own agents"):
        resolve(online(algo="sb3:sac", config=None, normalise_obs=True))
    grid = online(algo="dqn", env="MiniGrid-Empty-5x5-v0", normalise_obs=True)
    with pytest.raises(UsageError, match="normalise_obs is for vectors"):
        settled(grid)


def test_an_agent_without_nets_that_see_is_told(
    online: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, task, _ = settled(online(**algo("sac")))
    blind = SimpleNamespace(Agent=lambda spec, config: object())
    monkeypatch.setattr("rlkit.run.task.algorithm", lambda name: blind)
    with pytest.raises(UsageError, match="sac has no net that running statistics"):
        built(options, task.spec((0,)), options.config)


def test_tasks_of_older_runs_have_none(online: Build) -> None:
    task = settled(online(**algo("sac")))[1]
    assert Task.from_json(task.to_json()).normaliser
    older = {name: value for name, value in task.to_json().items() if name != "normaliser"}
    assert not Task.from_json(older).normaliser

"""stable-baselines3's agents on MiniGrid, told what an expert did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch

import rlkit
from rlkit.core.errors import UsageError
from rlkit.data.formats import minari_io
from rlkit.data.transforms import Transforms
from rlkit.envs.make import make
from rlkit.envs.minigrid import one_hot
from rlkit.eval.records import read_progress
from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.policies.recording import record
from rlkit.run.records import folder as run_folder
from rlkit.run.sb3.actions import fitted
from rlkit.run.sb3.agents import _one_hot
from rlkit.run.sb3.imitation import Imitation
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import train

EMPTY = "MiniGrid-Empty-Random-5x5-v0"
SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "hidden": (16,)}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        record("planner", "tests/shown-v0", episodes=30, env=EMPTY, levels=4)
        yield "tests/shown-v0"


def test_cells_become_zeros_and_ones() -> None:
    env = make(EMPTY)
    views = np.stack([env.reset(seed=k)[0] for k in range(3)])
    ours = one_hot(views)
    assert ours.shape == (3, 7 * 7 * 21)
    assert (ours.reshape(3, 49, 21).sum(-1) == 3).all()
    cells = ours.reshape(3, 7, 7, 21)
    for k, (first, n) in enumerate(((0, 11), (11, 6), (17, 4))):
        np.testing.assert_array_equal(cells[..., first : first + n].argmax(-1), views[..., k])
    np.testing.assert_array_equal(_one_hot(torch.from_numpy(views)[None])[0], ours)
    space = fitted(env).observation_space
    assert space.contains(ours[0])


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_a_policy_on_minigrid_acts_as_theirs_and_is_exported(name: str, tmp_path: Path) -> None:
    config = SMALL if name == "ppo" else {"learning_starts": 8, "batch_size": 8, "hidden": (16,)}
    given: dict[str, Any] = {"env": EMPTY, "steps": 32, "eval_episodes": 1, "eval_every": 32}
    options = Options(f"sb3:{name}", config=config, out=str(tmp_path / "run"), quiet=True, **given)
    folder = train(options).folder
    zipped = run_folder.group_folder(run_folder.step_folder(folder, 32), 0) / "lane_0.zip"
    theirs = getattr(stable_baselines3, name.upper()).load(zipped, device="cpu")
    env = make(EMPTY)
    views = np.stack([env.reset(seed=k)[0] for k in range(20)])
    expected = theirs.predict(one_hot(views), deterministic=True)[0]
    assert rlkit.load(folder, checkpoint="last").act(views).tolist() == expected.tolist()
    for suffix in ("safetensors", "onnx"):
        assert rlkit.export(folder, tmp_path / f"p.{suffix}", checkpoint="last").difference == 0


def model(weight: float | None = None, store: Any = None) -> tuple[Any, Imitation]:
    env = fitted(make(EMPTY))
    made = stable_baselines3.PPO("MlpPolicy", env, seed=0, device="cpu", n_steps=16, batch_size=16)
    told = Imitation(store, Transforms(), made, 0, 64)
    if weight is not None:
        told.join(weight)
    return made, told


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_its_gradient_joins_theirs(weight: float, shown: str) -> None:
    store, _ = minari_io.read(shown)
    made, told = model(weight, store)
    twin, beside = model(None, store)
    parameters = list(made.policy.parameters())
    for p in parameters:
        p.grad = torch.full_like(p, 0.01)
    seen: list[Any] = []
    made.policy.optimizer.register_step_pre_hook(
        lambda *_: seen.extend(None if p.grad is None else p.grad.clone() for p in parameters)
    )
    made.policy.optimizer.step()
    own = torch.autograd.grad(beside.loss(), list(twin.policy.parameters()), allow_unused=True)
    for grad, slope in zip(seen, own, strict=True):
        expected = 0.01 + (0.0 if slope is None else weight * slope)
        torch.testing.assert_close(grad, torch.zeros_like(grad) + expected)
    assert told.last > 0


def test_cloning_makes_the_experts_actions_the_likeliest(shown: str) -> None:
    store, _ = minari_io.read(shown)
    made, told = model(None, store)
    told.clone(150, 1e-3)
    actions = made.predict(one_hot(store.obs), deterministic=True)[0]
    assert (actions == store.action).mean() > 0.9
    assert told.last < 0.5


def test_clone_first_and_at_once_in_a_run(shown: str, tmp_path: Path) -> None:
    config = SMALL | {"cloning": 250, "imitation": 0.5, "learning_rate": 1e-3, "hidden": (64,)}
    folder = train(
        Options(
            "sb3:ppo", dataset=shown, env=EMPTY, online=True, steps=32, seeds=(0, 1), levels=4,
            eval_episodes=8, eval_every=32, log_every=32, config=config, quiet=True,
            out=str(tmp_path / "run"),
        )
    ).folder  # fmt: skip
    row = read_progress(folder / "progress.jsonl")[-1]
    assert max(row["imitation_loss"]) < 1.4  # log 7 is 1.95
    found, _ = evaluate_run(folder, 10, levels="train")
    # of 0.95; without being told, 32 steps teach nothing
    assert np.mean([e.return_ for e in found]) >= 0.6


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"config": SMALL}, "it clones it; give its config a number"),
        ({"config": SMALL | {"cloning": 5}, "pretrain": 3}, "pretrain is not for sb3:ppo"),
        ({"config": SMALL | {"cloning": 5}, "online": False}, "sb3:ppo learns from"),
        (
            {"config": SMALL | {"imitation": 1.0}, "dataset": None, "online": False},
            "give --dataset",
        ),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], said: str) -> None:
    usual = {"dataset": "tests/shown-v0", "env": EMPTY, "online": True, "steps": 32}
    with pytest.raises(UsageError, match=said):
        resolve(Options("sb3:ppo", **usual | given))


def test_other_agents_of_theirs_clone_nothing() -> None:
    with pytest.raises(UsageError, match=r"sb3:dqn learns from an environment alone"):
        resolve(Options("sb3:dqn", dataset="x", env=EMPTY, online=True))

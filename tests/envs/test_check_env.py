"""Every environment and every wrapper of ours: what gymnasium and stable-baselines3 ask of one, and
that it is made again from its spec, also when that has been text."""

from __future__ import annotations

import ast
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import rlkit
from rlkit.envs.levels import Levels
from rlkit.envs.make import make
from rlkit.envs.specs import from_text, to_text
from rlkit.envs.tabular import env as tabular
from rlkit.envs.tabular import latent
from rlkit.envs.tabular.families import FAMILIES, find_model
from rlkit.envs.tasks import ids
from rlkit.envs.tasks.distracted import Distracted
from rlkit.envs.tasks.edge_of_reach import EdgeOfReach
from rlkit.envs.tasks.partial import Seen
from rlkit.envs.taught import Taught
from rlkit.exploration.wrapper import BonusReward
from rlkit.run.sb3.actions import fitted

Env = gymnasium.Env[Any, Any]

ids.register()
IDS = [name for name in gymnasium.registry if name.startswith("rlkit/")]
MODELS = {  # of families that need arguments, and of some that would be large
    "deep_sea": "n=3",
    "garnet": "states=9,actions=2,successors=3",
    "banded_garnet": "states=9,actions=2,successors=3,width=4",
    "factored_garnet": "endogenous=2,exogenous=2,actions=2",
    "maze": "layout=3",
    "pendulum": "angles=5,speeds=5,torques=3",
    "random_latent": "contexts=2,states=3,actions=2,horizon=3",
}


class Odd(gymnasium.Env[Any, Any]):
    """Actions that stable-baselines3's agents do not give: -2, -1, 0, or 64-bit floats."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, counted: bool = False) -> None:
        self.action_space: Any = (
            spaces.Discrete(3, start=-2) if counted else spaces.Box(-0.3, 0.3, (1,), np.float64)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 0.0, False, False, {}


class Same:
    """A teacher of one task."""

    def sample(self) -> np.ndarray:
        return np.array([0.7])

    def update(self, task: np.ndarray, outcome: float) -> None: ...


def longer(env: Env, task: np.ndarray) -> None:
    env.unwrapped.length = task[0]  # type: ignore[attr-defined]


WRAPPED: dict[str, Callable[[], Env]] = {
    "taught": lambda: Taught(make("CartPole-v1"), Same(), longer),
    "levels": lambda: Levels(make("MiniGrid-Empty-Random-5x5-v0"), 4, "test", seed=1),
    "grid": lambda: make("MiniGrid-DoorKey-5x5-v0"),
    "bonus": lambda: BonusReward(make("MountainCar-v0"), "episode", 0.2, seed=3),
    "box": lambda: fitted(make("rlkit-test/Odd-v0")),
    "counted": lambda: fitted(make("rlkit-test/Odd-v0", counted=True)),
    "cells": lambda: fitted(make("MiniGrid-Empty-5x5-v0")),
    "catch": lambda: make("rlkit/CatchPixels-v0"),
    "contextual": lambda: make("rlkit/PendulumTasks-v1"),
    "stocked": lambda: make("rlkit/BetTwice-v1"),
    "edge": lambda: make("rlkit-test/Edge-v0"),
    "seen": lambda: Seen(make("Acrobot-v1"), (1, 4)),
    "distracted": lambda: Distracted(make("CartPole-v1"), 2, "noise", 3.0),
    "tabular": lambda: tabular.make(find_model("forest"), "one_hot", max_steps=9),
    "latent": lambda: latent.make(latent.probe()),
    "maze": lambda: make("rlkit/PointMaze_UMaze-v0"),
}


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # where MuJoCo puts its log when gymnasium makes a model again
    gymnasium.register("rlkit-test/Odd-v0", Odd)
    gymnasium.register("rlkit-test/Edge-v0", EdgeOfReach)
    yield
    for name in ("Odd", "Edge"):
        del gymnasium.registry[f"rlkit-test/{name}-v0"]


def checked(env: Env) -> None:
    """gymnasium's own check, and that of stable-baselines3 where it is there."""
    with warnings.catch_warnings():
        for known in (  # of the environments inside, and of spaces that are as they are
            *("is different from the unwrapped", "value is -?infinity", "symmetric and normalized"),
            *("None value for `self.spec`", "observation space .* unconventional shape"),
        ):
            warnings.filterwarnings("ignore", message=f".*{known}")
        check_env(env, skip_render_check=True)
        if importlib.util.find_spec("stable_baselines3") is not None:
            from stable_baselines3.common.env_checker import check_env as their_check

            their_check(env, warn=False, skip_render_check=True)


def walked(env: Env) -> list[Any]:
    """What some steps from a seed show."""
    seen: list[Any] = [env.reset(seed=5)[0]]
    env.action_space.seed(5)
    for _ in range(5):
        obs, reward, ended, cut, _ = env.step(env.action_space.sample())
        seen += [obs, reward, ended, cut]
        if ended or cut:
            break
    return seen


def made_again(env: Env) -> None:
    """From its spec, and from the text of it where it can be text: the same steps."""
    straight = walked(env)
    assert env.spec is not None
    text = to_text(env.spec)
    for spec in [env.spec] if text is None else [env.spec, from_text(text, "here")]:
        with make(spec) as again:
            np.testing.assert_equal(walked(again), straight)
            assert str(again) == str(env)


@pytest.mark.parametrize("name", IDS)
def test_an_environment_that_is_registered(name: str) -> None:
    with make(name) as env:
        assert to_text(env.spec) is not None
        made_again(env)
        if not isinstance(env.unwrapped.observation_space, spaces.Dict):  # `make` flattens those
            checked(env)
        else:  # gymnasium's wrappers hide compute_reward
            checked(env.unwrapped)


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapper(name: str) -> None:
    with WRAPPED[name]() as env:
        checked(env)
        if env.spec is not None:
            made_again(env)


@pytest.mark.parametrize("observation", ["index", "one_hot"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_tabular_family(name: str, observation: str) -> None:
    model = find_model(f"{name}:{MODELS[name]}" if name in MODELS else name)
    checked(tabular.make(model, observation, infeasible="penalty", max_steps=20))


def test_none_of_ours_is_left_out() -> None:
    tried: set[str] = set()
    goals = lambda: make("rlkit/BitFlip-v0")  # noqa: E731 - of `IDS`, checked without wrappers
    for make_one in (*WRAPPED.values(), goals):
        with make_one() as env:
            layers: Any = env
            while isinstance(layers, gymnasium.Wrapper):
                tried.add(type(layers).__name__)
                layers = layers.env
            tried.add(type(layers).__name__)
    assert _classes() <= tried, _classes() - tried


def _classes() -> set[str]:
    """Environments and wrappers that stand in the sources, by what they derive from."""
    found = set()
    for path in Path(rlkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
                if any(base.endswith(("Wrapper", "Env")) for base in bases):
                    found.add(node.name)
    return found - {"GridVectorEnv"}  # many in one: gymnasium's check is of single ones

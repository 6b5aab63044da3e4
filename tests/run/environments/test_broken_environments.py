"""Broken environments are refused in one line, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.envs.checking import check_environment
from rlkit.envs.make import make
from rlkit.run.collecting.collector import Collector
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options
from rlkit.run.train import train
from tests.run.environments.own_environment import Halves


def broken(what: str) -> type[Halves]:
    class Broken(Halves):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            obs, info = super().reset(seed=seed)
            if what == "no info":
                return obs
            return (np.zeros(3, np.float32) if what == "shape at reset" else obs), info

        def step(self, action: Any) -> Any:
            obs, reward, terminated, truncated, info = super().step(action)
            if what == "four":
                return obs, reward, terminated, info
            if what == "shape":
                obs = np.zeros(3, np.float32)
            if what == "nan":
                obs = np.array([np.nan, 0.0])
            if what == "reward":
                reward = np.nan
            if what == "raises":
                raise KeyError("torque")
            return obs, reward, terminated, truncated, info

    return Broken


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no info", "was not a tuple of the form"),
        (
            "shape at reset",
            r"`reset\(\)` method is not within.*shape is \(3,\), the space's \(2,\)",
        ),
        ("four", "old step API"),
        ("shape", r"`step\(\)` method is not within.*shape is \(3,\)"),
        ("nan", "is not finite|NaN"),
        ("reward", "NaN"),
        ("raises", "KeyError: 'torque'"),
    ],
)
def test_a_broken_environment_is_refused_in_one_line(
    what: str, message: str, register: Callable[..., str], tmp_path: Path
) -> None:
    name = register(broken(what))
    with pytest.raises(UsageError, match=message) as caught:
        train(Options("sac", env=name, out=str(tmp_path / "run"), quiet=True))
    assert str(caught.value).startswith(f"environment {name}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_breaks_later_ends_the_run_by_name(register: Callable[..., str]) -> None:
    class Late(Halves):
        def step(self, action: Any) -> Any:
            obs, reward, *rest = super().step(action)
            return obs, (np.inf if len(self.given) > 30 else reward), *rest

    task, _ = prepare(Options("sac", env=register(Late, end=50)))
    collect = Collector(task, task.spec((3,)), 1)
    collect.reset()
    for _ in range(30):
        collect.step(np.zeros((1, 1, 1), np.float32))
    with pytest.raises(RunError, match=r"the reward inf at step 30 of episode 0 of seed 3"):
        collect.step(np.zeros((1, 1, 1), np.float32))


class Screen(gymnasium.Env):
    """Images of uint8 numbers, or so it says."""

    observation_space = gymnasium.spaces.Box(0, 255, (12, 12), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.image, {}

    def step(self, action: Any) -> Any:
        return self.image, 0.0, False, False, {}


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.full((12, 12), 0.25), r"`reset\(\)` method has 0.25, which no uint8 is"),
        (np.full((12, 12), 300), "has 300, which no uint8 is"),
        (np.full((12, 12), -1), "has -1, which no uint8 is"),
    ],
)
def test_whole_numbers_are_not_cut_off_without_a_word(image: np.ndarray, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_environment(Screen(image))
    plain = Screen(np.full((12, 12), 7, np.uint8))
    check_environment(plain)
    check_environment(Screen(np.full((12, 12), 7.0)))  # of another type, and nothing is lost
    wrapped = gymnasium.wrappers.TransformObservation(
        plain, lambda seen: image, plain.observation_space
    )
    with pytest.raises(ValueError, match=named):
        check_environment(wrapped)


def test_sound_environments_pass() -> None:
    check_environment(Halves())  # whose reset is of another type than its space
    check_environment(make("MiniGrid-Empty-5x5-v0"))

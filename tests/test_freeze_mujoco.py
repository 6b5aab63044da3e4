"""Which checkpoints of a training become the recipes of a MuJoCo task."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save

import rlkit
from rlkit.data.recipes.behaviour import from_bytes

RANDOM, EXPERT = 0.0, 3000.0


@pytest.fixture
def freeze(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(rlkit.__file__).parents[1] / "benchmarks"))
    return importlib.import_module("freeze_mujoco")


def measured(freeze: ModuleType, returns: list[float], speed: float):
    return freeze.Measured(np.array(returns), np.full(len(returns), 9), speed, 0.0)


def test_medium_is_steady_moving_and_near_a_third(freeze: ModuleType) -> None:
    table = {
        100: measured(freeze, [300.0] * 5, 0.9),
        200: measured(freeze, [1000.0] * 5, 0.1),  # stands still
        300: measured(freeze, [300.0, 3000, 900, 400, 500], 2.0),  # falls or not, by luck
        400: measured(freeze, [1000.0, 1100, 1000, 1050, 1500], 2.0),  # steady but for one
        500: measured(freeze, [2000.0] * 5, 2.0),
        600: measured(freeze, [2900.0] * 5, 2.4),
        700: measured(freeze, [1000.0] * 5, 2.4),  # after the expert
    }
    medium, best, replay = freeze.choose(table, RANDOM, EXPERT)
    assert (medium, best) == (400, 600)
    assert replay == [100, 200, 300, 400]


def test_medium_is_of_an_agent_that_was_never_better(freeze: ModuleType) -> None:
    returns = {100: 200.0, 200: 1100, 300: 2800, 400: 1000, 500: 2950}
    table = {step: measured(freeze, [x] * 5, 2.0) for step, x in returns.items()}
    assert freeze.choose(table, RANDOM, EXPERT) == (200, 500, [100, 200])
    del table[200], table[100]  # it was good from the first: then what it fell back to
    assert freeze.choose(table, RANDOM, EXPERT)[0] == 400


def test_without_a_steady_checkpoint_there_is_no_medium(freeze: ModuleType) -> None:
    table = {1: measured(freeze, [0.0, 1000, 5, 800], 1), 2: measured(freeze, [3000.0] * 4, 1)}
    assert freeze.choose(table, RANDOM, EXPERT) == (None, 2, [])


def test_the_replay_is_ten_evenly(freeze: ModuleType) -> None:
    table = {
        10 * k: measured(freeze, [1000.0 if k == 40 else 500.0] * 3, 1.0) for k in range(1, 46)
    }
    table[460] = measured(freeze, [3000.0] * 3, 1.0)
    medium, _, replay = freeze.choose(table, RANDOM, EXPERT)
    assert medium == 400
    assert replay == [40, 80, 120, 160, 200, 240, 280, 320, 360, 400]


def test_rounded_weights_act_as_the_policy_does(freeze: ModuleType) -> None:
    rng = np.random.default_rng(0)
    shapes = {"hidden_1": (64, 5), "hidden_2": (64, 64), "head": (4, 64)}
    layers = {f"{n}.weight": rng.normal(size=s).astype(np.float32) / 4 for n, s in shapes.items()}
    layers["hidden_1.weight"][3] = 0  # a unit that has died
    layers |= {f"{n}.bias": rng.normal(size=s[0]).astype(np.float32) for n, s in shapes.items()}
    training = freeze.Training("SAC", {7: lambda: layers}, {})
    content = save(freeze.rounded(training, 7))
    assert len(content) < 4 * sum(x.size for x in layers.values()) / 2
    low, high = np.full(2, -1.0), np.full(2, 1.0)
    ours = from_bytes(content, freeze.name_of(7), low, high)
    exact = from_bytes(
        save({f"{freeze.name_of(7)}/{n}": x for n, x in layers.items()}),
        freeze.name_of(7),
        low,
        high,
    )
    obs = rng.normal(size=(50, 5)).astype(np.float32)
    difference = [np.abs(ours.act(x) - exact.act(x)).max() for x in obs]
    assert 0 < np.mean(difference) < 0.02

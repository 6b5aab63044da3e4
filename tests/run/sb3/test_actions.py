"""Their agents act in the space of the environment: its type, its bounds, its numbering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.policy.policy import Policy
from rlkit.run.policies.evaluation import evaluate_file
from rlkit.run.policies.export import export
from rlkit.run.sb3.actions import fitted
from rlkit.run.settings.options import Options
from rlkit.run.train import train

SPACES = {
    "int32": spaces.Box(-3, 5, (2,), np.int32),
    "uint8": spaces.Box(0, 255, (1,), np.uint8),
    "float16": spaces.Box(-0.3, 0.3, (1,), np.float16),
    "float64": spaces.Box(np.array([-0.1, 0.7]), np.array([0.1, 0.9]), dtype=np.float64),
    "start": spaces.Discrete(3, start=2),
    "below": spaces.Discrete(4, start=-1),
}


class Strict(gymnasium.Env[Any, Any]):
    """Takes nothing but what its action space contains."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, kind: str) -> None:
        self.action_space = SPACES[kind]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), (action, np.asarray(action).dtype)
        self.t += 1
        return np.full(2, self.t / 8, np.float32), 1.0, self.t >= 6, False, {}


@pytest.fixture
def strict(request: pytest.FixtureRequest) -> Iterator[str]:
    name = "rlkit-test/Strict-v0"
    kind = request.getfixturevalue("kind")
    gymnasium.register(name, entry_point=Strict, kwargs={"kind": kind})
    yield name
    del gymnasium.registry[name]


@pytest.mark.parametrize("kind", SPACES)
def test_what_is_stepped_is_in_the_space(kind: str, strict: str, tmp_path: Path) -> None:
    given = {"eval_every": 16, "eval_episodes": 1, "quiet": True}
    config = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "hidden": (8,)}
    run = train(
        Options("sb3:ppo", env=strict, steps=16, out=str(tmp_path / "run"), config=config, **given)
    )
    assert float(run.returns[-1]) == 6.0
    file = export(run.folder).path
    assert SPACES[kind].contains(Policy.load(file).act(np.zeros(2, np.float32)))
    assert evaluate_file(file, 1)[0].return_ == 6.0


def test_an_environment_that_fits_is_left_alone() -> None:
    for env in (gymnasium.make("CartPole-v1"), gymnasium.make("Pendulum-v1")):
        assert fitted(env) is env
        env.close()

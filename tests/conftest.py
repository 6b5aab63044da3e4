"""A small real dataset, environments that tell what they were asked, and short trainings."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.data.formats import minari_io
from rlkit.data.recorder import record_episode
from rlkit.envs.make import make
from rlkit.run.settings.options import Options

ENV = "InvertedPendulum-v5"
DATASET = "tests/pendulum/random-v0"
LENGTH = 3  # steps of an episode of Counter
SMALL = {"hidden": (16, 16), "batch_size": 16}


@pytest.fixture(autouse=True, scope="session")
def heard() -> Iterator[None]:
    """A shell's background job begins with Ctrl-C ignored; tests that send it want Python's own."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Counter(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observation (episode's seed mod 1000, t); episodes of three steps, every second truncated.

    The reward is the action executed; the box is [-2, 2].
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def __init__(self) -> None:
        self.episodes = 0
        self.t = 0
        self.seen = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.seen = (seed or 0) % 1000
        self.episodes += 1
        self.t = 0
        return self._obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.t < LENGTH
        self.t += 1
        over = self.t == LENGTH
        cut = self.episodes % 2 == 0
        return self._obs(), float(action[0]), over and not cut, over and cut, {}

    def _obs(self) -> np.ndarray:
        return np.array([self.seen, self.t], np.float64)


class Locked(Counter):
    """A Counter that holds what cannot be saved."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Choice(gymnasium.Env[np.ndarray, int]):
    """One step; actions -1, 0, 1 are the reward; observations of no dimension."""

    observation_space = spaces.Box(0.0, 1.0, (), np.float32)
    action_space = spaces.Discrete(3, start=-1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.float32(self.np_random.random()), {}  # type: ignore[return-value]

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert action in (-1, 0, 1)
        return np.float32(0.5), float(action), True, False, {}  # type: ignore[return-value]


@pytest.fixture(scope="session", autouse=True)
def toys() -> None:
    """Registers rlkit-test/Counter-v0, Locked-v0 and Choice-v0."""
    for name, kind in (("Counter", Counter), ("Locked", Locked), ("Choice", Choice)):
        gymnasium.register(f"rlkit-test/{name}-v0", entry_point=kind)


@pytest.fixture(scope="session")
def minari_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Minari root with 60 episodes of uniformly random actions in InvertedPendulum."""
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root))
        env, rng = make(ENV), np.random.default_rng(0)

        def act(obs: np.ndarray) -> np.ndarray:
            return rng.uniform(-3, 3, 1).astype(np.float32)

        episodes = [record_episode(env, act, seed) for seed in range(60)]
        minari_io.write(
            episodes,
            DATASET,
            observation_space=env.observation_space,
            action_space=env.action_space,
            env_spec=env.spec,
        )
        env.close()
    return root


@pytest.fixture
def dataset(minari_root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Id of the small dataset, readable."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(minari_root))
    return DATASET


@pytest.fixture
def offline(dataset: str, tmp_path: Path) -> Callable[..., Options]:
    """Options of a training on the small dataset; any field can be given."""

    def build(**given: Any) -> Options:
        values: dict[str, Any] = {
            "algo": "iql",
            "dataset": dataset,
            "steps": 40,
            "out": str(tmp_path / "run"),
            "engine": "eager",
            "eval_every": 10,
            "eval_episodes": 2,
            "log_every": 10,
            "quiet": True,
            "config": SMALL,
        }
        return Options(**values | given)

    return build


@pytest.fixture
def online(tmp_path: Path) -> Callable[..., Options]:
    """Options of a training with SAC in InvertedPendulum; any field can be given."""

    def build(**given: Any) -> Options:
        values: dict[str, Any] = {
            "algo": "sac",
            "env": ENV,
            "steps": 120,
            "out": str(tmp_path / "run"),
            "engine": "eager",
            "eval_every": 30,
            "eval_episodes": 2,
            "log_every": 30,
            "warmup": 20,
            "capacity": 70,
            "quiet": True,
            "config": SMALL,
        }
        return Options(**values | given)

    return build


@pytest.fixture
def digests() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of the episodes and of the last checkpoint's files of a run folder."""

    def compute(folder: Path) -> dict[str, str]:
        last = sorted((folder / "checkpoints").glob("step_*"))[-1]
        files = [folder / "episodes.csv", *sorted(last.rglob("*.safetensors"))]
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    return compute

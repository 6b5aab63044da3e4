"""A lane that is no longer finite is left out; the others end as if it had stayed sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.core import state
from rlkit.core.errors import DivergedError, RunError
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.eval.records import read_episodes
from rlkit.nets import Init, Value
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Diverged, Event
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]

# The lanes of seeds 1 and more are poisoned by their update number `at`; 0 is never.
POISONED = """
from dataclasses import dataclass
from rlkit.algos import {base}

@dataclass(frozen=True)
class Config({base}.Config):
    at: int = 0
    all: bool = False

class Agent({base}.Agent):
    def __init__(self, spec, c):
        super().__init__(spec, c)
        self.seeds = spec.seeds

    def update(self, b, c, **due):
        metrics = super().update(b, c, **due)
        if int(self.step_q.steps) == c.at:  # kept in checkpoints: it comes again
            for lane, seed in enumerate(self.seeds):
                if seed or c.all:
                    for p in self.pi.parameters():
                        p.data[lane] = float("nan")
        return metrics
"""
SMALL = {"hidden": (16, 16), "batch_size": 16}


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rlkit_test_poisoned"
    package.mkdir()
    (package / "__init__.py").touch()
    for base in ("iql", "sac"):
        (package / f"{base}_agent.py").write_text(POISONED.format(base=base))
    monkeypatch.syspath_prepend(tmp_path)


def given(build: Build, tmp_path: Path, at: int, **values: Any) -> Options:
    base = "iql" if build().kind == "offline" else "sac"
    config = SMALL | {"at": at, "all": values.pop("all", False)}
    return build(
        algo=f"rlkit_test_poisoned.{base}_agent",
        out=str(tmp_path / f"run_{at}"),
        **{"seeds": (0, 1), "config": config, "keep": 1} | values,
    )


def sound_lane(folder: Path) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    rows = read_episodes(folder / "episodes.csv")
    agent = run_folder.restore(folder, "last", [0]).agent
    return rows[rows["lane"] == 0], state.clone(agent)


@pytest.mark.parametrize(
    ("kind", "at", "found", "kept"),
    [
        ("offline", 25, 30, 20),
        (
            "online",
            52,
            74,
            60,
        ),  # by the policy's next action, 20 steps of warm-up and a pair of steps
    ],
)
@pytest.mark.usefixtures("poisoned")
def test_sound_lanes_go_on_unchanged(
    kind: str, at: int, found: int, kept: int, offline: Build, online: Build, tmp_path: Path
) -> None:
    build = offline if kind == "offline" else online
    events: list[Event] = []
    options = given(build, tmp_path, at)
    with pytest.raises(DivergedError, match=r"diverged \(seed 1 at step") as lost:
        train(options, events.append)  # type: ignore[arg-type]
    assert isinstance(lost.value, RunError)
    assert lost.value.lanes == (1,)
    told = [e for e in events if isinstance(e, Diverged)]
    assert len(told) == 1
    assert told[0].lanes.keys() == {1}
    straight = train(given(build, tmp_path, 0)).folder
    folder = Path(options.folder())
    (rows, agent), (expected, sound) = sound_lane(folder), sound_lane(straight)
    assert (rows == expected).all()
    assert all(torch.equal(agent[name], sound[name]) for name in sound)
    of_lost = read_episodes(folder / "episodes.csv")
    of_lost = of_lost[of_lost["lane"] == 1]
    late = of_lost["step"] >= told[0].step
    assert late.any()
    assert np.isnan(of_lost["return"]).tolist() == late.tolist()
    # its last finite policy is kept, though only one checkpoint is kept whole
    end = run_folder.steps(folder)[-1]
    before = run_folder.restore(folder, "last", [1])
    assert before.steps[0] < told[0].step <= end
    assert state.nonfinite(SimpleNamespace(pi=before.agent.pi), 1) == {}
    assert run_folder.restore(folder, "last").steps == (end, before.steps[0])
    # and the same when asked again
    with pytest.raises(DivergedError, match="seed 1"):
        train(options)
    if kind == "offline":
        assert told[0].step == found
        assert before.steps[0] == kept
        with pytest.raises(DivergedError, match="seed 1"):
            resume(folder, 60, quiet=True)
        rows = read_episodes(folder / "episodes.csv")
        assert rows["step"].max() == 60
        longer = train(dataclasses.replace(given(build, tmp_path, 0), steps=60)).folder
        assert (sound_lane(folder)[0] == sound_lane(longer)[0]).all()


@pytest.mark.usefixtures("poisoned")
def test_without_a_sound_lane_it_stops_and_the_last_checkpoint_is_finite(
    offline: Build, tmp_path: Path
) -> None:
    options = given(offline, tmp_path, 25, all=True)
    for _ in range(2):
        with pytest.raises(DivergedError, match=r"step 30 .*seed 1: pi_loss.* no lane is left"):
            train(options)
        assert run_folder.steps(options.folder())[-1] == 20
        restored = run_folder.restore(options.folder())
        assert state.nonfinite(restored.agent, 2) == {}


@pytest.mark.usefixtures("poisoned")
def test_lanes_in_processes_of_their_own_are_left_out_as_well(
    offline: Build, tmp_path: Path
) -> None:
    options = given(offline, tmp_path, 25, workers=2)
    with pytest.raises(DivergedError, match="seed 1 at step 30"):
        train(options)
    assert run_folder.steps(options.folder())[-1] == 40
    assert run_folder.restore(options.folder()).steps == (40, 20)


def test_lanes_with_numbers_that_are_not_finite_are_named() -> None:
    net = Value(Init(Spec(3, 1, (0, 1, 2))), (4,))
    agent = SimpleNamespace(v=net, step_v=Adam(net, 1e-3))
    assert state.nonfinite(agent, 3) == {}
    agent.step_v.m[-1] = float("inf")
    assert list(state.nonfinite(agent, 3)) == [2]
    next(net.parameters()).data[0] = float("nan")
    assert state.nonfinite(agent, 3)[0].startswith("v.")

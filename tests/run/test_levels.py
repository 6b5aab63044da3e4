"""A training on a pool of levels: which levels it meets, what is recorded, the gap."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.envs.grid import Grids
from rlkit.eval.records import read_episodes
from rlkit.reports.cells import evaluations
from rlkit.run import loops
from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import train

ENV = "MiniGrid-FourRooms-v0"
SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 8}


def options(**given: Any) -> Options:
    usual: dict[str, Any] = {"env": ENV, "steps": 240, "warmup": 230, "levels": 2, "log_every": 240}
    usual |= {"eval_episodes": 3, "eval_every": 240, "quiet": True, "config": SMALL}
    return resolve(Options("dqn", **usual | given))


def test_episodes_begin_in_levels_of_the_pool_only() -> None:
    grids = Grids.of(ENV, 2)
    grids.reset([0, 1])
    known = {view.tobytes() for view in grids.image}
    session = Session(options(steps=250, eval_episodes=0, envs=2))
    assert session.collector is not None
    session.collector.reset()
    begun = [session.collector.obs[0, e] for e in range(2)]
    for _ in range(240):
        step = session.collector.step(np.full((1, 2), 6))  # stand still until time is up
        begun += [session.collector.obs[0, e] for e in np.flatnonzero(step.truncated[0])]
    session.close()
    assert len(begun) >= 6
    assert {np.asarray(view, np.uint8).tobytes() for view in begun} <= known


def test_both_kinds_of_levels_are_evaluated_and_the_gap_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(options(seeds=(0, 1), out=str(tmp_path / "run"))).folder
    trained, other = (
        read_episodes(folder / name) for name in ("trained_levels.csv", "episodes.csv")
    )
    assert [len(trained), len(other)] == [6, 6]
    assert evaluations(trained).keys() == evaluations(other).keys() == {0, 1}
    found, _ = evaluate_run(folder, 2, levels="train")
    assert len(found) == 4
    main(["eval", str(folder), "--episodes", "2", "--gap"])
    assert "held-out levels" in capsys.readouterr().out


def test_levels_are_of_what_collects() -> None:
    with pytest.raises(UsageError, match="a dataset has its own"):
        resolve(Options("iql", dataset="rlkit/pendulum/medium-v0", levels=3))
    session = Session(options(levels=0, steps=4, warmup=4, eval_episodes=0))
    assert session.on_trained is None
    assert list(loops.run(session))
    session.close()

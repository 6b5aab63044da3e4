"""The readers of whole folders: a run that goes on, a sweep that is worked off again.

They write, so each works on a copy; the file that is damaged is the original's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rlkit.core.files.checkpoint import INDEX
from rlkit.reports import results
from rlkit.run.policies.export import from_run
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from rlkit.sweeps import job as jobs
from rlkit.sweeps import plan
from rlkit.sweeps.database import FILE
from rlkit.sweeps.engines import Outcome
from rlkit.sweeps.runner import COPY, failures, sweep
from rlkit.sweeps.status import status, table
from tests.fuzz.reader import Reader
from tests.sweeps.sweep_files import Inside

FEW = 8  # cases of a reader that trains
STEPS = 6
SEALED = (run_folder.CONFIG, INDEX, "agent.safetensors", "replay.safetensors", "envs.safetensors")
SWEEP = """
name = "bandits"
seeds = "0:2"
retries = 0
defaults = { steps = 20, runs = 2, checkpoints = 2 }
tasks.easy = { bandit = "armed(means=[0.9, 0.1])" }
systems.ucb1 = { policy = "ucb1" }
"""


class Attempting(Inside):
    """Works jobs off as a child does that tells what went wrong."""

    def poll(self, seconds: float) -> list[Outcome]:
        found = []
        for id, job in self.waiting:
            lost = jobs.attempt(job)
            found.append(Outcome(id, "failed", 1.0, *lost) if lost else Outcome(id, "done", 1.0))
        self.waiting.clear()
        return found


def run_readers(folder: Path) -> Iterator[tuple[str, Reader]]:
    """Every file of a run, read by a training that goes on and by who acts with the policy."""
    run = folder / "trained"
    train(
        Options(
            "sac",
            env="Pendulum-v1",
            steps=STEPS,
            warmup=2,
            capacity=8,
            seeds=(0, 3),
            config={"hidden": (4,), "hidden_q": (4,), "batch_size": 4},
            eval_every=2,
            eval_episodes=1,
            log_every=2,
            keep=1,
            engine="eager",
            workers=1,
            quiet=True,
            out=str(run),
        )
    )

    def goes_on(copy: Path) -> Any:
        resume(copy, steps=STEPS + 2, quiet=True)

    def acts(copy: Path) -> Any:
        from_run(copy, lane=1).act([0.0, 0.0, 0.0])

    last = run_folder.group_folder(run_folder.step_folder(run, STEPS), 0)
    first = [run / name for name in ("config.json", "versions.json", "progress.jsonl")]
    parts = [last / INDEX, *sorted(last.glob("*.safetensors"))]
    for path in [*first, run / run_folder.EPISODES, *parts]:
        sealed = path.name in SEALED
        yield f"run {path.name}", Reader(path, on_copy(run, goes_on), sealed, FEW)
    for path in (run / "config.json", run / "episodes.csv", last / INDEX):
        yield f"policy of a run {path.name}", Reader(path, on_copy(run, acts), cases=FEW)


def sweep_readers(folder: Path) -> Iterator[tuple[str, Reader]]:
    """The state of a sweep and its copy of the file, read by a further call and by a report."""
    whole, file = folder / "swept", folder / "bandits.toml"
    file.write_text(SWEEP)
    asked = plan.read(file)
    sweep(asked, whole, engine=Attempting(), lanes=1, quiet=True)

    def goes_on(copy: Path) -> Any:
        table(status(copy))
        fault = failures(sweep(asked, copy, engine=Attempting(), lanes=1, quiet=True))
        if fault is not None:
            raise fault

    def reports(copy: Path) -> Any:
        results.read(copy, remember=False)

    yield "state of a sweep", Reader(whole / FILE, on_copy(whole, goes_on), cases=FEW)
    cell = sorted(whole.glob(f"runs/*/{run_folder.CELL}"))[0]
    for path in (cell, cell.with_name(run_folder.CONFIG), whole / COPY):
        yield f"cell of a sweep {path.name}", Reader(path, on_copy(whole, goes_on), cases=FEW)
    yield "report sweep.toml", Reader(whole / COPY, on_copy(whole, reports), cases=FEW)


def on_copy(folder: Path, read: Callable[[Path], Any]) -> Callable[[], Any]:
    def act() -> None:
        copy = folder.with_name("copy") / folder.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        read(copy)

    return act

"""Sweep files that are worked off in seconds, and an engine for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlkit.sweeps import job as jobs
from rlkit.sweeps.engines import Outcome

BANDITS = """
name = "bandits"
seeds = "0:4"
defaults = { steps = 500, runs = 2, checkpoints = 4 }
tasks.easy = { bandit = "armed(means=[0.9, 0.1])" }
systems.ucb1 = { policy = "ucb1" }
systems.moss = { policy = "moss" }
"""

MIXED = """
name = "mixed"
seeds = "0:2"
retries = 0
[tasks]
easy = { bandit = "armed(means=[0.9, 0.1])" }
river = { mdp = "river_swim" }
pendulum = { env = "Pendulum-v1" }
[systems.ucb1]
policy = "ucb1"
steps = 200
runs = 2
tasks = ["easy"]
[systems.q]
learner = "q"
steps = 2_000
tasks = ["river"]
[systems.ucbvi]
learner = "ucbvi-bf"
steps = 50
tasks = ["river"]
[systems.vi]
solver = "vi"
tasks = ["river"]
[systems.ppo]
algo = "sb3:ppo"
steps = 64
eval_every = 32
eval_episodes = 1
config = { n_steps = 32, batch_size = 32, n_epochs = 1 }
tasks = ["pendulum"]
[systems.sac]
algo = "sac"
steps = 40
warmup = 20
eval_every = 20
eval_episodes = 1
engine = "eager"
config = { hidden = [8], batch_size = 8 }
grid = { lr = [1e-3, 1e-4] }
tasks = ["pendulum"]
"""

TRAININGS = """
name = "trainings"
seeds = "0:5"
retries = 0
[defaults]
steps = 120
warmup = 20
eval_every = 40
checkpoint_every = 20
eval_episodes = 1
engine = "eager"
config = { hidden = [8], batch_size = 8 }
[tasks]
pendulum = { env = "Pendulum-v1" }
car = { env = "MountainCarContinuous-v0" }
[systems]
sac = { algo = "sac" }
td3 = { algo = "td3" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def records(folder: Path) -> dict[str, bytes]:
    """`episodes.csv` of every run, by folder."""
    return {p.parent.name: p.read_bytes() for p in sorted(folder.glob("runs/*/episodes.csv"))}


class Inside:
    """Works jobs off in this process, one at a time; some are lost or fail as told."""

    def __init__(self, *endings: str) -> None:
        self.endings, self.waiting, self.started = list(endings), [], []

    def room(self) -> bool:
        return not self.waiting

    def start(self, id: int, job: dict[str, Any]) -> None:
        self.waiting.append((id, job))
        self.started.append(id)

    def poll(self, seconds: float) -> list[Outcome]:
        found = []
        for id, job in self.waiting:
            ending = self.endings.pop(0) if self.endings else "done"
            if ending == "done":
                jobs.work(job)
            found.append(Outcome(id, ending, 1.0, "" if ending == "done" else f"it {ending}"))
        self.waiting.clear()
        return found

    def close(self) -> None:
        self.waiting.clear()

"""Systems that start from another system's agents, and what cells of stable-baselines3 keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlkit.core.errors import UsageError
from rlkit.run.records.progress import Silent
from rlkit.sweeps import plan, probe
from rlkit.sweeps.engines import Outcome
from rlkit.sweeps.runner import Finished, sweep
from rlkit.sweeps.store import Store

from .sweep_files import Inside, records, write

STARTS = """
seeds = "0:2"
retries = 0
[defaults]
steps = 24
warmup = 8
eval_every = 12
eval_episodes = 1
engine = "eager"
config = { hidden = [8], batch_size = 8 }
[tasks]
pendulum = { env = "Pendulum-v1" }
[systems]
third = { algo = "wsrl", from = "second" }
second = { algo = "sac", from = "first", utd = 2.0 }
first = { algo = "sac" }
"""


def run(path: Path, folder: Path, engine: Inside | None = None, **given: Any) -> Finished:
    return sweep(plan.read(path), folder, engine=engine or Inside(), report=Silent(), **given)


def test_a_system_starts_from_the_agent_of_the_same_task_and_seed(tmp_path: Path) -> None:
    path, folder = write(tmp_path, STARTS), tmp_path / "out"
    finished = run(path, folder, lanes=1)
    assert (finished.done, finished.failed) == (6, {})
    cards = {}
    for file in folder.glob("runs/*/cell.json"):
        card, config = (
            json.loads((file.parent / n).read_text()) for n in (file.name, "config.json")
        )
        cards[card["system"], card["lanes"][0]["seed"]] = file.parent, config["options"]["from_run"]
    for seed in range(2):
        assert cards["first", seed][1] is None
        assert cards["second", seed][1] == str(cards["first", seed][0].resolve())
        assert cards["third", seed][1] == str(cards["second", seed][0].resolve())
    before = records(folder)
    assert run(path, folder, lanes=1).done == 0
    assert records(folder) == before
    path.write_text(
        STARTS.replace('first = { algo = "sac" }', 'first = { algo = "sac", steps = 48 }')
    )
    with pytest.raises(UsageError, match=r"from_run '(first|second) .* there, .* now"):
        run(path, folder)


def test_a_probe_starts_from_a_short_run_and_does_not_time_the_warm_up_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[dict[str, Any]] = []

    class Instant(Inside):
        def start(self, id: int, job: dict[str, Any]) -> None:
            jobs.append(job)

        def poll(self, seconds: float) -> list[Outcome]:
            return [Outcome(0, "done", 2.0 + 0.01 * jobs[-1]["steps"])]

    monkeypatch.setattr(probe, "Local", lambda slots: Instant())
    text = STARTS.replace("steps = 24", "steps = 10_000").replace("warmup = 8", "warmup = 5_000")
    seconds = probe.estimate(plan.read(write(tmp_path, text)), 1, lanes=1, note=lambda text: None)
    assert seconds == pytest.approx(3 * 2 * (2.0 + 0.01 * 10_000))
    timed = [job for job in jobs if job["steps"] > 1]
    assert all(job["options"]["warmup"] <= job["steps"] / 2 for job in timed)
    folders = [job["folder"] for job in jobs]
    for job in timed[:4]:  # of the third and the second system
        assert job["options"]["from_run"] in folders[: folders.index(job["folder"])]


def test_what_starts_from_a_failed_run_waits_for_it(tmp_path: Path) -> None:
    path, folder = write(tmp_path, STARTS), tmp_path / "out"
    finished = run(path, folder, Inside("failed"), lanes=1)
    assert len(finished.failed) == 3, "the run, and the two that start from it and from there"
    assert sum("which it starts from, has failed" in text for text in finished.failed.values()) == 2
    assert finished.done == 3
    again = run(path, folder, lanes=1)
    assert (again.done, again.failed) == (3, {})
    with Store(folder) as store:
        assert store.counts() == {"done": 6}

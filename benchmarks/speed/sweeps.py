"""What a sweep of 10,000 finished cells costs to look at, and the bootstrap behind its intervals.

    python benchmarks/speed/sweeps.py --out benchmarks/results/sweeps.json

Run folders are made with the sweep's own writers, five seeds to a folder and five evaluations of a
few episodes each. Seconds are of the clock and of the processor; memory is the largest the process
ever held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from updates import processor

from rlkit.eval.records import Episode, append_episodes
from rlkit.eval.statistics import bootstrap_interval, iqm, mean, median, optimality_gap
from rlkit.run.records import versions
from rlkit.sweeps import plan
from rlkit.sweeps.runner import describe
from rlkit.sweeps.store import Store

SEEDS, SYSTEMS, TASKS = 5, 50, 40
HEAD = f'name = "large"\nseeds = "0:{SEEDS}"\ndefaults = {{ steps = 1_000, runs = 1 }}\n'


def timed(work: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - cpu, 3),
    }


def make(folder: Path) -> plan.Sweep:
    """A sweep of bandit cells, all finished, with records drawn at random."""
    file = folder / "large.toml"
    tasks = "".join(
        f'[tasks.t{k}]\nbandit = "armed(means=[0.{50 + k}, 0.1])"\nreference = [-100.0, 0.0]\n'
        for k in range(TASKS)
    )
    systems = "".join(
        f'[systems.s{k}]\npolicy = "eps_greedy(eps=0.{k + 10})"\n' for k in range(SYSTEMS)
    )
    file.write_text(HEAD + tasks + systems)
    asked, rng = plan.read(file), np.random.default_rng(0)
    with Store(folder, create=True) as store:
        store.plan(asked)
        store.become_owner()
        while (run := store.claim()) is not None:
            job = describe(run, store, asked)
            place = Path(job["folder"])
            place.mkdir(parents=True)
            (place / "cell.json").write_text(json.dumps(job["cell"]))
            config = {"format": 1, "kind": run.kind, "options": run.options}
            (place / "config.json").write_text(json.dumps(config))
            rows = [
                Episode(lane, seed, step, k, float(rng.normal(-50 + step / 40, 5)), step, False)
                for step in range(200, 1001, 200)
                for lane, seed in enumerate(run.seeds)
                for k in range(4)
            ]
            append_episodes(place / "episodes.csv", rows)
            store.finish(run, 1.0)
    return asked


def command(*words: str) -> dict[str, float]:
    """A whole process of the command line, its start included."""
    code = (
        "import sys, time; from pathlib import Path; from rlkit.cli.main import main; "
        f"code = main({list(words)!r}); status = Path('/proc/self/status').read_text(); "
        "peak = int(status.split('VmHWM:')[1].split()[0]) // 1024; "
        "print(peak, time.process_time(), file=sys.stderr); sys.exit(code)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    memory, cpu = done.stderr.split()[-2:]
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(float(cpu), 2),
        "peak_mb": int(memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = {}
    scores = np.random.default_rng(0).normal(size=(10, 20))
    for estimate in (iqm, mean, median, optimality_gap):
        bootstrap_interval(scores, estimate, reps=1_000)
        name = f"50,000 replicates of a 10 x 20 table, {estimate.__name__}"
        found[name] = timed(lambda e=estimate: bootstrap_interval(scores, e, reps=50_000))
        print(name, found[name], flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        asked = make(folder)
        for name, words in (
            ("status", ("status", scratch)),
            ("report, first", ("report", scratch, "--quiet")),
            ("report, again", ("report", scratch, "--quiet")),
        ):
            found[f"{asked.cells:,} cells: rlkit {name}"] = command(*words)
            print(name, found[f"{asked.cells:,} cells: rlkit {name}"], flush=True)
    if args.out is not None:
        record = {
            "command": "python benchmarks/speed/sweeps.py",
            "processor": processor(),
            "results": found,
            "versions": versions.collect("cpu"),
        }
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

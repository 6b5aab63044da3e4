"""Seconds from a command to its first result, beside other libraries.

    python benchmarks/speed/startup.py --out benchmarks/results/startup.json

Whole processes, in turn, their caches warm: each runs once before it is timed. `import torch` is
what no library on torch can go below. A training is SAC on Pendulum, 128 steps at random and then
one update; a first solve is of 50 states with numba's code read from disk and, once, compiled. A
sweep is of 12 cells a moment long each, one after the other: its children forked from one that has
imported what they need, as they are on Linux, or each a fresh interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from updates import processor, spread, versions

PACKAGES = ("torch", "numba", "numpy", "stable-baselines3", "sbx-rl", "jax")
SOLVE = (
    "from rlkit.envs.tabular.garnet import garnet\n"
    "from rlkit.theory import solve\n"
    "solve(garnet(50, 3, 4))"
)

SWEEP = """
import sys
from pathlib import Path
from rlkit.sweeps import nursery, plan
from rlkit.sweeps.engines import Local
from rlkit.sweeps.runner import sweep

def declined(self):
    raise nursery.Declined

if sys.argv[1] == "fresh":
    nursery.Nursery.__init__ = declined
sweep(plan.read(Path(sys.argv[2])), Path(sys.argv[3]), lanes=1, engine=Local(1), quiet=True)
"""
CELLS = {
    "bandits": """
name = "bandits"
seeds = "0:12"
tasks.armed.bandit = "armed"
systems.ucb1 = { policy = "ucb1", runs = 10, steps = 1_000 }
""",
    "trainings": """
name = "trainings"
seeds = "0:12"
tasks.cartpole.env = "CartPole-v1"
systems.dqn = { algo = "dqn", steps = 130, warmup = 128, eval_episodes = 1 }
""",
}


def commands(folder: str, sweeps: bool) -> dict[str, list[str]]:
    python = [sys.executable]
    train = "train sac --env Pendulum-v1 --steps 130 --warmup 128 --eval-episodes 0 --quiet --out"
    found = {
        "rlkit --help": [*python, "-m", "rlkit", "--help"],
        "import torch": [*python, "-c", "import torch"],
        "rlkit train": [*python, "-m", "rlkit", *train.split(), f"{folder}/run"],
        "rlkit.theory.solve": [*python, "-c", SOLVE],
    }
    for name, text in CELLS.items() if sweeps else ():
        file = Path(folder, f"{name}.toml")
        file.write_text(text, encoding="utf-8")
        for how in ("forked", "fresh"):
            given = [how, str(file), f"{folder}/run"]
            found[f"sweep of 12 {name}, {how}"] = [*python, "-c", SWEEP, *given]
    for name, package in (("stable-baselines3", "stable_baselines3"), ("sbx", "sbx")):
        if find_spec(package):
            code = (
                f"from {package} import SAC\n"
                "SAC('MlpPolicy', 'Pendulum-v1', learning_starts=128).learn(130)"
            )
            found[name] = [*python, "-c", code]
    return found


def seconds(command: list[str], folder: str, clock: str, **env: str) -> float:
    """Of the whole process: by the clock, or the processor's."""
    subprocess.run(["rm", "-rf", f"{folder}/run"], check=True)
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, env=os.environ | env, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system
    return wall if clock == "wall" else used - before.children_user - before.children_system


def measure(rounds: int, clock: str, sweeps: bool = True) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as folder:
        runs = commands(folder, sweeps)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for round_ in range(rounds + 1):
            for name, command in runs.items():
                took = seconds(command, folder, clock)
                if round_:
                    times[name].append(took)
        cold = seconds(runs["rlkit.theory.solve"], folder, clock, NUMBA_CACHE_DIR=f"{folder}/numba")
    ours = times["rlkit train"]
    result = {}
    for name, their in times.items():
        ratios = [t / o for t, o in zip(their, ours, strict=True)]
        result[name] = {"seconds": spread(their), "ratio": spread(ratios)}
    result["rlkit.theory.solve, compiled afresh"] = {"seconds": spread([cold])}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    record = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "load_before": os.getloadavg()[0],
        "versions": versions(PACKAGES),
        "results": measure(args.rounds, args.clock),
    }
    for name, row in record["results"].items():
        took = row["seconds"]
        print(f"{name:38} {took['median']:6.2f} s [{took['min']:.2f}, {took['max']:.2f}]")
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Steps a second of MiniGrid environments: rlkit's kernels, envpool where it is installed, and the
package, in turn in one process on one core.

    taskset -c 0 python benchmarks/speed/grids.py --out benchmarks/results/grids.json

Uniform actions; an ended episode is followed by a new level within the count. 1024 grids at once
for rlkit and envpool (one thread), one of the package. A ratio is the median over the rounds
of the rate of rlkit by that of the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import minigrid  # noqa: F401  # registers its ids
import numpy as np
from updates import processor

from rlkit.envs.grid import GridVectorEnv

N = 1024
IDS = (
    *("Empty-8x8-v0", "FourRooms-v0", "DoorKey-8x8-v0", "MultiRoom-N6-v0", "KeyCorridorS6R3-v0"),
    *("LavaCrossingS9N3-v0", "Dynamic-Obstacles-8x8-v0", "ObstructedMaze-Full-v1"),
)


def contestants(name: str) -> dict[str, Callable[[float], float]]:
    """Each runs for about so many seconds and returns its steps a second."""
    grids = GridVectorEnv(name, N, "SameStep")
    grids.reset(seed=0)
    actions = np.random.default_rng(0).integers(grids.single_action_space.n, size=(64, N))
    runs = {"rlkit": lambda seconds: rate(grids.step, actions, N, seconds)}
    if find_spec("envpool") is not None:
        import envpool

        if name in envpool.list_all_envs():
            pool = envpool.make_gymnasium(name, num_envs=N, num_threads=1, seed=0)
            pool.reset()
            runs["envpool"] = lambda seconds: rate(pool.step, actions, N, seconds)
    one = gymnasium.make(name, disable_env_checker=True)
    one.reset(seed=0)

    def step(action: np.ndarray) -> None:
        _, _, terminated, truncated, _ = one.step(int(action[0]))
        if terminated or truncated:
            one.reset()

    runs["minigrid"] = lambda seconds: rate(step, actions, 1, seconds)
    return runs


def rate(step: Callable, actions: np.ndarray, size: int, seconds: float) -> float:
    start, count = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < seconds:
        step(actions[count % len(actions)])
        count += 1
    return count * size / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each contestant and round")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    packages = [name for name in ("minigrid", "envpool", "numba", "numpy") if find_spec(name)]
    record = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "versions": {name: version(name) for name in packages},
        "grids": N,
        "steps_a_second": {},
    }
    for name in IDS:
        runs = contestants(f"MiniGrid-{name}")
        rounds = [{key: run(args.seconds) for key, run in runs.items()} for _ in range(args.rounds)]
        outcome = {}
        for key in runs:
            rates = [one[key] for one in rounds]
            ratios = [one["rlkit"] / one[key] for one in rounds]
            outcome[key] = {
                "median": round(statistics.median(rates)),
                "min": round(min(rates)),
                "max": round(max(rates)),
                "ratio": statistics.median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
            }
        record["steps_a_second"][name] = outcome
        said = (f"{key} {x['median']:,} ({x['ratio']:.1f})" for key, x in outcome.items())
        print(f"{name:26}", ", ".join(said), flush=True)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

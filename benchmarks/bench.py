"""The short form of the speed benchmarks, held against ratios that were recorded.

    make bench                                # in an environment with the peers, minutes
    python benchmarks/bench.py --record       # write them, where they are now

Every guard is a ratio of one run: a peer's time / ours, or the processor's time of `import torch` /
that of a training's start. A ratio below `ALLOWED` of the recorded one is a step back: exit code 1.
Guards whose peer is not installed are left out and said so. The full forms are in `speed/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "results" / "bench.json"
ALLOWED = 0.8  # of the recorded ratio; two runs of one commit differed by up to 12 %
sys.path.insert(0, str(HERE / "speed"))

Ratios = Iterator[tuple[str, float]]


def updates() -> Ratios:
    for algorithm in ("iql", "sac"):
        found = child("updates.py", "--one", algorithm, "--threads", "1", "--rounds", "5")
        for peer in found.keys() - {"compile"}:
            yield f"update of {algorithm}: {peer}", found[peer]["ratio"]["median"]


def replay() -> Ratios:
    import replay

    for batch in (256, 4096):
        found = replay.measure(replay.sampling(batch, 64), rounds=5, calls=192)
        yield f"sample {batch}: stable-baselines3", found["ratio"]["median"]
    found = replay.measure(replay.adding(8), rounds=5, calls=2000)
    yield "add of 8 environments: stable-baselines3", found["ratio"]["median"]


def grids() -> Ratios:
    import grids

    for name in ("Empty-8x8-v0", "DoorKey-8x8-v0"):
        runs = grids.contestants(f"MiniGrid-{name}")
        rounds = [{key: run(0.3) for key, run in runs.items()} for _ in range(5)]
        for key in runs.keys() - {"rlkit"}:
            ratios = sorted(one["rlkit"] / one[key] for one in rounds)
            yield f"{name}: {key}", ratios[len(ratios) // 2]


def tabular() -> Ratios:
    import tabular
    from tabular_peers import QUANTECON, RLKIT

    from rlkit.envs.tabular.garnet import garnet

    found = tabular.compare(garnet(10_000, 4, 5), [RLKIT[0], QUANTECON[1]], rounds=9)
    yield f"10,000 states: {QUANTECON[1].name}", found[QUANTECON[1].name]["ratio"]["median"]


def startup() -> Ratios:
    import startup

    found = startup.measure(3, "processor", sweeps=False)
    for name in ("import torch", "stable-baselines3"):
        if name in found:
            yield f"start of a training: {name}", found[name]["ratio"]["median"]


GUARDS: dict[str, Callable[[], Ratios]] = {
    "updates": updates,
    "replay": replay,
    "grids": grids,
    "tabular": tabular,
    "startup": startup,
}


def child(script: str, *words: str) -> dict:
    """What a benchmark that needs a process of its own prints, on one thread."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    command = [sys.executable, str(HERE / "speed" / script), *words]
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout.splitlines()[-1])


def fallen(found: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """The guards that fell below what is allowed of their recorded ratio."""
    return [name for name, ratio in found.items() if ratio < ALLOWED * recorded.get(name, 0.0)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(GUARDS), choices=list(GUARDS))
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    args = parser.parse_args()
    before = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    recorded: dict[str, float] = before.get("results", {})
    found: dict[str, float] = {}
    for part in args.only:
        try:
            for name, ratio in GUARDS[part]():
                found[name] = ratio
                then = f"{recorded[name]:6.2f}" if name in recorded else "  none"
                print(f"{name:44} {ratio:8.2f}   recorded {then}", flush=True)
        except ImportError as lacking:
            print(f"{part} left out: {lacking}")
    if args.record:
        from updates import processor, versions

        packages = ("torch", "numpy", "jax", "stable-baselines3", "envpool", "quantecon", "numba")
        record = {
            "claim": "ratios that `make bench` holds later versions against, peer / rlkit",
            "command": "python benchmarks/bench.py --record",
            "processor": processor(),
            "versions": versions(packages),
            "results": dict(sorted((recorded | found).items())),
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        return 0
    slower = fallen(found, recorded)
    for name in slower:
        print(f"slower than recorded: {name}, {found[name]:.2f} against {recorded[name]:.2f}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())

"""Updates a second on a CUDA device: eager, and as captured graphs of one and of eight updates.

    make gpu-bench
    python benchmarks/speed/gpu.py --device cpu --seconds 0.2     # the same loops, nothing captured

First every algorithm's captured graph is held against eager (`graph_equals_eager` of the
contract). Then IQL and SAC, nets of 2x256, minibatches of 256, with 1 to 64 lanes: updates a
second, that times lanes, and the share of the time in which the device computes. Beside them the
algorithm written with torch's own modules and optimisers (`peers.py`), and JAX's jitted form where
its own device is one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from updates import ACT, BATCH, OBS, ROWS, filled, processor, rows, versions

from rlkit import algos
from rlkit.core import engine as engines
from rlkit.core.engine import Engine
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.testing import Case, Skipped, run_check

LANES = (1, 2, 4, 8, 16, 32, 64)
BLOCK = 64  # updates of one call of the engine
PACKAGES = ("torch", "numpy", "jax")


def graphs_equal_eager() -> dict[str, str]:
    """For every algorithm: equal, or why not."""
    found = {}
    for module in pkgutil.iter_modules(algos.__path__):
        algorithm = importlib.import_module(f"rlkit.algos.{module.name}")
        if module.ispkg or not hasattr(algorithm, "Agent"):
            continue
        try:
            run_check("graph_equals_eager", Case(algorithm))
            found[module.name] = "equal"
        except Skipped as reason:
            found[module.name] = f"not checked: {reason}"
        except Exception as fault:  # the next ones are to be checked all the same
            found[module.name] = f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
        print(f"{module.name:24} {found[module.name]}", flush=True)
    return found


def ours(algorithm: str, lanes: int, mode: str, device: str, captured: int) -> Callable[[], int]:
    """A function that runs some updates and tells how many."""
    module: Any = importlib.import_module(f"rlkit.algos.{algorithm}")
    spec = Spec(OBS, ACT, seeds=tuple(range(lanes)), device=device)
    config = module.Config()
    replay = Replay(spec, ROWS, shared=True)
    filled(replay)
    engines._GRAPH_UPDATES = captured
    source = Uniform(replay, BATCH, Streams(spec.seeds))
    engine = Engine(module.Agent(spec, config), config, spec, source, mode)
    engine.run(0, BLOCK)
    if engine.mode != mode:
        raise RuntimeError(engine.reason)
    step = 0

    def run() -> int:
        nonlocal step
        step += BLOCK
        engine.run(step, BLOCK)
        return BLOCK

    return run


def plain(algorithm: str, device: str) -> Callable[[], int]:
    import peers

    with torch.device(device):
        agent = peers.AGENTS[algorithm](OBS, ACT)
        batch = {name: torch.from_numpy(x).to(device) for name, x in rows(BATCH).items()}
        given = (batch["s"], batch["a"], batch["r"], torch.zeros(BATCH), batch["s2"])

    def run() -> int:
        with torch.device(device):
            agent.update(given)
        return 1

    return run


def jitted(algorithm: str, device: str) -> Callable[[], int]:
    import jax
    from updates import jitted

    if (jax.default_backend() == "cpu") != (device == "cpu"):
        raise ImportError(f"jax here computes on {jax.default_backend()}")
    run = jitted(algorithm, 8)
    return lambda: run() is None or 8


def rate(run: Callable[[], int], seconds: float, device: str) -> float:
    """Updates a second."""
    run()
    wait(device)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += run()
        wait(device)
    return count / (time.perf_counter() - start)


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def busy(run: Callable[[], int], device: str) -> float | None:
    """Share of the time in which kernels run; None without a device that has any."""
    if device == "cpu":
        return None
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        for _ in range(4):
            run()
        wait(device)
        took = time.perf_counter() - start
    return sum(e.self_device_time_total for e in profiler.key_averages()) / 1e6 / took


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--lanes", type=int, nargs="+", default=list(LANES))
    parser.add_argument("--algorithms", nargs="+", default=["iql", "sac"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.device != "cpu" and not torch.cuda.is_available():
        print("no CUDA device here: nothing measured", file=sys.stderr)
        return 1
    record: dict[str, Any] = {
        "command": "python " + " ".join(sys.argv),
        "device": processor() if args.device == "cpu" else torch.cuda.get_device_name(),
        "versions": versions(PACKAGES),
        "results": {},
    }
    if args.device != "cpu":
        record["graph_equals_eager"] = graphs_equal_eager()
    modes = [("eager", 1)] if args.device == "cpu" else [("eager", 1), ("graph", 1), ("graph", 8)]
    for algorithm in args.algorithms:
        table = record["results"][algorithm] = {}
        for lanes in args.lanes:
            for mode, captured in modes:
                name = f"{mode} of {captured}, {lanes} lanes"
                run = ours(algorithm, lanes, mode, args.device, captured)
                each = rate(run, args.seconds, args.device)
                table[name] = {"updates_a_second": each, "times_lanes": each * lanes}
                if (share := busy(run, args.device)) is not None:
                    table[name]["device_busy"] = share
                print(f"{algorithm}, {name}: {table[name]}", flush=True)
        for name, make in {"plain torch": plain, "jax, 8 a call": jitted}.items():
            try:
                each = rate(make(algorithm, args.device), args.seconds, args.device)
            except ImportError as lacking:
                print(f"{algorithm}: without {name} ({lacking})")
                continue
            table[name] = {"updates_a_second": each, "times_lanes": each}
            print(f"{algorithm}, {name}: {table[name]}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

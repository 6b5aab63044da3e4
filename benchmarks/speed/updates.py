"""Updates a second of IQL, BC and SAC beside the same written plainly, and beside SB3's SAC.

    python benchmarks/speed/updates.py --threads 1 2 --out benchmarks/results/updates.json

All contestants of one algorithm run in turn in one process (A B C A B C ...), so that the drift of
a shared machine hits all alike; a ratio is the median over rounds of plain time / own time in the
same round. `product` is the time of the update's matrix products alone through the library
torch uses (16 products of 256x256x256 for IQL), to show what no implementation on it can beat.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

OBS, ACT, BATCH = 17, 6, 256


def contestants(algorithm: str) -> dict[str, Callable[[], object]]:
    import peers
    import torch

    from rlkit.algos import bc, iql, sac
    from rlkit.core.engine import Engine
    from rlkit.core.spec import Spec
    from rlkit.core.streams import Streams
    from rlkit.data.replay import Replay
    from rlkit.data.sampling.samplers import Uniform

    module = {"bc": bc, "iql": iql, "sac": sac}[algorithm]
    plain = {"bc": peers.PlainBC, "iql": peers.PlainIQL, "sac": peers.PlainSAC}[algorithm](OBS, ACT)
    batch = tuple(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)).tanh()
        for shape in ((BATCH, OBS), (BATCH, ACT), (BATCH,), (BATCH,), (BATCH, OBS))
    )
    batch = (*batch[:3], torch.zeros(BATCH), batch[4])
    runs: dict[str, Callable[[], object]] = {"plain": lambda: plain.update(batch)}
    spec = Spec(OBS, ACT)
    replay = filled(Replay(spec, 100_000))
    for mode in ("eager", "compile"):
        config = module.Config()
        source = Uniform(replay, BATCH, Streams(spec.seeds))
        engine = Engine(module.Agent(spec, config), config, spec, source, mode)
        engine.run(0, 4)
        assert engine.mode == mode, engine.reason
        runs[mode] = lambda engine=engine: engine.run(0, 1)
    if algorithm == "sac":
        runs["stable-baselines3"] = sb3_update()
    weights = torch.randn(256, 256)
    runs["product"] = lambda: [weights @ weights for _ in range(16)]
    return runs


def filled(replay):
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(5_000):
        s, a, s2 = (rng.standard_normal((1, 1, n)).astype(np.float32) for n in (OBS, ACT, OBS))
        flag = np.zeros((1, 1), bool)
        replay.add(s, np.tanh(a), rng.standard_normal((1, 1)).astype(np.float32), flag, flag, s2)
    return replay


def sb3_update() -> Callable[[], object]:
    import gymnasium
    import numpy as np
    from stable_baselines3 import SAC
    from stable_baselines3.common.logger import configure

    class Idle(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
        action_space = gymnasium.spaces.Box(-1, 1, (ACT,), np.float32)

        def reset(self, *, seed=None, options=None):
            return np.zeros(OBS, np.float32), {}

    model = SAC("MlpPolicy", Idle(), seed=0, buffer_size=100_000)
    model.set_logger(configure(format_strings=[]))
    rng = np.random.default_rng(0)
    for _ in range(5_000):
        s, s2 = (rng.standard_normal((1, OBS)).astype(np.float32) for _ in range(2))
        a = np.tanh(rng.standard_normal((1, ACT))).astype(np.float32)
        model.replay_buffer.add(s, s2, a, rng.standard_normal(1), np.zeros(1), [{}])
    return lambda: model.train(gradient_steps=1, batch_size=BATCH)


def measure(algorithm: str, threads: int, rounds: int, updates: int) -> dict[str, dict]:
    import torch

    torch.set_num_threads(threads)
    runs = contestants(algorithm)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            for _ in range(5):
                run()
            start = time.perf_counter()
            for _ in range(updates):
                run()
            times[name].append((time.perf_counter() - start) / updates)
    result = {}
    for name, own in times.items():
        ratios = [p / o for p, o in zip(times["plain"], own, strict=True)]
        result[name] = {
            "ms": 1e3 * statistics.median(own),
            "ms_min": 1e3 * min(own),
            "ms_max": 1e3 * max(own),
            "ratio_to_plain": statistics.median(ratios),
            "ratio_low": min(ratios),
            "ratio_high": max(ratios),
        }
        if "stable-baselines3" in times:
            sb3 = [p / o for p, o in zip(times["stable-baselines3"], own, strict=True)]
            result[name]["ratio_to_sb3"] = statistics.median(sb3)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--algorithms", nargs="+", default=["bc", "iql", "sac"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # an own process for each setting
    args = parser.parse_args()
    if args.one:
        json.dump(measure(args.one, args.threads[0], args.rounds, args.updates), sys.stdout)
        return
    record: dict = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": {n: version(n) for n in ("torch", "stable-baselines3", "numpy")},
        "setting": {"obs": OBS, "act": ACT, "batch": BATCH, "hidden": [256, 256]},
        "results": {},
    }
    for threads in args.threads:
        for algorithm in args.algorithms:
            command = [sys.executable, __file__, "--one", algorithm, "--threads", str(threads)]
            command += ["--rounds", str(args.rounds), "--updates", str(args.updates)]
            env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            out = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            result = json.loads(out.stdout)
            record["results"][f"{algorithm}, {threads} threads"] = result
            print(f"{algorithm}, {threads} threads")
            for name, row in result.items():
                sb3 = f"  {row['ratio_to_sb3']:.2f}x SB3" if "ratio_to_sb3" in row else ""
                print(
                    f"  {name:18s} {row['ms']:7.2f} ms [{row['ms_min']:.2f}, {row['ms_max']:.2f}]"
                    f"  {row['ratio_to_plain']:.2f}x plain "
                    f"[{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]{sb3}",
                    flush=True,
                )
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()

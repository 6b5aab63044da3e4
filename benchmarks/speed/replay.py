"""Replay sampling and adding beside stable-baselines3's buffer, in one process.

    python benchmarks/speed/replay.py --out benchmarks/results/replay.json

One million rows of observations 17 and actions 6. Sampling includes drawing the indices. Each
round times every contestant once; a ratio is the median over rounds of theirs / ours in the round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from updates import processor

from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform

OBS, ACT, ROWS = 17, 6, 1_000_000
Run = Callable[[int], object]


def step(rng: np.random.Generator, envs: int) -> tuple[np.ndarray, ...]:
    s, s2 = (rng.standard_normal((envs, OBS), np.float32) for _ in range(2))
    a = rng.uniform(-1, 1, (envs, ACT)).astype(np.float32)
    return s, a, rng.standard_normal(envs).astype(np.float32), np.zeros(envs, bool), s2


def theirs(envs: int) -> ReplayBuffer:
    observation = spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    return ReplayBuffer(ROWS, observation, spaces.Box(-1, 1, (ACT,), np.float32), n_envs=envs)


def sampling(batch: int, block: int = 1) -> dict[str, Run]:
    """One draw of `batch` rows of a full buffer.

    Indices are drawn for `block` minibatches at once: 1 as between environment steps, 64 as the
    offline loop does.
    """
    spec, rng = Spec(OBS, ACT), np.random.default_rng(0)
    ours, sb3 = Replay(spec, ROWS), theirs(1)
    ours._advance(ROWS)  # full, without a million calls
    for name in ("s", "a", "r", "s2"):
        rows = ours.rows(name)
        rows.copy_(torch.from_numpy(rng.standard_normal(rows.shape, np.float32)))
    sb3.pos, sb3.full = 0, True
    for array in (sb3.observations, sb3.next_observations, sb3.actions, sb3.rewards):
        array[:] = rng.standard_normal(array.shape, np.float32)
    source = Uniform(ours, batch, Streams(spec.seeds))
    drawn = torch.empty(0)

    def draw(t: int) -> object:
        nonlocal drawn
        if t % block == 0:
            drawn = source.indices(t, block)
        return source.batch(drawn[t % block])

    draw(0)
    return {
        "rlkit": draw,
        "stable-baselines3": lambda t: sb3.sample(batch),
    }


def adding(envs: int) -> dict[str, Run]:
    """One step of `envs` environments written."""
    spec, rng = Spec(OBS, ACT), np.random.default_rng(0)
    ours, sb3 = Replay(spec, ROWS, envs=envs), theirs(envs)
    s, a, r, flag, s2 = step(rng, envs)
    laned = tuple(x[None] for x in (s, a, r, flag, flag, s2))
    infos: list[dict] = [{} for _ in range(envs)]
    return {
        "rlkit": lambda t: ours.add(*laned),
        "stable-baselines3": lambda t: sb3.add(s, s2, a, r, flag, infos),
    }


def measure(runs: dict[str, Run], rounds: int, calls: int) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            for t in range(round_ * calls, (round_ + 1) * calls):
                run(t)
            if round_:  # the first is a warm-up
                times[name].append((time.perf_counter() - start) / calls * 1e6)
    ratios = [b / a for a, b in zip(times["rlkit"], times["stable-baselines3"], strict=True)]
    result = {
        name: {"us": statistics.median(x), "us_min": min(x), "us_max": max(x)}
        for name, x in times.items()
    }
    spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return result | {"ratio": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {
        f"sample {n}, indices by {block}": (sampling, (n, block), 320)
        for n in (256, 4096)
        for block in (1, 64)
    }
    tasks |= {f"add, {n} environments": (adding, (n,), 3000) for n in (1, 8)}
    record = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "versions": {n: version(n) for n in ("torch", "stable-baselines3", "numpy")},
        "microseconds": {},
    }
    for name, (make, sizes, calls) in tasks.items():
        outcome = measure(make(*sizes), args.rounds, calls)
        record["microseconds"][name] = outcome
        ratio = outcome["ratio"]
        print(
            f"{name:28} {outcome['rlkit']['us']:8.1f} us, "
            f"stable-baselines3 {outcome['stable-baselines3']['us']:8.1f} us: "
            f"{ratio['median']:.1f}x [{ratio['min']:.1f}, {ratio['max']:.1f}]",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

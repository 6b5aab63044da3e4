"""What one more seed costs: lanes in one process beside separate agents of other libraries.

    python benchmarks/speed/lanes.py --out benchmarks/results/lanes.json

- DQN with nets of 2x64, minibatches of 64, observations of 4 and two actions (CartPole's sizes):
  an update of 1, 8 and 32 lanes, compiled and eager, beside `DQN.train` of stable-baselines3.
- IQL with nets of 2x256: 4 lanes of rlkit, two and two in a process a core as `rlkit train` splits
  them, beside two processes that update two agents each as CORL writes them (`peers.py`).

Times are of the clock for IQL, which uses two cores, and of the processor for DQN. A ratio is the
median over rounds of the peer's time for a lane / ours in the same round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from updates import ACT, BLOCK, PACKAGES, filled, plain, processor, spread, versions
from updates import BATCH as WIDE_BATCH
from updates import OBS as WIDE_OBS

OBS, ACTIONS, BATCH = 4, 2, 64
LANES = (1, 8, 32)


def dqn(lanes: int, mode: str) -> Callable[[], object]:
    from rlkit.algos import dqn
    from rlkit.core.engine import Engine
    from rlkit.core.spec import Discrete, Spec
    from rlkit.core.streams import Streams
    from rlkit.data.replay import Replay
    from rlkit.data.sampling.samplers import Uniform

    spec = Spec(OBS, Discrete(ACTIONS), seeds=tuple(range(lanes)))
    config = dqn.Config(hidden=(64, 64), batch_size=BATCH)
    replay = Replay(spec, 5_000)
    replay._advance(5_000)
    rng = np.random.default_rng(0)
    for name in ("s", "s2", "r"):
        column = replay.rows(name)
        column.copy_(torch.from_numpy(rng.standard_normal(column.shape, np.float32)))
    replay.rows("cont").fill_(1.0)
    source = Uniform(replay, BATCH, Streams(spec.seeds))
    engine = Engine(dqn.Agent(spec, config), config, spec, source, mode, updates_ahead=1_000_000)
    engine.run(0, BLOCK)
    assert engine.mode == mode, engine.reason
    return lambda: engine.run(0, BLOCK)


def sb3_dqn() -> Callable[[], object]:
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.logger import configure

    class Idle(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
        action_space = gymnasium.spaces.Discrete(ACTIONS)

        def reset(self, *, seed=None, options=None):
            return np.zeros(OBS, np.float32), {}

    arch = {"net_arch": [64, 64]}
    model = DQN("MlpPolicy", Idle(), seed=0, buffer_size=5_000, policy_kwargs=arch)
    model.set_logger(configure(format_strings=[]))
    rng = np.random.default_rng(0)
    for _ in range(5_000):
        s, s2 = (rng.standard_normal((1, OBS)).astype(np.float32) for _ in range(2))
        a = rng.integers(ACTIONS, size=(1, 1))
        model.replay_buffer.add(s, s2, a, rng.standard_normal(1), np.zeros(1), [{}])
    return lambda: model.train(gradient_steps=BLOCK, batch_size=BATCH)


def small(rounds: int, lanes: list[int]) -> dict[str, dict]:
    """DQN: microseconds a lane and update, one thread."""
    torch.set_num_threads(1)
    runs = {f"{mode}, {n} lanes": (dqn(n, mode), n) for mode in ("compile", "eager") for n in lanes}
    runs["stable-baselines3"] = (sb3_dqn(), 1)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, n) in runs.items():
            run()
            start = time.process_time()
            for _ in range(4):
                run()
            times[name].append((time.process_time() - start) / (4 * BLOCK * n) * 1e6)
    peer = times["stable-baselines3"]
    return {
        name: {
            "us a lane": spread(own),
            "ratio": spread([p / o for p, o in zip(peer, own, strict=True)]),
        }
        for name, own in times.items()
    }


def iql(kind: str) -> Callable[[], object]:
    """Eight updates of two seeds."""
    if kind == "plain torch":
        pair = plain("iql"), plain("iql")
        return lambda: [one() for one in pair for _ in range(BLOCK)]
    from rlkit.algos import iql
    from rlkit.core.engine import Engine
    from rlkit.core.spec import Spec
    from rlkit.core.streams import Streams
    from rlkit.data.replay import Replay
    from rlkit.data.sampling.samplers import Uniform

    spec, config = Spec(WIDE_OBS, ACT, seeds=(0, 1)), iql.Config()
    replay = Replay(spec, 5_000, shared=True)
    filled(replay)
    source = Uniform(replay, WIDE_BATCH, Streams(spec.seeds))
    engine = Engine(iql.Agent(spec, config), config, spec, source, kind, updates_ahead=1_000_000)
    engine.run(0, BLOCK)
    assert engine.mode == kind, engine.reason
    return lambda: engine.run(0, BLOCK)


def worker(kind: str, orders, answers) -> None:
    torch.set_num_threads(1)
    run = iql(kind)
    run()
    answers.put("ready")
    while (calls := orders.get()) is not None:
        for _ in range(calls):
            run()
        answers.put("done")


def wide(rounds: int) -> dict[str, dict]:
    """IQL, four seeds in two processes: milliseconds an update of all four."""
    context = multiprocessing.get_context("spawn")
    teams = {}
    for kind in ("compile", "eager", "plain torch"):
        queues = [(context.Queue(), context.Queue()) for _ in range(2)]
        for orders, answers in queues:
            context.Process(target=worker, args=(kind, orders, answers), daemon=True).start()
        for _, answers in queues:
            answers.get()
        teams[kind] = queues
    times: dict[str, list[float]] = {kind: [] for kind in teams}
    for _ in range(rounds):
        for kind, queues in teams.items():
            start = time.perf_counter()
            for orders, _ in queues:
                orders.put(6)
            for _, answers in queues:
                answers.get()
            times[kind].append((time.perf_counter() - start) / (6 * BLOCK) * 1e3)
    for queues in teams.values():
        for orders, _ in queues:
            orders.put(None)
    peer = times["plain torch"]
    return {
        kind: {
            "ms of four": spread(own),
            "ratio": spread([p / o for p, o in zip(peer, own, strict=True)]),
        }
        for kind, own in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lanes", type=int, nargs="+", default=list(LANES))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    record = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": versions(PACKAGES),
        "results": {
            "DQN, 2x64, one thread": small(args.rounds, args.lanes),
            "IQL, 2x256, four seeds in two processes": wide(args.rounds),
        },
    }
    for title, table in record["results"].items():
        print(title)
        for name, row in table.items():
            (unit, took), ratio = next(iter(row.items())), row["ratio"]
            print(
                f"  {name:20} {took['median']:9.2f} {unit} [{took['min']:.2f}, {took['max']:.2f}]"
                f"  {ratio['median']:6.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]"
            )
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

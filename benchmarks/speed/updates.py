"""One update of IQL, TD3+BC, SAC, ReBRAC, CQL and SAC-N beside the same in other libraries.

    python benchmarks/speed/updates.py --out benchmarks/results/updates.json

Nets of 2x256 (ReBRAC: 3x256 with LayerNorm in the critics; CQL's critics and SAC-N: 3x256, with
ten actions a source and ten critics), minibatches of 256 drawn from a replay of 5,000 rows,
observations of 17 and actions of 6. The engine is given eight updates a call, which it runs one by
one (a training offline gives it more). Peers: the same algorithm as one jitted function of JAX
(`jax_peers.py`), one or eight updates a call; written with torch's own modules and optimisers as
CORL writes it (`peers.py`, on one minibatch: drawing it is not counted); d3rlpy; stable-baselines3
and SBX. Whichever is not installed is left out.

All contestants of one algorithm run in turn in one process (A B C A B C ...), so that the drift of
a shared machine hits all alike. A ratio is the median over rounds of the peer's time / the time of
rlkit's compiled update in the same round: above 1, rlkit is faster. At one thread time is that of
the processor, which other processes' share of it does not change; at two, of the clock.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

OBS, ACT, BATCH, ROWS = 17, 6, 256, 5_000
BLOCK = 8  # updates of one call of rlkit's engine, and of JAX with `scan`
ALGORITHMS = ("iql", "td3_bc", "sac", "rebrac", "cql", "sac_n")
OURS = {"sac_n": ("sac", "sac_n")}  # module and preset, where the name is no module
PACKAGES = ("torch", "numpy", "jax", "jaxlib", "optax", "d3rlpy", "stable-baselines3", "sbx-rl")


class Contestant(NamedTuple):
    run: Callable[[], object]
    updates: int = 1  # of one call


def contestants(algorithm: str) -> dict[str, Contestant]:
    found = {mode: Contestant(ours(algorithm, mode), BLOCK) for mode in ("compile", "eager")}
    for name, make in {
        "jax": lambda: Contestant(jitted(algorithm, 1)),
        "jax, 8 a call": lambda: Contestant(jitted(algorithm, BLOCK), BLOCK),
        "plain torch": lambda: Contestant(plain(algorithm)),
        "d3rlpy": lambda: Contestant(d3rlpy_update(algorithm)),
        "stable-baselines3": lambda: Contestant(sb3_update(algorithm, "stable_baselines3")),
        "sbx": lambda: Contestant(sb3_update(algorithm, "sbx")),
    }.items():
        try:
            found[name] = make()
        except (ImportError, KeyError) as lacking:  # not installed, or it has no such algorithm
            print(f"{algorithm}: without {name} ({lacking})", file=sys.stderr)
    return found


def ours(algorithm: str, mode: str) -> Callable[[], object]:
    from rlkit.core.engine import Engine
    from rlkit.core.spec import Spec
    from rlkit.core.streams import Streams
    from rlkit.data.replay import Replay
    from rlkit.data.sampling.samplers import Uniform

    name, preset = OURS.get(algorithm, (algorithm, ""))
    module = importlib.import_module(f"rlkit.algos.{name}")
    spec = Spec(OBS, ACT)
    config = module.Config(**module.PRESETS[preset][0] if preset else {})
    agent = module.Agent(spec, config)
    replay = Replay(spec, ROWS, columns=getattr(agent, "columns", ()))
    filled(replay)
    source = Uniform(replay, BATCH, Streams(spec.seeds))
    engine = Engine(agent, config, spec, source, mode, updates_ahead=1_000_000)
    engine.run(0, 4)
    assert engine.mode == mode, engine.reason
    step = 0

    def run() -> object:
        nonlocal step
        step += BLOCK
        return engine.run(step, BLOCK)

    return run


def rows(n: int = ROWS) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    s, s2 = (rng.standard_normal((n, OBS), np.float32) for _ in range(2))
    a, a2 = (np.tanh(rng.standard_normal((n, ACT), np.float32)) for _ in range(2))
    return {"s": s, "a": a, "r": rng.standard_normal(n, np.float32), "s2": s2, "a2": a2}


def filled(replay: Any) -> None:
    import torch

    replay._advance(ROWS)
    for name, column in rows().items():
        name = {"a2": "next_action"}.get(name, name)
        if name != "next_action" or name in replay.columns:
            replay.rows(name).copy_(torch.from_numpy(column))
    replay.rows("cont").fill_(1.0)


def jitted(algorithm: str, a_call: int) -> Callable[[], object]:
    import jax.numpy as jnp
    from jax_peers import AGENTS, Rows, runner

    if algorithm not in AGENTS:
        raise KeyError("not written in JAX here")
    data = {name: jnp.asarray(column) for name, column in rows().items()}
    return runner(algorithm, OBS, ACT, Rows(**data, done=jnp.zeros(ROWS)), a_call)


def plain(algorithm: str) -> Callable[[], object]:
    import peers
    import torch

    agent = peers.AGENTS[algorithm](OBS, ACT)
    data = {name: torch.from_numpy(column) for name, column in rows(BATCH).items()}
    batch = (data["s"], data["a"], data["r"], torch.zeros(BATCH), data["s2"])
    return lambda: agent.update(batch)


def d3rlpy_update(algorithm: str) -> Callable[[], object]:
    import logging

    import d3rlpy
    import numpy as np

    name = {"iql": "IQL", "td3_bc": "TD3PlusBC", "sac": "SAC", "cql": "CQL", "rebrac": "ReBRAC"}
    config = getattr(d3rlpy.algos, f"{name[algorithm]}Config")(batch_size=BATCH)
    if algorithm == "cql":
        config.critic_encoder_factory = d3rlpy.models.VectorEncoderFactory([256, 256, 256])
    logging.disable(logging.CRITICAL)
    data = rows()
    ends = np.zeros(ROWS, np.float32)
    ends[499::500] = 1
    dataset = d3rlpy.dataset.MDPDataset(
        data["s"], data["a"], data["r"], np.zeros(ROWS, np.float32), timeouts=ends
    )
    algo = config.create(device="cpu:0")
    algo.build_with_dataset(dataset)
    return lambda: algo.update(dataset.sample_transition_batch(BATCH))


def sb3_update(algorithm: str, package: str) -> Callable[[], object]:
    import gymnasium
    import numpy as np
    from stable_baselines3.common.logger import configure

    class Idle(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
        action_space = gymnasium.spaces.Box(-1, 1, (ACT,), np.float32)

        def reset(self, *, seed=None, options=None):
            return np.zeros(OBS, np.float32), {}

    agent = getattr(importlib.import_module(package), {"sac": "SAC"}[algorithm])
    model = agent("MlpPolicy", Idle(), seed=0, buffer_size=ROWS)
    model.set_logger(configure(format_strings=[]))
    data = rows()
    for i in range(ROWS):
        one = {name: column[i : i + 1] for name, column in data.items()}
        model.replay_buffer.add(one["s"], one["s2"], one["a"], one["r"], np.zeros(1), [{}])
    return lambda: model.train(gradient_steps=1, batch_size=BATCH)


def measure(algorithm: str, threads: int, rounds: int, updates: int) -> dict[str, dict]:
    import torch

    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    runs = contestants(algorithm)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, each) in runs.items():
            run()
            start = clock()
            for _ in range(updates // each):
                run()
            times[name].append((clock() - start) / (updates // each * each))
    result = {}
    for name, their in times.items():
        ratios = [t / o for t, o in zip(their, times["compile"], strict=True)]
        result[name] = {"ms": spread([1e3 * t for t in their]), "ratio": spread(ratios)}
    return result


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=ALGORITHMS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--updates", type=int, default=64, help="of a contestant and round")
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
        "versions": versions(PACKAGES),
        "setting": {"obs": OBS, "act": ACT, "batch": BATCH, "hidden": [256, 256]},
        "results": {},
    }
    for threads in args.threads:
        for algorithm in args.algorithms:
            few = (
                8 if algorithm in ("cql", "sac_n") else 1
            )  # an update of its is ten of the others'
            command = [sys.executable, __file__, "--one", algorithm, "--threads", str(threads)]
            command += ["--rounds", str(args.rounds), "--updates", str(args.updates // few)]
            env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            if threads == 1:
                flags = "--xla_cpu_multi_thread_eigen=false"
                env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} {flags}"
            out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
            result = json.loads(out.stdout.splitlines()[-1])
            record["results"][f"{algorithm}, {threads} threads"] = result
            print(f"{algorithm}, {threads} threads")
            for name, row in result.items():
                ms, ratio = row["ms"], row["ratio"]
                print(
                    f"  {name:18s} {ms['median']:7.2f} ms [{ms['min']:.2f}, {ms['max']:.2f}]"
                    f"  {ratio['median']:.2f} of ours [{ratio['min']:.2f}, {ratio['max']:.2f}]",
                    flush=True,
                )
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        draw(record, args.out.with_suffix(".png"))


def draw(record: dict[str, Any], path: Path) -> None:
    """Every peer's ratio with its range, one panel a number of threads."""
    from matplotlib.figure import Figure

    results = record["results"]
    threads = sorted({title.split(", ")[1] for title in results})
    figure = Figure(figsize=(5 * len(threads), 4.5), layout="constrained")
    axes = figure.subplots(1, len(threads), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for table in results.values() for name in table))
    names = [name for name in names if name != "compile"]
    algorithms = list(dict.fromkeys(title.split(", ")[0] for title in results))
    for ax, count in zip(axes, threads, strict=True):
        titles = [f"{algorithm}, {count}" for algorithm in algorithms]
        for k, name in enumerate(names):
            found = [
                (i, results[t][name]["ratio"])
                for i, t in enumerate(titles)
                if name in results.get(t, {})
            ]
            x = [r["median"] for _, r in found]
            error = [
                [r["median"] - r["min"] for _, r in found],
                [r["max"] - r["median"] for _, r in found],
            ]
            y = [i + (k - len(names) / 2) * 0.1 for i, _ in found]
            ax.errorbar(x, y, xerr=error, fmt="o", markersize=4, capsize=2, label=name)
        ax.axvline(1.0, color="grey", linewidth=1)
        ax.set_yticks(range(len(algorithms)), algorithms)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlabel("time of the peer / of rlkit compiled")
        ax.set_title(count.replace("1 threads", "1 thread"))
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=150)


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()

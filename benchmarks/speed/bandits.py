"""Bandit kernels beside vectorised numpy and other libraries; scaling with runs, arms and threads.

    python benchmarks/speed/bandits.py --peers PYTHON --out benchmarks/results/bandits.json

All contestants of a row run in turn, round after round (A B C A B C ...), so that the drift of a
shared machine hits all alike; a ratio is the median over rounds of theirs / ours in the same round,
and pulls a second are the best round. Seconds are processor time of one thread, which a process
that waits for its turn does not spend; only the scaling with threads is timed by the clock on the
wall. numpy advances all its runs at once: 100 of them, or 1000, near its best; ours are one by one.
PYTHON is an interpreter with SMPyBandits and mabwiser (see `bandit_peers.py`); without it those
columns are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter
from updates import processor

from rlkit.algos.bandits import simulate
from rlkit.envs.bandits.armed import Armed, RandomMeans
from rlkit.envs.bandits.linear import LinearArms
from rlkit.eval.plots import COLOURS, save

MEANS = np.array([0.5] + [0.4] * 9)
DIM = 20
Run = Callable[[int], float]  # pulls -> seconds


# --- vectorised numpy -----------------------------------------------------------------------------
def numpy_armed(policy: str, runs: int) -> Run:
    """Index policies on state arrays [R, K], one round of all runs at a time."""

    def run(pulls: int) -> float:
        rng, arms, rounds = np.random.default_rng(0), len(MEANS), pulls // runs
        count, total = np.zeros((runs, arms)), np.zeros((runs, arms))
        row = np.arange(runs)
        start = time.process_time()
        for t in range(1, rounds + 1):
            if t <= arms:
                arm = np.full(runs, t - 1)
            else:
                arm = scores(policy, t, rounds, count, total, rng).argmax(1)
            reward = rng.random(runs) < MEANS[arm]
            count[row, arm] += 1.0
            total[row, arm] += reward
        return time.process_time() - start

    return run


def scores(policy: str, t: int, rounds: int, count, total, rng: np.random.Generator) -> np.ndarray:
    if policy == "ucb1":
        return total / count + np.sqrt(2.0 * math.log(t) / count)
    if policy == "moss":
        share = np.log(np.maximum(rounds / (len(MEANS) * count), 1.0))
        return total / count + np.sqrt(share / count)
    if policy == "eps_greedy":
        greedy = total / count
        explore = rng.random(len(count)) < 0.1
        greedy[explore] = rng.random((int(explore.sum()), len(MEANS)))
        return greedy
    if policy == "ts_gauss":
        noise = rng.standard_normal(count.shape)
        return total / (count + 1.0) + noise / np.sqrt(count + 1.0)
    return rng.beta(1.0 + total, 1.0 + count - total)


def numpy_linucb(disjoint: bool) -> Run:
    """LinUCB with Sherman-Morrison updates, one run: features are drawn in every round."""

    def run(pulls: int) -> float:
        rng, arms = np.random.default_rng(0), len(MEANS)
        theta = rng.standard_normal((arms if disjoint else 1, DIM))
        theta /= np.linalg.norm(theta, axis=1, keepdims=True)
        inverse = np.tile(np.eye(DIM), (len(theta), 1, 1))
        estimate = np.zeros_like(theta)
        start = time.process_time()
        for _ in range(pulls):
            x = rng.standard_normal((1 if disjoint else arms, DIM))
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            if disjoint:
                u = inverse @ x[0]  # [K, d]
                score = estimate @ x[0] + np.sqrt(u @ x[0])
                arm = int(score.argmax())
                model, chosen, back = arm, x[0], u[arm]
            else:
                u = x @ inverse[0]
                score = x @ estimate[0] + np.sqrt((u * x).sum(1))
                arm = int(score.argmax())
                model, chosen, back = 0, x[arm], u[arm]
            reward = theta[model] @ chosen + 0.1 * rng.standard_normal()
            gain = back / (1.0 + back @ chosen)
            estimate[model] += gain * (reward - chosen @ estimate[model])
            inverse[model] -= np.outer(gain, back)
        return time.process_time() - start

    return run


# --- ours and theirs ------------------------------------------------------------------------------
def ours(policy: str, env: Any, horizon: int = 10_000, **options: Any) -> Run:
    def run(pulls: int) -> float:
        runs = max(1, pulls // horizon)
        start = time.process_time()
        simulate(policy, env=env, runs=runs, horizon=horizon, checkpoints=[horizon], **options)
        return (time.process_time() - start) * pulls / (runs * horizon)

    return run


class Peers:
    """The other libraries, in a process of their own."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("bandit_peers.py")
        self.process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        hello = self._answer()
        self.names, self.versions = hello["names"], hello["versions"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the other libraries' process has ended")
        return json.loads(line)

    def run(self, name: str) -> Run:
        def ask(pulls: int) -> float:
            assert self.process.stdin is not None
            print(json.dumps({"name": name, "pulls": pulls}), file=self.process.stdin, flush=True)
            answer = self._answer()
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']}")
            return answer["seconds"]

        return ask


ARMED = Armed(MEANS)
SHARED = LinearArms("per_round", arms=10, dim=DIM)
CONTEXT = LinearArms("per_round", arms=10, dim=DIM, context=True)
# row -> contestants: (name, how, pulls of a round); the first is ours
Row = list[tuple[str, Run, int]]


def rows(peers: Peers | None) -> dict[str, Row]:
    million = 1_000_000
    table: dict[str, Row] = {
        "UCB1": [("rlkit", ours("ucb1", ARMED), million)],
        "eps-greedy": [("rlkit", ours("eps_greedy", ARMED, eps=0.1), million)],
        "MOSS": [("rlkit", ours("moss", ARMED), million)],
        "Gaussian Thompson": [("rlkit", ours("ts_gauss", ARMED), million)],
        "beta Thompson": [("rlkit", ours("ts_beta", ARMED), million)],
        "KL-UCB": [("rlkit", ours("kl_ucb", ARMED), million)],
        "KL-UCB, means U[0, 1], 500 rounds": [
            ("rlkit", ours("kl_ucb", RandomMeans(10), 500), million)
        ],
        "IMED": [("rlkit", ours("imed", ARMED), million)],
        "Exp3-IX": [("rlkit", ours("exp3_ix", ARMED), million)],
        "Tsallis-INF": [("rlkit", ours("tsallis_inf", ARMED), million)],
        "LinUCB, shared, d = 20": [("rlkit", ours("linucb", SHARED), 100_000)],
        "LinUCB, disjoint, d = 20": [("rlkit", ours("linucb_disjoint", CONTEXT), 100_000)],
    }
    for row, policy in (
        ("UCB1", "ucb1"), ("eps-greedy", "eps_greedy"), ("MOSS", "moss"),
        ("Gaussian Thompson", "ts_gauss"), ("beta Thompson", "ts_beta"),
    ):  # fmt: skip
        table[row].append(("numpy, 100 runs", numpy_armed(policy, 100), 400_000))
        table[row].append(("numpy, 1000 runs", numpy_armed(policy, 1000), million))
    table["LinUCB, shared, d = 20"].append(("numpy", numpy_linucb(False), 3000))
    table["LinUCB, disjoint, d = 20"].append(("numpy", numpy_linucb(True), 3000))
    if peers is not None:
        for row, name, pulls in (
            ("UCB1", "SMPyBandits UCB", 3000),
            ("UCB1", "mabwiser UCB1", 300),
            ("eps-greedy", "SMPyBandits EpsilonGreedy", 3000),
            ("MOSS", "SMPyBandits MOSS", 3000),
            ("beta Thompson", "SMPyBandits Thompson", 3000),
            ("KL-UCB", "SMPyBandits klUCB", 1000),
            ("LinUCB, disjoint, d = 20", "mabwiser LinUCB", 200),
        ):
            table[row].append((name, peers.run(name), pulls))
    return table


def measure(row: Row, rounds: int) -> dict[str, Any]:
    """Pulls a second of every contestant (best and median round) and ratios to ours."""
    each: dict[str, list[float]] = {name: [] for name, _, _ in row}  # seconds a pull
    failed: dict[str, str] = {}
    for turn in range(rounds + 1):
        for name, run, pulls in row:
            if name in failed:
                continue
            try:
                seconds = run(pulls if turn else min(pulls, 20_000)) / pulls
            except RuntimeError as error:
                failed[name] = str(error)
                continue
            if turn:  # the first compiles and warms up
                each[name].append(seconds)
    result: dict[str, Any] = {}
    for name, seconds in each.items():
        if name in failed:
            result[name] = {"failed": failed[name]}
            continue
        best, middle = 1 / min(seconds), 1 / statistics.median(seconds)
        result[name] = {"pulls_per_s": round(best), "median": round(middle)}
        if name != row[0][0]:
            ratios = [b / a for a, b in zip(each[row[0][0]], seconds, strict=True)]
            spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
            result[name]["ratio"] = {k: round(v, 2) for k, v in spread.items()}
    return result


# --- scaling --------------------------------------------------------------------------------------
def scaling(rounds: int, threads: int) -> dict[str, dict[str, dict[int, float]]]:
    """Millions of pulls a second by runs, by arms, and by threads (best of `rounds`)."""

    def speed(policy: str, arms: int, runs: int, horizon: int, workers: int = 0) -> float:
        env, best = RandomMeans(arms), 0.0
        clock = time.perf_counter if workers else time.process_time
        for _ in range(rounds):
            start = clock()
            simulate(
                policy, env=env, runs=runs, horizon=horizon, threads=max(1, workers),
                checkpoints=[horizon],
            )  # fmt: skip
            best = max(best, runs * horizon / (clock() - start) / 1e6)
        return round(best, 2)

    found: dict[str, dict[str, dict[int, float]]] = {"runs": {}, "arms": {}, "threads": {}}
    for policy in ("ucb1", "eps_greedy", "ts_gauss", "ts_beta", "kl_ucb"):
        simulate(policy, env=RandomMeans(2), runs=1, horizon=100)
        found["runs"][policy] = {runs: speed(policy, 10, runs, 1000) for runs in (1, 10, 100, 1000)}
        found["arms"][policy] = {
            arms: speed(policy, arms, max(1, 1000 // arms), 10 * max(arms, 100))
            for arms in (2, 10, 50, 200, 1000)
        }
        found["threads"][policy] = {
            workers: speed(policy, 10, 200, 10_000, workers) for workers in range(1, threads + 1)
        }
    return found


def picture(found: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    figure = Figure(figsize=(9.6, 3.4), layout="constrained", dpi=150)
    axes = figure.subplots(1, 3, sharey=True)
    notes = {
        "runs": "Runs of 1000 rounds, K = 10",
        "arms": "Arms K",
        "threads": "Threads, 200 runs, K = 10",
    }
    for panel, (what, curves) in zip(axes, found.items(), strict=True):
        for i, (policy, points) in enumerate(curves.items()):
            x, y = list(points), [1e6 * v for v in points.values()]
            panel.plot(x, y, "o-", ms=4, color=COLOURS[i], label=policy)
        panel.set_xlabel(notes[what])
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(EngFormatter(sep=""))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color="#E3E3E3", lw=0.6)
        if what == "threads":
            panel.set_xticks(x)
        else:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[0].set_ylabel("Pulls a second")
    axes[1].legend(frameon=False, fontsize=9, loc="lower left")
    save(figure, path, ["png"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="most threads of the scaling")
    parser.add_argument("--peers", help="interpreter that has the other libraries")
    parser.add_argument("--out", type=Path, help="JSON file; the picture goes beside it")
    args = parser.parse_args()
    peers = Peers(args.peers) if args.peers else None
    record: dict[str, Any] = {
        "command": "python benchmarks/speed/bandits.py --peers PYTHON",
        "processor": processor(),
        "versions": {n: version(n) for n in ("numpy", "numba")}
        | ({} if peers is None else {"peers": peers.versions}),
        "one core": {},
    }
    for name, row in rows(peers).items():
        record["one core"][name] = outcome = measure(row, args.rounds)
        line = f"{name:34} {outcome['rlkit']['pulls_per_s'] / 1e6:7.2f} M/s"
        for other, result in outcome.items():
            if "ratio" in result:
                line += f"  {other} {result['ratio']['median']:.1f}x"
        print(line, flush=True)
    record["millions of pulls a second"] = found = scaling(args.rounds // 3 or 1, args.threads)
    if args.out:
        picture(found, args.out.with_name(f"{args.out.stem}-scaling"))
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())

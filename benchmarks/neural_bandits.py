"""Learned bandits behind the README: classification data, tasks learned together, the explorer.

    python benchmarks/neural_bandits.py --list
    python benchmarks/neural_bandits.py digits wine breast_cancer --out benchmarks/results
    python benchmarks/neural_bandits.py multitask active --out benchmarks/results

Every part of a claim is kept in `--runs` as soon as it is done and reused, so that a run may be
broken off. Classification becomes a bandit by paying 1 for the label of a row; rows are drawn anew
in every round, columns are scaled to unit variance and a constant is added. Settings were chosen on
wine with other seeds (100 to 102) and 300 rounds, and are the same for the three data sets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets

from rlkit.algos.bandits import context_free
from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.contextual import (
    ee_net,
    linear,
    multitask,
    neural_gap,
    neural_ucb,
    oracle_policies,
)
from rlkit.algos.bandits.contextual.ee_net import EENet
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.multitask import GFUCB
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.neural_gap import NeuralGapPolicy
from rlkit.algos.bandits.contextual.neural_ucb import NeuralPolicy
from rlkit.algos.bandits.contextual.oracle_policies import OraclePolicy
from rlkit.algos.bandits.contextual.oracles import RidgeOracle, TreesOracle
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.identification import active_learning, active_policy
from rlkit.envs.bandits.contextual import Classification
from rlkit.envs.bandits.multitask import SharedRepresentation
from rlkit.eval.comparison import compare_means
from rlkit.eval.plots import save
from rlkit.eval.regret_plot import regret_plot
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.run.records import versions

LANES = tuple(range(10))
ROUNDS = {"digits": 2000, "wine": 1000, "breast_cancer": 1000}
Kept = Callable[[str, Callable[[], np.ndarray]], np.ndarray]


def interval(values: np.ndarray) -> str:
    return str(bootstrap_interval(np.asarray(values, float)[:, None], mean, reps=10_000))


# --- classification ---------------------------------------------------------------------------
def classification(name: str) -> Classification:
    data = getattr(datasets, f"load_{name}")()
    x = data.data[:, data.data.std(0) > 0]
    x = (x - x.mean(0)) / x.std(0) / np.sqrt(x.shape[1])
    return Classification(np.column_stack([x, np.ones(len(x))]), data.target)


def net(rule: str) -> neural_ucb.Config:
    return neural_ucb.Config(rule, ridge=0.1, nu=0.01, lr=0.01, steps=2, seeds=LANES)


def gap(rule: str, perturbation: float) -> neural_gap.Config:
    lr = 0.3 if rule == "square" else 0.6
    draws = 16 if perturbation else 1
    return neural_gap.Config(
        rule, gamma=50.0, perturbation=perturbation, draws=draws, lr=lr, replays=2, seeds=LANES
    )


def ee(decision: str) -> ee_net.Config:
    return ee_net.Config(decision, lr=0.01, lr_explorer=3e-3, weight=0.1, steps=2, seeds=LANES)


# name -> (with lanes, policy for K arms and d features)
CONTEXTUAL: dict[str, tuple[bool, Callable[[int, int], Any]]] = {
    "uniform": (False, lambda k, d: ContextFreePolicy(k, context_free.Config("uniform"))),
    "ridge, eps-greedy .05": (
        False, lambda k, d: LinearPolicy(k, d, linear.Config("eps_greedy", True, eps=0.05))
    ),
    "LinUCB, alpha .3": (
        False, lambda k, d: LinearPolicy(k, d, linear.Config("linucb", True, alpha=0.3))
    ),
    "SquareCB, ridge": (
        False, lambda k, d: OraclePolicy(RidgeOracle(k, d), oracle_policies.Config(gamma=50.0))
    ),
    "SquareCB, trees": (
        False, lambda k, d: OraclePolicy(TreesOracle(k, d), oracle_policies.Config(gamma=50.0))
    ),
    "RegCB, network": (
        True,
        lambda k, d: OraclePolicy(
            NetworkOracle(k, d, seeds=LANES, lr=5e-3, steps=2, widths=True),
            oracle_policies.Config("reg_cb", radius=0.1),
        ),
    ),
    "NeuralUCB": (True, lambda k, d: NeuralPolicy(k, d, net("ucb"))),
    "NeuralTS": (True, lambda k, d: NeuralPolicy(k, d, net("ts"))),
    "NeuSquareCB": (True, lambda k, d: NeuralGapPolicy(k, d, gap("square", 0.1))),
    "NeuSquareCB, c_p = 0": (True, lambda k, d: NeuralGapPolicy(k, d, gap("square", 0.0))),
    "NeuFastCB": (True, lambda k, d: NeuralGapPolicy(k, d, gap("fast", 0.1))),
    "EE-Net": (True, lambda k, d: EENet(k, d, ee("linear"))),
    "EE-Net, f3": (True, lambda k, d: EENet(k, d, ee("net"))),
}  # fmt: skip


def table(name: str, kept: Kept, out: Path | None) -> dict[str, Any]:
    """Regret of every policy on one data set, over ten lanes."""
    env, rounds = classification(name), ROUNDS[name]
    arms, dim = env.arms, np.shape(env.features)[1]
    curves: dict[str, np.ndarray] = {}
    for label, (lanes, make) in CONTEXTUAL.items():

        def run(lanes: bool = lanes, make: Callable = make) -> np.ndarray:
            if lanes:
                return play(make(arms, dim), env, rounds, seed=0, runs=len(LANES)).curves()
            logs = [play(make(arms, dim), env, rounds, seed=seed) for seed in LANES]
            return np.concatenate([log.curves() for log in logs])

        curves[label] = kept(f"{name} {label}", run)
    if out is not None:
        shown = {n: (np.arange(1, rounds + 1)[4::5], c[:, 4::5]) for n, c in curves.items()}
        save(regret_plot(shown, title=f"Regret on {name}"), out / f"bandits-neural-{name}", ["png"])
    final = {label: c[:, -1:] for label, c in curves.items()}
    order = sorted(final, key=lambda label: float(final[label].mean()))
    rows = {label: interval(final[label][:, 0]) for label in order}
    against = {
        label: str(compare_means(final[order[0]], final[label])) for label in order[1:]
    }  # lanes of two policies do not share their rows
    text = f"{rounds} rounds, K {arms}, d {dim}, 10 lanes"
    return {"setting": text, "regret": rows, f"{order[0]} minus others": against}


# --- tasks together -------------------------------------------------------------------------------
def together(name: str, kept: Kept, out: Path | None) -> dict[str, Any]:
    """Regret of task 0 when M tasks that share a network are learned together."""
    rounds, finals = 400, {}
    for tasks, shared in ((1, True), (5, True), (20, True), (20, False)):

        def run(tasks: int = tasks, shared: bool = shared) -> np.ndarray:
            found = []
            for seed in LANES:
                env = SharedRepresentation(tasks, shared=shared, seed=seed)
                config = multitask.Config(tasks=tasks, noise_bound=0.1, refit=25, seed=seed)
                log = play(GFUCB(10, 10, config), env, rounds, seed=seed, runs=tasks)
                found.append(log.curves()[0])
            return np.array(found)

        label = f"{tasks} tasks" if shared else f"{tasks} tasks, each with a network of its own"
        finals[label] = kept(f"multitask {label}", run)[:, -1:]
    first = finals["1 tasks"]
    return {
        "setting": f"{rounds} rounds, K 10, d 10, 10 seeds of network, heads and noise",
        "regret of task 0": {label: interval(f[:, 0]) for label, f in finals.items()},
        "1 task minus": {
            label: str(compare_means(first, f, paired=True))
            for label, f in finals.items()
            if label != "1 tasks"
        },
    }


# --- the learned explorer -------------------------------------------------------------------------
def explorer(name: str, kept: Kept, out: Path | None) -> dict[str, Any]:
    """Worst-case error by class of problems: learned, specialists and baselines."""
    c = active_learning.Config(problems=16, rollouts=16, iterations=800)

    def run() -> np.ndarray:
        learned = active_learning.learn(c)
        rules = (learned.policy, active_policy.uniform_rule, active_policy.lucb_rule)
        cases = [active_learning.worst_case(rule, c) for rule in rules]
        alone = np.stack([learned.specialist_loss, np.zeros(len(c.classes))])
        return np.stack([alone, *[np.stack([case.loss, case.error]) for case in cases]])

    found = kept("active", run)  # [rule, (loss, standard error), class]
    names = ("specialist of the class", "learned", "uniform", "leader and challenger")
    excess = (found[1:, 0] - found[0, 0]).max(1)
    return {
        "setting": f"K {c.arms}, T {c.budget}, Gaussian rewards, classes C <= {list(c.classes)}",
        "error on the worst problem found": {
            n: [f"{p:.3f} ± {e:.3f}" for p, e in zip(*row, strict=True)]
            for n, row in zip(names, found, strict=True)
        },
        "largest excess over the specialists": dict(
            zip(names[1:], excess.round(3).tolist(), strict=True)
        ),
    }


CLAIMS: dict[str, tuple[str, Callable[[str, Kept, Path | None], dict[str, Any]]]] = {
    **{
        name: (f"regret of neural and other contextual bandits on {name}", table) for name in ROUNDS
    },
    "multitask": ("tasks that share a representation are learned faster together", together),
    "active": ("a min-max trained explorer is close to the best one of every class", explorer),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="claims, or all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/bandits"))
    parser.add_argument("--out", type=Path, help="folder for JSON files and pictures")
    args = parser.parse_args()
    if args.list or not args.names:
        for name, (text, _) in CLAIMS.items():
            print(f"{name:14} {text}")
        return
    names = list(CLAIMS) if args.names == ["all"] else args.names
    if unknown := [name for name in names if name not in CLAIMS]:
        sys.exit(f"unknown claim {unknown[0]!r}; there are {', '.join(CLAIMS)}")
    torch.set_num_threads(1)

    def kept(label: str, run: Callable[[], np.ndarray]) -> np.ndarray:
        path = args.runs / f"{label.replace(' ', '-').replace(',', '')}.npy"
        if not path.is_file():
            start = time.process_time()
            result = run()
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, result)
            print(f"{label}: {time.process_time() - start:.0f} s of processor time", flush=True)
        return np.load(path)

    for name in names:
        text, make = CLAIMS[name]
        record = {
            "claim": text,
            "command": f"python benchmarks/neural_bandits.py {name}",
            "results": make(name, kept, args.out),
            "versions": versions.collect("cpu"),
        }
        print(json.dumps(record["results"], indent=1), flush=True)
        if args.out is not None:
            path = args.out / f"bandits-neural-{name}.json"
            path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

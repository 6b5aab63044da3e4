"""Learning runs behind the claims of the README: train, and record returns with their intervals.

    python benchmarks/learning.py --list
    python benchmarks/learning.py iql-hopper --out benchmarks/results
    python benchmarks/learning.py --runs /tmp/runs all

Each name below is one claim: a few trainings, each a call of `rlkit.run.train.train`, whose last
evaluation is summarised over seeds. Runs are kept in `--runs` and reused when finished.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.data import datasets
from rlkit.eval.comparison import compare_means
from rlkit.eval.records import read_episodes
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.run import folder as run_folder
from rlkit.run import versions
from rlkit.run.options import Options
from rlkit.run.train import train

FIVE = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Claim:
    """Trainings by name; differences are taken of the first to each of the others, by seed."""

    text: str
    runs: dict[str, Options]


def offline(
    algo: str, dataset: str, steps: int, episodes: int, normalise: bool = False, **config: Any
) -> Options:
    return Options(
        algo, dataset=dataset, steps=steps, seeds=FIVE, config=config, eval_every=steps // 4,
        eval_episodes=episodes, checkpoint_every=steps, quiet=True, normalise_obs=normalise,
        engine="eager",
    )  # fmt: skip


HOPPER = "rlkit/hopper/medium-v0"
DOORKEY = "rlkit/minigrid/doorkey-5x5-mixed-v0"


def grid(algo: str, **config: Any) -> Options:
    """Small batches: convolutions over lanes are slow on a CPU."""
    made = offline(algo, DOORKEY, 8_000, 50, batch_size=64, hidden=(64,), **config)
    return dataclasses.replace(made, seeds=tuple(range(9)), workers=2, eval_every=8_000)


CLAIMS = {
    "iql-hopper": Claim(
        "IQL on rlkit/hopper/medium-v0 returns more than the policy that made the data",
        {
            # Hopper-v5 pays 3 a step: β 0.3 is β 3 on rewards a tenth as large. At 3 most states
            # lose all weight while values still grow, and the policy forgets them.
            "iql": offline(
                "iql", HOPPER, 16_000, 20, True, beta=0.3, lr_decay_steps=16_000
            ),
            "bc": offline("bc", HOPPER, 16_000, 20, True),
        },
    ),
    "iql-doorkey": Claim(
        "discrete IQL on mixed MiniGrid data returns more than cloning it",
        {
            # one reward below 1 an episode: β 90 is β 3 on rewards 30 times as large
            # one reward below 1 an episode: β 90 is β 3 on rewards 30 times as large
            "iql": grid("iql", tau=0.8, beta=90.0),
            "bc": grid("bc"),
        },
    ),
    "sac-pendulum": Claim(
        "SAC solves InvertedPendulum-v5 (at most 1000)",
        {
            "sac": Options(
                "sac", env="InvertedPendulum-v5", steps=15_000, seeds=FIVE, warmup=1_000,
                eval_every=5_000, eval_episodes=20, checkpoint_every=15_000, quiet=True,
                config={"hidden": (64, 64), "lr": 1e-3, "lr_q": 1e-3},
            ),
        },
    ),
}  # fmt: skip


def record(name: str, claim: Claim, runs: Path) -> dict[str, Any]:
    """Everything a reader needs to judge the claim: settings, every seed, intervals, versions."""
    results: dict[str, Any] = {}
    finals: dict[str, np.ndarray] = {}
    for label, options in claim.runs.items():
        if options.dataset is not None:
            datasets.build(options.dataset)
        out = runs / f"{name}-{label.replace('%', '')}"
        start = time.monotonic()
        result = train(Options(**{**options.__dict__, "out": str(out)}))
        rows = read_episodes(result.folder / "episodes.csv")
        last = rows[rows["step"] == rows["step"].max()]
        returns = [last["return"][last["lane"] == k] for k in range(len(options.seeds))]
        finals[label] = np.array([r.mean() for r in returns])[:, None]  # [seeds, 1]
        config = run_folder.read_config(result.folder)
        dataset = config["task"]["dataset"]
        results[label] = {
            "options": {k: v for k, v in config["options"].items() if k != "out"},
            "mean": str(bootstrap_interval(finals[label], mean)),
            "by_seed": [str(bootstrap_interval(r[:, None], mean)) for r in returns],
            "behaviour_return": None if dataset is None else dataset["behaviour_return"],
            "minutes": round((time.monotonic() - start) / 60, 1),
        }
        print(f"{name} {label}: {results[label]['mean']}", flush=True)
    first = next(iter(claim.runs))
    others = [label for label in claim.runs if label != first]
    compared = {
        f"{first} - {other}": str(compare_means(finals[first], finals[other], paired=True))
        for other in others
    }
    behaviour = results[first]["behaviour_return"]
    if behaviour is not None:
        data = np.full_like(finals[first], behaviour)
        compared[f"{first} - data"] = str(compare_means(finals[first], data, paired=True))
    for text in compared.items():
        print(*text, sep=": ", flush=True)
    return {
        "claim": claim.text,
        "command": f"python benchmarks/learning.py {name}",
        "results": results,
        "compared": compared,
        "versions": versions.collect("cpu"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="claims, or all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    parser.add_argument("--out", type=Path, help="folder for one JSON file a claim")
    args = parser.parse_args()
    if args.list or not args.names:
        for name, claim in CLAIMS.items():
            print(f"{name:16} {claim.text}")
        return
    names = list(CLAIMS) if args.names == ["all"] else args.names
    if unknown := [name for name in names if name not in CLAIMS]:
        sys.exit(f"unknown claim {unknown[0]!r}; there are {', '.join(CLAIMS)}")
    for name in names:
        outcome = record(name, CLAIMS[name], args.runs)
        if args.out is not None:
            path = args.out / f"learning-{name}.json"
            path.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()

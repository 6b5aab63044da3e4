"""Learning runs behind the claims of the README: train, and record returns with their intervals.

    python benchmarks/learning.py --list
    python benchmarks/learning.py wsrl-pendulum --out benchmarks/results
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
from pathlib import Path
from typing import Any

import numpy as np
from claims import model_based, offline, online, preference, warm_start
from claims.claim import Claim

from rlkit.data import datasets
from rlkit.eval.comparison import compare_means
from rlkit.eval.plots import learning_curve, save
from rlkit.eval.records import mean_returns, read_episodes
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions
from rlkit.run.train import train

CLAIMS: dict[str, Claim] = {
    **model_based.CLAIMS,
    **offline.CLAIMS,
    **online.CLAIMS,
    **preference.CLAIMS,
    **warm_start.CLAIMS,
}


def record(name: str, claim: Claim, runs: Path) -> dict[str, Any]:
    """Everything a reader needs to judge the claim: settings, every seed, intervals, versions."""
    results: dict[str, Any] = {}
    finals: dict[str, np.ndarray] = {}
    for label, options in claim.runs.items():
        if options.dataset is not None:
            datasets.build(options.dataset)
        options = dataclasses.replace(options, out=str(runs / f"{name}-{label}"))
        if options.from_run in claim.runs:
            options = dataclasses.replace(
                options, from_run=str(runs / f"{name}-{options.from_run}")
            )
        start = time.monotonic()
        result = train(options)
        rows = read_episodes(result.folder / "episodes.csv")
        last = rows[rows["step"] == rows["step"].max()]
        returns = [last["return"][last["lane"] == k] for k in range(len(options.seeds))]
        finals[label] = np.array([r.mean() for r in returns])[:, None]  # [seeds, 1]
        config = run_folder.read_config(result.folder)
        dataset = config["task"]["dataset"]
        results[label] = {
            "options": {k: v for k, v in config["options"].items() if k not in ("out", "from_run")},
            "starts_from": claim.runs[label].from_run,
            "mean": str(bootstrap_interval(finals[label], mean)),
            "by_seed": [str(bootstrap_interval(r[:, None], mean)) for r in returns],
            "curve": curve(rows),
            "behaviour_return": None if dataset is None else dataset["behaviour_return"],
        }
        if result.status == "trained":  # a run that was reused took no time worth telling
            results[label]["minutes"] = round((time.monotonic() - start) / 60, 1)
        print(f"{name} {label}: {results[label]['mean']}", flush=True)
    first = next(iter(claim.runs))
    pairs = [(first, label) for label in claim.runs if label != first]
    compared = {
        f"{one} - {other}": str(compare_means(finals[one], finals[other], paired=True))
        for one, other in [*pairs, *claim.compare.items()]
    }
    for label, found in finals.items():
        if results[label]["behaviour_return"] is not None:
            data = np.full_like(found, results[label]["behaviour_return"])
            compared[f"{label} - data"] = str(compare_means(found, data, paired=True))
    for text in compared.items():
        print(*text, sep=": ", flush=True)
    return {
        "claim": claim.text,
        **({"note": claim.note} if claim.note else {}),
        "command": f"python benchmarks/learning.py {name}",
        "results": results,
        "compared": compared,
        "versions": versions.collect("cpu"),
    }


def curve(rows: np.ndarray) -> dict[str, str]:
    """Mean return over seeds, with its interval, at every evaluation."""
    found = {}
    for step in np.unique(rows["step"]):
        at = rows[rows["step"] == step]
        means = [at["return"][at["lane"] == lane].mean() for lane in np.unique(at["lane"])]
        found[str(step)] = str(bootstrap_interval(np.array(means)[:, None], mean))
    return found


def picture(name: str, claim: Claim, runs: Path, path: Path) -> None:
    """Learning curves of a claim; runs that others start from are lines to compare with."""
    curves, references = {}, {}
    starts = {options.from_run for options in claim.runs.values()}
    for label in claim.runs:
        _, steps, returns = mean_returns(read_episodes(runs / f"{name}-{label}" / "episodes.csv"))
        if label in starts:
            references[label] = bootstrap_interval(returns[:, -1:], mean)
        else:
            curves[label] = (steps, returns)
    online = next(o for label, o in claim.runs.items() if label in curves).kind != "offline"
    x_label = "Environment steps" if online else "Gradient updates"
    figure = learning_curve(curves, references=references, x_label=x_label, title=name)
    save(figure, path, ["png"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="claims, or all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    parser.add_argument("--out", type=Path, help="folder for a JSON and a PNG of each claim")
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
            picture(name, CLAIMS[name], args.runs, path.with_suffix(""))


if __name__ == "__main__":
    main()

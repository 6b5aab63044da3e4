"""The settings of `rlkit/presets` that a search of our own found, a family of tasks each.

    python benchmarks/searches/presets.py pendulum minigrid --runs DIR --out benchmarks/results

NAME.toml beside this file has the task, the seeds (100 and up) and what is searched. The
configuration whose interval has the highest lower end is then trained beside the algorithm's own
defaults (with the rest of the file the same for both) on the seeds of its budget "held-out". Runs
are kept in `--runs`: the same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.files.replacing import replacing
from rlkit.data import datasets
from rlkit.eval.comparison import compare_means
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.run.records import versions
from rlkit.sweeps import plan
from rlkit.sweeps.engines import Local
from rlkit.sweeps.plan import Sweep
from rlkit.sweeps.runner import failures, sweep
from rlkit.sweeps.search import last_return, of_trial, search
from rlkit.sweeps.store import Store

HERE = Path(__file__).parent
_OF_TASKS = ", the search's the mean over tasks of such between the task's reference returns"
FAMILIES = sorted(path.stem for path in HERE.glob("*.toml"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("families", nargs="*", default=FAMILIES, help=", ".join(FAMILIES))
    parser.add_argument("--runs", type=Path, default=Path("runs/searches"))
    parser.add_argument("--out", type=Path, default=None, help="folder of the records")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    if unknown := set(args.families) - set(FAMILIES):
        parser.error(f"no search named {', '.join(sorted(unknown))}; there are {FAMILIES}")
    for family in args.families:
        found = record(family, args.runs / family, Local(args.workers))
        print(json.dumps(found["results"], indent=1))
        if args.out is not None:
            with replacing(args.out / f"presets-{family}.json") as temporary:
                temporary.write_text(json.dumps(found, indent=1) + "\n")


def record(family: str, folder: Path, engine: Local) -> dict[str, Any]:
    """The trials of a family's search, and its winner beside the defaults on the seeds held out."""
    asked = plan.read(HERE / f"{family}.toml")
    assert asked.search is not None
    for name in asked.datasets:
        datasets.build(name)
    trials = search(asked, folder / "search", engine, quiet=True)
    winner = trials[0].configuration
    held = plan.read(HERE / f"{family}.toml", "held-out")
    of_seeds = {
        name: returns(of_trial(held, configuration), folder / "held-out", engine)
        for name, configuration in {"found": winner, "defaults": {}}.items()
    }
    results = {}
    compared = {}
    for task in of_seeds["found"]:
        both = {name: found[task] for name, found in of_seeds.items()}
        results[f"return, {task}"] = {
            name: {"mean": str(bootstrap_interval(values[:, None], mean)), "by_seed": list(values)}
            for name, values in both.items()
        }
        found, usual = (both[name][:, None] for name in ("found", "defaults"))
        difference = compare_means(found, usual, paired=True)
        compared[f"{task}: found - defaults"] = str(difference)
    return {
        "claim": f"settings of {asked.search.system} found on seeds {_span(asked.seeds)}, beside "
        f"its defaults on seeds {_span(held.seeds)}",
        "command": f"python benchmarks/searches/presets.py {family} --out benchmarks/results",
        "note": f"{_lengths(held)}; scores are the mean of the last {asked.search.last} evaluations"
        f"{_OF_TASKS if len(of_seeds['found']) > 1 else ''}. Found: {_said(winner)}.",
        "tasks": {v.task: v.options.get("dataset") or v.options["env"] for v in held.variants},
        "found": winner,
        "results": results
        | {"trials": {_said(one.configuration): {"score": str(one.score)} for one in trials}},
        "compared": compared,
        "space": asked.search.space,
        "settings": asked.text,
        "versions": versions.collect(),
    }


def returns(part: Sweep, folder: Path, engine: Local) -> dict[str, np.ndarray]:
    """Mean return of the last evaluations by task, one number a seed, after training them."""
    finished = sweep(part, folder, engine=engine, quiet=True)
    if error := failures(finished):
        raise error
    assert part.search is not None
    found = {}
    with Store(folder) as store:
        for variant in part.variants:
            scores = [last_return(store, variant, s, part.search.last) for s in part.seeds]
            found[variant.task] = np.array(scores)
    return found


def _span(seeds: tuple[int, ...]) -> str:
    return f"{seeds[0]} to {seeds[-1]}"


def _said(configuration: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in configuration.items())


def _lengths(asked: Sweep) -> str:
    steps = sorted({variant.steps for variant in asked.variants})
    return f"{' and '.join(f'{n:,}' for n in steps)} steps or updates a training"


if __name__ == "__main__":
    main()

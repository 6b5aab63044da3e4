"""What the scripts of this folder share: trainings by options, intervals over seeds, one record a
system.

A system is a function of the seeds that gives a `Found`; `command` is the command line around some.
Settings are chosen on seeds 100 and up; records are of seeds 0 to 4.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rlkit.eval.comparison import compare_means
from rlkit.eval.records import read_episodes
from rlkit.reports.findings import mean_interval
from rlkit.run.records import versions
from rlkit.run.settings.options import Options
from rlkit.run.train import train

SEEDS = (0, 1, 2, 3, 4)
Seeds = tuple[int, ...]


class Found(NamedTuple):
    """What a system's runs gave."""

    claim: str  # what was measured, in a sentence
    values: dict[str, dict[str, np.ndarray]]  # measure -> arm -> [S]
    pairs: list[tuple[str, str, str]]  # measure, arm, and the arm it is compared with
    settings: dict[str, Any]  # equal for all arms, and what each changes
    note: str = ""  # why, where it is known


def returns(options: Options, folder: str | Path, last: int = 1) -> np.ndarray:
    """Trains in `folder`; the mean return `[S]` of every lane over its `last` evaluations."""
    train(options_in(options, folder))
    return of_lanes(Path(folder) / "episodes.csv", last)


def options_in(options: Options, folder: str | Path) -> Options:
    """The options of a training that is alone in its process, in `folder`."""
    return dataclasses.replace(options, out=str(folder), quiet=True, workers=1, engine="eager")


def of_lanes(path: Path, last: int = 1) -> np.ndarray:
    """Mean return `[S]` of the episodes of every lane in its `last` evaluations."""
    rows = read_episodes(path)
    rows = rows[np.isin(rows["step"], np.unique(rows["step"])[-last:])]
    return np.array([rows["return"][rows["lane"] == k].mean() for k in np.unique(rows["lane"])])


def trained(arms: dict[str, Options], last: int = 1) -> dict[str, np.ndarray]:
    """Returns `[S]` of a training an arm; each prints when it is done."""
    found = {}
    for name, options in arms.items():
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found[name] = returns(options, Path(folder) / "run", last)
        print(name, found[name].round(3), f"{time.monotonic() - begun:.0f} s", flush=True)
    return found


def record(found: Found, command: str, seeds: Seeds) -> dict[str, Any]:
    """All that a reader needs to judge it: every seed, intervals, differences paired by seed."""
    results = {
        measure: {
            arm: {"mean": str(mean_interval(x)), "by_seed": [round(float(v), 4) for v in x]}
            for arm, x in arms.items()
        }
        for measure, arms in found.values.items()
    }
    compared = {}
    for measure, one, other in found.pairs:
        x, y = (found.values[measure][arm][:, None] for arm in (one, other))
        compared[f"{measure}: {one} - {other}"] = str(compare_means(x, y, paired=True))
    return {
        "claim": found.claim,
        **({"note": found.note} if found.note else {}),
        "command": command,
        "seeds": list(seeds),
        "settings": found.settings,
        "results": results,
        "compared": compared,
        "versions": versions.collect("cpu"),
    }


def command(
    script: str, told: str | None, systems: dict[str, Callable[[Seeds], Found]]
) -> Callable[[], None]:
    """The command line of a script: `NAMES --seeds A:B --out FOLDER`."""

    def main() -> None:
        parser = argparse.ArgumentParser(description=(told or "").partition("\n")[0])
        parser.add_argument("names", nargs="*", choices=[[], *systems], help="all by default")
        parser.add_argument("--seeds", type=numbers, default=SEEDS, help="A:B")
        parser.add_argument("--out", type=Path, help="folder of systems-NAME.json")
        args = parser.parse_args()
        torch.set_num_threads(1)
        for name in args.names or systems:
            words = " ".join(["python", f"benchmarks/systems/{script}", name])
            found = record(systems[name](args.seeds), words, args.seeds)
            for measure, arms in found["results"].items():
                print(name, measure, {arm: x["mean"] for arm, x in arms.items()}, flush=True)
            for text in found["compared"].items():
                print(*text, sep=": ", flush=True)
            if args.out is not None:
                text = json.dumps(found, indent=1, default=str)
                (args.out / f"systems-{name}.json").write_text(text + "\n", encoding="utf-8")

    return main


def numbers(text: str) -> Seeds:
    """0:5 is 0, 1, 2, 3, 4."""
    low, high = text.split(":")
    return tuple(range(int(low), int(high)))


def differing(options: Options) -> dict[str, Any]:
    """Options as a record has them: what differs from the usual ones, without seeds and folder."""
    usual = {f.name: f.default for f in dataclasses.fields(Options)}
    names = [k for k in usual if k not in ("seeds", "out")]
    return {k: getattr(options, k) for k in names if getattr(options, k) != usual[k]}

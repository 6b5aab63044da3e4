"""Record how far the trainings behind the MuJoCo recipes came, beside published returns.

    python benchmarks/behaviour_curves.py RUN...

Reads run folders of `rlkit train sac` and adds them to `benchmarks/results/behaviour.json`: the
mean of the last ten evaluations, the best one, and the return that the zoo of stable-baselines3
publishes for its SAC after a million steps. One seed a task: it shows that the agent learns, not by
how much it is better or worse.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from rlkit.data.formats.d4rl import REFERENCES

RECORD = Path(__file__).parent / "results" / "behaviour.json"
ZOO = {"Hopper-v5": 2325, "HalfCheetah-v5": 9535, "Walker2d-v5": 3863}  # v3 and v4 of the tasks
LAST = 10


def curve(folder: Path, lane: int = 0) -> dict[int, float]:
    """Mean return of the episodes of every evaluation, by step."""
    returns = defaultdict(list)
    with (folder / "episodes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["lane"]) == lane:
                returns[int(row["step"])].append(float(row["return"]))
    return {step: fmean(found) for step, found in sorted(returns.items())}


def summary(folder: Path) -> tuple[str, dict[str, Any]]:
    """The task of a run and its row."""
    env = json.loads((folder / "config.json").read_text(encoding="utf-8"))["options"]["env"]
    points = curve(folder)
    best = max(points, key=lambda step: points[step])
    last = list(points.values())[-LAST:]
    return env, {
        "steps": max(points),
        f"mean of the last {LAST} evaluations": fmean(last),
        "lowest of them": min(last),
        "best evaluation": points[best],
        "at step": best,
        "published, a million steps": ZOO[env],
        "D4RL's expert": REFERENCES[env.split("-")[0].lower()][1],
        "curve": [[step, round(x, 1)] for step, x in points.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    args = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    results = record.get("results", {}) | dict(summary(folder) for folder in args.runs)
    record = {
        "claim": "SAC learns the tasks whose checkpoints are the recipes, one seed each",
        "command": "rlkit train sac --env ENV --eval-every 5000 --keep 1000",
        "results": {env: results[env] for env in ZOO if env in results},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The state of every claim in claims.toml: shown, not shown and why, running, or missing.

    python benchmarks/evidence/state.py                     the short budgets (make evidence)
    python benchmarks/evidence/state.py --budget full
    python benchmarks/evidence/state.py --record            also writes what is finished as JSON

Sweeps stand in $RLKIT_EVIDENCE, by default ~/.cache/rlkit/evidence, one folder each:
    rlkit sweep benchmarks/evidence/NAME.toml --budget short --out $RLKIT_EVIDENCE/NAME-short
What benchmarks/results/evidence/NAME-BUDGET.json recorded counts where the folder has no such run,
so that a sweep can go on on another machine: the command that is printed leaves it out.

The score of a seed is the mean return of its last ten evaluations.
"""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.errors import RlkitError
from rlkit.core.files.replacing import replacing
from rlkit.eval.comparison import compare_means
from rlkit.eval.statistics import Interval
from rlkit.reports import results
from rlkit.reports.cells import Cell
from rlkit.reports.findings import mean_interval, quietly
from rlkit.sweeps import plan

HERE = Path(__file__).parent
RECORDED = HERE.parent / "results" / "evidence"
LAST = 10  # evaluations a score is the mean of
DATA = "data"


class Scores(NamedTuple):
    """What a sweep has come to, from its folder or from its record."""

    seeds: dict[tuple[str, str], dict[int, float]]  # (system, task) -> score by seed, finished ones
    data: dict[str, float]  # mean return of each task's dataset
    versions: dict[tuple[str, str], dict[str, Any]]  # what each was made with
    done: float  # share of all steps


class Verdict(NamedTuple):
    """What is to be said of a claim."""

    state: str  # shown, not shown, running or missing
    detail: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", default="short")
    parser.add_argument("--record", action="store_true", help="write what is finished as JSON")
    args = parser.parse_args()
    claims = tomllib.loads((HERE / "claims.toml").read_text())
    found = {name: read(name, args.budget) for name in {c["sweep"] for c in claims.values()}}
    verdicts = {name: judged(claim, found[claim["sweep"]]) for name, claim in claims.items()}
    print("\n".join(lines(claims, verdicts)))
    for name, scores in sorted(found.items()):
        if scores is not None and args.record:
            print(f"\nrecorded {record(name, args.budget, scores)}")
        if scores is None or scores.done < 1:
            print(f"\nto go on with {name}:\n  {command(name, args.budget, scores)}")


def folder(name: str, budget: str) -> Path:
    """Where a sweep stands."""
    given = os.environ.get("RLKIT_EVIDENCE")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(given) if given else cache / "rlkit" / "evidence") / f"{name}-{budget}"


def command(name: str, budget: str, scores: Scores | None) -> str:
    """What works off what is missing of a sweep, from wherever it stands."""
    known = {} if scores is None else scores.seeds
    asked = plan.read(HERE / f"{name}.toml", budget)
    left = [v for v in asked.variants if len(known.get((v.label, v.task), {})) < len(asked.seeds)]
    systems = ",".join(sorted({v.system for v in left}))
    only = f" --systems {systems}" if len(left) < len(asked.variants) else ""
    where = folder(name, budget)
    return f"rlkit sweep benchmarks/evidence/{name}.toml --budget {budget}{only} --out {where}"


def read(name: str, budget: str) -> Scores | None:
    """The scores of a sweep; None where it has neither begun nor been recorded."""
    path = RECORDED / f"{name}-{budget}.json"
    known = from_json(json.loads(path.read_text())) if path.is_file() else None
    try:
        found = results.read(folder(name, budget))
    except RlkitError:
        if known is None:
            return None
        return known._replace(done=share(name, budget, known.seeds, []))
    seeds = {} if known is None else dict(known.seeds)
    versions = {} if known is None else dict(known.versions)
    data = {} if known is None else dict(known.data)
    own: dict[tuple[str, str], dict[int, float]] = {}
    for cell in found.cells:
        pair = (cell.run.system.label, cell.run.task)
        if cell.finished:
            own.setdefault(pair, {})[cell.seed] = score(cell)
            versions[pair] = dict(cell.run.versions)
        data |= behaviour(found.folder, cell)
    seeds |= own
    return Scores(seeds, data, versions, share(name, budget, seeds, list(found.cells)))


def score(cell: Cell) -> float:
    """Mean return of the last ten evaluations, or of all where there are fewer."""
    return float(np.mean(cell.returns[-LAST:]))


def share(
    name: str,
    budget: str,
    finished: dict[tuple[str, str], dict[int, float]],
    cells: list[Cell],
) -> float:
    """How much of all steps that the sweep file asks for is done."""
    asked = plan.read(HERE / f"{name}.toml", budget)
    wanted, reached = 0, 0
    for variant in asked.variants:
        pair = (variant.label, variant.task)
        steps = dict.fromkeys(finished.get(pair, {}), variant.steps)
        for cell in cells:
            if (cell.run.system.label, cell.run.task) == pair and len(cell.steps):
                steps.setdefault(cell.seed, min(int(cell.steps[-1]), variant.steps))
        wanted += variant.steps * len(asked.seeds)
        reached += sum(steps.get(seed, 0) for seed in asked.seeds)
    return reached / wanted


def behaviour(where: Path, cell: Cell) -> dict[str, float]:
    """The mean return of the dataset that a cell learns from, by task."""
    path = where / "runs" / cell.run.name / "config.json"
    if not path.is_file():
        return {}
    dataset = json.loads(path.read_text())["task"]["dataset"]
    return {} if dataset is None else {cell.run.task: dataset["behaviour_return"]}


def judged(claim: dict[str, Any], scores: Scores | None) -> Verdict:
    """Whether the finished seeds show a claim."""
    if scores is None:
        return Verdict("missing", "no run and no record")
    task, better = claim["task"], claim["better"]
    ours = scores.seeds.get((better, task), {})
    rivals = [name for name in claim["than"] if name != DATA]
    absent = [n for n in (better, *rivals) if len(scores.seeds.get((n, task), {})) < 2]
    if absent:
        return Verdict("running", f"{scores.done:.0%} of the sweep; waits for {', '.join(absent)}")
    rows = compared(claim, scores)
    told = [
        f"{row.name} {row.mean:.4g}, difference {row.difference.point:.3g} "
        f"[{row.difference.low:.3g}, {row.difference.high:.3g}]"
        for row in rows
    ]
    mean = mean_interval(np.array(list(ours.values())))
    detail = f"{better} {mean.point:.4g} ({len(ours)} seeds) against " + "; ".join(told)
    found = all(row.difference.low > 0 for row in rows)
    return Verdict("shown" if found else "not shown", detail)


class Compared(NamedTuple):
    """What a claim is compared with, and how far above it the better one is."""

    name: str
    mean: float
    difference: Interval  # 95 %, over seeds that both have


def compared(claim: dict[str, Any], scores: Scores) -> list[Compared]:
    """A row for each that a claim names, whose systems have two seeds or more in common."""
    task, rows = claim["task"], []
    ours = scores.seeds[claim["better"], task]
    for name in claim["than"]:
        theirs = scores.seeds.get((name, task), dict.fromkeys(ours, scores.data.get(task, np.nan)))
        both = sorted(ours.keys() & theirs.keys())
        with quietly():
            difference = compare_means(
                np.array([[ours[seed]] for seed in both]),
                np.array([[theirs[seed]] for seed in both]),
                paired=True,
            ).difference
        rows.append(Compared(name, float(np.mean([theirs[s] for s in both])), difference))
    return rows


def lines(claims: dict[str, Any], verdicts: dict[str, Verdict]) -> Iterator[str]:
    """What is printed: counts, then a claim and what is known of it."""
    states = [verdict.state for verdict in verdicts.values()]
    counts = (f"{states.count(s)} {s}" for s in ("shown", "not shown", "running", "missing"))
    yield f"{len(states)} claims: {', '.join(counts)}"
    for name, verdict in verdicts.items():
        yield f"\n{verdict.state:9}  {name}: {claims[name]['text']}\n           {verdict.detail}"
        if verdict.state == "not shown" and "cause" in claims[name]:
            yield f"           {claims[name]['cause']}"


def record(name: str, budget: str, scores: Scores) -> Path:
    """Writes the systems of which every seed is finished."""
    asked = plan.read(HERE / f"{name}.toml", budget)
    systems = [
        {
            "system": system,
            "task": task,
            "scores": {str(seed): x for seed, x in sorted(by_seed.items())},
            "versions": scores.versions.get((system, task), {}),
        }
        for (system, task), by_seed in sorted(scores.seeds.items())
        if by_seed.keys() >= set(asked.seeds)
    ]
    RECORDED.mkdir(parents=True, exist_ok=True)
    path = RECORDED / f"{name}-{budget}.json"
    values = {
        "command": f"rlkit sweep benchmarks/evidence/{name}.toml --budget {budget}",
        "sweep": name,
        "budget": budget,
        "score": f"mean return of the last {LAST} evaluations",
        "tasks": {v.task: v.options.get("dataset") or v.options["env"] for v in asked.variants},
        "data": dict(sorted(scores.data.items())),
        "systems": systems,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")
    return path


def from_json(values: dict[str, Any]) -> Scores:
    """What `record` wrote."""
    entries = {(entry["system"], entry["task"]): entry for entry in values["systems"]}
    seeds = {pair: {int(k): x for k, x in e["scores"].items()} for pair, e in entries.items()}
    versions = {pair: e["versions"] for pair, e in entries.items()}
    return Scores(seeds, values["data"], versions, 1.0)


if __name__ == "__main__":
    main()

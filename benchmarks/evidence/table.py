"""The records of evidence as Markdown: where every claim stands, and the scores it rests on."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.reports.findings import mean_interval

HERE = Path(__file__).parent
TITLE = "Evidence"
HEAD = """Claims of whole sweeps, as `benchmarks/evidence/claims.toml` has them. A claim is *shown*
when every difference of seed means, paired by seed, is above 0 with its whole 95 % interval; `data`
is the mean return of the dataset. `make evidence` says it of the sweeps on this machine, and how to
go on with them.
"""


def chapter(records: Path) -> str:
    """Markdown of every record in a folder; empty where there is none."""
    claims = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
    parts = []
    for path in sorted(records.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        own = {name: claim for name, claim in claims.items() if claim["sweep"] == record["sweep"]}
        parts.append(section(record, own))
    return "\n".join([f"## {TITLE}\n\n{HEAD}", *parts]) if parts else ""


def section(record: dict[str, Any], claims: dict[str, Any]) -> str:
    """A sweep of one budget: its claims, then its scores."""
    state = _state()
    scores = state.from_json(record)
    verdicts = {name: state.judged(claim, scores) for name, claim in claims.items()}
    count = {word: [v.state for v in verdicts.values()].count(word) for word in _WORDS}
    told = ", ".join(f"{number} {_WORDS[word]}" for word, number in count.items() if number)
    lines = [
        f"### {record['sweep']}, budget {record['budget']}",
        "",
        f"{len(claims)} claims: {told}. Score: {record['score']}.",
        "",
        f"    {record['command']}",
        "",
        "| claim | stands | score | against | difference |",
        "|---|---|---|---|---|",
    ]
    for name, claim in claims.items():
        lines.append(_row(state, claim, verdicts[name], scores))
    return "\n".join([*lines, "", *_scores(record, scores), "", _made_with(record)]) + "\n"


_WORDS = {"shown": "shown", "not shown": "not shown", "running": "waiting", "missing": "missing"}


def _row(state: Any, claim: dict[str, Any], verdict: Any, scores: Any) -> str:
    word = f"**{verdict.state}**" if verdict.state == "shown" else _WORDS[verdict.state]
    ours = scores.seeds.get((claim["better"], claim["task"]), {})
    if verdict.state not in ("shown", "not shown"):
        absent = [
            name
            for name in (claim["better"], *claim["than"])
            if name != state.DATA and len(scores.seeds.get((name, claim["task"]), {})) < 2
        ]
        return f"| {claim['text']} | {word} | | not recorded: {', '.join(absent)} | |"
    text = claim["text"]
    if verdict.state == "not shown" and "cause" in claim:
        text += f"; {claim['cause']}"
    rows = state.compared(claim, scores)
    against = "<br>".join(f"{row.name} {_number(row.mean)}" for row in rows)
    apart = "<br>".join(_interval(row.difference) for row in rows)
    mean = mean_interval(np.array(list(ours.values())))
    score = f"{claim['better']} {_number(mean.point)}"
    return f"| {text} | {word} | {score} | {against} | {apart} |"


def _scores(record: dict[str, Any], scores: Any) -> list[str]:
    """Mean over seeds of every system on every task."""
    tasks = sorted({task for _, task in scores.seeds} | set(record["data"]))
    systems = sorted({system for system, _ in scores.seeds})
    lines = [f"| system | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for system in systems:
        cells = []
        for task in tasks:
            seeds = scores.seeds.get((system, task))
            known = None if seeds is None else mean_interval(np.array(list(seeds.values())))
            cells.append("" if known is None or seeds is None else f"{_interval(known)}")
        lines.append(f"| {system} | {' | '.join(cells)} |")
    data = [_number(record["data"][task]) if task in record["data"] else "" for task in tasks]
    seeds = sorted({len(by_seed) for by_seed in scores.seeds.values()})
    return [
        *lines,
        f"| data | {' | '.join(data)} |",
        "",
        f"Means over {' or '.join(map(str, seeds))} seeds with Student's t intervals (95 %).",
    ]


def _made_with(record: dict[str, Any]) -> str:
    """The versions that decide the digits, one set for each that differs."""
    names = ("rlkit", "torch", "commit", "processor")
    made = [
        ", ".join(
            f"{name} {entry['versions'][name]}" for name in names if entry["versions"].get(name)
        )
        for entry in record["systems"]
    ]
    return f"Recorded with {'; '.join(dict.fromkeys(text for text in made if text))}."


def _interval(found: Any) -> str:
    return f"{_number(found.point)} [{_number(found.low)}, {_number(found.high)}]"


def _number(x: float) -> str:
    """Three digits, or whole thousands with their comma."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def _state() -> Any:
    """`state.py` beside this file, which is a script and no package's module."""
    spec = importlib.util.spec_from_file_location("evidence_state", HERE / "state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

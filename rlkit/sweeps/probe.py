"""How long a sweep will take, from a few seconds of each kind of run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlkit.core.errors import RunError
from rlkit.sweeps.engines import Local
from rlkit.sweeps.kinds.by_name import kind_of
from rlkit.sweeps.plan import Sweep, Variant
from rlkit.sweeps.status import clock

SECONDS = 20.0  # at most, for each system on each task
START = 120.0  # at most, to its first step: imports and compilers take their time
_SHARES = (0.01, 0.04)  # of a cell's steps, that are timed


def estimate(
    sweep: Sweep, slots: int, lanes: int | None = None, note: Callable[[str], None] = print
) -> float:
    """Seconds that all cells of `sweep` will take on `slots` processes, without what is done.

    One configuration of each system on each task is run twice, for few and for more steps: the
    difference is the time of a step, the rest is the time of a start. A warm-up is at most half of
    a probe, so that updates are timed, and what starts from another system starts from one step of
    it. A probe that takes longer than `SECONDS` is stopped and counts as what it has shown: a start
    alone where no step was reached within `START`. Nothing of it is kept.
    """
    total = 0.0
    by_pair: dict[tuple[str, str], list[Variant]] = {}
    for variant in sweep.variants:
        by_pair.setdefault((variant.system, variant.task), []).append(variant)
    for (system, task), variants in by_pair.items():
        first = variants[0]
        kind = kind_of(first.kind)
        together = min(lanes or kind.lanes(first.options), len(sweep.seeds))
        start, step = _timed(first, sweep.seeds[:together], _starts(first, by_pair))
        runs = -(-len(sweep.seeds) // together)
        cost = sum(start + step * variant.steps for variant in variants) * runs
        note(f"  {system} on {task}: {clock(start + step * first.steps)} a run, {runs} runs each")
        total += cost
    return total / slots


def _starts(
    variant: Variant, by_pair: Mapping[tuple[str, str], Sequence[Variant]]
) -> list[Variant]:
    """What a variant starts from, the first of the chain first."""
    if variant.start is None:
        return []
    source = by_pair[variant.start, variant.task][0]
    return [*_starts(source, by_pair), source]


def _timed(
    variant: Variant, seeds: Sequence[int], starts: Sequence[Variant]
) -> tuple[float, float]:
    """Seconds of a start, and of a step."""
    few, more = (max(1, int(share * variant.steps)) for share in _SHARES)
    with tempfile.TemporaryDirectory() as scratch:
        source = None
        for number, one in enumerate(starts):
            place = Path(scratch, f"start-{number}")
            _run(one, seeds, 1, place, source)
            source = place
        if more == few:
            seconds, reached = _run(variant, seeds, variant.steps, Path(scratch, "all"), source)
            return (seconds * variant.steps / reached if reached else seconds), 0.0
        short, least = _run(variant, seeds, few, Path(scratch, "few"), source)
        if not least:
            return short, 0.0
        if least < few:  # stopped: its start cannot be told from its steps
            return 0.0, short / least
        long, reached = _run(variant, seeds, more, Path(scratch, "more"), source)
    if not reached:
        return long, 0.0
    if reached <= few:
        return 0.0, long / reached
    step = max(0.0, (long - short) / (reached - few))
    return max(0.0, short - few * step), step


def _run(
    variant: Variant, seeds: Sequence[int], steps: int, folder: Path, source: Path | None
) -> tuple[float, int]:
    """Seconds, and the step that was reached in them, 0 for none."""
    from rlkit.sweeps.job import step_of

    options = kind_of(variant.kind).stacked([variant.options] * len(seeds))
    if "warmup" in options:
        options = options | {"warmup": min(options["warmup"], steps // 2)}
    if source is not None:
        options = options | {"from_run": str(source)}
    job: dict[str, Any] = {
        "folder": str(folder),
        "kind": variant.kind,
        "options": options,
        "seeds": list(seeds),
        "steps": steps,
        "cell": {},
    }
    engine, began, reached = Local(1), time.monotonic(), 0
    try:
        engine.start(0, job)
        while time.monotonic() - began < (SECONDS if reached else START):
            reached = max(reached, step_of(folder))
            if outcomes := engine.poll(0.05):
                if outcomes[0].kind != "done":
                    raise RunError(f"{variant.label} on {variant.task}: {outcomes[0].text}")
                return outcomes[0].seconds, steps
        return time.monotonic() - began, reached
    finally:
        engine.close()

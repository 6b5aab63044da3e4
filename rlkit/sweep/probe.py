"""How long a sweep will take, from a few seconds of each kind of run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlkit.sweep.engines import Local
from rlkit.sweep.kinds.by_name import kind_of
from rlkit.sweep.plan import Sweep, Variant
from rlkit.sweep.status import clock

SECONDS = 20.0  # at most, for each system on each task
_SHARES = (0.01, 0.04)  # of a cell's steps, that are timed


def estimate(
    sweep: Sweep, slots: int, lanes: int | None = None, note: Callable[[str], None] = print
) -> float:
    """Seconds that all cells of `sweep` will take on `slots` processes, without what is done.

    One configuration of each system on each task is run twice, for few and for more steps: the
    difference is the time of a step, the rest is the time of a start. A probe that takes longer
    than `SECONDS` is stopped and counts as what it has shown. Nothing of it is kept.
    """
    total = 0.0
    by_pair: dict[tuple[str, str], list[Variant]] = {}
    for variant in sweep.variants:
        by_pair.setdefault((variant.system, variant.task), []).append(variant)
    for (system, task), variants in by_pair.items():
        first = variants[0]
        kind = kind_of(first.kind)
        together = min(lanes or kind.lanes(first.options), len(sweep.seeds))
        start, step = _timed(first, sweep.seeds[:together])
        runs = -(-len(sweep.seeds) // together)
        cost = sum(start + step * variant.steps for variant in variants) * runs
        note(f"  {system} on {task}: {clock(start + step * first.steps)} a run, {runs} runs each")
        total += cost
    return total / slots


def _timed(variant: Variant, seeds: Sequence[int]) -> tuple[float, float]:
    """Seconds of a start, and of a step."""
    few, more = (max(1, int(share * variant.steps)) for share in _SHARES)
    if more == few:
        seconds, reached = _run(variant, seeds, variant.steps)
        return seconds * variant.steps / reached, 0.0
    short, _ = _run(variant, seeds, few)
    long, reached = _run(variant, seeds, more)
    step = max(0.0, (long - short) / max(1, reached - few))
    return max(0.0, short - few * step), step


def _run(variant: Variant, seeds: Sequence[int], steps: int) -> tuple[float, int]:
    """Seconds, and the step that was reached in them."""
    from rlkit.sweep.job import step_of

    kind = kind_of(variant.kind)
    with tempfile.TemporaryDirectory() as scratch:
        job: dict[str, Any] = {
            "folder": str(Path(scratch, "run")),
            "kind": variant.kind,
            "options": kind.stacked([variant.options] * len(seeds)),
            "seeds": list(seeds),
            "steps": steps,
            "cell": {},
        }
        engine, began, reached = Local(1), time.monotonic(), 0
        try:
            engine.start(0, job)
            while time.monotonic() - began < SECONDS:
                reached = max(reached, step_of(Path(scratch, "run")))
                if outcomes := engine.poll(0.05):
                    if outcomes[0].kind != "done":
                        raise RuntimeError(outcomes[0].text)
                    return outcomes[0].seconds, steps
            return time.monotonic() - began, max(1, reached)
        finally:
            engine.close()

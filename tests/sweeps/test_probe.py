"""What a probe makes of runs that were stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rlkit.sweeps import plan, probe
from rlkit.sweeps.engines import Outcome

from .sweep_files import BANDITS, write


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [
        (2.0, 0.01, 2.0 + 0.01 * 5_000),  # both probes end
        (2.0, 0.2, 0.2 * 5_000),  # the longer one is stopped after 90 steps
        (0.0, 1.0, 1.0 * 5_000),  # both are: what they have shown
    ],
)
def test_a_run_that_is_stopped_counts_as_what_it_has_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: float, step: float, expected: float
) -> None:
    def run(variant: Any, seeds: Any, steps: int, *rest: Any) -> tuple[float, int]:
        seconds = start + step * steps
        if seconds <= probe.SECONDS:
            return seconds, steps
        return probe.SECONDS, max(1, int((probe.SECONDS - start) / step))

    monkeypatch.setattr(probe, "_run", run)
    sweep = plan.read(write(tmp_path, BANDITS))
    variant = dataclasses.replace(sweep.variants[0], steps=5_000)
    found = probe._timed(variant, sweep.seeds[:1], [])
    assert found[0] + found[1] * 5_000 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("starting", "expected"), [(25.0, 25.0), (1_000.0, 120.0)])
def test_a_slow_start_is_not_taken_for_slow_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starting: float, expected: float
) -> None:
    now = [0.0]

    class Slow:
        """Imports for `starting` seconds, and is done."""

        def __init__(self, slots: int) -> None: ...
        def start(self, number: int, job: Any) -> None:
            self.began = now[0]

        def poll(self, seconds: float) -> list[Outcome]:
            now[0] += 1.0
            took = now[0] - self.began
            return [Outcome(0, "done", took)] if took >= starting else []

        def close(self) -> None: ...

    monkeypatch.setattr(probe, "Local", Slow)
    monkeypatch.setattr(probe.time, "monotonic", lambda: now[0])
    sweep = plan.read(write(tmp_path, BANDITS))
    start, step = probe._timed(sweep.variants[0], sweep.seeds[:1], [])
    assert start + step * sweep.variants[0].steps == pytest.approx(expected, abs=2.0)


def test_a_bandit_may_be_shorter_than_its_checkpoints(tmp_path: Path) -> None:
    sweep = plan.read(write(tmp_path, BANDITS))
    variant = dataclasses.replace(sweep.variants[0], steps=50)  # probed for 1 and for 2 rounds
    start, step = probe._timed(variant, sweep.seeds[:1], [])
    assert start + 50 * step > 0

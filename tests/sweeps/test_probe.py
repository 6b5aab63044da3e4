"""What a probe makes of runs that were stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rlkit.sweeps import plan, probe

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


def test_a_bandit_may_be_shorter_than_its_checkpoints(tmp_path: Path) -> None:
    sweep = plan.read(write(tmp_path, BANDITS))
    variant = dataclasses.replace(sweep.variants[0], steps=50)  # probed for 1 and for 2 rounds
    start, step = probe._timed(variant, sweep.seeds[:1], [])
    assert start + 50 * step > 0

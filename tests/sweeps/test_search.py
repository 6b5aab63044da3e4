from __future__ import annotations

from pathlib import Path

import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.sweeps import plan
from rlkit.sweeps.search import search

from .sweep_files import BANDITS, Inside, write


def test_a_sweep_without_search_is_refused(tmp_path: Path) -> None:
    asked = plan.read(write(tmp_path, BANDITS))
    with pytest.raises(UsageError, match=r"has no \[search\]"):
        search(asked, tmp_path / "out", Inside())


TABULAR = """
name = "search"
seeds = "0:3"
retries = 0
defaults = { steps = 3_000, checkpoints = 2 }
tasks.chain = { mdp = "river_swim", reference = [0.0, 20.0] }
systems.q = { learner = "q", config = { omega = 0.7 } }
[search]
system = "q"
trials = 5
[search.space]
epsilon = { low = 0.05, high = 0.9 }
q0 = [0.0, 10.0]
n = { low = 1, high = 4 }
"""


def test_trials_are_ordered_by_the_lower_end_of_their_interval(tmp_path: Path) -> None:
    found = search(plan.read(write(tmp_path, TABULAR)), tmp_path / "out", Inside(), quiet=True)
    assert len(found) == 5
    assert [one.score.low for one in found] == sorted((o.score.low for o in found), reverse=True)
    for one in found:
        assert 0.05 <= one.configuration["epsilon"] <= 0.9
        assert one.configuration["n"] in (1, 2, 3, 4)
        assert one.score.low <= one.score.point <= one.score.high


def test_a_search_goes_on_after_a_failure_and_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, TABULAR)
    straight = search(plan.read(path), tmp_path / "straight", Inside(), quiet=True)
    broken = Inside("done", "done", "failed")
    with pytest.raises(RunError, match="it failed"):
        search(plan.read(path), tmp_path / "broken", broken, quiet=True)
    again = Inside()
    found = search(plan.read(path), tmp_path / "broken", again, quiet=True)
    assert len(again.started) == 3, "finished trials are not run again"
    assert {str(o.configuration) for o in found} == {str(o.configuration) for o in straight}

"""An algorithm's file is read from top to bottom beside its paper: it has at most 200 lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlkit import algos

FILES = sorted(Path(algos.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_at_most_two_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 200


def test_all_algorithms_are_looked_at() -> None:
    assert {"sac", "dqn", "decision_transformer"} <= {path.stem for path in FILES}

"""A cell that a signal has stopped is released, not failed."""

from __future__ import annotations

from typing import Any

import pytest

from rlkit.core.errors import Interrupted, RunError
from rlkit.sweeps import engines, job


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Interrupted("stopped at step 3", 15), "lost"), (RunError("Interrupted: no"), "failed")],
)
def test_what_a_cell_ended_with(
    error: BaseException, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Any) -> None:
        raise error

    monkeypatch.setattr(job, "work", work)
    outcome = engines.ended(1, 2.0, job.attempt({}))
    assert outcome.kind == kind
    assert str(error) in outcome.text

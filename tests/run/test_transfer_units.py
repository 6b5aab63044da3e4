"""An agent that goes on elsewhere acts in the units it has learnt, or is refused."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.core.spec import Box, Discrete
from rlkit.data.transforms import Transforms
from rlkit.run import transfer
from rlkit.run.records import folder
from rlkit.run.settings.options import Options
from rlkit.run.task import Task

OPTIONS = Options("sac", env="Pendulum-v1", from_run="runs/x")


def box(low: Any, high: Any, mean: Any = None) -> Task:
    units = Transforms(
        action_low=None if low is None else np.array(low, np.float32),
        action_high=None if high is None else np.array(high, np.float32),
        obs_mean=mean,
        obs_std=None if mean is None else np.ones(3),
    )
    return Task((3,), Box(2), units, action_shape=(2,))


def adapted(task: Task, theirs: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(folder, "read", lambda _: SimpleNamespace(task=theirs))
    return transfer.adapted(task, OPTIONS)


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (box([-2, -2], [2, 2]), box([-1, -1], [1, 1]), "action low"),
        (box([-1, -1], [1, 3]), box([-1, -1], [1, 1]), "action high"),
        (box([-2, -2], [2, 2]), box(None, None), "action low"),
        (box([-1, -1], [1, 1]), dataclasses.replace(box(None, None), action_shape=(2, 1)), "shape"),
        (
            Task((3,), Discrete(2), Transforms(), action_start=1),
            Task((3,), Discrete(2), Transforms()),
            "first action",
        ),
    ],
)
def test_other_units_of_actions_are_refused(
    ours: Task, theirs: Task, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=f"runs/x acts with .*{name}"):
        adapted(ours, theirs, monkeypatch)


def test_equal_units_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = box([-1, -1], [1, 1], mean=np.arange(3.0))
    for ours in (box([-1, -1], [1, 1]), box(None, None)):
        assert adapted(ours, theirs, monkeypatch).transforms is theirs.transforms

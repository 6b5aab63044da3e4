"""What an algorithm's words name is looked for before anything is begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rlkit
from rlkit.core.errors import UsageError
from rlkit.run.settings.options import Options


@pytest.mark.parametrize(
    ("algo", "task", "config", "said"),
    [
        ("heron", {"env": "Pendulum-v1"}, {"factors": "pendulm"}, "did you mean 'pendulum'"),
        ("heron", {"env": "InvertedPendulum-v5"}, {}, "those of Pendulum-v1"),
        ("spo", {"env": "Pendulum-v1"}, {"teacher": "ratonal"}, "ratonal"),
        ("pebble", {"env": "Pendulum-v1"}, {"advantages": "x:y"}, "for a teacher by regret"),
        (
            *("pebble", {"env": "Pendulum-v1"}),
            *({"teacher": "regret", "advantages": "f"}, "name a function of"),
        ),
        ("sf_regret", {}, {"features": "nothing"}, "name nothing"),
    ],
)
def test_words_that_name_nothing_leave_nothing(
    algo: str,
    task: dict[str, str],
    config: dict[str, Any],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    offline: Callable[..., Options],
) -> None:
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=said):
        rlkit.train(algo, **(task or {"dataset": offline().dataset}), config=config, out=str(out))
    told = capsys.readouterr()
    assert told.out + told.err == "", "the opening lines are of a training that begins"
    assert not out.exists()

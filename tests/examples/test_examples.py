"""Every file of `examples/` runs as it stands, small."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
SAYS = {  # what must be among the words printed
    "bandits": "ts_beta - kl_ucb: resolved",
    "callback": "stopped at step 100",
    "off_policy": "truth",
    "own_environment": "played",
    "own_nets": "loss of Q in each lane",
    "own_loop": "distance from the best action",
    "own_stream": "share of what could be earned",
    "solve_a_model": "service in states",
    "sweep": "page runs/sweeps/shop/report/report.html",
    "train_offline": "one episode of the loaded policy",
    "train_online": "continued to step 900",
    "with_stable_baselines3": "its own episodes",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    monkeypatch.setattr(sys, "argv", [str(path), "--quick"])
    runpy.run_path(str(path), run_name="__main__")
    assert SAYS[path.stem] in capsys.readouterr().out

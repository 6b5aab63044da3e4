from __future__ import annotations

from pathlib import Path

import pytest

from rlkit.cli.main import main
from rlkit.sweeps import plan
from rlkit.sweeps.probe import estimate
from rlkit.sweeps.store import Store

from ..sweeps.sweep_files import BANDITS, records, write


def test_a_sweep_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, BANDITS + '[budgets.smoke]\nseeds = "0:2"\n')
    assert main(["sweep", str(path), "--budget", "smoke", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "bandits, budget smoke: 4 cells (2 systems, 1 tasks, 2 combinations, 2 seeds)" in said
    assert "folder runs/sweeps/bandits-smoke" in said
    folder = tmp_path / "runs" / "sweeps" / "bandits-smoke"
    assert len(records(folder)) == 2
    assert (folder / "sweep.toml").read_text() == path.read_text()
    assert main(["status", str(path), "--budget", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "ucb1 on easy" in said
    assert "100%" in said
    assert main(["status", str(folder)]) == 0
    assert capsys.readouterr().out == said


def test_what_the_file_no_longer_asks_for_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path, BANDITS), tmp_path / "out"
    with Store(out, create=True) as store:
        store.plan(plan.read(path))
        store.base.execute("update runs set status = 'done', reached = steps")
    path.write_text(BANDITS.replace('systems.moss = { policy = "moss" }', ""))
    assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert "4 cells there are no longer in the file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fail-fast", "--keep-going"], "not both"),
        (["--workers", "-1"], "must not be negative"),
        (["--address", "1.2.3.4:5"], "--address needs --engine ray"),
        (["--engin", "ray"], "did you mean '--engine'"),
        (["--budget", "smal"], "has no budget 'smal'"),
        (["--search"], "has no [search]"),
    ],
)
def test_wrong_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    path = write(tmp_path, BANDITS)
    assert main(["sweep", str(path), "--out", str(tmp_path / "out"), "--quiet", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("rlkit: error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "sweep.sqlite").exists()


def test_an_unknown_dataset_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'tasks.hopper = { dataset = "rlkit/hopper/medum-v0" }\nsystems.bc = { algo = "bc" }\n'
    path = write(tmp_path, text)
    assert main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "did you mean 'rlkit/hopper/medium-v1'" in capsys.readouterr().err


def test_status_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "is not a sweep's folder" in capsys.readouterr().err


def test_time_is_estimated_from_a_probe_that_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, BANDITS.replace("steps = 500, runs = 2", "steps = 100_000, runs = 50"))
    lines: list[str] = []
    one = estimate(plan.read(path), 1, note=lines.append)
    assert len(lines) == 2
    assert one > 0
    assert list(tmp_path.iterdir()) == [path]

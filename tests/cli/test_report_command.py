"""`rlkit report` and `rlkit compare`: what they print, write and refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.cli.report_command import compare, report
from rlkit.core.errors import RunError, UsageError

from ..reports.run_folders import run_folder

SWEEP = """
name = "little"
[tasks.hopper]
env = "Hopper-v5"
[systems.sac]
algo = "sac"
[budgets.smoke]
seeds = "0:1"
"""


def fill(folder: Path, shift: float = 0.0) -> Path:
    for system in ("bc", "iql"):
        for task in ("hopper", "walker"):
            returns = {seed: [1.0, 5.0 + seed * seed + shift] for seed in range(3)}
            run_folder(folder, system, task, returns, reference=[0.0, 10.0])
    return folder


def test_report_prints_tables_warnings_and_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    report([str(tmp_path)])
    said = capsys.readouterr().out
    assert said.startswith("tried: 2 systems on 2 tasks, 3 seeds; all 12 cells finished")
    assert "Over all tasks" in said
    assert "mean return" in said
    assert "note   With 3 seeds a task" in said
    for line in said.splitlines():
        word, _, path = line.partition("   ")
        if word in ("page", "text", "csv"):
            assert Path(path.strip()).exists()
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "report" / "csv" / "differences.csv").exists()


def test_report_with_everything_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "sweep")
    out = tmp_path / "elsewhere"
    words = [str(tmp_path / "sweep"), "--out", str(out), "--baseline", "iql", "--quiet"]
    report([*words, "--export", "csv,json"])
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == [
        "page",
        "text",
        "csv",
        *["export"] * 4,
    ]
    assert "Differences from iql" in (out / "report.html").read_text()
    assert (out / "export" / "curves.json").exists()
    assert not (tmp_path / "sweep" / "report").exists()


def test_a_sweep_file_leads_to_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("little.toml").write_text(SWEEP)
    fill(Path("runs", "sweeps", "little"))
    with pytest.raises(UsageError, match="has not been run: there is no"):
        report(["little.toml", "--budget", "smoke"])
    fill(Path("runs", "sweeps", "little-smoke"))
    report(["little.toml", "--quiet"])
    assert "runs/sweeps/little/report/report.html" in capsys.readouterr().out
    report(["little.toml", "--budget", "smoke", "--quiet"])
    assert "runs/sweeps/little-smoke/report/report.html" in capsys.readouterr().out
    with pytest.raises(UsageError, match="has no budget 'other'"):
        report(["little.toml", "--budget", "other"])


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["nowhere.toml"], UsageError, "there is no sweep file or folder nowhere.toml"),
        (["."], RunError, "has no runs/"),
        (["full", "--baseline", "iqk"], UsageError, "no system 'iqk' in full; did you mean 'iql'"),
        (["full", "--export", "cvs"], UsageError, "did you mean 'csv'"),
        (["full", "--budget", "smoke"], UsageError, "full is a folder"),
        (["full", "--basline", "bc"], UsageError, "did you mean '--baseline'"),
        ([], UsageError, "rlkit report"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("full"))
    with pytest.raises(error, match=message):
        report(words)
    assert not Path("full", "report").exists()


def test_compare_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = fill(tmp_path / "a"), fill(tmp_path / "b", shift=2.0)
    compare([str(a), str(b)])
    said = capsys.readouterr().out
    assert "4 of 4 moved, resolved at 95 %." in said
    assert "+2.00" in said
    assert "wrote" not in said
    compare([str(a), str(b), "--out", str(tmp_path / "out")])
    assert "wrote" in capsys.readouterr().out
    assert (tmp_path / "out" / "compare.md").exists()
    assert (tmp_path / "out" / "compare.csv").exists()
    compare([str(a), str(a)])
    assert "0 of 4 moved" in capsys.readouterr().out


def test_compare_needs_two_sweeps(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    with pytest.raises(UsageError, match="there is no sweep file or folder"):
        compare([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(UsageError):
        compare([str(tmp_path / "a")])


def test_a_report_starts_light() -> None:
    """No torch, no environment, no plots: a table of 10,000 cells should come at once."""
    code = (
        "import sys, rlkit.reports.report, rlkit.reports.compare, rlkit.reports.formats.exports;"
        "heavy = {'torch', 'gymnasium', 'matplotlib', 'minari', 'tyro', 'scipy.stats'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

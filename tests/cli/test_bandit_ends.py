"""`rlkit bandit` where there is little to draw, and what it leaves behind when it is cut short."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from rlkit.cli import bandit_command
from rlkit.cli.main import main

Output = pytest.CaptureFixture[str]
FEW = ["--policies", "ucb1, random", "--runs=3"]


@pytest.mark.parametrize(
    ("env", "options"),
    [
        ("armed(means=[0.5])", ["--horizon=20"]),  # one arm
        ("armed(means=[0.5, 0.5, 0.5])", ["--horizon=20"]),  # equal arms
        ("armed(means=[0.0, 0.0])", ["--horizon=20"]),
        ("armed(means=[0.9, 0.4])", ["--horizon=1"]),
        ("armed(means=[0.9, 0.4])", ["--horizon=1", "--runs=1"]),
        ("armed(means=[0.9, 0.4])", ["--horizon=2"]),
        ("random_means(arms=1)", ["--horizon=5"]),
    ],
)
def test_little_to_draw_is_no_error(
    env: str, options: list[str], tmp_path: Path, capsys: Output
) -> None:
    out = tmp_path / "o"
    assert main(["bandit", "--env", env, *FEW, *options, f"--out={out}"]) == 0
    said = capsys.readouterr()
    assert not said.err
    assert (out / "regret.png").stat().st_size > 5000
    if "0.9" not in env:
        assert "least: ucb1; not told apart from it: random" in said.out
    record = json.loads((out / bandit_command.RECORD).read_text())
    assert np.isfinite(record["table"]["ucb1"]["regret"])


def run(out: Path) -> int:
    line = ["bandit", "--env", "armed(means=[0.9, 0.4])", *FEW, "--horizon=9", f"--out={out}"]
    return main(line)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_call_after_a_kill_writes_what_is_missing(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short before the file number `after` gets its name: the others are whole."""
    from rlkit.core.files import replacing

    done: list[Path] = []
    put = replacing._put

    def cut(temporary: Path, path: Path) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        put(temporary, path)
        done.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(replacing, "_put", cut)
        with contextlib.suppress(KeyboardInterrupt):
            run(tmp_path / "o")
    left = {path.name for path in (tmp_path / "o").iterdir()}
    assert left == {path.name for path in done}
    assert len(left) == after
    assert run(tmp_path / "o") == 0
    names = {path.name for path in (tmp_path / "o").iterdir()}
    pictures = {f"{name}.{form}" for name in ("regret", "pulls") for form in ("png", "svg")}
    assert names == {"bandit.json", "regret.npz", *pictures}


def test_a_folder_with_what_a_killed_process_was_writing_is_free(tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (out / ".regret.npz.123.tmp").write_bytes(b"half")
    assert run(out) == 0


def test_a_damaged_record_is_named(tmp_path: Path, capsys: Output) -> None:
    for text in ("{", "[]", "3", '{"other": 1}'):
        (tmp_path / "bandit.json").write_text(text)
        assert run(tmp_path) == 1
        assert "bandit.json is damaged" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named_before_the_work(
    tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "o") == 1
    said = capsys.readouterr()
    assert "file" in said.err
    assert "Mpulls" not in said.out

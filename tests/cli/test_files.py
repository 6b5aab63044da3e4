"""Files that commands write: their names, their kinds, and that none is ever half there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from rlkit.cli.main import main
from rlkit.eval import records
from rlkit.eval.records import Episode, read_episodes
from rlkit.run import train as training

Output = pytest.CaptureFixture[str]


@pytest.fixture
def run(offline, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    return training.train(offline()).folder


def test_episodes_of_an_evaluation_appear_when_all_are_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    append, out = records.append_episodes, tmp_path / "new" / "episodes.csv"

    def full(path: str | Path, episodes: Iterable[Episode]) -> None:
        append(path, list(episodes)[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "append_episodes", full)
    assert main(["eval", str(run), "--episodes=2", f"--out={out}"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert not list(out.parent.iterdir())
    monkeypatch.setattr(records, "append_episodes", append)
    assert main(["eval", str(run), "--episodes=2", f"--out={out}"]) == 0
    assert len(read_episodes(out)) % 2 == 0
    assert [path.name for path in out.parent.iterdir()] == ["episodes.csv"]

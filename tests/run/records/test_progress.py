"""Reports: lines when there is news, nothing when quiet."""

from __future__ import annotations

import io

import pytest

from rlkit.run.records import progress
from rlkit.run.records.progress import Bar, Lines, Silent, reporter


def test_lines_tell_news_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    lines.start("run", 100, at=10)
    lines.update(20)  # nothing new
    lines.update(30, "return 1.0")
    lines.update(40, "return 1.0")
    lines.note("a note")
    lines.update(100, "return 1.0")
    lines.close()
    lines.close()
    told = stream.getvalue().splitlines()
    assert told[0].startswith("run 30/100")
    assert told[0].endswith("left  return 1.0")
    assert told[1] == "a note"
    assert told[-1] == "run 100/100  return 1.0"
    assert len(told) == 3


def test_long_silence_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    lines.start("run", 1000)
    for step in range(1, 6):
        lines.update(step)
    assert 1 <= len(stream.getvalue().splitlines()) < 5


def test_time_left_is_shared_out_evenly() -> None:
    assert progress._time_left(10.0, 10, 90).strip() == "1:30 left"
    assert progress._time_left(60.0, 1, 100).strip() == "1:40:00 left"
    assert progress._time_left(10.0, 0, 90) == ""


def test_quiet_and_pipes_get_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(reporter(quiet=True), Silent)
    assert isinstance(reporter(), Lines)
    silent = Silent()
    silent.start("run", 3)
    silent.update(1, "x")
    silent.note("x")
    silent.close()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = reporter()
    assert isinstance(bar, Bar)
    bar.start("run", 10)
    bar.update(10, "return 1.0")
    bar.note("[kept] as it is")
    bar.start("second", 5, at=1)
    bar.close()
    assert "[kept] as it is" in capsys.readouterr().err

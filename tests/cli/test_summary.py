"""What a run has come to is told with intervals, and set against the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlkit.cli.summary import summarise
from rlkit.eval.records import Episode, append_episodes, read_episodes


def table(tmp_path: Path, returns: dict[int, list[float]]) -> np.ndarray:
    path = tmp_path / "episodes.csv"
    for step in (5, 10):
        for lane, values in returns.items():
            shift = 0.0 if step == 10 else -1000.0
            append_episodes(
                path,
                [
                    Episode(lane, 40 + lane, step, i, v + shift, 9, True)
                    for i, v in enumerate(values)
                ],
            )
    return read_episodes(path)


def test_summary_is_of_the_last_evaluation(tmp_path: Path) -> None:
    rows = table(tmp_path, {0: [10.0, 12.0, 14.0], 1: [-4.0, 0.0, 4.0]})
    reference = {"random": 0.0, "expert": 20.0, "expert_name": "e", "episodes": None}
    reference |= {"score_name": "rlkit score"}
    told = summarise(rows, "title", {"behaviour_return": 5.0, "reference": reference})
    assert [(one.seed, one.step, one.returns.point) for one in told.lanes] == [
        (40, 10, 12.0),
        (41, 10, 0.0),
    ]
    low, high = told.lanes[0].returns.low, told.lanes[0].returns.high
    assert 10 <= low < 12 < high <= 14
    assert told.mean is not None
    assert told.mean.point == 6.0
    lines = str(told).splitlines()
    assert lines[0] == "title"
    assert "rlkit score 0.60" in lines[1]
    assert "3 episodes at step 10, above the data; best 12.00 at step 10" in lines[1]
    assert "below the data" in lines[2]
    assert "5.00" in lines[4]


def test_summary_of_one_lane_that_cannot_be_told_from_the_data(tmp_path: Path) -> None:
    rows = table(tmp_path, {0: [0.0, 10.0, 20.0]})
    told = str(summarise(rows, "title", {"behaviour_return": 9.0, "reference": None}))
    assert "about the data" in told
    assert "mean " not in told.splitlines()[1]
    assert "seeds" not in told


def test_last_and_best_are_told_with_their_steps(tmp_path: Path) -> None:
    path = tmp_path / "episodes.csv"
    for step, value in ((5, 1.0), (10, 30.0), (15, float("nan")), (20, 7.0)):
        append_episodes(path, [Episode(0, 0, step, 0, value, 9, True)])
    told = summarise(read_episodes(path), "title")
    assert (told.lanes[0].best, told.lanes[0].best_step) == (30.0, 10)
    assert "return 7.00" in str(told)
    assert "1 episodes at step 20; best 30.00 at step 10" in str(told)
    assert "best" not in str(summarise(read_episodes(path)[:1], "title"))


def test_summary_of_a_diverged_lane(tmp_path: Path) -> None:
    rows = table(tmp_path, {0: [1.0, float("nan")], 1: [1.0, 2.0]})
    told = str(summarise(rows, "title"))
    assert "not finite" in told.splitlines()[1]
    assert "not finite" in told.splitlines()[3]

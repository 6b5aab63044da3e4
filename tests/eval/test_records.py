"""Run-folder records: exact bytes, kills at any byte, and errors that name the line."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rlkit.eval import records
from rlkit.eval.records import Episode

AWKWARD = [0.1 + 0.2, -0.0, 1e-320, 1e300, np.pi, 1.0, float(np.float32(0.1)), -np.inf]


def some_episodes(step=0):
    return [
        Episode(lane, 100 + lane, step, e, AWKWARD[4 * lane + e], 10 + e, e % 2 == 0)
        for lane in range(2)
        for e in range(4)
    ]


def test_episodes_read_back_exactly(tmp_path):
    path = tmp_path / "episodes.csv"
    assert len(records.read_episodes(path)) == 0
    records.append_episodes(path, some_episodes(0))
    records.append_episodes(path, some_episodes(1000))
    rows = records.read_episodes(path)
    assert rows.dtype.names == records.COLUMNS
    assert [tuple(row) for row in rows.tolist()] == [
        tuple(e) for e in some_episodes(0) + some_episodes(1000)
    ]
    assert np.signbit(rows["return"][1])
    assert rows["terminated"].dtype == bool


def test_the_file_is_plain_csv(tmp_path):
    path = tmp_path / "episodes.csv"
    records.append_episodes(
        path, [Episode(np.int64(0), 7, 50, 0, np.float32(0.5), 12, np.bool_(True))]
    )
    assert path.read_bytes() == (
        b"lane,seed,step,episode,return,length,terminated\n0,7,50,0,0.5,12,1\n"
    )


def test_a_diverged_episode_is_kept(tmp_path):
    path = tmp_path / "episodes.csv"
    records.append_episodes(path, [Episode(0, 0, 0, 0, np.nan, 3, False)])
    assert np.isnan(records.read_episodes(path)["return"]).all()


def test_no_episodes_make_a_header(tmp_path):
    path = tmp_path / "episodes.csv"
    records.append_episodes(path, [])
    assert path.read_text() == records.HEADER + "\n"
    assert len(records.read_episodes(path)) == 0
    assert records.read_episodes(path).dtype == records.DTYPE


def test_a_kill_at_any_byte_loses_only_the_line_being_written(tmp_path):
    whole = tmp_path / "whole.csv"
    records.append_episodes(whole, some_episodes())
    data = whole.read_bytes()
    path = tmp_path / "episodes.csv"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        survived = max(0, data[:cut].count(b"\n") - 1)
        assert len(records.read_episodes(path)) == survived
        records.append_episodes(path, some_episodes()[survived:])
        assert path.read_bytes() == data


def test_resumed_run_has_the_bytes_of_an_unbroken_one(tmp_path):
    unbroken, resumed = tmp_path / "a.csv", tmp_path / "b.csv"
    for step in (0, 100, 200, 300):
        records.append_episodes(unbroken, some_episodes(step))
    for step in (0, 100, 200):
        records.append_episodes(resumed, some_episodes(step))
    with resumed.open("ab") as file:
        file.write(b"0,100,300,0,0.3000")  # killed while writing; last checkpoint at step 100
    assert records.truncate_after(resumed, 100) == 8
    for step in (200, 300):
        records.append_episodes(resumed, some_episodes(step))
    assert resumed.read_bytes() == unbroken.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_truncate_keeps_the_header_and_needs_no_file(tmp_path):
    path = tmp_path / "episodes.csv"
    assert records.truncate_after(path, 0) == 0
    assert not path.exists()
    records.append_episodes(path, some_episodes(10))
    assert records.truncate_after(path, 9) == 8
    assert path.read_text() == records.HEADER + "\n"
    with pytest.raises(ValueError, match=r"a \.csv of episodes or a \.jsonl"):
        records.truncate_after(tmp_path / "notes.txt", 0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("0,1,2,3,4.0,5", "line 3: 6 columns instead of 7"),
        ("0,1,2,3,4.0,5,1,9", "line 3: 8 columns instead of 7"),
        ("0,1,2.5,3,4.0,5,1", "line 3: step is '2.5', not a number"),
        ("0,1,2,3,high,5,1", "line 3: return is 'high', not a number"),
        ("0,1,2,3,4.0,5,2", "line 3: terminated is '2', not 0 or 1"),
        ("0,1,2,3,4.0,5,True", "line 3: terminated is 'True', not a number"),
        ("", "line 3: 1 columns"),
    ],
)
def test_a_bad_row_is_named(tmp_path, bad, message):
    path = tmp_path / "episodes.csv"
    path.write_text(f"{records.HEADER}\n0,0,0,0,1.0,5,1\n{bad}\n0,0,0,1,1.0,5,1\n")
    with pytest.raises(ValueError, match=message) as error:
        records.read_episodes(path)
    assert str(path) in str(error.value)


def test_another_header_is_refused(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("lane,return\n0,1.0\n")
    with pytest.raises(ValueError, match="line 1: expected the header"):
        records.read_episodes(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match="not a text file"):
        records.read_episodes(path)


def test_mean_returns_average_a_lane_at_a_step(tmp_path):
    path = tmp_path / "episodes.csv"
    rng = np.random.default_rng(0)
    returns = rng.normal(size=(3, 4, 5))  # [S, T, episodes]
    for t in range(4):
        records.append_episodes(
            path,
            [
                Episode(k, 40 - k, 500 * t, e, returns[k, t, e], 9, True)
                for k in range(3)
                for e in range(5)
            ],
        )
    rows = records.read_episodes(path)
    seeds, steps, means = records.mean_returns(rng.permutation(rows))
    assert_array_equal(seeds, [40, 39, 38])
    assert_array_equal(steps, [0, 500, 1000, 1500])
    np.testing.assert_allclose(means, returns.mean(-1))
    with pytest.raises(ValueError, match="lane 1 has no episode at step 1500"):
        records.mean_returns(rows[~((rows["lane"] == 1) & (rows["step"] == 1500))])
    with pytest.raises(ValueError, match="no episodes"):
        records.mean_returns(rows[:0])


def test_progress_reads_back(tmp_path):
    path = tmp_path / "progress.jsonl"
    assert records.read_progress(path) == []
    records.append_progress(
        path,
        {
            "step": np.int64(5),
            "q_loss": np.array([0.1, np.nan], np.float64),
            "speed": np.float32(2.5),
            "phase": "offline",
            "nested": {"a": (1, True, None)},
        },
    )
    records.append_progress(path, {"step": 6, "x": np.inf})
    assert records.read_progress(path) == [
        {
            "step": 5,
            "q_loss": [0.1, None],
            "speed": 2.5,
            "phase": "offline",
            "nested": {"a": [1, True, None]},
        },
        {"step": 6, "x": None},
    ]
    for line in path.read_text().splitlines():  # strict JSON, which has no NaN
        json.loads(line, parse_constant=lambda word: pytest.fail(word))


def test_progress_survives_a_kill_and_truncates(tmp_path):
    path = tmp_path / "progress.jsonl"
    for step in range(0, 50, 10):
        records.append_progress(path, {"step": step, "note": "Zwölf π"})
    with path.open("ab") as file:
        file.write('{"step": 50, "note": "Zwö'.encode()[:-1])  # inside a character
    assert [r["step"] for r in records.read_progress(path)] == [0, 10, 20, 30, 40]
    assert records.truncate_after(path, 29) == 2
    assert records.truncate_after(path, 20) == 0
    records.append_progress(path, {"step": 30})
    assert [r["step"] for r in records.read_progress(path)] == [0, 10, 20, 30]


def test_bad_progress_is_named(tmp_path):
    path = tmp_path / "progress.jsonl"
    with pytest.raises(ValueError, match="integer 'step', got None"):
        records.append_progress(path, {"loss": 1.0})
    with pytest.raises(ValueError, match="cannot hold a set"):
        records.append_progress(path, {"step": 1, "loss": {1.0}})
    assert not path.exists()
    path.write_text('{"step": 1}\n{"step": \n')
    with pytest.raises(ValueError, match="line 2: not JSON"):
        records.read_progress(path)
    path.write_text('{"loss": 1}\n')
    with pytest.raises(ValueError, match="line 1: not a record"):
        records.read_progress(path)

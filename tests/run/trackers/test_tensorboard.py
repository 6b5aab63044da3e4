"""TensorBoard events beside the records."""

from __future__ import annotations

import errno
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlkit.core.errors import RunError
from rlkit.eval.records import mean_returns, read_episodes
from rlkit.run.settings.options import Options, resolve
from rlkit.run.trackers.tensorboard import Board
from rlkit.run.train import train


def test_events_tell_what_the_records_tell(offline: Callable[..., Options]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorBoard's own deprecations
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        result = train(offline(seeds=(0, 3), eval_episodes=2, track=("tensorboard",)))
        _, steps, returns = mean_returns(read_episodes(result.folder / "episodes.csv"))
        for lane, seed in enumerate(result.seeds):
            events = EventAccumulator(str(result.folder / "tensorboard" / f"seed_{seed}"))
            events.Reload()
            scalars = events.Scalars("evaluation_episodes/return_mean")
            assert [event.step for event in scalars] == steps.tolist()
            np.testing.assert_allclose([e.value for e in scalars], returns[lane], rtol=1e-6)
            assert "latest_update/q_loss" in events.Tags()["scalars"]
            found = events.summary_metadata["_hparams_/session_start_info"]
            assert b"config.tau" in found.plugin_data.content


def test_a_full_disk_is_told_in_our_words_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The thread that writes keeps its error for the next call, and prints no traceback."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    board = Board(tmp_path, (0,))
    write = RecordWriter.write

    def full(self: Any, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordWriter, "write", full)

    def fill() -> None:
        for step in range(100):
            board.metrics(step, {"q_loss": np.array([1.0])})
            board.episodes(step, [])

    with pytest.raises(RunError, match="tensorboard cannot be written: the disk is full"):
        fill()
    with pytest.raises(RunError, match="tensorboard cannot be written"):
        Board(tmp_path / "other", (1,))
    assert told == []
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.setattr(RecordWriter, "write", write)
    with pytest.raises(RunError, match="tensorboard cannot be written: the disk is full"):
        board.close()
    thread = threading.Thread(target=lambda: 1 / 0)  # others' threads are told of as before
    thread.start()
    thread.join()
    assert [one.exc_type for one in told] == [ZeroDivisionError]


def test_lanes_of_one_seed_have_a_folder_each(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        config = {"tau": (0.6, 0.9), "hidden": (8, 8)}
        options = resolve(Options("iql", dataset="x", seeds=(4, 4), config=config))
        board = Board(tmp_path, options.seeds, options, start=0)
        board.metrics(5, {"q_loss": np.array([1.0, 2.0]), "train_return": np.array([3.0, np.nan])})
        board.close()
        for lane, tau in enumerate((0.6, 0.9)):
            from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

            place = tmp_path / "tensorboard" / f"lane_{lane}_seed_4"
            events = EventAccumulator(str(place))
            events.Reload()
            assert [e.value for e in events.Scalars("latest_update/q_loss")] == [lane + 1.0]
            found = events.summary_metadata["_hparams_/session_start_info"].plugin_data
            values = HParamsPluginData.FromString(found.content).session_start_info.hparams
            assert values["config.tau"].number_value == tau
            assert values["seed"].number_value == 4
        tags = events.Tags()["scalars"]
        assert "finished_training_episodes/return_mean" not in tags  # there was none

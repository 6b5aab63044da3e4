"""What every tracker is told, one's own, and what happens when one fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rlkit.cli.main import main
from rlkit.core.errors import RunError, UsageError
from rlkit.core.files import trust
from rlkit.eval.records import Episode, read_episodes, read_progress
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.trackers import by_name, sink
from rlkit.run.train import resume, train
from tests.run.edited import edit

Build = Callable[..., Options]
OWN = "a_tracker_of_ones_own:Own"


class Own:
    """Remembers what it was told; fails where it is asked to."""

    made: list[Own] = []
    fails = ""

    def __init__(self, folder: Path, options: Options, start: int) -> None:
        self.folder, self.options, self.start = folder, options, start
        self.rows: list[tuple[int, Mapping[str, np.ndarray]]] = []
        self.heard: list[tuple[int, Sequence[Episode]]] = []
        self.closed: list[bool] = []
        self.made.append(self)
        self._perhaps("begin")

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        self._perhaps("metrics")
        self.rows.append((step, values))

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        self.heard.append((step, episodes))

    def close(self, finished: bool) -> None:
        self.closed.append(finished)

    def _perhaps(self, where: str) -> None:
        if self.fails == where:
            raise ConnectionError("the server\nis away")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> type[Own]:
    module: Any = ModuleType("a_tracker_of_ones_own")
    module.Own = Own
    monkeypatch.setitem(sys.modules, "a_tracker_of_ones_own", module)
    monkeypatch.setattr(Own, "made", [])
    monkeypatch.setattr(Own, "fails", "")
    monkeypatch.setattr(trust, "_named", {})
    return Own


def test_ones_own_hears_what_is_recorded(offline: Build, own: type[Own]) -> None:
    result = train(offline(seeds=(0, 3), track=(OWN,)))
    (told,) = own.made
    assert (told.folder, told.start, told.closed) == (result.folder, 0, [True])
    assert told.options.config.tau == 0.7
    recorded = list(read_progress(result.folder / "progress.jsonl"))
    assert [step for step, _ in told.rows] == [record["step"] for record in recorded]
    for (_, values), record in zip(told.rows, recorded, strict=True):
        np.testing.assert_allclose(values["q_loss"], record["q_loss"], rtol=1e-6)
    rows = read_episodes(result.folder / "episodes.csv")
    heard = [tuple(episode) for _, episodes in told.heard for episode in episodes]
    assert sorted(heard) == sorted(rows.tolist())


def test_going_on_is_told_with_its_step(offline: Build, own: type[Own]) -> None:
    folder = train(offline(track=(OWN,))).folder
    resume(folder, 60, quiet=True)
    first, second = own.made
    assert (first.start, second.start) == (0, 40)
    assert {step for step, _ in second.heard} == {50, 60}


def test_what_is_told_does_not_change_the_run(offline: Build, own: type[Own]) -> None:
    assert offline(track=(OWN,)).hash() == offline().hash()


def test_one_that_fails_is_left_out_with_a_note(offline: Build, own: type[Own]) -> None:
    own.fails = "metrics"
    result = train(offline(track=(OWN,)))
    assert result.step == 40
    (note,) = [note for note in result.notes if "tracker" in note]
    assert f"tracker {OWN} is left out from step 10 on: ConnectionError: the server is away" in note
    assert own.made[0].closed == []


def test_one_that_cannot_begin_is_an_error_of_one_line(offline: Build, own: type[Own]) -> None:
    own.fails = "begin"
    with pytest.raises(RunError, match=rf"^tracker {OWN} cannot begin: ConnectionError: the serv"):
        train(offline(track=(OWN,)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wandbb", r"unknown tracker 'wandbb'; did you mean 'wandb'\?"),
        ("no.such.module:Name", r"tracker 'no.such.module:Name': cannot import"),
        ("rlkit.run.trackers.sink:Nothing", "has no attribute 'Nothing'"),
        ("rlkit.run.trackers.sink:STEP", "STEP cannot be called"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_written(
    offline: Build, name: str, said: str
) -> None:
    asked = offline(track=(name,))
    with pytest.raises(UsageError, match=said):
        train(asked)
    assert not Path(asked.out or "").exists()


@pytest.mark.parametrize("name", by_name.TRACKERS)
def test_a_missing_package_is_named(
    offline: Build, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, by_name.TRACKERS[name][1], None)
    with pytest.raises(UsageError, match=rf"--track {name} needs more packages: pip .*\[{name}\]"):
        train(offline(track=(name,)))


def test_a_file_alone_does_not_have_code_imported(offline: Build, own: type[Own]) -> None:
    folder = train(offline(track=(OWN,))).folder
    trust._named.clear()
    with pytest.raises(UsageError, match=r"is no part of rlkit.*say --trust"):
        resume(folder, 60, quiet=True)
    with trust.trusting():
        assert resume(folder, 60, quiet=True).step == 60


@pytest.mark.parametrize(("old", "new"), [(False, ()), (True, ("tensorboard",))])
def test_runs_from_before_trackers_had_names(
    offline: Build, old: bool, new: tuple[str, ...]
) -> None:
    folder = train(offline()).folder

    def back(config: dict[str, Any]) -> None:
        del config["options"]["track"]
        config["options"]["tensorboard"] = old

    edit(folder / "config.json", back)
    assert run_folder.options(folder).track == new
    config = json.loads((folder / "config.json").read_text())
    assert config["hash"] == run_folder.options(folder).hash()


def test_numbers_have_names_with_scope_and_unit() -> None:
    values = {"q_loss": np.array([1.0, np.nan]), "train_return": np.array([np.inf, 3.0])}
    assert sink.latest(values, 0) == {"latest_update/q_loss": 1.0}
    assert sink.latest(values, 1) == {"finished_training_episodes/return_mean": 3.0}
    episodes = [Episode(0, 5, 10, n, 2.0 * n, 4, True) for n in range(3)]
    assert sink.evaluation(episodes, 1) == {}
    assert sink.evaluation(episodes, 0) == {
        "evaluation_episodes/return_mean": 2.0,
        "evaluation_episodes/return_std": pytest.approx(np.sqrt(8 / 3)),
        "evaluation_episodes/length_mean_steps": 4.0,
    }


def test_the_command_line_takes_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "sac", "--env", "Pendulum-v1", "--track", "tensorboard,nothing"]
    assert main(given) == 2
    assert "unknown tracker 'nothing'" in capsys.readouterr().err
    assert main(["train", "sac", "--tensorboard"]) == 2
    assert "did you mean '--track'?" in capsys.readouterr().err

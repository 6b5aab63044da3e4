"""MLflow while a training runs: by a stand-in always, by the package itself where it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlkit.eval.records import mean_returns, read_episodes
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from tests.run.trackers.stand_ins import Store, instead_of_mlflow

Build = Callable[..., Options]
RETURN = "evaluation_episodes/return_mean"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return instead_of_mlflow(monkeypatch)


def test_a_run_for_each_lane(offline: Build, dataset: str, store: Store) -> None:
    result = train(offline(seeds=(0, 3), track=("mlflow",)))
    assert store.uri == f"sqlite:///{result.folder / 'mlflow' / 'mlflow.db'}"
    assert [*store.experiments] == [f"iql {dataset}"]
    runs = list(store.runs.values())
    assert [run.data.tags["mlflow.runName"] for run in runs] == ["run/seed_0", "run/seed_3"]
    assert [run.data.params["seed"] for run in runs] == ["0", "3"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    _, steps, returns = mean_returns(read_episodes(result.folder / "episodes.csv"))
    for lane, run in enumerate(runs):
        told = [(step, value) for name, value, step in run.data.metrics if name == RETURN]
        assert told == list(zip(steps.tolist(), returns[lane].tolist(), strict=True))
        assert sum(name == "latest_update/q_loss" for name, _, _ in run.data.metrics) == 4


def test_going_on_is_the_same_run_and_another_training_another(
    offline: Build, store: Store, tmp_path: Path
) -> None:
    folder = train(offline(track=("mlflow",)), lambda event: False).folder
    (first,) = store.runs.values()
    assert first.info.status == "KILLED"
    resume(folder, quiet=True)
    assert (len(store.runs), first.info.status) == (1, "FINISHED")
    train(offline(track=("mlflow",), out=str(tmp_path / "other")))
    assert len(store.runs) == 2


def test_it_goes_where_the_environment_says(
    offline: Build, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    folder = train(offline(track=("mlflow",))).folder
    assert store.uri == "http://somewhere:5000"
    assert not (folder / "mlflow").exists()


@pytest.mark.filterwarnings("ignore")  # its own deprecations
def test_the_package_itself(offline: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="mlflow's store needs it")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = train(offline(track=("mlflow",)), lambda event: False)
    resume(result.folder, quiet=True)
    client = MlflowClient(f"sqlite:///{result.folder / 'mlflow' / 'mlflow.db'}")
    (number,) = [e.experiment_id for e in client.search_experiments() if e.name.startswith("iql")]
    (run,) = client.search_runs([number])
    assert run.info.status == "FINISHED"
    assert run.data.params["config.tau"] == "0.7"
    _, steps, returns = mean_returns(read_episodes(result.folder / "episodes.csv"))
    told = {
        metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, RETURN)
    }
    assert told == dict(zip(steps.tolist(), returns[0].tolist(), strict=True))

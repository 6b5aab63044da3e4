"""MLflow: an MLflow run for each lane, in an experiment of the algorithm and its task.

Needs the extra `mlflow`. They go to `MLFLOW_TRACKING_URI` where that is set, else to
`mlflow/mlflow.db` (SQLite) of the run folder, which `mlflow ui --backend-store-uri sqlite:///FILE`
shows. A training that goes on from a checkpoint goes on with the same MLflow run. Finished sweeps
are another matter: `rlkit report SWEEP --export mlflow`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.eval.records import Episode
from rlkit.run.records.folder import writing
from rlkit.run.settings.options import Options
from rlkit.run.trackers import sink

# MLflow takes so many of each in one call, and such long values of parameters.
_MOST, _LENGTH = {"params": 100, "metrics": 1000}, 6000


class Experiment:
    """The sink of `--track mlflow`."""

    def __init__(self, folder: Path, options: Options, start: int) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self.make = Metric
        remote, store = os.environ.get("MLFLOW_TRACKING_URI"), (folder / "mlflow").resolve()
        if not remote:
            with writing(store):
                store.mkdir(parents=True, exist_ok=True)
        self.client: Any = MlflowClient(tracking_uri=remote or f"sqlite:///{store / 'mlflow.db'}")
        artifacts = None if remote else store.as_uri()
        number = experiment(self.client, f"{options.algo} {_task(options)}", artifacts)
        self.runs = []
        for lane, name in enumerate(sink.lane_names(options.seeds)):
            known = f"{folder.resolve()} {options.hash()} {name}"
            old = self._old(number, known) if start else None
            if old is not None:
                self.client.update_run(old, status="RUNNING")
                self.runs.append(old)
                continue
            tags = {"mlflow.runName": f"{folder.name}/{name}", "rlkit.run": known}
            made = self.client.create_run(number, tags=tags).info.run_id
            values = sink.hyperparameters(options, lane)
            log(self.client, made, params=[Param(*pair) for pair in params(values).items()])
            self.runs.append(made)

    def _old(self, number: str, known: str) -> str | None:
        """The MLflow run that told the beginning of this training."""
        wanted = f"tags.`rlkit.run` = '{known}'"
        found = self.client.search_runs([number], filter_string=wanted, max_results=1)
        return found[0].info.run_id if found else None

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        for lane in range(len(self.runs)):
            self._log(lane, step, sink.latest(values, lane))

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        for lane in range(len(self.runs)):
            self._log(lane, step, sink.evaluation(episodes, lane))

    def _log(self, lane: int, step: int, numbers: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self.make(name, value, now, step) for name, value in numbers.items()]
        log(self.client, self.runs[lane], metrics=metrics)

    def close(self, finished: bool) -> None:
        for run in self.runs:
            self.client.set_terminated(run, "FINISHED" if finished else "KILLED")


def experiment(client: Any, name: str, artifacts: str | None) -> str:
    """The id of the experiment of that name, made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name, artifact_location=artifacts)
    return found.experiment_id


def params(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as MLflow takes them: text of a bounded length, none empty."""
    texts = {name: str(value)[:_LENGTH] for name, value in values.items()}
    return {name: text for name, text in texts.items() if text}


def log(client: Any, run: str, **lists: Sequence[Any]) -> None:
    """Log `params` or `metrics` of a run, as many in a call as MLflow takes."""
    for kind, entries in lists.items():
        for k in range(0, len(entries), _MOST[kind]):
            client.log_batch(run, **{kind: entries[k : k + _MOST[kind]]})


def _task(options: Options) -> str:
    return (options.dataset if options.kind == "offline" else options.env) or ""

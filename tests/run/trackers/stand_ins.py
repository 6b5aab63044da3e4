"""Stand-ins for the trackers' packages, which remember what they were told."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


# --- MLflow ---------------------------------------------------------------------------------------
class Store:
    """The part of MLflow's client that is used, in memory."""

    def __init__(self) -> None:
        self.uri = ""
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, SimpleNamespace] = {}
        self.made = 0

    def client(self, tracking_uri: str) -> Store:
        self.uri = tracking_uri
        return self

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        number = self.experiments.get(name)
        return None if number is None else SimpleNamespace(experiment_id=number)

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        self.experiments[name] = "1"
        return "1"

    def search_runs(
        self,
        experiments: list[str],
        filter_string: str = "",
        max_results: int = 1000,
        page_token: str | None = None,
    ) -> Any:
        """Two runs a page; a filter knows one tag."""
        runs = list(self.runs.values())
        if filter_string:
            tag, value = re.fullmatch(r"tags\.`(.+)` = '(.+)'", filter_string).groups()  # type: ignore[union-attr]
            runs = [run for run in runs if run.data.tags.get(tag) == value]
        start = int(page_token or 0)
        page = type("Page", (list,), {})(runs[start : start + 2])
        page.token = str(start + 2) if start + 2 < len(runs) else None
        return page

    def create_run(self, experiment: str, start_time: int = 0, tags: Any = None) -> Any:
        self.made += 1
        run = SimpleNamespace(
            info=SimpleNamespace(run_id=f"r{self.made}", status=""),
            data=SimpleNamespace(tags=tags, params={}, metrics=[]),
        )
        self.runs[run.info.run_id] = run
        return run

    def update_run(self, number: str, status: str) -> None:
        self.runs[number].info.status = status

    def delete_run(self, number: str) -> None:
        del self.runs[number]

    def log_batch(self, number: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self.runs[number].data.params.update(params)
        self.runs[number].data.metrics += metrics

    def set_terminated(self, number: str, status: str, end_time: int = 0) -> None:
        self.runs[number].info.status = status


def instead_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that `import mlflow` leads to, for the rest of a test."""
    found = Store()
    names = ("mlflow", "mlflow.tracking", "mlflow.entities")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["mlflow.tracking"].MlflowClient = found.client
    modules["mlflow.entities"].Metric = lambda key, value, time, step: (key, value, step)
    modules["mlflow.entities"].Param = lambda key, value: (key, value)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return found


# --- Weights & Biases -----------------------------------------------------------------------------
class Run:
    """A run of Weights & Biases."""

    def __init__(self, **given: Any) -> None:
        self.given, self.rows, self.axes = given, [], {}
        self.exit_code: int | None = None

    def define_metric(self, name: str, step_metric: str) -> None:
        self.axes[name] = step_metric

    def log(self, row: dict[str, float]) -> None:
        assert self.exit_code is None
        self.rows.append(row)

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def instead_of_wandb(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that `wandb.init` makes, for the rest of a test."""
    runs: list[Run] = []

    def init(**given: Any) -> Run:
        runs.append(Run(**given))
        return runs[-1]

    module: Any = ModuleType("wandb")
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return runs

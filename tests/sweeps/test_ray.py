"""A Ray cluster of two nodes on this machine; one of them is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as TwoNodes

from rlkit.core.errors import RlkitError
from rlkit.run import child
from rlkit.run.records.progress import Silent
from rlkit.sweeps import plan
from rlkit.sweeps.ray_engine import Cluster, work
from rlkit.sweeps.runner import sweep

from .sweep_files import MIXED, TRAININGS, Inside, records, write

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_worker_niceness", "0")  # other tests run beside these
    cluster = TwoNodes(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    ray.init(cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_the_same_results_as_here_and_a_lost_node_is_survived(nodes: Any, tmp_path: Path) -> None:
    path = write(tmp_path, TRAININGS.replace("steps = 120", "steps = 240"))
    engine = Cluster()
    assert engine.slots == 2
    told = Notes()

    def lose() -> None:
        while len(engine.active) < 2 or not list((tmp_path / "ray").glob("runs/*/checkpoints/*")):
            time.sleep(0.1)
        nodes.remove_node(nodes.second, allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    finished = sweep(plan.read(path), tmp_path / "ray", engine=engine, report=told)
    losing.join()
    assert (finished.done, finished.failed) == (4, {})
    assert any("waits again" in text for text in told.texts), "a run was lost with its node"
    sweep(plan.read(path), tmp_path / "here", engine=Inside(), report=Silent())
    assert records(tmp_path / "ray") == records(tmp_path / "here")


@pytest.mark.slow
def test_tabular_and_bandit_cells_too(nodes: Any, tmp_path: Path) -> None:
    path = write(tmp_path, MIXED[: MIXED.index("[systems.vi]")])
    finished = sweep(plan.read(path), tmp_path / "ray", engine=Cluster(), report=Silent())
    assert (finished.done, finished.failed) == (3, {})
    sweep(plan.read(path), tmp_path / "here", engine=Inside(), report=Silent())
    assert records(tmp_path / "ray") == records(tmp_path / "here")


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_a_folder_that_nodes_do_not_share_is_said(tmp_path: Path) -> None:
    failed = work({"folder": str(tmp_path / "sweep" / "runs" / "one")}, child.known())
    assert failed is not None
    text, lanes = failed
    assert lanes == ()
    assert "shared file system" in text


def test_an_address_without_a_cluster_is_said() -> None:
    with pytest.raises(RlkitError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        Cluster("127.0.0.1:1")


def test_a_cluster_of_our_own_listens_to_this_machine_alone() -> None:
    engine = Cluster(slots=1)
    try:
        assert engine.ray.util.get_node_ip_address() == "127.0.0.1"
        assert engine.ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")
    finally:
        engine.close()

"""Runs of a sweep on a Ray cluster (the extra `ray`).

The sweep's folder must lie on a file system that every node sees under the same path: a run whose
node is lost goes on from its last checkpoint elsewhere. State and decisions stay with the driver.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlkit.core.errors import RlkitError
from rlkit.core.words.extras import missing
from rlkit.run import child
from rlkit.sweeps.engines import Outcome, ended
from rlkit.sweeps.store import FILE


class Cluster:
    """One Ray task with one processor for each job, each in a process of its own.

    `address` is what `ray.init` takes: None begins a cluster on this machine, "auto" finds one.
    Raises UsageError when Ray is not installed, RlkitError when the cluster cannot be reached.
    """

    def __init__(self, address: str | None = None, slots: int | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise missing("--engine ray", "ray")
        self.ray: Any = importlib.import_module("ray")
        ray = self.ray
        self.ours = not ray.is_initialized()
        if self.ours:
            _knock(address)
            given: dict[str, Any] = {} if address else {"include_dashboard": False}
            try:
                with _reach(address):
                    ray.init(address, log_to_driver=False, logging_level="error", **given)
            except (OSError, RuntimeError, ValueError) as error:
                raise RlkitError(f"no Ray cluster at {address}: {error}") from error
        self.most = slots
        self.task = ray.remote(num_cpus=1, max_calls=1, max_retries=0)(work)
        self.active: dict[int, tuple[Any, float]] = {}

    @property
    def slots(self) -> int:
        """Processors of the cluster now, or fewer if asked for."""
        there = int(self.ray.cluster_resources().get("CPU", 0))
        return there if self.most is None else min(self.most, there)

    def room(self) -> bool:
        return len(self.active) < self.slots

    def start(self, id: int, job: dict[str, Any]) -> None:
        variables = {"OMP_NUM_THREADS": "1"}
        if self.ours:  # nodes elsewhere have their own paths
            variables["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        task = self.task.options(runtime_env={"env_vars": variables})
        reference = task.remote(job, child.known())
        self.active[id] = reference, time.monotonic()

    def poll(self, seconds: float) -> list[Outcome]:
        if not self.active:
            time.sleep(seconds)  # a cluster without processors may get some
            return []
        references = [reference for reference, _ in self.active.values()]
        ready, _ = self.ray.wait(references, num_returns=len(references), timeout=seconds)
        found = []
        for id, (reference, began) in list(self.active.items()):
            if reference not in ready:
                continue
            del self.active[id]
            spent = time.monotonic() - began
            try:
                failed = self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                found.append(Outcome(id, "failed", spent, str(error)))
            except self.ray.exceptions.RayError as error:
                found.append(Outcome(id, "lost", spent, f"{type(error).__name__}: node lost"))
            else:
                found.append(ended(id, spent, failed))
        return found

    def close(self) -> None:
        for reference, _ in self.active.values():
            self.ray.cancel(reference, force=True)
        self.active.clear()
        if self.ours:
            self.ray.shutdown()


@contextlib.contextmanager
def _reach(address: str | None) -> Iterator[None]:
    """A cluster that is begun inside listens on loopback alone: it is nobody else's, and Ray runs
    what it is sent. An `address` is somebody's cluster, which listens as its owner wished."""
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = before and address is not None
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _knock(address: str | None) -> None:
    """Raises RlkitError where nobody listens at HOST:PORT; Ray would try for a minute."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise RlkitError(f"no Ray cluster at {address}: {error}") from error


def work(job: dict[str, Any], known: str) -> tuple[str, tuple[int, ...]] | None:
    """What a node does; it gives back what `rlkit.sweeps.job.attempt` does. `known` is what
    `rlkit.run.child.known` said at the driver's."""
    from rlkit.sweeps import job as jobs

    home = Path(job["folder"]).parent.parent
    if not (home / FILE).exists():
        return f"{home} is not seen by every node: a Ray sweep needs a shared file system", ()
    child.learn(known)
    return jobs.attempt(job)

"""What an agent is checked on: its module, tiny nets, and batches every lane can remake."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams, generator

BATCH = 12  # transitions a lane
OBS = 5
ACTIONS = 3


class Skipped(Exception):
    """A check that cannot run on this machine, or does not apply."""


@dataclass(frozen=True)
class Case:
    """One algorithm under one kind of action space.

    `config` overrides defaults in every check; `vary` gives a field the other overrides it needs
    to show an effect; `exempt` names fields no update can show, and `inapplicable` checks the
    algorithm's own equations rule out, each with its reason. `batch(spec, agent, step)` makes the
    batches of an agent that learns from rows of its own kind; lane k of one may depend on seed k
    and `step` alone.
    """

    module: ModuleType
    discrete: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    vary: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exempt: Mapping[str, str] = field(default_factory=dict)
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    batch: Callable[[Spec, Any, int], Any] | None = None
    image: tuple[int, ...] | None = None  # shape of the observations, if they are images

    def spec(self, seeds: tuple[int, ...] = (3, 0), dtype: torch.dtype = torch.float64) -> Spec:
        act = Discrete(ACTIONS) if self.discrete else ACTIONS
        return Spec(self.image or OBS, act, seeds, dtype, image=self.image is not None)

    def make_config(self, **overrides: Any) -> Any:
        """The algorithm's defaults with tiny nets, the case's overrides and then `overrides`."""
        config = self.module.Config()
        names = {f.name for f in dataclasses.fields(config)}
        tiny = {"hidden": (8, 8), "batch_size": BATCH}
        known = {name: value for name, value in tiny.items() if name in names}
        return dataclasses.replace(config, **{**known, **self.config, **overrides})

    def agent(self, spec: Spec, config: Any) -> Any:
        return self.module.Agent(spec, resolve(config, spec))

    def make_batch(self, spec: Spec, agent: Any, step: int) -> Any:
        """What `agent` learns from at `step`, with the noise it declares."""
        if self.batch is None:
            return make_batch(spec, agent, step)
        return self.batch(spec, agent, step)._replace(noise=make_noise(spec, agent, step))


def make_batch(spec: Spec, agent: Any, step: int) -> Batch:
    """A random batch whose lane k depends on seed k and `step` alone; some rows terminate."""
    own, other = (_transitions(spec, name, step) for name in ("case", "case/other"))
    return own._replace(noise=make_noise(spec, agent, step), other=other)


def observations(spec: Spec, step: int = 0) -> Tensor:
    """Random observations `[S, B, *obs]` to act on."""
    return _transitions(spec, "case", step).s


def _transitions(spec: Spec, stream: str, step: int) -> Batch:
    lanes = [_lane(spec, generator(seed, stream, step)) for seed in spec.seeds]
    columns = {
        name: torch.from_numpy(np.stack([lane[name] for lane in lanes])) for name in lanes[0]
    }
    for name, column in columns.items():
        if column.is_floating_point():
            columns[name] = column.to(spec.device, spec.dtype)
    return Batch(**columns)  # type: ignore[arg-type]


def map_rows(change: Callable[..., Tensor], *batches: Any) -> Any:
    """The batch of `change(x, ...)` for every tensor x of one batch or of several alike; the noise
    is left as the first has it."""

    def joined(*values: Any) -> Any:
        if isinstance(values[0], Tensor):
            return change(*values)
        return values[0] if values[0] is None else map_rows(change, *values)

    names = [name for name in batches[0]._fields if name != "noise"]
    fields = {name: joined(*(getattr(batch, name) for batch in batches)) for name in names}
    return batches[0]._replace(**fields)


class Batches:
    """A source of 16 fixed batches, each drawn by its number."""

    batch_size = BATCH

    def __init__(self, case: Case, spec: Spec, agent: Any) -> None:
        self.spec = spec
        batches = [case.make_batch(spec, agent, step)._replace(noise=None) for step in range(16)]
        self.all = map_rows(lambda *xs: torch.stack(xs), *batches)

    def indices(self, step: int, count: int) -> Tensor:
        numbers = (torch.arange(step, step + count) % 16).view(-1, 1, 1)
        return numbers.expand(count, self.spec.lanes, BATCH).to(self.spec.device)

    def batch(self, index: Tensor) -> Any:
        lane = torch.arange(self.spec.lanes, device=index.device).unsqueeze(-1)
        row = torch.arange(BATCH, device=index.device)
        return map_rows(lambda column: column[index, lane, row], self.all)


def make_noise(spec: Spec, agent: Any, step: int) -> dict[str, Tensor] | None:
    """The noise the agent declares, as the engine would draw it."""
    streams = Streams(spec.seeds)
    noise = {
        name: streams.draw(f"noise/{name}", draw.kind, step, draw.shape(spec, BATCH))[0]
        for name, draw in getattr(agent, "noise", {}).items()
    }
    return {n: torch.from_numpy(x).to(spec.device, spec.dtype) for n, x in noise.items()} or None


def _lane(spec: Spec, rng: np.random.Generator) -> dict[str, np.ndarray]:
    def actions() -> np.ndarray:
        if spec.discrete:
            return rng.integers(spec.act_size, size=BATCH)
        return rng.uniform(-0.9, 0.9, (BATCH, spec.act_size))

    def seen() -> np.ndarray:
        if spec.image:
            return rng.integers(256, size=(BATCH, *spec.obs), dtype=np.uint8)
        return rng.standard_normal((BATCH, *spec.obs))

    return {
        "s": seen(),
        "a": actions(),
        "r": rng.standard_normal(BATCH),
        "cont": (rng.random(BATCH) > 0.2).astype(float),
        "s2": seen(),
        "w": rng.uniform(0.5, 1.5, BATCH),
        "s0": seen(),
        "a2": actions(),
        "before": actions(),
        "mc": rng.standard_normal(BATCH),
        "index": rng.integers(1000, size=BATCH),
        "expert": (np.arange(BATCH) < BATCH // 2).astype(float),
        "real": (np.arange(BATCH) < rng.integers(1, BATCH)).astype(float),
    }


def run_updates(case: Case, spec: Spec, config: Any, updates: int = 3) -> tuple[Any, dict]:
    """An agent after some updates on its own batches, and the metrics of the last."""
    agent = case.agent(spec, config)
    resolved = resolve(config, spec)
    metrics: dict[str, Tensor] = {}
    for step in range(updates):
        due = due_flags(agent, step)
        metrics = {**metrics, **agent.update(case.make_batch(spec, agent, step), resolved, **due)}
    return agent, metrics


def due_flags(agent: Any, step: int) -> dict[str, bool]:
    """Periodic sub-updates due at `step`, as the engine counts them."""
    return {n: (step + 1) % p == 0 for n, p in getattr(agent, "periods", {}).items()}

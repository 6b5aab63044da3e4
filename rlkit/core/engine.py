"""Runs an agent's `update` eager, compiled, or captured in a CUDA graph; the agent never knows.

Before a faster mode is trusted, two updates are run in both modes from one state and the changes
of every parameter, moment and target, and the metrics, are compared. On a mismatch or a compiler
error the engine warns and stays eager.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.batch import Batch
from rlkit.core.compiled import Compiled
from rlkit.core.learner import bare_update
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams

Mode = Literal["auto", "eager", "compile", "graph"]
MODES: tuple[str, ...] = ("auto", "eager", "compile", "graph")
_COMPILE_REPAID_AFTER = 20_000  # updates; a compile costs 10-40 s and saves about 1 ms an update
PRIORITY = "priority"  # entry of `update`'s metrics [S, B] that goes back to the source
_GRAPH_UPDATES = 8  # updates captured in one CUDA graph


class Source(Protocol):
    """Where minibatches come from; a sampler of `rlkit.data`.

    A source with a method `learned(index, priority)` is asked for one update at a time and then
    told the rows and the entry "priority" `[S, B]` of the update's metrics.
    """

    batch_size: int

    def indices(self, step: int, count: int) -> Tensor:
        """Rows `[count, S, B]` of updates `step` to `step + count - 1`, on the device."""

    def batch(self, index: Tensor) -> Batch:
        """The minibatch of rows `[S, B]`; pure tensor code."""


class EngineWarning(UserWarning):
    """A faster mode could not be used."""


class Engine:
    """Updates of one agent from one source.

    `mode` is the mode in force, which may be "eager" although another was asked for; `reason`
    then says why. Update number t draws its rows and its noise from streams at step t, so the
    numbers do not depend on the mode or on how updates are grouped.
    """

    def __init__(
        self,
        agent: Any,
        config: Any,
        spec: Spec,
        source: Source,
        mode: str = "eager",
        updates_ahead: int = 0,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"unknown engine {mode!r}; use one of {', '.join(MODES)}")
        self.agent, self.config, self.spec, self.source = agent, config, spec, source
        self.streams = Streams(spec.seeds)
        self.noise = dict(getattr(agent, "noise", {}))
        self.periods: dict[str, int] = dict(getattr(agent, "periods", {}))
        for name, period in self.periods.items():
            if period < 1:
                raise ValueError(f"period {period} of {name!r} must be at least 1 update")
        self.reason = ""
        self.mode = choose(mode, spec.device, updates_ahead)
        self._ahead = updates_ahead if torch.device(spec.device).type == "cpu" else 0
        self._learned: Callable[[Tensor, Tensor], None] | None = getattr(source, "learned", None)
        if self.mode == "graph" and self._learned is not None:
            self.mode, self.reason = "eager", "minibatches that depend on the last update"
        self._plain = bare_update(agent)
        self._update: Callable[..., dict[str, Tensor]] = self._plain
        self._graph: _Graph | None = None
        self._checked = self.mode == "eager"

    def run(self, step: int, count: int) -> dict[str, Tensor]:
        """Metrics `[S]` of the last of updates `step` to `step + count - 1`, left on the device."""
        if count < 1:
            raise ValueError(f"count is {count}; at least one update must be run")
        if not self._checked:
            self._adopt(step)
        metrics: dict[str, Tensor] = {}
        end = step + count
        while step < end:
            if self._graph is not None and step % self._graph.count == 0:
                if end - step >= self._graph.count:
                    metrics = self._graph.replay(*self._inputs(step, self._graph.count))
                    step += self._graph.count
                    continue
                take = end - step
            elif self._graph is not None:  # up to where a whole graph may begin
                take = min(end - step, -step % self._graph.count)
            else:
                take = min(end - step, 64)
            if self._learned is not None:
                take = 1  # the next rows depend on this update
            inputs = self._inputs(step, take)
            metrics = {**metrics, **self._loop(self._update, step, *inputs)}
            if self._learned is not None and PRIORITY in metrics:
                # a lane that has diverged must not keep the others from drawing theirs
                priority = torch.nan_to_num(metrics[PRIORITY], nan=0.0, posinf=0.0, neginf=0.0)
                self._learned(inputs[0][0], priority)
            step += take
        metrics.pop(PRIORITY, None)
        return metrics

    def _inputs(self, step: int, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        batch = self.source.batch_size
        noise = {
            name: self.streams.tensor(f"noise/{name}", draw, step, count, self.spec, batch)
            for name, draw in self.noise.items()
        }
        return self.source.indices(step, count), noise

    def _loop(
        self,
        update: Callable[..., dict[str, Tensor]],
        step: int,
        index: Tensor,
        noise: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = {}
        for i in range(index.shape[0]):
            batch = self.source.batch(index[i])
            if noise:
                batch = batch._replace(noise={name: n[i] for name, n in noise.items()})
            metrics = {**metrics, **update(batch, self.config, **self.due(step + i))}
        return metrics

    def due(self, step: int) -> dict[str, bool]:
        """Which periodic sub-updates fall on update `step`, as keyword arguments of `update`."""
        return {name: (step + 1) % period == 0 for name, period in self.periods.items()}

    def _adopt(self, step: int) -> None:
        """Build the faster mode and keep it only if it agrees with eager."""
        self._checked = True
        before = state.clone(self.agent)
        count = 2 * math.lcm(1, *self.periods.values())
        if self.mode == "graph":
            count = math.lcm(count, _GRAPH_UPDATES)
        inputs = self._inputs(step, count)
        eager_metrics = self._loop(self._plain, step, *inputs)
        eager_metrics = {name: m.clone() for name, m in eager_metrics.items()}
        eager = state.clone(self.agent)
        state.load(self.agent, before)
        try:
            if self.mode == "compile":
                self._update = Compiled(self._plain, self._ahead)
                with warnings.catch_warnings():  # the compiler's own are not for our users
                    warnings.simplefilter("ignore")
                    metrics = self._loop(self._update, step, *inputs)
            else:
                graph = _Graph(self, count)
                state.load(self.agent, before)
                metrics = graph.replay(*inputs)
                self._graph = graph
            fault = difference(before, eager, state.tensors(self.agent), eager_metrics, metrics)
        except Exception as error:  # whatever a compiler may raise, eager still works
            text = " ".join(str(error).split())
            fault = f"{type(error).__name__}: {text[:300]}"
        state.load(self.agent, before)
        if fault:
            self.reason = f"engine {self.mode!r} not used: {fault}"
            warnings.warn(f"{self.reason}; continuing eager", EngineWarning, stacklevel=3)
            self.mode, self._update, self._graph = "eager", self._plain, None


def choose(mode: str, device: str, updates_ahead: int) -> str:
    """The mode that "auto" stands for: graphs on CUDA, a compile where it will be repaid."""
    if mode != "auto":
        return mode
    if torch.device(device).type == "cuda":
        return "graph"
    return "compile" if updates_ahead >= _COMPILE_REPAID_AFTER else "eager"


def difference(
    before: dict[str, Tensor],
    eager: dict[str, Tensor],
    other: dict[str, Tensor],
    eager_metrics: dict[str, Tensor],
    other_metrics: dict[str, Tensor],
) -> str:
    """Empty, or where the other mode's change of state departs from eager's.

    Changes are compared in norm, relative to eager's: single entries may differ, because Adam's
    first steps have the size of the rate whatever the size of the gradient, rounding included.
    """
    for name, start in before.items():
        change, other_change = (eager[name] - start).double(), (other[name] - start).double()
        tolerance = 1e-6 if start.dtype == torch.float64 else 2e-2
        scale = change.norm()
        gap = (other_change - change).norm()
        if not torch.isfinite(gap) or gap > tolerance * scale + 1e-12:
            return f"{name} changes differently ({float(gap):.2e} against {float(scale):.2e})"
    for name, metric in eager_metrics.items():
        if not torch.allclose(metric, other_metrics[name], rtol=1e-2, atol=1e-4):
            return f"metric {name} differs"
    return ""


class _Graph:
    """`count` updates, sampling, optimisers and targets included, captured in one CUDA graph."""

    def __init__(self, engine: Engine, count: int) -> None:
        self.count = count  # a multiple of every period, so block after block looks the same
        index, noise = engine._inputs(0, count)
        self.index, self.noise = index.clone(), {name: n.clone() for name, n in noise.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # allocations and library handles must exist before
            for _ in range(3):
                engine._loop(engine._plain, 0, self.index, self.noise)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.metrics = engine._loop(engine._plain, 0, self.index, self.noise)

    def replay(self, index: Tensor, noise: dict[str, Tensor]) -> dict[str, Tensor]:
        self.index.copy_(index)
        for name, buffer in self.noise.items():
            buffer.copy_(noise[name])
        self.graph.replay()
        return self.metrics

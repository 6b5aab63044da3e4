"""Rows of a dataset that are completed before another agent learns from them."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from rlkit.algos.behind.agents import Behind, draws_itself
from rlkit.core.spec import Spec
from rlkit.core.state import joined, part
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock


class Maker(Protocol):
    """What completes rows: rewards or actions that a model tells."""

    beginning: str  # what `fit` is about to do, in a line

    def fit(self) -> None:
        """Fits the model, once, before the first update."""

    def complete(self) -> None:
        """Writes what the model says into the rows."""

    def state_dict(self) -> dict[str, Tensor]:
        """The fitted model, from which `complete` says the same again."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


class Completed:
    """The agent's own minibatches of `rows`, which `maker` completes before the first update: those
    of the agent's `source` where it makes them itself, uniform ones otherwise."""

    def __init__(self, stock: Stock, rows: Replay, agent: Behind, c: Any, maker: Maker) -> None:
        self.rows, self.maker = rows, maker
        self.inner: Any = Uniform(rows, getattr(c.own, "batch_size", 256), stock.streams)
        if draws_itself(c.module, c.own):
            self.inner = c.module.source(stock._replace(data=rows), agent.inner, c.own)
        self.batch_size = self.inner.batch_size
        self.indices, self.batch = self.inner.indices, self.inner.batch
        for name in ("every", "advance", "learned"):
            if hasattr(self.inner, name):
                setattr(self, name, getattr(self.inner, name))
        self.beginning = maker.beginning

    def begin(self) -> None:
        self.maker.fit()
        self.maker.complete()
        if hasattr(self.inner, "begin"):
            self.inner.begin()

    def state_dict(self) -> dict[str, Tensor]:
        """The model, which completes the rows again, and what the agent's source keeps."""
        own: dict[str, Tensor] = getattr(self.inner, "state_dict", dict)()
        return joined({"made": self.maker.state_dict(), "own": own})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.maker.load_state_dict(part(state, "made"))
        self.maker.complete()
        if own := part(state, "own"):
            self.inner.load_state_dict(own)


def apart(data: Replay, spec: Spec) -> Replay:
    """A copy of shared rows for every lane."""
    mine = Replay(spec, data.size, columns=data.columns)
    kept = data.state_dict()
    rows = {f"rows.{lane}": kept["rows.0"] for lane in range(spec.lanes)}
    mine.load_state_dict(rows | {"written": kept["written"]})
    return mine

"""Minibatches of transitions of several steps from whatever rows a training has."""

from __future__ import annotations

from torch import Tensor

from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Mixed, NStep, Uniform, shares
from rlkit.data.stock import Stock


def rows(
    stock: Stock, replay: Replay, batch: int, n: int, gamma: float | Tensor, name: str = "batch"
) -> Uniform | NStep:
    """Transitions of up to `n` steps of one replay, begun at rows drawn uniformly."""
    if n == 1:
        return Uniform(replay, batch, stock.streams, name)
    return NStep(replay, batch, stock.streams, n, gamma, name=name)


def multistep(stock: Stock, batch: int, n: int, gamma: float | Tensor) -> Uniform | NStep | Mixed:
    """Transitions of up to `n` steps of the dataset, of what was collected, or of both in the
    shares of `stock.mix`."""
    if stock.data is not None and stock.replay is not None:
        first, second = shares(batch, stock.mix)
        return Mixed(
            rows(stock, stock.data, first, n, gamma, "dataset"),
            rows(stock, stock.replay, second, n, gamma, "replay"),
        )
    replay = stock.replay if stock.data is None else stock.data
    assert replay is not None
    return rows(stock, replay, batch, n, gamma)

"""An agent's update compiled for the engine: one graph for each set of periodic parts that are due.

Two things make it faster than `torch.compile` alone. In long runs what calls the kernels is C++ as
well, so that no Python runs between them. And of what is checked before every call only plain
Python values stay: an engine's agent, its nets and its buffers are the same objects for life, and
the shapes of minibatches are told apart here.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from rlkit.core.batch import Batch

_WRAPPER_REPAID_AFTER = 50_000  # updates; it costs about 15 s and saves some 0.3 ms an update
_PLAIN = (bool, int, float, str, type(None))  # what a guard may still watch


class Compiled:
    """`update`, a bound method, as compiled code of its own.

    The config must be one object for life. A first call with another shape, dtype or set of due
    parts compiles again.
    """

    def __init__(
        self, update: Callable[..., dict[str, Tensor]], updates_ahead: int = 1_000_000
    ) -> None:
        self._update = update
        self._cpp_wrapper = updates_ahead >= _WRAPPER_REPAID_AFTER
        self._made: dict[Hashable, Callable[[Batch], dict[str, Tensor]]] = {}

    def __call__(self, batch: Batch, config: Any, **due: bool) -> dict[str, Tensor]:
        key = (id(config), tuple(due.items()), _signature(batch))
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._compile(config, due)
        # Dynamo traces `autograd.grad` only under a private flag, which must also be set whenever
        # it compiles again, as it does where an agent changes a plain value of its own
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            return made(batch)

    def _compile(self, config: Any, due: dict[str, bool]) -> Callable[[Batch], dict[str, Tensor]]:
        update = self._update

        def call(batch: Batch) -> dict[str, Tensor]:
            return update(batch, config, **due)

        # Dynamo keeps what it compiled with the code object, and without its guards would take the
        # graph of another agent for this one's
        own = types.FunctionType(
            call.__code__.replace(), call.__globals__, call.__name__, closure=call.__closure__
        )
        return torch.compile(
            own,
            fullgraph=True,
            dynamic=False,
            options={"guard_filter_fn": _plain_values, "cpp_wrapper": self._cpp_wrapper},
        )


def _plain_values(guards: Sequence[Any]) -> list[bool]:
    """Which guards stay: of plain values, and of plain values' absence (an agent's own attribute
    may come to hide its class's)."""
    return [
        guard.guard_type == "NOT_PRESENT_IN_GENERIC_DICT"
        or (guard.has_value and isinstance(guard.value, _PLAIN))
        for guard in guards
    ]


def _signature(value: Any) -> Hashable:
    """Shapes and dtypes of a minibatch and what hangs on it."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype
    if isinstance(value, dict):
        return tuple((key, _signature(item)) for key, item in value.items())
    if isinstance(value, tuple):
        return tuple(_signature(item) for item in value)
    return value

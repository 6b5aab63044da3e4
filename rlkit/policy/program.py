"""A policy as a list of array operations: what an exported file holds, run with numpy alone.

A program computes actions `[N, ...]` from observations `[N, ...]`, both in agent units. It is
traced from an agent's own `act` (`rlkit.policy.trace`), so any network of the operations below can
be exported, and the same list is written out as an ONNX graph (`rlkit.policy.onnx_graph`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Operation(NamedTuple):
    """`out` becomes `name(*args, **options)`; arguments are names of values, or numbers."""

    name: str
    out: str
    args: tuple[str | float | int, ...]
    options: dict[str, Any] = {}  # never written to


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in order, the weights they name, and the inputs and output by name."""

    inputs: tuple[str, ...]  # ("obs",) or ("obs", "noise")
    output: str
    operations: tuple[Operation, ...]
    weights: dict[str, Array] = field(repr=False)

    def __post_init__(self) -> None:
        known = {*self.inputs, *self.weights}
        for operation in self.operations:
            if operation.name not in OPERATIONS:
                raise ValueError(
                    f"operation {operation.name!r} is unknown to this version of rlkit; "
                    "load the policy with the version that exported it"
                )
            missing = [a for a in operation.args if isinstance(a, str) and a not in known]
            if missing:
                raise ValueError(
                    f"operation {operation.out!r} uses {missing[0]!r} before it is set"
                )
            known.add(operation.out)
        if self.output not in known:
            raise ValueError(f"the program never sets its output {self.output!r}")

    def __call__(self, *inputs: Array) -> Array:
        """The output for `inputs`, arrays with the batch first."""
        values: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True)) | self.weights
        for operation in self.operations:
            args = [values[a] if isinstance(a, str) else a for a in operation.args]
            values[operation.out] = OPERATIONS[operation.name](*args, **operation.options)
        return values[self.output]

    def state(self) -> dict[str, Any]:
        """Everything but the weights, for JSON."""
        return {
            "inputs": list(self.inputs),
            "output": self.output,
            "operations": [list(operation) for operation in self.operations],
            "weights": sorted(self.weights),
        }

    @staticmethod
    def from_state(state: dict[str, Any], tensors: dict[str, Array]) -> Program:
        """The program whose `state` this is. Raises ValueError naming a weight that is missing."""
        for name in state["weights"]:
            if name not in tensors:
                raise ValueError(f"weight {name!r} is missing")
        return Program(
            inputs=tuple(state["inputs"]),
            output=state["output"],
            operations=tuple(
                Operation(name, out, tuple(args), options)
                for name, out, args, options in state["operations"]
            ),
            weights={name: tensors[name] for name in state["weights"]},
        )


def _cast(x: Array, to: str) -> Array:
    return x.astype(to, copy=False)


def _clamp(x: Array, low: float | None, high: float | None) -> Array:
    return np.clip(x, low, high)


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1), x.dtype)


def _slice(x: Array, axis: int, start: int, end: int) -> Array:
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, end),)]


def _embedding(table: Array, index: Array) -> Array:
    outside = (index < 0) | (index >= len(table))
    if outside.any():
        raise ValueError(
            f"an observation holds category {index[outside][0]}; the policy knows 0 to "
            f"{len(table) - 1}"
        )
    return table[index]


def _layer_norm(x: Array, axes: int, eps: float) -> Array:
    over = tuple(range(x.ndim - axes, x.ndim))
    centred = x - x.mean(over, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(over, keepdims=True) + eps, dtype=x.dtype)


def _softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _conv2d(
    x: Array, kernel: Array, bias: Array, stride: list[int], padding: list[int], groups: int
) -> Array:
    """`[N, C, H, W]` with `kernel [O, C / groups, h, w]` -> `[N, O, H', W']`."""
    (up, left), (height, width) = padding, kernel.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (up, up), (left, left)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]  # [N, C, H', W', h, w]
    parts = [
        np.tensordot(inputs, weights, ((1, 4, 5), (1, 2, 3)))  # [N, H', W', O / groups]
        for inputs, weights in zip(
            np.split(windows, groups, 1), np.split(kernel, groups, 0), strict=True
        )
    ]
    return np.moveaxis(np.concatenate(parts, -1), -1, 1) + bias[:, None, None]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "matmul": np.matmul,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "exp": np.exp,
    "log": np.log,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "clamp": _clamp,
    "cast": _cast,
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, order: x.transpose(order),
    "unsqueeze": lambda x, axis: np.expand_dims(x, axis),
    "squeeze": lambda x, axes: np.squeeze(x, tuple(axes)),
    "select": lambda x, axis, index: np.take(x, index, axis),
    "slice": _slice,
    "concatenate": lambda *xs, axis: np.concatenate(xs, axis),
    "embedding": _embedding,
    "conv2d": _conv2d,
    "layer_norm": _layer_norm,
    "softmax": _softmax,
    "argmax": lambda x, axis: x.argmax(axis),
    "sum": lambda x, axes, keep: x.sum(tuple(axes), keepdims=keep),
    "mean": lambda x, axes, keep: x.mean(tuple(axes), keepdims=keep),
    "amax": lambda x, axes, keep: x.max(tuple(axes), keepdims=keep),
    "amin": lambda x, axes, keep: x.min(tuple(axes), keepdims=keep),
}

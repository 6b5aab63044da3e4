"""Traces the `act` of a trained agent into a `Program`; one lane of it, without torch's graph.

The trace runs in float64, where a layer's choice of kernel depends on nothing but the type;
weights go back to float32, where they came from.
"""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.policy.program import Array, Operation, Program

_BINARY = {"add", "sub", "mul", "div", "maximum", "minimum"}
_UNARY = {"relu", "tanh", "sigmoid", "exp", "log", "neg", "abs", "sqrt"}
_REDUCTIONS = {"sum": "sum", "mean": "mean", "amax": "amax", "amin": "amin"}
_NOTHING = {"clone", "detach", "alias", "contiguous", "expand_as"}  # on values, no operation


class _Act(nn.Module):
    """`agent.act` of a batch without lane axis, with its nets where torch finds them."""

    def __init__(self, agent: Any) -> None:
        super().__init__()
        self.agent = agent
        for name, part in vars(agent).items():
            net = part.net if isinstance(part, Target) else part
            if isinstance(net, nn.Module):
                self.add_module(name, net)

    def forward(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        action = self.agent.act(obs.unsqueeze(0), None if noise is None else noise.unsqueeze(0))
        return action.squeeze(0)


def trace(agent: Any, spec: Spec, noise: tuple[int, ...] | None = None) -> Program:
    """The program of `agent.act` for an agent of one lane, made with `spec` in float64.

    `noise` is the shape of one action's noise; with it the program samples and takes a second
    input. Raises ValueError naming an operation that programs do not have.
    """
    if spec.lanes != 1 or spec.dtype != torch.float64:
        raise ValueError(f"trace an agent of one lane in float64, not {spec}")
    example = [torch.zeros(3, *spec.obs, dtype=spec.dtype)]
    if noise is not None:
        example.append(torch.zeros(3, *noise, dtype=spec.dtype))
    batch = torch.export.Dim("batch", min=2)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about its own internals
        exported = torch.export.export(
            _Act(agent), tuple(example), dynamic_shapes=tuple({0: batch} for _ in example)
        ).run_decompositions()
    return _Translation(exported, ("obs", "noise")[: len(example)]).program()


class _Translation:
    """One pass over the nodes: those that no input reaches are computed now, the rest noted."""

    def __init__(self, exported: Any, inputs: tuple[str, ...]) -> None:
        self.inputs = inputs
        self.nodes = exported.graph.nodes
        self.constants: dict[str, Tensor] = {}  # values known now, by node
        self.alias: dict[str, str] = {}  # node -> name of its value
        self.pieces: dict[str, list[str]] = {}  # node that returns several values
        self.operations: list[Operation] = []
        signature = exported.graph_signature
        stored = {**exported.state_dict, **exported.constants}
        for table in (
            signature.inputs_to_parameters,
            signature.inputs_to_buffers,
            signature.inputs_to_lifted_tensor_constants,
        ):
            for node, name in table.items():
                self.constants[node] = stored[name].detach()
                self.alias[node] = name

    def program(self) -> Program:
        output, free, live = "", list(self.inputs), _live(self.nodes)
        for node in self.nodes:
            if node.op == "placeholder":
                if node.name not in self.constants:
                    self.alias[node.name] = free.pop(0)
            elif node.op == "output":
                output = self._value(node.args[0][0])
            elif node not in live:
                continue  # the unused half of a split, or a check of the inputs
            elif all(n.name in self.constants for n in node.all_input_nodes):
                self.constants[node.name] = _compute(node, self.constants)
            elif node.target is operator.getitem:
                self.alias[node.name] = self.pieces[node.args[0].name][node.args[1]]
            else:
                self._note(node)
        operations, used = _reached(self.operations, output)
        weights = {
            name: _weight(tensor)
            for node, tensor in self.constants.items()
            if (name := self.alias.get(node, node)) in used
        }
        return Program(self.inputs, output, tuple(operations), weights)

    def _value(self, argument: Any) -> Any:
        """Name of a node's value, or the number itself."""
        return self.alias.get(argument.name, argument.name) if _is_node(argument) else argument

    def _add(self, name: str, out: str, *args: Any, **options: Any) -> None:
        self.operations.append(Operation(name, out, tuple(self._value(a) for a in args), options))

    def _note(self, node: Any) -> None:
        name, out = node.target.name().split("::")[-1].split(".")[0], node.name
        x, *rest = node.args
        options = dict(node.kwargs)
        if name == "sym_size":
            return  # the batch: a shape that names it says -1
        if name in _NOTHING or (name == "expand" and _same_shape(node, x)):
            self.alias[out] = self._value(x)
        elif name in _BINARY and options.get("alpha", 1) == 1 and not options.get("rounding_mode"):
            self._add(name, out, x, *rest)
        elif name in _UNARY:
            self._add(name, out, x)
        elif name in ("bmm", "mm", "matmul"):
            self._add("matmul", out, x, *rest)
        elif name == "addmm" and not options:
            self._add("matmul", f"{out}_product", *rest)
            self._add("add", out, x, f"{out}_product")
        elif name == "clamp":
            low, high = (*rest, None, None)[:2]
            self._add("clamp", out, x, low=low, high=options.get("max", high))
        elif name == "_to_copy":
            self._add("cast", out, x, to=_kind(options["dtype"]))
        elif name in ("view", "reshape", "_unsafe_view"):
            self._add("reshape", out, x, shape=_shape(rest[0], out))
        elif name == "permute":
            self._add("permute", out, x, order=list(rest[0]))
        elif name == "unsqueeze":
            self._add("unsqueeze", out, x, axis=rest[0])
        elif name == "squeeze" and rest:
            axes = [rest[0]] if isinstance(rest[0], int) else list(rest[0])
            self._add("squeeze", out, x, axes=axes)
        elif name == "select":
            self._add("select", out, x, axis=rest[0], index=rest[1])
        elif name == "slice":
            axis, start, end = (*rest, 0, 0, None)[: max(3, len(rest))][:3]
            self._add("slice", out, x, axis=axis, start=start or 0, end=_end(end))
        elif name == "split_with_sizes":
            self._split(out, x, rest[0], rest[1] if len(rest) > 1 else 0)
        elif name == "cat":
            self._add("concatenate", out, *x, axis=rest[0] if rest else 0)
        elif name == "embedding":
            self._add("embedding", out, x, rest[0])
        elif name == "convolution":
            self._convolve(out, node.args)
        elif name == "native_layer_norm":
            self._normalise(out, x, *rest)
        elif name == "_softmax":
            self._add("softmax", out, x, axis=rest[0])
        elif name == "argmax" and rest and rest[0] is not None and len(rest) == 1:
            self._add("argmax", out, x, axis=rest[0])
        elif name in _REDUCTIONS and rest:
            keep = bool(rest[1]) if len(rest) > 1 else False
            self._add(name, out, x, axes=list(rest[0]), keep=keep)
        else:
            raise _unsupported(node)

    def _split(self, out: str, x: Any, sizes: list[int], axis: int) -> None:
        start, names = 0, []
        for k, size in enumerate(sizes):
            names.append(f"{out}_{k}")
            self._add("slice", names[-1], x, axis=axis, start=start, end=start + size)
            start += size
        self.pieces[out] = names

    def _convolve(self, out: str, args: tuple[Any, ...]) -> None:
        x, kernel, bias, stride, padding, dilation, transposed, _, groups = args
        if transposed or set(dilation) != {1} or len(stride) != 2 or bias is None:
            raise ValueError("the policy has a convolution that is not a plain one over images")
        self._add(
            "conv2d",
            out,
            x,
            kernel,
            bias,
            stride=list(stride),
            padding=list(padding),
            groups=groups,
        )

    def _normalise(self, out: str, x: Any, shape: Any, gain: Any, shift: Any, eps: float) -> None:
        last = f"{out}_0"
        self._add("layer_norm", last, x, axes=len(shape), eps=eps)
        for name, operand in (("mul", gain), ("add", shift)):
            if operand is not None:
                self._add(name, f"{last}_{name}", last, operand)
                last = f"{last}_{name}"
        self.pieces[out] = [last]  # mean and deviation are for the backward pass


def _reached(operations: list[Operation], output: str) -> tuple[list[Operation], set[str]]:
    """The operations that `output` depends on, and the names they use."""
    kept, used = [], {output}
    for operation in reversed(operations):
        if operation.out in used:
            kept.append(operation)
            used.update(a for a in operation.args if isinstance(a, str))
    return kept[::-1], used


def _live(nodes: Any) -> set[Any]:
    """The nodes that the output depends on."""
    found: set[Any] = set()
    for node in reversed(nodes):
        if node.op == "output" or node in found:
            found.update(node.all_input_nodes)
            found.add(node)
    return found


def _is_node(value: Any) -> bool:
    return isinstance(value, torch.fx.Node)


def _compute(node: Any, constants: dict[str, Tensor]) -> Any:
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda n: constants[n.name])
    return node.target(*args, **kwargs)


def _weight(value: Tensor) -> Array:
    array = value.numpy()
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else array.dtype)


def _same_shape(node: Any, x: Any) -> bool:
    return _is_node(x) and str(node.meta["val"].shape) == str(x.meta["val"].shape)


def _shape(sizes: list[Any], out: str) -> list[int]:
    """`sizes` with the one that depends on the batch as -1."""
    shape = [size if isinstance(size, int) else -1 for size in sizes]
    if shape.count(-1) > 1:
        raise ValueError(f"operation {out!r} of the policy has two sizes that depend on the batch")
    return shape


def _end(end: Any) -> int | None:
    return end if isinstance(end, int) and end < 2**31 else None


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "float32"
    return "bool" if dtype == torch.bool else "int64"


def _unsupported(node: Any) -> ValueError:
    return ValueError(
        f"the policy uses {node.target} with {node.args[1:]} {dict(node.kwargs)}, which exported "
        "policies do not have; use it from its run folder with rlkit.load instead"
    )

"""A `Program` as an ONNX graph in environment units: normaliser, policy, action scaling.

Needs the extra `onnx`. The graph is built operation by operation from the program, so
nothing of torch's exporters is needed and the file holds nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlkit.core.words.extras import missing
from rlkit.data.transforms import Transforms
from rlkit.policy.program import Array, Operation, Program

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:  # pragma: no cover
    raise missing("writing ONNX", "onnx") from error

OPSET = 17
_IR_VERSION = 8  # of opset 17: readable by every onnxruntime since 1.12
_RENAMED = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "matmul": "MatMul",
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "exp": "Exp",
    "log": "Log",
    "neg": "Neg",
    "abs": "Abs",
    "sqrt": "Sqrt",
}
_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}
_ENDLESS = 2**62  # the end of a slice that goes to the end


def model(
    program: Program,
    transforms: Transforms,
    obs_shape: tuple[int, ...],
    action_shape: tuple[int, ...],
    first_action: int | None,
    about: str,
    action_dtype: str = "float32",
) -> onnx.ModelProto:
    """The checked model: input `obs [batch, *obs]` float32, output `action [batch, ...]`.

    Both are in environment units. `first_action` is the number of the first discrete action, None
    for continuous ones, which are of `action_dtype`; `about` is stored as the metadata entry
    `rlkit`.
    """
    graph = _Graph(program)
    obs = "obs"
    if transforms.obs_mean is not None and transforms.obs_std is not None:
        # In double precision, as `Transforms.obs` works: a dimension that hardly varied in the data
        # has a deviation of a thousandth, which would blow float32 rounding up.
        obs = graph.node("Cast", "obs", to=TensorProto.DOUBLE)
        obs = graph.node("Sub", obs, graph.constant(transforms.obs_mean))
        obs = graph.node("Div", obs, graph.constant(transforms.obs_std))
        obs = graph.node("Cast", obs, to=TensorProto.FLOAT)
    action = graph.program(program, {program.inputs[0]: obs})
    if first_action is not None:
        action = graph.node("Add", action, graph.constant(np.int64(first_action)))
    elif transforms.action_low is not None and transforms.action_high is not None:
        low, high = transforms.action_low, transforms.action_high
        action = graph.scaled(action, low, high, action_dtype)
    if first_action is None:
        action = graph.node("Reshape", action, graph.constant(np.array([-1, *action_shape])))
    graph.node("Identity", action, out="action")
    dtype = np.dtype(action_dtype if first_action is None else np.int64)
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "rlkit_policy",
            [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", *obs_shape])],
            [helper.make_tensor_value_info("action", kind, ["batch", *action_shape])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="rlkit",
    )
    helper.set_model_props(made, {"rlkit": about})
    onnx.checker.check_model(made, full_check=True)
    return made


class _Graph:
    """Nodes and stored tensors in the making."""

    def __init__(self, program: Program) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.integers = _integer_values(program)

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"node_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def scaled(self, action: str, low: Array, high: Array, dtype: str) -> str:
        """Clipped to ±1 and spread over low .. high, as `Transforms.to_env` does: in double
        precision, so that no rounding leaves the box."""
        one = self.constant(np.float64(1))
        action = self.node("Cast", action, to=TensorProto.DOUBLE)
        action = self.node("Clip", action, self.constant(np.float64(-1)), one)
        share = self.node("Div", self.node("Add", action, one), self.constant(np.float64(2)))
        action = self.node("Mul", share, self.constant(high - low))
        action = self.node("Add", action, self.constant(low))
        action = self.node("Max", action, self.constant(low))
        action = self.node("Min", action, self.constant(high))
        kind = np.dtype(dtype)
        if kind.kind in "iub":
            action = self.node("Round", action)
        return self.node("Cast", action, to=helper.np_dtype_to_tensor_dtype(kind))

    def program(self, program: Program, named: dict[str, str]) -> str:
        """Name of the program's output; `named` gives the names of its inputs."""
        names = dict(named)
        for weight, array in program.weights.items():
            names[weight] = self.constant(array)
        for operation in program.operations:
            args = [
                names[a] if isinstance(a, str) else self._number(a, operation)
                for a in operation.args
            ]
            names[operation.out] = self._operation(operation, args)
        return names[program.output]

    def _number(self, value: float | int, operation: Operation) -> str:
        among = [a for a in operation.args if isinstance(a, str)]
        integer = all(a in self.integers for a in among) and isinstance(value, int)
        return self.constant(np.int64(value) if integer else np.float32(value))

    def _operation(self, operation: Operation, args: list[str]) -> str:
        name, options = operation.name, operation.options
        x = args[0]
        if name in _RENAMED:
            return self.node(_RENAMED[name], *args)
        if name == "clamp":
            low, high = options["low"], options["high"]
            if low is not None:
                x = self.node("Max", x, self.constant(np.float32(low)))
            return x if high is None else self.node("Min", x, self.constant(np.float32(high)))
        if name == "cast":
            return self.node("Cast", x, to=_TYPES[options["to"]])
        if name == "reshape":
            return self.node("Reshape", x, self.constant(np.array(options["shape"], np.int64)))
        if name == "permute":
            return self.node("Transpose", x, perm=options["order"])
        if name == "unsqueeze":
            return self.node("Unsqueeze", x, self.constant(np.array([options["axis"]])))
        if name == "squeeze":
            return self.node("Squeeze", x, self.constant(np.array(options["axes"])))
        if name == "select":
            index = self.constant(np.int64(options["index"]))
            return self.node("Gather", x, index, axis=options["axis"])
        if name == "slice":
            end = _ENDLESS if options["end"] is None else options["end"]
            bounds = (options["start"], end, options["axis"])
            return self.node("Slice", x, *(self.constant(np.array([b], np.int64)) for b in bounds))
        if name == "concatenate":
            return self.node("Concat", *args, axis=options["axis"])
        if name == "embedding":
            return self.node("Gather", *args, axis=0)
        if name == "conv2d":
            up, left = options["padding"]
            return self.node(
                "Conv",
                *args,
                strides=options["stride"],
                pads=[up, left, up, left],
                group=options["groups"],
            )
        if name == "layer_norm":
            return self._layer_norm(x, options["axes"], options["eps"])
        if name == "softmax":
            return self.node("Softmax", x, axis=options["axis"])
        if name == "argmax":
            return self.node("ArgMax", x, axis=options["axis"], keepdims=0)
        axes, keep = options["axes"], int(options["keep"])
        if name == "sum":  # alone among reductions to take its axes as an input at this opset
            return self.node("ReduceSum", x, self.constant(np.array(axes)), keepdims=keep)
        kind = {"mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin"}[name]
        return self.node(kind, x, axes=axes, keepdims=keep)

    def _layer_norm(self, x: str, axes: int, eps: float) -> str:
        over = list(range(-axes, 0))
        centred = self.node("Sub", x, self.node("ReduceMean", x, axes=over, keepdims=1))
        variance = self.node(
            "ReduceMean", self.node("Mul", centred, centred), axes=over, keepdims=1
        )
        deviation = self.node("Sqrt", self.node("Add", variance, self.constant(np.float32(eps))))
        return self.node("Div", centred, deviation)


def _integer_values(program: Program) -> set[str]:
    """Names of values that hold integers: what casts and weights say, carried forward."""
    found = {name for name, array in program.weights.items() if array.dtype.kind in "iu"}
    for operation in program.operations:
        named = [a for a in operation.args if isinstance(a, str)]
        if operation.name == "cast":
            integer = operation.options["to"] == "int64"
        elif operation.name == "embedding":
            integer = named[0] in found
        else:
            integer = operation.name == "argmax" or all(a in found for a in named)
        if integer:
            found.add(operation.out)
    return found

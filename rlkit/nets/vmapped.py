"""A lane axis for any foreign module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from rlkit.nets.layers import Init


class Vmapped(nn.Module):
    """S copies of `factory()`, called with tensors whose first axis is the lane.

    Every copy is initialised under its lane's own seed; the global generator is left as it was.
    Modules with buffers that change in `forward` (BatchNorm in training) are refused.
    """

    def __init__(self, init: Init, factory: Callable[[], nn.Module]) -> None:
        super().__init__()
        copies = []
        for rng in init.lane_generators():
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(rng.integers(2**63)))  # not CUDA's
                copies.append(factory().to(init.spec.device, init.spec.dtype))
        for m in copies[0].modules():
            batch_norm = isinstance(m, nn.modules.batchnorm._BatchNorm)
            if batch_norm or getattr(m, "track_running_stats", False):
                raise ValueError(
                    f"{type(m).__name__} keeps statistics across calls; use LayerNorm or GroupNorm"
                )
        params, buffers = stack_module_state(copies)
        self._names = list(params)
        self.weights = nn.ParameterList(nn.Parameter(p.detach()) for p in params.values())
        self._buffer_names = list(buffers)
        for k, buffer in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{k}", buffer)
        # a tuple hides the skeleton from nn.Module's registry: its own weights are never used
        self._skeleton = (copies[0].to("meta"),)

    def forward(self, *inputs: Tensor) -> Any:
        params = dict(zip(self._names, self.weights, strict=True))
        buffers = {n: getattr(self, f"buffer_{k}") for k, n in enumerate(self._buffer_names)}
        skeleton = self._skeleton[0]

        def one_lane(p: dict[str, Tensor], b: dict[str, Tensor], *xs: Tensor) -> Any:
            return functional_call(skeleton, {**p, **b}, xs)

        return torch.vmap(one_lane, in_dims=(0, 0, *(0 for _ in inputs)))(params, buffers, *inputs)

"""A lane axis for any foreign module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from rlkit.nets.layers import Init


class Vmapped(nn.Module):
    """S copies of `factory()`, called with tensors `[S, ...]`; outputs are `[S, ...]`.

    With n members there are n copies a lane, which see the same inputs; outputs are `[S, n, ...]`.
    Every copy is initialised under its lane's own seed; the global generator is left as it was.
    Raises ValueError for modules with buffers that change in `forward` (BatchNorm in training).
    """

    def __init__(self, init: Init, factory: Callable[[], nn.Module], n: int = 0) -> None:
        super().__init__()
        copies = []  # of the first member of all lanes, then of the second ...
        for _ in range(n or 1):
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

        def laned(x: Tensor) -> Tensor:  # [n * S, ...] -> [S, n, ...]
            return x.unflatten(0, (n, -1)).transpose(0, 1).contiguous() if n else x

        params, buffers = stack_module_state(copies)
        self.n = n
        self._names = list(params)
        self.weights = nn.ParameterList(nn.Parameter(laned(p.detach())) for p in params.values())
        self._buffer_names = list(buffers)
        for k, buffer in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{k}", laned(buffer))
        # a tuple hides the skeleton from nn.Module's registry: its own weights are never used
        self._skeleton = (copies[0].to("meta"),)

    def forward(self, *inputs: Tensor) -> Any:
        params = dict(zip(self._names, self.weights, strict=True))
        buffers = {n: getattr(self, f"buffer_{k}") for k, n in enumerate(self._buffer_names)}
        skeleton = self._skeleton[0]

        def one(p: dict[str, Tensor], b: dict[str, Tensor], *xs: Tensor) -> Any:
            return functional_call(skeleton, {**p, **b}, xs)

        def over(function: Callable[..., Any], axis: int | None) -> Callable[..., Any]:
            return torch.vmap(function, in_dims=(0, 0, *(axis for _ in inputs)))

        return over(over(one, None) if self.n else one, 0)(params, buffers, *inputs)

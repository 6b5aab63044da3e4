"""Frozen behaviour policies, acting without torch and without BLAS.

Matrix products of a linear-algebra library differ in the last bit between processors, thread
counts and batch sizes, and a chaotic simulator makes another dataset of that bit. Here every sum
runs in a fixed order in float32, and the two transcendental functions are rounded from float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load

from rlkit.core.jit import njit

LOG_STD_BOUNDS = (-20.0, 2.0)  # stable-baselines3's SAC clips there


@dataclass(frozen=True)
class SquashedGaussian:
    """a = tanh(μ(s) + σ(s) ε) with two ReLU layers, scaled to the action box."""

    layers: tuple[np.ndarray, ...]  # w1 [D, H], b1 [H], w2 [H, H], b2 [H], w3 [H, 2A], b3 [2A]
    low: np.ndarray  # [A]
    high: np.ndarray  # [A]

    @property
    def act_size(self) -> int:
        return len(self.low)

    def act(self, obs: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """Action `[A]` float32 of one observation `[D]`; `noise` `[A]` is standard normal, absent
        for the mean action tanh(μ)."""
        zero = np.zeros(self.act_size, np.float32)
        unit = _act(np.asarray(obs, np.float32), noise if noise is not None else zero, *self.layers)
        return self.low + (unit + np.float32(1)) * np.float32(0.5) * (self.high - self.low)


def from_bytes(
    content: bytes, checkpoint: str, low: np.ndarray, high: np.ndarray
) -> SquashedGaussian:
    """The policy of one checkpoint in a recipe's safetensors file.

    A weight `[out, in]` of int8 comes with `scale` `[out]`, what its rows are multiplied by.
    """
    tensors = load(content)
    names = ("hidden_1", "hidden_2", "head")
    layers: list[np.ndarray] = []
    for name in names:
        weight = tensors[f"{checkpoint}/{name}.weight"]  # [out, in]
        if weight.dtype == np.int8:
            weight = weight * tensors[f"{checkpoint}/{name}.scale"][:, None]
        weight = weight.astype(np.float32)
        layers += [np.ascontiguousarray(weight.T), tensors[f"{checkpoint}/{name}.bias"]]
    return SquashedGaussian(
        tuple(layer.astype(np.float32) for layer in layers),
        np.asarray(low, np.float32),
        np.asarray(high, np.float32),
    )


@njit(error_model="numpy", cache=True)
def _layer(x, weight, bias, relu):
    y = bias.copy()
    for i in range(len(x)):
        for j in range(len(y)):  # no sum runs along j: vectorising keeps every bit
            y[j] += x[i] * weight[i, j]
    if relu:
        for j in range(len(y)):
            y[j] = max(y[j], np.float32(0))
    return y


@njit(error_model="numpy", cache=True)
def _act(obs, noise, w1, b1, w2, b2, w3, b3):
    head = _layer(_layer(_layer(obs, w1, b1, True), w2, b2, True), w3, b3, False)
    size = len(noise)
    out = np.empty(size, np.float32)
    for k in range(size):
        log_std = min(max(np.float64(head[size + k]), LOG_STD_BOUNDS[0]), LOG_STD_BOUNDS[1])
        out[k] = math.tanh(np.float64(head[k]) + math.exp(log_std) * np.float64(noise[k]))
    return out

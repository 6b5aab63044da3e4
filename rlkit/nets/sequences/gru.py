"""Gated recurrent units with a leading lane axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rlkit.nets.layers import Init


def gru_cell(given: Tensor, h: Tensor, recurrent: Tensor, bias: Tensor | None = None) -> Tensor:
    """The next state `[..., B, H]`: Cho et al. 2014, with the reset gate after the product.

    `given` `[..., B, 3H]` is the input's product W x + b for the gates r, u, n in this order,
    `recurrent` `[..., H, 3H]` the state's weights, `bias` `[..., 1, 3H]` what is added to its
    product: r, u = σ(W x + U h), n = tanh(W x + r ⊙ (U h)), h' = (1 - u) n + u h.
    """
    from_state = h @ recurrent
    if bias is not None:
        from_state = from_state + bias
    gates = given + from_state
    width = h.shape[-1]
    r, u = torch.sigmoid(gates[..., : 2 * width]).split(width, -1)
    n = torch.tanh(given[..., 2 * width :] + r * from_state[..., 2 * width :])
    return n + u * (h - n)


class GRU(nn.Module):
    """A recurrent layer: `[S, B, T, in]` to the states after each step `[S, B, T, H]`.

    First weights and biases are uniform on ±1/√H, as in torch, whose gates and their order it
    shares.
    """

    def __init__(self, init: Init, n_in: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.width = width
        self.weight = init.uniform((n_in, 3 * width), bound)
        self.bias = init.uniform((1, 3 * width), bound)
        self.recurrent = init.uniform((width, 3 * width), bound)
        self.recurrent_bias = init.uniform((1, 3 * width), bound)

    def start(self, batch: int) -> Tensor:
        """The state `[S, B, H]` before anything was seen: zeros."""
        return self.weight.new_zeros(self.weight.shape[0], batch, self.width)

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """The state `[S, B, H]` after input `[S, B, in]`."""
        given = torch.baddbmm(self.bias, x, self.weight)
        return gru_cell(given, h, self.recurrent, self.recurrent_bias)

    def forward(self, x: Tensor, h: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """States after each step; `keep` `[S, B, T]` is 0 where the state before a step is reset,
        at the first step of an episode, and 1 elsewhere."""
        h = self.start(x.shape[1]) if h is None else h
        # The products with the inputs of all steps are one matrix product.
        given = torch.baddbmm(self.bias, x.flatten(1, 2), self.weight).unflatten(1, x.shape[1:3])
        states = []
        # Unbound at once: the gradient of a slice would be a tensor of the whole, for each step.
        for t, of_step in enumerate(given.unbind(2)):
            if keep is not None:
                h = h * keep[:, :, t, None]
            h = gru_cell(of_step, h, self.recurrent, self.recurrent_bias)
            states.append(h)
        return torch.stack(states, 2)

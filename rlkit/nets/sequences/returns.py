"""A policy that is given the return to follow: Decision Transformer's net (arXiv 2106.01345)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.nets.actors import Categorical, Point
from rlkit.nets.encoders import encoder
from rlkit.nets.layers import Init, LayerNorm, Linear
from rlkit.nets.sequences.transformer import Transformer


class Steps(NamedTuple):
    """Windows of K steps, padded on the left with 0, and a batch's noise."""

    s: Tensor  # [S, B, K, *obs]
    a: Tensor  # [S, B, K, A], or [S, B, K] int64
    to_go: Tensor  # [S, B, K], the return from each step on
    t: Tensor  # [S, B, K] int64
    mask: Tensor  # [S, B, K] bool, real steps
    noise: dict[str, Tensor] | None = None


class ReturnConditioned(nn.Module):
    """Actions of every step of windows of up to K steps, each from what its window has before it.

    A step is three tokens: return to go, observation, action, each a linear map of its number(s)
    plus an embedding of the time t, then LayerNorm. The action is a head on what a causal
    transformer knows at the observation's token, which sees no later one. As in the authors' code
    for Gym the activation is ReLU, and dropout is behind the embedding, in the attention and behind
    each map.
    """

    def __init__(
        self, init: Init, steps: int, longest: int, width: int, layers: int, heads: int
    ) -> None:
        """`steps` are K, and `longest` the times that have an embedding of their own; the last one
        is that of all later times."""
        super().__init__()
        spec = init.spec
        self.encoder = encoder(init)
        self.of_return = Linear(init, 1, width)
        self.of_state = Linear(init, self.encoder.size, width)
        self.of_action = Linear(init, spec.act_size, width)
        self.of_time = init.uniform((longest, width), 1.0)
        self.norm = LayerNorm(init, width)
        self.body = Transformer(init, 3 * steps, width, layers, heads)
        self.head = Linear(init, width, spec.act_size)
        self.discrete, self.act_size = spec.discrete, spec.act_size

    def forward(
        self, x: Steps, u: Tensor | None = None, dropout: float | Tensor = 0.0
    ) -> Point | Categorical:
        """The policy at every step of the windows `x`, `[S, B, K, A]`; `u` and `dropout` as
        `Transformer` takes them."""
        lead = x.t.shape
        a = F.one_hot(x.a, self.act_size).to(x.to_go) if self.discrete else x.a
        tokens = (
            self.of_return(x.to_go.flatten(1).unsqueeze(-1)),
            self.of_state(self.encoder(x.s.flatten(1, 2))),
            self.of_action(a.flatten(1, 2)),
        )
        rows = self.of_time.shape[1]
        lane = torch.arange(lead[0], device=x.t.device).view(-1, 1, 1) * rows
        time = F.embedding(x.t.clamp(max=rows - 1) + lane, self.of_time.flatten(0, 1)).flatten(1, 2)
        joined = torch.stack([token + time for token in tokens], 2).flatten(1, 2)
        given = self.norm(joined).unflatten(1, (lead[1], 3 * lead[2]))
        known = self.body(given, x.mask.repeat_interleave(3, -1), u, dropout)
        out = self.head(known[:, :, 1::3].flatten(1, 2)).unflatten(1, lead[1:])
        return Categorical(out) if self.discrete else Point(out.tanh())

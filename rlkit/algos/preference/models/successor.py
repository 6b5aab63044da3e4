"""Successor features of many policies, learnt from transitions alone.

    (1)  ψ_k(s, a) = φ(s, a, s') + γ ψ_k(s', π_k(s')),   π_k(s) = argmax_a w_k · ψ_k(s, a)
    (2)  Q̃_w(s, a) = max_k w · ψ_k(s, a) <= Q*_w(s, a),  for any reward w · φ

(Barreto et al. 2017, arXiv 1606.05312), for `policies` random weights w_k. Equality in (2) where
one of the policies is the best for w. Features are divided by their deviations, without being
centred: a constant feature stays one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.optim import Adam, cosine
from rlkit.core.streams import Streams, generator
from rlkit.core.target import Target
from rlkit.data.replay import Replay
from rlkit.nets.action_values import of_action

_CHUNK = 1 << 12  # states looked at at once


class Settings(Protocol):
    """Fields of a `Config` that say how successor features are learnt."""

    @property
    def policies(self) -> int: ...  # K
    @property
    def gamma_sf(self) -> float | Tensor: ...  # γ of (1)
    @property
    def hidden_sf(self) -> tuple[int, ...]: ...
    @property
    def lr_sf(self) -> float: ...
    @property
    def batch_sf(self) -> int: ...  # rows an update
    @property
    def steps_sf(self) -> int: ...  # updates
    @property
    def polyak_sf(self) -> float: ...  # step of the target net towards the net


class Library:
    """ψ of the policies of each lane, learnt from `rows` with features `phi [S or 1, N, d]`."""

    def __init__(self, rows: Replay, phi: Tensor, streams: Streams, c: Settings) -> None:
        spec = rows.spec
        self.rows, self.streams, self.c = rows, streams, c
        std = phi.std(1, keepdim=True, correction=0)
        self.scale = torch.where(std > 1e-6 * phi.abs().amax(1, keepdim=True), std, 1.0)
        self.phi = (phi / self.scale).to(spec.dtype).expand(spec.lanes, -1, -1)  # [S, N, d]
        size = phi.shape[-1]
        drawn = [generator(k, "sf/weights").normal(size=(c.policies, size)) for k in spec.seeds]
        w = torch.from_numpy(np.stack(drawn)).to(spec.device, spec.dtype)
        self.w = w / w.norm(dim=-1, keepdim=True)  # [S, K, d]
        init = nets.Init(spec, "sf")
        self.net = nets.ActionValues(init, c.hidden_sf, size, n=c.policies)
        self.target = Target(self.net)
        self.step = Adam(self.net, c.lr_sf, schedule=cosine(c.steps_sf))

    def chosen(self, psi: Tensor) -> Tensor:
        """What the policies do `[S, K, B]` by their ψ `[S, K, B, A, d]`."""
        return (psi * self.w[:, :, None, None]).sum(-1).argmax(-1)

    @torch.enable_grad()
    def fit(self) -> Tensor:
        """All updates; the mean squared error `[S]` of the last, over policies and features."""
        c, size = self.c, self.rows.size
        loss = self.w.new_zeros(len(self.w))
        gamma = c.gamma_sf.view(-1, 1, 1) if isinstance(c.gamma_sf, Tensor) else c.gamma_sf
        for t in range(c.steps_sf):
            u = self.streams.draw("sf/rows", "uniform", t, (c.batch_sf,))[0]
            index = torch.from_numpy((u * size).astype(np.int64)).to(self.w.device)
            b = self.rows.gather(index)
            phi = self.phi.gather(1, index.unsqueeze(-1).expand(-1, -1, self.phi.shape[-1]))
            with torch.no_grad():
                after = of_action(self.target(b.s2), self.chosen(self.net(b.s2)))  # [S, K, B, d]
                y = phi.unsqueeze(1) + (gamma * b.cont.unsqueeze(1)).unsqueeze(-1) * after
            a = b.a.unsqueeze(1).expand(y.shape[:-1])
            error = (of_action(self.net(b.s), a) - y).square().mean(2)  # [S, K, d]
            loss = self.step(error.sum((1, 2))) / error[0].numel()
            self.target.follow(self.net, c.polyak_sf)
        return loss

    @torch.no_grad()
    def at(self, s: Tensor) -> Tensor:
        """ψ `[S, N, K, A, d]` of observations `[S, N, *obs]`."""
        return torch.cat([self.net(part).transpose(1, 2) for part in s.split(_CHUNK, 1)], 1)

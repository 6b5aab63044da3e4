"""Exploration via Elliptical Episodic Bonuses (E3B), Henaff, Raileanu, Jiang & Rocktäschel 2022
(arXiv 2210.05805).

    (1)  b(s') = φ(s')ᵀ C⁻¹ φ(s'),    C = λ I + Σ_{t of the episode so far} φ(s_t) φ(s_t)ᵀ
    (2)  C⁻¹ ← C⁻¹ - u uᵀ / (1 + b),  u = C⁻¹ φ(s'), after b has been read
    (3)  φ learns to tell the action from (φ(s), φ(s')): cross-entropy, or a squared error

Were φ one-hot, b would be 1 / (λ + N_e(s')) with N_e the visits before this one.

Differs from the authors' code: the bonus belongs to the state a step leads to, as in the paper; φ
of the state an episode begins in is part of C; the layers of φ end in a LayerNorm, as in their
second code; no pair of states crosses an episode's end; 32 features in place of 1024, whose
matrices would be 4 MB an environment.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit import nets
from rlkit.core import state
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.exploration.distillation import Features

SIZE = 32  # features
RIDGE = 0.1  # λ
LR = 1e-4


class Inverse(nn.Module):
    """φ and the guess of the action."""

    def __init__(self, init: nets.Init) -> None:
        super().__init__()
        self.features = Features(init, (128,), SIZE)
        self.norm = nets.LayerNorm(init, SIZE)
        self.guess = nets.MLP(init, 2 * SIZE, (256,), init.spec.act_size)

    def phi(self, s: Tensor) -> Tensor:
        """`[S, B, *obs]` -> `[S, B, SIZE]`."""
        return self.norm(self.features(s))

    def forward(self, s: Tensor, s2: Tensor) -> Tensor:
        return self.guess(torch.cat([self.phi(s), self.phi(s2)], -1))


def bonus_and_update(inverse: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """b of eq. (1) `[...]` for `phi` `[..., d]`, after which `inverse` C⁻¹ `[..., d, d]` is that of
    (2), in place."""
    u = (inverse @ phi[..., None])[..., 0]
    b = (phi * u).sum(-1)
    inverse -= u[..., :, None] * u[..., None, :] / (1 + b)[..., None, None]
    return b


class Elliptical:
    """`e3b`."""

    learnt = True

    def __init__(self, spec: Spec, envs: int) -> None:
        self.spec = spec
        self.net = Inverse(nets.Init(spec, "exploration/elliptical"))
        self.step_net = Adam(self.net, LR)
        self.inverse = np.tile(np.eye(SIZE) / RIDGE, (spec.lanes, envs, 1, 1))  # C⁻¹

    def begin(self, fresh: np.ndarray, s: np.ndarray, envs: np.ndarray) -> None:
        if not fresh.any():
            return
        lanes, at = np.nonzero(fresh)
        begun = np.tile(np.eye(SIZE) / RIDGE, (len(lanes), 1, 1))
        bonus_and_update(begun, self._phi(s)[lanes, at])
        self.inverse[lanes, envs[at]] = begun

    def step(self, s: np.ndarray, s2: np.ndarray, envs: np.ndarray) -> np.ndarray:
        inverse = self.inverse[:, envs]
        b = bonus_and_update(inverse, self._phi(s2))
        self.inverse[:, envs] = inverse
        return b

    def learn(self, s: Tensor, a: Tensor, s2: Tensor) -> None:
        """One step of (3) on a minibatch `[S, B, ...]`."""
        guess = self.net(s, s2)
        if self.spec.discrete:
            each = F.cross_entropy(guess.flatten(0, 1), a.flatten(), reduction="none").view(a.shape)
        else:
            each = (guess - a).square().mean(-1)
        self.step_net(each.mean(-1))

    @torch.no_grad()
    def _phi(self, s: np.ndarray) -> np.ndarray:
        seen = torch.as_tensor(s, dtype=self.spec.dtype, device=self.spec.device)
        return self.net.phi(seen).double().cpu().numpy()

    def state_dict(self) -> dict[str, Tensor]:
        return state.tensors(self) | {"inverse": torch.from_numpy(self.inverse)}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        rest = dict(saved)
        self.inverse = rest.pop("inverse").numpy().copy()
        state.load(self, rest)

"""Exploration by Random Network Distillation, Burda et al. 2018 (arXiv 1810.12894), and NovelD,
Zhang et al. 2021 (arXiv 2111.10144).

    (1)  b(s) = ‖g(s) - ḡ(s)‖₂               ḡ a frozen random net
    (2)  L_g = E b(s')                       over steps seen lately
    (3)  rnd: b(s')       noveld: max(b(s') - α b(s), 0) 1{N_e(s') = 1}

`noveld:0` is rnd in states new to the episode. Differs from RND's paper: the norm, not its square,
as in the code of the study of bonuses (arXiv 2306.03236); observations are not normalised, so
vectors should have numbers of about 1. Differs from NovelD's code, where α is 0.5: 0.1 is the
study's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.core import state
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.exploration.counts import Episode

SIZE = 64  # outputs of g
WIDTHS = (128, 128)  # of g; ḡ has the first only
LR = 1e-4


class Features(nn.Module):
    """What fits the observations, then layers: `[S, B, *obs]` to `[S, B, size]`."""

    def __init__(self, init: nets.Init, widths: tuple[int, ...], size: int) -> None:
        super().__init__()
        self.encoder = nets.encoder(init)
        self.mlp = nets.MLP(init, self.encoder.size, widths, size)

    def forward(self, s: Tensor) -> Tensor:
        return self.mlp(self.encoder(s))


class Distillation:
    """`rnd`, or with α `noveld`."""

    learnt = True

    def __init__(self, spec: Spec, envs: int, alpha: float | None = None) -> None:
        self.spec, self.alpha = spec, alpha
        init = nets.Init(spec, "exploration/distillation")
        self.net, self.target = Features(init, WIDTHS, SIZE), Features(init, WIDTHS[:1], SIZE)
        self.target.requires_grad_(False)
        self.step_net = Adam(self.net, LR)
        if alpha is not None:
            self.episode = Episode(spec.lanes, envs)

    def novelty(self, s: Tensor) -> Tensor:
        """b of eq. (1), `[S, B, *obs]` -> `[S, B]`."""
        return (self.net(s) - self.target(s)).norm(dim=-1)

    def begin(self, fresh: np.ndarray, s: np.ndarray, envs: np.ndarray) -> None:
        if self.alpha is not None:
            self.episode.begin(fresh, s, envs)

    @torch.no_grad()
    def step(self, s: np.ndarray, s2: np.ndarray, envs: np.ndarray) -> np.ndarray:
        both = np.concatenate([s, s2], 1)
        b = self.novelty(torch.as_tensor(both, dtype=self.spec.dtype, device=self.spec.device))
        before, after = b.double().cpu().numpy().reshape(len(s), 2, -1).swapaxes(0, 1)
        if self.alpha is None:
            return after
        return np.maximum(after - self.alpha * before, 0) * self.episode.step(s, s2, envs)

    def learn(self, s: Tensor, a: Tensor, s2: Tensor) -> None:
        """One step of (2) on a minibatch `[S, B, ...]`."""
        self.step_net(self.novelty(s2).mean(-1))

    def state_dict(self) -> dict[str, Tensor]:
        return state.tensors(self)

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        _load(self, saved)


def _load(part: Distillation, saved: dict[str, Tensor]) -> None:
    """Tables of visits have other sizes than now, all else has not."""
    rest = {name: x for name, x in saved.items() if not name.startswith("episode.")}
    visits = {n.removeprefix("episode."): x for n, x in saved.items() if n.startswith("episode.")}
    if visits:
        part.episode.load_state_dict(visits)
        rest |= {f"episode.{n}": x for n, x in part.episode.state_dict().items()}
    state.load(part, rest)

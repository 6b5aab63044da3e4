"""Twin Delayed DDPG, Fujimoto, van Hoof & Meger 2018 (arXiv 1802.09477).

    (1)  ã = clip(π̄(s') + clip(ε, -c, c), -1, 1),         ε ~ N(0, σ̃²)
    (2)  y = r + γ min_j Q̄_j(s', ã)
    (3)  L_Q = E Σ_j (Q_j(s, a) - y)²
    (4)  L_π = -E Q_1(s, π(s))                            every `actor_period` critic updates

With a `head` other than scalar a critic's value is that of its head and (3) the head's loss, to the
law of the critic whose mean is least where it has laws (`nets.value_heads`). With `copies` K every
critic is K nets: (2) takes the minimum copy by copy, (4) the mean, and L_BIEV joins (3); preset
`ggd` (`nets.gaussian_errors`). With `n_step` rewards in (2) the later steps are those of the old
policy, uncorrected. Of images (`nets.encoders`) the policy sees what the critics' convolutions see,
which it does not train; preset `drq_v2` is Yarats et al. 2022 (arXiv 2107.09645), whose noise falls
in the course of a training and which has no target policy.

Targets of policy and critics move on the updates of (4) only, as in the authors' code. Noise is
in the scaled action space, so it is the same share of every dimension's range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import head_loss, least, multistep, several, target_of, unheld
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
)
from rlkit.nets.value_heads import CopiesConfig

FITS = ("online", "then-online", "offline", "continuous", "pixels")


@checked("low < high")
@dataclass(frozen=True)
class Config(CopiesConfig):
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # σ̃, standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # c, bound of that noise
    explore: NonNegative = 0.1  # standard deviation of the noise when acting to explore
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    actor_period: Count = 2  # critic updates for one of policy and targets
    n_step: Count = 1  # n, rewards in a target before Q̄
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of every net
    norm: nets.Norm = "none"  # LayerNorm in the critics


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ggd": ({"head": "ggd", "copies": 5}, {}),
    "drq_v2": (
        {"polyak": 0.01, "smooth_clip": 0.3, "explore": 0.2, "lr": 1e-4, "lr_q": 1e-4}
        | {"actor_period": 1, "n_step": 3, "hidden": (1024, 1024)},
        {"shift": 4, "utd": 0.5},
    ),
}


def target_action(a: Tensor, noise: Tensor, scale: float | Tensor, clip: float | Tensor) -> Tensor:
    """The target policy's action, smoothed, eq. (1); `[S, B, A]`, scales a number or `[S, 1]`."""
    moved = (against(scale, a) * noise).clamp(max=against(clip, a)).clamp(min=-against(clip, a))
    return (a + moved).clamp(-1, 1)


class Agent(Learner):
    """Policy `pi` and critics `q`, with targets `pi_bar` and `q_bar`."""

    noise = {"target": Draw("normal", "B", "A")}
    act_noise = nets.DeterministicActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init, self.head = nets.Init(spec), nets.head_of(c)
        self.pi = nets.DeterministicActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, 2, c.norm, self.head, c.copies)
        nets.share_sight(self.pi, self.q)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.explore = c.explore
        self.periods = {"actor": c.actor_period}

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]`, and of policy and targets when `actor`;
        metrics `[S]` from before it."""
        assert b.noise is not None
        with torch.no_grad():
            a2 = self.pi_bar(b.s2).mode
            a2 = target_action(a2, b.noise["target"], c.smooth, c.smooth_clip)
            out2 = least(self.head, nets.outputs(self.q_bar, b.s2, a2))
            y = target_of(self.head, b.r, c.gamma * b.cont, out2)  # [S, K, B, size]
        out = self.q.outputs(b.s, b.a)
        loss = self.step_q(head_loss(self.head, out, y, c.biev))
        metrics = {"q_loss": loss, "q": self.head.mean(y).mean((-2, -1))}
        if actor:
            q = self.q(b.s, self.pi(b.s).mode)[:, 0]  # [S, B]
            metrics["pi_loss"] = self.step_pi(-q.mean(-1))
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by exploration noise when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(against(self.explore, noise) * noise)


def offline_notice(c: Config) -> str:
    """What to say of critics that never meet the environment."""
    return unheld("td3_bc", "rebrac", "iql", "cql")


draws, source = several, multistep

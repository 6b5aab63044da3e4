"""What makes a transition likely, learnt as a reward: judges of real and imagined transitions.

The dynamics as a policy that answers (s, a) with s': a learner of it and a discriminator of the two
are trained against each other, as in adversarial imitation, and the discriminators met on the way
are kept (Luo, Xu, Cao & Yu 2024, arXiv 2310.05422):

    (1)  L_D = -E_real log σ(D(s, a, Δ)) - E_learner log(1 - σ(D(s, a, Δ̂))),    Δ = s' - s
    (2)  L_G = E NLL(Δ, r) - w E log σ(D(s, a, Δ̂)),      Δ̂ ~ the learner's Gaussian, reparameterised
    (3)  r_D(s, a, s') = -log(1 - (1/M) Σ_i min(σ(D_i), clip) + 1e-9),   D_i kept at even distances

A judge of the last learner alone knows only its errors; those of (3) have seen coarse ones as well.
Differs from the paper, whose learner maximises sums of rewards by policy gradient along whole
trajectories and whose code for this stage is not published: (2) is one step deep, held to the data
by its likelihood. Inputs are normalised by the data's statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal
from rlkit.algos.imagination.rollout import Select, Step, Terminate
from rlkit.core.lanes import against
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.data.replay import Replay
from rlkit.nets.dynamics import Dynamics

_FLOOR = 1e-12  # a constant number is not scaled
_LEAST = 1e-9  # of (3), so that it stays finite
_BATCH = 256  # rows of an update, of each kind

Judge = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(s [S, B, D], a [S, B, A], s2 [S, K, B, D]) -> r_D [S, K, B]."""


def judge_loss(real: Tensor, fake: Tensor) -> Tensor:  # logits [..., B] twice -> [...]
    """Eq. (1)."""
    return F.softplus(-real).mean(-1) + F.softplus(fake).mean(-1)


def dynamics_reward(logits: Tensor, clip: float | Tensor) -> Tensor:  # [S, M, ...] -> [S, ...]
    """Eq. (3) of M judges' logits."""
    p = logits.sigmoid()
    return -(1 - p.clamp(max=against(clip, p)).mean(1) + _LEAST).log()


def filtered(judge: Judge, pick: Literal["softmax", "best"], sharpness: float | Tensor) -> Select:
    """`select`: a candidate drawn by the softmax of `sharpness` · r_D, or the best; its r_D is the
    score of the step."""

    def select(proposal: Proposal, noise: LaneNoise) -> tuple[Tensor, Tensor]:
        r = judge(proposal.s, proposal.a, proposal.s2)  # [S, K, B]
        logits = against(sharpness, r) * r
        if pick == "softmax":
            logits = logits + noise.gumbel(*r.shape[1:])
        chosen = logits.argmax(1)
        return chosen, r.gather(1, chosen.unsqueeze(1)).squeeze(1)

    return select


def below(threshold: float | Tensor, kind: Literal["break", "end"], end: Terminate) -> Terminate:
    """`terminate`: as `end` says, and where the score is below `threshold` the rollout is broken
    off, or the episode taken for ended."""

    def terminate(step: Step) -> tuple[Tensor, Tensor]:
        assert step.score is not None
        ended, stopped = end(step)
        unlikely = step.score < against(threshold, step.score)
        return (ended | unlikely, stopped) if kind == "end" else (ended, stopped | unlikely)

    return terminate


class Judges(nn.Module):
    """M discriminators of each lane, with the statistics of the data that they are asked about."""

    centre: Tensor
    scale: Tensor

    def __init__(self, spec: Spec, hidden: tuple[int, ...], n: int, clip: float | Tensor) -> None:
        super().__init__()
        self.spec, self.clip = spec, clip
        size = 2 * spec.obs_size + spec.act_size
        self.kept = nets.MLP(nets.Init(spec), size, hidden, 1, n).requires_grad_(False)
        zeros = torch.zeros(spec.lanes, 1, size, dtype=spec.dtype, device=spec.device)
        self.register_buffer("centre", zeros)
        self.register_buffer("scale", torch.ones_like(zeros))

    def inputs(self, s: Tensor, a: Tensor, change: Tensor) -> Tensor:
        """(s, a, Δ) normalised `[S, B, 2D + A]`."""
        return (torch.cat([s, a, change], -1) - self.centre) / self.scale

    @torch.no_grad()
    def forward(self, s: Tensor, a: Tensor, s2: Tensor) -> Tensor:
        """r_D `[S, K, B]` of K candidates."""
        k = s2.shape[1]
        change = (s2 - s.unsqueeze(1)).flatten(1, 2)
        x = self.inputs(s.repeat(1, k, 1), a.repeat(1, k, 1), change)
        logits = self.kept(x).squeeze(-1)  # [S, M, K B]
        return dynamics_reward(logits, self.clip).unflatten(-1, (k, -1))

    def fit(
        self,
        real: Replay,
        updates: int,
        hidden: tuple[int, ...],
        hidden_learner: tuple[int, ...],
        lr: float | Tensor,
        weight: float | Tensor,
    ) -> dict[str, Tensor]:
        """Trains learner and discriminator by (1) and (2) and keeps M of the latter; metrics `[S]`
        of the last update. The learner is thrown away."""
        spec = self.spec
        size = self.centre.shape[-1]
        self._normalise(real)
        learner = Dynamics(spec, hidden_learner, 1, 1, name="learner")
        for lane in range(spec.lanes):
            learner.normalise_by(lane, self._pairs(real)[lane % (1 if real.shared else spec.lanes)])
        judge = nets.MLP(nets.Init(spec), size, hidden, 1, 1)
        step_judge, step_learner = Adam(judge, lr), Adam(learner, lr)
        noise = LaneNoise(spec, "judges/fit", 0)
        n, metrics = next(iter(self.kept.parameters())).shape[1], {}
        places = [round((k + 1) * updates / n) for k in range(n)]  # updates after which one is kept
        for update in range(1, updates + 1):
            b = real.gather(noise.integers(real.size, _BATCH))
            y = torch.cat([b.s2 - b.s, b.r.unsqueeze(-1)], -1).unsqueeze(1)
            told = learner(b.s, b.a)
            drawn = (told.mean + told.std * noise.normal(1, _BATCH, spec.obs_size + 1)).squeeze(1)
            fake = self.inputs(b.s, b.a, drawn[..., :-1])
            true = self.inputs(b.s, b.a, b.s2 - b.s)
            logit_real, logit_fake = (judge(x).flatten(1) for x in (true, fake.detach()))
            loss = step_judge(judge_loss(logit_real, logit_fake))
            assert told.log_var is not None
            nll = ((told.mean - y).square() * (-told.log_var).exp() + told.log_var).mean((1, 2, 3))
            fooled = F.softplus(-judge(fake).flatten(1)).mean(-1)
            pull = weight.reshape(-1) if isinstance(weight, Tensor) else weight
            step_learner(nll + pull * fooled)
            for k, place in enumerate(places):
                if place == update:
                    self._keep(judge, k)
            right = (logit_real > 0).to(y).mean(-1) + (logit_fake < 0).to(y).mean(-1)
            metrics = {"judge_loss": loss, "judge_accuracy": right.detach() / 2}
        return metrics

    @torch.no_grad()
    def _keep(self, judge: nn.Module, k: int) -> None:
        for kept, own in zip(self.kept.parameters(), judge.parameters(), strict=True):
            kept[:, k] = own[:, 0]

    def _pairs(self, real: Replay) -> Tensor:
        return torch.cat([real.rows("s"), real.rows("a")], -1)

    def _normalise(self, real: Replay) -> None:
        x = torch.cat([self._pairs(real), real.rows("s2") - real.rows("s")], -1)
        std = x.std(1, unbiased=False, keepdim=True)
        self.centre.copy_(x.mean(1, keepdim=True))
        self.scale.copy_(torch.where(std < _FLOOR, torch.ones_like(std), std))

"""Models whose errors are known: a plane whose steps are blurred, a promise that is not kept."""

from __future__ import annotations

import torch
from torch import Tensor

from rlkit.algos import combo
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams

ERROR, CANDIDATES = 0.2, 6  # of the plane's model: standard deviation, steps proposed


def plane(s: Tensor, a: Tensor) -> Tensor:
    """The next states `[..., 2]` of a turning plane that is pushed by `a [..., 1]`."""
    turned = torch.stack([0.9 * s[..., 0] + 0.3 * s[..., 1], 0.9 * s[..., 1] - 0.3 * s[..., 0]], -1)
    return turned + 0.2 * a


def proposed(
    s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise, candidates: int = CANDIDATES
) -> Proposal:
    """Candidates `[S, candidates, n, 2]` around the plane's truth, each with an error of its own;
    rewards are 0."""
    s2 = plane(s, a).unsqueeze(1) + ERROR * noise.normal(candidates, s.shape[1], 2)
    return Proposal(s, a, s2, torch.zeros_like(s2[..., 0]))


def promised(c: combo.Config, seeds: tuple[int, ...], steps: int = 400) -> Tensor:
    """The actions `[S]` of COMBO's policies after `steps` updates on episodes of one step: half of
    the rows are real, of actions near -0.3 that pay 1, half a model's, of actions near 0.8 that
    are said to pay 2. Where `alpha` is 0 they are those of MOPO whose model is sure."""
    spec = Spec(1, 1, seeds)
    agent, streams = combo.Agent(spec, c), Streams(seeds)
    real = (torch.arange(32) < 16).float().expand(len(seeds), -1)
    s, end = torch.zeros(len(seeds), 32, 1), torch.zeros(len(seeds), 32)
    for step in range(steps):
        jitter = torch.from_numpy(streams.draw("jitter", "normal", step, (32,))[0]).float()
        a = torch.where(real > 0, -0.3, 0.8) + 0.05 * jitter
        r = torch.where(real > 0, 1.0, 2.0)
        agent.update(Batch(s, a.clamp(-0.99, 0.99).unsqueeze(-1), r, end, s, real=real), c)
    return agent.act(torch.zeros(len(seeds), 1, 1)).detach()[:, 0, 0]

"""Policies that play best-arm games by the statistics they have seen, and the games they play."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.nets.layers import MLP, Init

# (pulls [S, n, K], sums [S, n, K], round) -> logits of the next pull and of the recommendation
Rule = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
_INPUTS = 6


class ActivePolicy(nn.Module):
    """S networks on sufficient statistics, symmetric in the arms: a `Rule` for S lanes."""

    def __init__(self, arms: int, budget: int, hidden: int, seeds: tuple[int, ...]) -> None:
        super().__init__()
        self.arms, self.budget = arms, budget
        init = Init(Spec(_INPUTS, 1, seeds, torch.float32))
        self.arm = MLP(init, _INPUTS, (hidden,), hidden)
        self.joint = MLP(init, _INPUTS + 2 * hidden, (hidden,), 2)

    def inputs(self, pulls: Tensor, sums: Tensor, t: int | Tensor) -> Tensor:
        """What the net sees of every arm [..., K, 6]; shifting all rewards changes nothing."""
        centre = sums.sum(-1, keepdim=True) / pulls.sum(-1, keepdim=True).clamp(min=1.0)
        known = (pulls > 0).to(sums)
        above = (sums / pulls.clamp(min=1.0) - centre) * known
        share = torch.as_tensor(t / self.budget).to(sums).expand(sums.shape[:-1])
        spread = (pulls + 1.0).rsqrt()
        parts = [above, above * pulls.sqrt(), pulls / self.budget, spread, known]
        return torch.stack([*parts, share[..., None].expand_as(sums)], -1)

    def scores(self, x: Tensor) -> Tensor:
        """Logits (next pull, recommendation) [S, n, K, 2] of inputs [S, n, K, 6]."""
        h = torch.relu(self.arm(x.flatten(1, 2))).unflatten(1, x.shape[1:3])  # [S, n, K, hidden]
        pooled = h.mean(2, keepdim=True).expand_as(h)
        return self.joint(torch.cat([x, h, pooled], -1).flatten(1, 2)).unflatten(1, x.shape[1:3])

    def forward(self, pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
        out = self.scores(self.inputs(pulls, sums, t))
        return out[..., 0], out[..., 1]

    def log_probabilities(self, games: "Rollouts") -> Tensor:
        """Of all pulls of each game together [S, n]."""
        before, held, actions = games.past
        rounds = torch.arange(len(actions))[:, None, None]
        x = self.inputs(before, held, rounds).transpose(0, 1).flatten(1, 2)  # [S, T n, K, 6]
        logits = self.scores(x)[..., 0].log_softmax(-1)
        chosen = actions.transpose(0, 1).flatten(1, 2)[..., None]
        return logits.gather(-1, chosen).squeeze(-1).unflatten(1, (len(actions), -1)).sum(1)


def uniform_rule(pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Pulls the least pulled arm and recommends the best mean: the baseline."""
    return -1e6 * pulls, 1e6 * sums / pulls.clamp(min=1.0)


def lucb_rule(pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Each arm once, then in turn the leader and its best challenger by an upper bound."""
    mean = sums / pulls.clamp(min=1.0)
    leader = F.one_hot(mean.argmax(-1), mean.shape[-1]).to(mean)
    upper = mean + (2.0 / pulls.clamp(min=1.0)).sqrt() - 1e6 * leader
    turn = leader if t % 2 == 0 else upper
    return torch.where(pulls.min(-1, keepdim=True).values > 0, 1e6 * turn, -1e6 * pulls), 1e6 * mean


@dataclass(frozen=True, eq=False)
class Rollouts:
    """n games a lane: pulls and sums at the end [S, n, K], recommendation probabilities, and the
    (pulls, sums, actions) of every round, [T, S, n, K] and [T, S, n]."""

    pulls: Tensor
    sums: Tensor
    recommend: Tensor
    past: tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def roll_out(rule: Rule, theta: Tensor, budget: int, streams: Streams, step: int) -> Rollouts:
    """Play problems theta [S, n, K], one game each, with the draws of this step of the streams."""
    lanes, n, arms = theta.shape
    gumbel = torch.from_numpy(streams.draw("pull", "gumbel", step, (budget, n, arms))[0])
    noise = torch.from_numpy(streams.draw("reward", "normal", step, (budget, n))[0])
    pulls, sums = torch.zeros_like(theta), torch.zeros_like(theta)
    past: list[tuple[Tensor, Tensor, Tensor]] = []
    for t in range(budget):
        logits, _ = rule(pulls, sums, t)
        action = (logits + gumbel[:lanes, t]).argmax(-1)
        past.append((pulls.clone(), sums.clone(), action))
        reward = theta.gather(-1, action[..., None]).squeeze(-1) + noise[:lanes, t]
        pulls.scatter_add_(-1, action[..., None], torch.ones_like(reward)[..., None])
        sums.scatter_add_(-1, action[..., None], reward[..., None])
    recommend = rule(pulls, sums, budget)[1].softmax(-1)
    before, held, actions = (torch.stack(part) for part in zip(*past, strict=True))
    return Rollouts(pulls, sums, recommend, (before, held, actions))


def losses(recommend: Tensor, theta: Tensor, kind: str) -> Tensor:
    """Expected loss [...] of recommendation probabilities [..., K]."""
    if kind == "error":
        return 1.0 - recommend.gather(-1, theta.argmax(-1, keepdim=True)).squeeze(-1)
    return theta.max(-1).values - (recommend * theta).sum(-1)

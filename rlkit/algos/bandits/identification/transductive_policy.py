"""Policies of transductive games, by what least squares makes of the answers so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from rlkit.core.spec import Spec
from rlkit.nets.layers import MLP, Init

if TYPE_CHECKING:
    from rlkit.algos.bandits.identification.active_policy import Rollouts

_RIDGE = 0.1  # of the least squares that a policy sees
_QUERY, _HYPOTHESIS = 6, 5  # numbers that the nets see of each
_FIRM = 5.0  # of naming at first
_WORTH, _ERRORS = 2, 1  # among them: what an answer would tell, standard errors behind, negated


class Estimates(NamedTuple):
    """Least squares on the answers of [..., N] queries, each asked `pulls` times."""

    inverse: Tensor  # [..., d, d], (ridge + sum x x')^-1
    theta: Tensor  # [..., d]
    value: Tensor  # [..., M], z . theta


def estimates(pulls: Tensor, sums: Tensor, x: Tensor, z: Tensor, ridge: float) -> Estimates:
    """The `Estimates` of queries `x` [N, d] and hypotheses `z` [M, d]."""
    gram = torch.einsum("...q,qi,qj->...ij", pulls, x, x)
    gram = gram + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    inverse = torch.linalg.inv(gram)
    theta = (inverse @ (sums @ x).unsqueeze(-1)).squeeze(-1)
    return Estimates(inverse, theta, theta @ z.T)


class TransductivePolicy(nn.Module):
    """S networks, symmetric in queries and in hypotheses: a `Rule` for S lanes.

    Of a query they see how much is known of it and how much an answer would tell of the leader
    against its nearest challengers; of a hypothesis its distance to the leader in value and in
    standard errors. What they put out is added to the logits of a plain rule: to ask by how much an
    answer would tell, and to name by standard errors.
    """

    def __init__(
        self, x: Tensor, z: Tensor, budget: int, hidden: int, seeds: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.register_buffer("x", x.float(), persistent=False)
        self.register_buffer("z", z.float(), persistent=False)
        self.budget = budget
        init = Init(Spec(_QUERY, 1, seeds, torch.float32))
        self.query = MLP(init, _QUERY, (hidden,), hidden)
        self.ask = MLP(init, _QUERY + 2 * hidden, (hidden,), 1)
        self.name = MLP(init, _HYPOTHESIS, (hidden,), 1)

    x: Tensor
    z: Tensor

    @torch.no_grad()
    def inputs(self, pulls: Tensor, sums: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """What the nets see of every query [..., N, 6] and of every hypothesis [..., M, 5]."""
        x, z = self.x, self.z
        told = estimates(pulls, sums, x, z, _RIDGE)
        lead = told.value.argmax(-1, keepdim=True)
        behind = told.value.gather(-1, lead) - told.value  # [..., M]
        apart = z[lead.squeeze(-1)].unsqueeze(-2) - z  # [..., M, d]
        turned = apart @ told.inverse
        width = (turned * apart).sum(-1).clamp(min=0).sqrt()
        ours = torch.zeros_like(behind).scatter_(-1, lead, 1.0)
        errors = behind / (width + 1e-3)
        near = (-errors - 1e6 * ours).softmax(-1)  # challengers
        known = ((x @ told.inverse) * x).sum(-1)  # [..., N] the variance of x . theta
        told_by = (turned @ x.T).square() / (1.0 + known.unsqueeze(-2))  # [..., M, N]
        worth = told_by / (width.square().unsqueeze(-1) + 1e-6)
        first = (-errors - 1e6 * ours).argmax(-1)[..., None, None]
        nearest = worth.gather(-2, first.expand(*first.shape[:-1], worth.shape[-1])).squeeze(-2)
        share = torch.as_tensor(t / self.budget).to(sums).expand(sums.shape[:-1])[..., None]
        of_query = [
            *(known / (1.0 + known), nearest, (near.unsqueeze(-1) * worth).sum(-2)),
            *(pulls / self.budget, told.theta @ x.T, share.expand_as(pulls)),
        ]
        of_hypothesis = [ours, -errors.clamp(max=20.0), -behind, width, share.expand_as(behind)]
        return torch.stack(of_query, -1), torch.stack(of_hypothesis, -1)

    def asked(self, seen: Tensor) -> Tensor:
        """Logits of the next query [S, n, N] of what is seen of them [S, n, N, 6]."""
        h = torch.relu(self.query(seen.flatten(1, 2))).unflatten(1, seen.shape[1:3])
        pooled = h.mean(2, keepdim=True).expand_as(h)
        out = self.ask(torch.cat([seen, h, pooled], -1).flatten(1, 2))
        return out.unflatten(1, seen.shape[1:3]).squeeze(-1) + (seen[..., _WORTH] + 1e-3).log()

    def forward(self, pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
        queries, hypotheses = self.inputs(pulls, sums, t)
        named = self.name(hypotheses.flatten(1, 2)).unflatten(1, hypotheses.shape[1:3])
        return self.asked(queries), named.squeeze(-1) + _FIRM * hypotheses[..., _ERRORS]

    def log_probabilities(self, games: Rollouts) -> Tensor:
        """Of all queries of each game together [S, n]."""
        before, held, actions = games.past
        rounds = torch.arange(len(actions))[:, None, None]
        seen = self.inputs(before, held, rounds)[0].transpose(0, 1).flatten(1, 2)  # [S, T n, N, 6]
        logits = self.asked(seen).log_softmax(-1)
        chosen = actions.transpose(0, 1).flatten(1, 2)[..., None]
        return logits.gather(-1, chosen).squeeze(-1).unflatten(1, (len(actions), -1)).sum(1)

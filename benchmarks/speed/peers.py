"""The same algorithms written plainly, the way CORL and stable-baselines3 write them.

Separate modules and torch.optim optimisers, one backward pass and one step for every loss, one
`.item()` a loss, per-parameter target averaging. Nets are 2x256 ReLU, as in the libraries; CQL's
critics and all of SAC-N's are 3x256, and SAC-N's ten critics are one stack of weights.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

HIDDEN = 256
Transition = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # s, a, r, done, s2


def mlp(n_in: int, n_out: int, depth: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in [n_in] + [HIDDEN] * (depth - 1):
        layers += [nn.Linear(width, HIDDEN), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, n_out))


class TwinCritic(nn.Module):
    def __init__(self, obs: int, act: int, depth: int = 2) -> None:
        super().__init__()
        self.first, self.second = mlp(obs + act, 1, depth), mlp(obs + act, 1, depth)

    def forward(self, s: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        sa = torch.cat([s, a], 1)
        return self.first(sa).squeeze(-1), self.second(sa).squeeze(-1)


def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def average(target: nn.Module, net: nn.Module, tau: float = 0.005) -> None:
    for t, p in zip(target.parameters(), net.parameters(), strict=True):
        t.data.copy_((1 - tau) * t.data + tau * p.data)


class Stacked(nn.Module):
    """A linear layer of each of N critics, as one batched product."""

    def __init__(self, critics: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = n_in**-0.5
        self.weight = nn.Parameter(torch.empty(critics, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(critics, 1, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class ManyCritics(nn.Module):
    def __init__(self, obs: int, act: int, critics: int) -> None:
        super().__init__()
        widths = [obs + act, HIDDEN, HIDDEN, HIDDEN]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [Stacked(critics, n_in, n_out), nn.ReLU()]
        self.net, self.critics = nn.Sequential(*layers, Stacked(critics, HIDDEN, 1)), critics

    def forward(self, s: Tensor, a: Tensor) -> Tensor:  # [N, B]
        sa = torch.cat([s, a], -1).expand(self.critics, -1, -1)
        return self.net(sa).squeeze(-1)


class PlainBC:
    def __init__(self, obs: int, act: int) -> None:
        self.pi, self.log_std = mlp(obs, act), nn.Parameter(torch.zeros(act))
        self.optimiser = torch.optim.Adam([*self.pi.parameters(), self.log_std], lr=3e-4)

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, *_ = batch
        d = Normal(torch.tanh(self.pi(s)), self.log_std.clamp(-5, 2).exp())
        return {"pi": step(self.optimiser, -d.log_prob(a).sum(-1).mean())}


class PlainIQL:
    def __init__(self, obs: int, act: int) -> None:
        self.q, self.v, self.pi = TwinCritic(obs, act), mlp(obs, 1), mlp(obs, act)
        self.log_std = nn.Parameter(torch.zeros(act))
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.q_optimiser = torch.optim.Adam(self.q.parameters(), lr=3e-4)
        self.v_optimiser = torch.optim.Adam(self.v.parameters(), lr=3e-4)
        self.pi_optimiser = torch.optim.Adam([*self.pi.parameters(), self.log_std], lr=3e-4)

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, r, done, s2 = batch
        log = {}
        with torch.no_grad():
            v2 = self.v(s2).squeeze(-1)
            q = torch.min(*self.target(s, a))
        adv = q - self.v(s).squeeze(-1)
        v_loss = torch.mean(torch.abs(0.7 - (adv < 0).float()) * adv**2)
        log["v"] = step(self.v_optimiser, v_loss)
        y = r + (1 - done) * 0.99 * v2
        q_loss = sum(F.mse_loss(q, y) for q in self.q(s, a))
        log["q"] = step(self.q_optimiser, q_loss)
        average(self.target, self.q)
        weight = torch.exp(3.0 * adv.detach()).clamp(max=100.0)
        d = Normal(torch.tanh(self.pi(s)), self.log_std.clamp(-5, 2).exp())
        log["pi"] = step(self.pi_optimiser, torch.mean(-weight * d.log_prob(a).sum(-1)))
        return log


class PlainSAC:
    def __init__(self, obs: int, act: int) -> None:
        self.act = act
        self.q, self.pi = TwinCritic(obs, act), mlp(obs, 2 * act)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.log_alpha = nn.Parameter(torch.zeros(1))
        self.q_optimiser = torch.optim.Adam(self.q.parameters(), lr=3e-4)
        self.pi_optimiser = torch.optim.Adam(self.pi.parameters(), lr=3e-4)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], lr=3e-4)

    def sample(self, s: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.pi(s).chunk(2, -1)
        d = Normal(mean, log_std.clamp(-20, 2).exp())
        u = d.rsample()
        a = torch.tanh(u)
        return a, (d.log_prob(u) - torch.log(1 - a**2 + 1e-6)).sum(-1)

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, r, done, s2 = batch
        log = {}
        new_a, log_prob = self.sample(s)
        alpha = self.log_alpha.detach().exp()
        alpha_loss = -(self.log_alpha * (log_prob - self.act).detach()).mean()
        log["alpha"] = step(self.alpha_optimiser, alpha_loss)
        with torch.no_grad():
            a2, log_prob2 = self.sample(s2)
            y = r + (1 - done) * 0.99 * (torch.min(*self.target(s2, a2)) - alpha * log_prob2)
        q_loss = 0.5 * sum(F.mse_loss(q, y) for q in self.q(s, a))
        log["q"] = step(self.q_optimiser, q_loss)
        pi_loss = (alpha * log_prob - torch.min(*self.q(s, new_a))).mean()
        log["pi"] = step(self.pi_optimiser, pi_loss)
        average(self.target, self.q)
        return log


class PlainTD3BC:
    def __init__(self, obs: int, act: int) -> None:
        self.q, self.pi = TwinCritic(obs, act), mlp(obs, act)
        self.q_target, self.pi_target = copy.deepcopy(self.q), copy.deepcopy(self.pi)
        self.q_optimiser = torch.optim.Adam(self.q.parameters(), lr=3e-4)
        self.pi_optimiser = torch.optim.Adam(self.pi.parameters(), lr=3e-4)
        self.updates = 0

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, r, done, s2 = batch
        log = {}
        self.updates += 1
        with torch.no_grad():
            noise = (torch.randn_like(a) * 0.2).clamp(-0.5, 0.5)
            a2 = (torch.tanh(self.pi_target(s2)) + noise).clamp(-1, 1)
            y = r + (1 - done) * 0.99 * torch.min(*self.q_target(s2, a2))
        log["q"] = step(self.q_optimiser, sum(F.mse_loss(q, y) for q in self.q(s, a)))
        if self.updates % 2 == 0:
            new_a = torch.tanh(self.pi(s))
            q = self.q(s, new_a)[0]
            weight = 2.5 / q.abs().mean().detach()
            log["pi"] = step(self.pi_optimiser, -weight * q.mean() + F.mse_loss(new_a, a))
            average(self.q_target, self.q)
            average(self.pi_target, self.pi)
        return log


class PlainSACN(PlainSAC):
    def __init__(self, obs: int, act: int, critics: int = 10) -> None:
        super().__init__(obs, act)
        self.q, self.pi = ManyCritics(obs, act, critics), mlp(obs, 2 * act, 3)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        self.q_optimiser = torch.optim.Adam(self.q.parameters(), lr=3e-4)
        self.pi_optimiser = torch.optim.Adam(self.pi.parameters(), lr=3e-4)

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, r, done, s2 = batch
        log = {}
        new_a, log_prob = self.sample(s)
        alpha_loss = -(self.log_alpha * (log_prob - self.act).detach()).mean()
        log["alpha"] = step(self.alpha_optimiser, alpha_loss)
        alpha = self.log_alpha.detach().exp()
        pi_loss = (alpha * log_prob - self.q(s, new_a).min(0).values).mean()
        log["pi"] = step(self.pi_optimiser, pi_loss)
        with torch.no_grad():
            a2, log_prob2 = self.sample(s2)
            y = r + (1 - done) * 0.99 * (self.target(s2, a2).min(0).values - alpha * log_prob2)
        q_loss = ((self.q(s, a) - y) ** 2).mean(1).sum(0)
        log["q"] = step(self.q_optimiser, q_loss)
        average(self.target, self.q)
        return log


class PlainCQL(PlainSAC):
    def __init__(self, obs: int, act: int, actions: int = 10) -> None:
        super().__init__(obs, act)
        self.actions, self.q = actions, TwinCritic(obs, act, 3)
        self.target = copy.deepcopy(self.q).requires_grad_(False)
        pairs = [self.q.first, self.q.second]
        self.q_optimisers = [torch.optim.Adam(q.parameters(), lr=3e-4) for q in pairs]

    def update(self, batch: Transition) -> dict[str, float]:
        s, a, r, done, s2 = batch
        log = {}
        new_a, log_prob = self.sample(s)
        alpha_loss = -(self.log_alpha * (log_prob - self.act).detach()).mean()
        log["alpha"] = step(self.alpha_optimiser, alpha_loss)
        alpha = self.log_alpha.detach().exp()
        pi_loss = (alpha * log_prob - torch.min(*self.q(s, new_a))).mean()
        with torch.no_grad():
            a2, log_prob2 = self.sample(s2)
            y = r + (1 - done) * 0.99 * (torch.min(*self.target(s2, a2)) - alpha * log_prob2)
        now, then = (x.repeat_interleave(self.actions, 0) for x in (s, s2))
        with torch.no_grad():
            drawn = [self.sample(now), self.sample(then)]
        uniform = torch.rand(now.shape[0], self.act) * 2 - 1
        drawn.append((uniform, torch.full((now.shape[0],), -self.act * math.log(2.0))))
        values = [[q - log_p for q in self.q(now, x)] for x, log_p in drawn]
        losses = []
        for k, q in enumerate(self.q(s, a)):
            stacked = torch.cat([v[k].view(-1, self.actions) for v in values], 1)
            gap = (torch.logsumexp(stacked, 1) - q).mean()
            losses.append(F.mse_loss(q, y) + 10.0 * gap)
        log["pi"] = step(self.pi_optimiser, pi_loss)
        for k, optimiser in enumerate(self.q_optimisers):
            optimiser.zero_grad()
            losses[k].backward()
            log[f"q{k}"] = losses[k].item()
        for optimiser in self.q_optimisers:
            optimiser.step()
        average(self.target, self.q)
        return log


AGENTS = {
    "iql": PlainIQL,
    "sac": PlainSAC,
    "td3_bc": PlainTD3BC,
    "cql": PlainCQL,
    "sac_n": PlainSACN,
}

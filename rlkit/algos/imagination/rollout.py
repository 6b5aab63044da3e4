"""Rollouts of a policy in a learnt model, with four places to change what happens.

    propose    what the model says may follow (s, a): one or more candidates a row
    select     which candidate is taken
    reward     what the agent is told it was worth
    terminate  whether the episode ended there, or the rollout must be broken off

The systems of this family are choices of these four (and of the agent that learns from the rows):

    MBPO   Hooks(one_elite(model), terminate=environment_end(...)), an agent like SAC
    MOPO   all_members(model) as `propose`, so that every step carries all members' `std`; a
           `reward` that returns `step.r - λ u`, u = step.proposal.std.norm(dim=-1).amax(1), the
           largest over all members, elites or not
    RAVL   the hooks of MBPO; its pessimism is in the agent's critics (EDAC)
    COMBO  the hooks of MBPO; its agent pushes down the values of imagined rows
    MOREC  every_elite(model, resamples) as `propose`; a `select` that draws a candidate by the
           softmax of its dynamics reward and returns that reward as `score`; a `terminate` that
           breaks off (or ends, as the authors' code does) where `step.score` is below a threshold;
           the `reward` of MOPO, for which `propose` must also carry `std` (`with_std=True`)

All of it is laned and works in agent units. Noise comes from `LaneNoise`, whose draws must have
shapes that do not depend on other lanes: rows are never dropped, only marked dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.core.spec import Spec
from rlkit.core.streams import Kind, generator
from rlkit.data.transforms import Transforms
from rlkit.envs.terminations import termination
from rlkit.nets.dynamics import Dynamics, Prediction


class LaneNoise:
    """Random numbers of one round of rollouts, from one generator a lane.

    The generators are made anew for each `(name, block)`, so nothing needs saving; a lane's
    numbers depend on its seed, the name, the block, and the order and shapes of the draws.
    """

    def __init__(self, spec: Spec, name: str, block: int) -> None:
        self.spec = spec
        self._lanes = [generator(seed, name, block) for seed in spec.seeds]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal `[S, *shape]`."""
        return self._tensor([rng.standard_normal(shape, np.float32) for rng in self._lanes])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform on [0, 1) `[S, *shape]`."""
        return self._tensor([rng.random(shape, np.float32) for rng in self._lanes])

    def gumbel(self, *shape: int) -> Tensor:
        """Standard Gumbel `[S, *shape]`: the argmax of logits plus these draws by softmax."""
        return self._tensor([rng.gumbel(size=shape) for rng in self._lanes])

    def of_kind(self, kind: Kind, *shape: int) -> Tensor:
        """Noise of a `core.streams.Draw`'s kind `[S, *shape]`."""
        draw: Callable[..., Tensor] = getattr(self, kind)
        return draw(*shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers 0 .. high - 1, int64 `[S, *shape]`."""
        drawn = np.stack([rng.integers(high, size=shape) for rng in self._lanes])
        return torch.from_numpy(drawn).to(self.spec.device)

    def permutation(self, n: int) -> Tensor:
        """An order of 0 .. n - 1 for every lane, int64 `[S, n]`."""
        orders = np.stack([rng.permutation(n) for rng in self._lanes])
        return torch.from_numpy(orders).to(self.spec.device)

    def _tensor(self, lanes: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(lanes)).to(self.spec.device, self.spec.dtype)


class Proposal(NamedTuple):
    """K candidates for what follows (s, a), and what all members think where `propose` asked."""

    s: Tensor  # [S, B, D]
    a: Tensor  # [S, B, A]
    s2: Tensor  # [S, K, B, D]
    r: Tensor  # [S, K, B]
    mean: Tensor | None = None  # [S, n, B, D + 1] of (Δs, r), all n members
    std: Tensor | None = None  # [S, n, B, D + 1]


class Step(NamedTuple):
    """One imagined transition of every row."""

    s: Tensor  # [S, B, D]
    a: Tensor  # [S, B, A]
    r: Tensor  # [S, B] as the model predicts it
    s2: Tensor  # [S, B, D]
    score: Tensor | None  # [S, B] whatever `select` returned beside its choice
    proposal: Proposal


class Imagined(NamedTuple):
    """A step as it is stored."""

    s: Tensor  # [S, B, D]
    a: Tensor  # [S, B, A]
    r: Tensor  # [S, B] as `reward` returned it
    terminated: Tensor  # [S, B] bool: cont is 0
    stopped: Tensor  # [S, B] bool: the rollout was broken off, cont is 1
    s2: Tensor  # [S, B, D]
    kept: Tensor  # [S, B] bool: the rollout had not ended before and the prediction is finite


Propose = Callable[[Tensor, Tensor, Tensor, LaneNoise], Proposal]
"""(s, a, alive [S, B] bool, noise) -> candidates; rows that are not alive may hold anything."""
Select = Callable[[Proposal, LaneNoise], tuple[Tensor, Tensor | None]]
"""(candidates, noise) -> (which [S, B] int64, score [S, B] or None)."""
Reward = Callable[[Step], Tensor]
"""step -> [S, B]."""
Terminate = Callable[[Step], tuple[Tensor, Tensor]]
"""step -> (terminated, stopped), both [S, B] bool."""
Policy = Callable[[Tensor, LaneNoise], Tensor]
"""(s, noise) -> actions [S, B, A]."""


def first(proposal: Proposal, noise: LaneNoise) -> tuple[Tensor, None]:
    """`select`: the first candidate, for a `propose` that makes one."""
    return torch.zeros_like(proposal.r[:, 0], dtype=torch.int64), None


def predicted(step: Step) -> Tensor:
    """`reward`: the model's."""
    return step.r


def never(step: Step) -> tuple[Tensor, Tensor]:
    """`terminate`: no step ends anything."""
    no = torch.zeros_like(step.r, dtype=torch.bool)
    return no, no


class Hooks(NamedTuple):
    """The four places; only `propose` has no default."""

    propose: Propose
    select: Select = first
    reward: Reward = predicted
    terminate: Terminate = never


def one_elite(model: Dynamics) -> Propose:
    """`propose`: one draw from an elite chosen at random for every row (TS1 of PETS).

    Each elite gets an equal share of the rows by a random permutation, so a row costs one
    member's pass instead of all members'. Rows that are dead are not computed.
    """

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        rows = s.shape[1]
        which = noise.permutation(rows) % model.elites.shape[1]
        eps = noise.normal(rows, s.shape[-1] + 1)
        return _proposal(s, a, _by_elite(model, s, a, which, alive, eps).unsqueeze(1))

    return propose


def all_members(model: Dynamics) -> Propose:
    """`propose`: as `one_elite`, but all n members predict and are reported in `mean` and `std`."""

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        rows = s.shape[1]
        which = noise.permutation(rows) % model.elites.shape[1]
        eps = noise.normal(rows, s.shape[-1] + 1)
        every = model(s, a)
        member = model.elites.gather(1, which)[:, None, :, None]  # [S, 1, B, 1]
        member = member.expand(-1, -1, -1, s.shape[-1] + 1)
        drawn = every.mean.gather(1, member) + every.std.gather(1, member) * eps.unsqueeze(1)
        return _proposal(s, a, drawn, every)

    return propose


def every_elite(model: Dynamics, resamples: int = 1, with_std: bool = False) -> Propose:
    """`propose`: `resamples` draws from each elite, K = elites x resamples candidates.

    With `with_std` all n members predict and are reported in `mean` and `std`.
    """

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        every = model(s, a) if with_std else None
        elite = _chosen(every, model.elites) if every else model(s, a, model.elites)
        mean, std = (x.repeat_interleave(resamples, 1) for x in (elite.mean, elite.std))
        return _proposal(s, a, mean + std * noise.normal(*mean.shape[1:]), every)

    return propose


def _proposal(s: Tensor, a: Tensor, drawn: Tensor, every: Prediction | None = None) -> Proposal:
    """Candidates from draws `[S, K, B, D + 1]` of (Δs, r)."""
    s2, r = s.unsqueeze(1) + drawn[..., :-1], drawn[..., -1]
    if every is None:
        return Proposal(s, a, s2, r)
    return Proposal(s, a, s2, r, every.mean, every.std)


def _chosen(every: Prediction, members: Tensor) -> Prediction:
    lanes = torch.arange(members.shape[0], device=members.device).unsqueeze(-1)
    log_var = None if every.log_var is None else every.log_var[lanes, members]
    return Prediction(every.mean[lanes, members], log_var)


def _by_elite(
    model: Dynamics, s: Tensor, a: Tensor, which: Tensor, alive: Tensor, eps: Tensor
) -> Tensor:
    """Draws `[S, B, D + 1]`, row b of a lane by its elite number `which[b]`; 0 where dead."""
    m = model.elites.shape[1]
    owner = torch.where(alive, which, m)  # the dead behind all others
    order = owner.argsort(dim=1, stable=True)
    counts = (owner.unsqueeze(1) == torch.arange(m, device=s.device).view(1, m, 1)).sum(-1)
    places = torch.arange(int(counts.max()), device=s.device)
    begin = counts.cumsum(1) - counts  # [S, m], where an elite's rows begin in `order`
    real = places < counts.unsqueeze(-1)  # [S, m, M]; elites with fewer rows repeat any
    at = (begin.unsqueeze(-1) + places).clamp(max=s.shape[1] - 1)
    rows = order.gather(1, at.flatten(1)).view_as(at)
    lanes = torch.arange(s.shape[0], device=s.device).view(-1, 1, 1).expand_as(rows)
    x = torch.cat([s, a], -1)[lanes, rows]  # [S, m, M, D + A]
    prediction = model.predict(x, model.elites)
    drawn = prediction.mean + prediction.std * eps[lanes, rows]
    out = torch.zeros_like(eps)
    out[lanes[real], rows[real]] = drawn[real]
    return out


def environment_end(env_id: str | None, transforms: Transforms, spec: Spec) -> Terminate:
    """`terminate`: the task's own rule, asked in environment units.

    Raises ValueError when `env_id` is None or of a task whose rule is not known.
    """
    rule = termination(env_id)
    given = (transforms.obs_mean, transforms.obs_std)
    mean, std = (None if x is None else torch.from_numpy(x).to(spec.device) for x in given)

    def terminate(step: Step) -> tuple[Tensor, Tensor]:
        x = step.s2 if mean is None or std is None else step.s2 * std + mean  # in float64
        ended = rule(x)
        return ended, torch.zeros_like(ended)

    return terminate


def sampled(agent: Any) -> Policy:
    """The stochastic policy of an agent: `act` with the noise it declares in `act_noise`."""

    def act(s: Tensor, noise: LaneNoise) -> Tensor:
        shape = agent.act_noise.shape(noise.spec, s.shape[1])
        a: Tensor = agent.act(s, noise.of_kind(agent.act_noise.kind, *shape))
        return a.clamp(-1, 1)  # what an environment would do to it

    return act


@torch.no_grad()
def roll_out(
    act: Policy, hooks: Hooks, start: Tensor, length: int, noise: LaneNoise
) -> Iterator[Imagined]:
    """Up to `length` steps from `start [S, B, D]`, fewer when no row of any lane is left.

    A row that has ended, or whose prediction is not finite, is not `kept` from then on.
    """
    s, alive = start, torch.ones_like(start[..., 0], dtype=torch.bool)
    for _ in range(length):
        a = act(s, noise)
        proposal = hooks.propose(s, a, alive, noise)
        pick, score = hooks.select(proposal, noise)
        at = pick.unsqueeze(1)  # [S, 1, B]
        s2 = proposal.s2.gather(1, at.unsqueeze(-1).expand(-1, -1, -1, s.shape[-1])).squeeze(1)
        step = Step(s, a, proposal.r.gather(1, at).squeeze(1), s2, score, proposal)
        r = hooks.reward(step)
        terminated, stopped = hooks.terminate(step)
        kept = alive & s2.isfinite().all(-1) & r.isfinite()
        s2 = torch.where(kept.unsqueeze(-1), s2, s)
        yield Imagined(s, a, r.where(kept, 0), terminated, stopped, s2, kept)
        alive = kept & ~terminated & ~stopped
        if not alive.any():
            return
        s = torch.where(alive.unsqueeze(-1), s2, s)

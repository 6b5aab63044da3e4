"""Rollouts of a policy in a learnt model, with four places to change what happens.

    propose    what the model says may follow (s, a): one or more candidates a row
    select     which candidate is taken
    reward     what the agent is told it was worth
    terminate  whether the episode ended there, or the rollout must be broken off

The systems of this family are choices of these four (and of the agent that learns from the rows):

    MBPO   Hooks(one_elite(model), terminate=...), see `endings`; an agent like SAC
    MOPO   all_members(model) as `propose`, so that every step carries all members' `std`; a
           `reward` that returns `step.r - λ u`, u = step.proposal.std.norm(dim=-1).amax(1), the
           largest over all members, elites or not
    RAVL   the hooks of MBPO; its pessimism is in the agent's critics (EDAC)
    COMBO  the hooks of MBPO; its agent pushes values down at imagined states, up at real rows
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

import torch
from torch import Tensor

from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal, Propose
from rlkit.core.spec import Spec
from rlkit.data.transforms import Transforms
from rlkit.envs.terminations import Termination, termination


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


def environment_end(env_id: str | None, transforms: Transforms, spec: Spec) -> Terminate:
    """`terminate`: the task's own rule, asked in environment units.

    Raises ValueError when `env_id` is None or of a task whose rule is not known.
    """
    return rule_end(termination(env_id), transforms, spec)


def rule_end(rule: Termination, transforms: Transforms, spec: Spec) -> Terminate:
    """`terminate`: a rule that takes next observations in environment units."""
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

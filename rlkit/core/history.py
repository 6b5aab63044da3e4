"""What an agent that acts on more than the last observation is given: its episode's recent steps.

Such an agent says how many steps it looks back at, and takes them as a third argument of `act`:

    class Agent(Learner):
        history = 19
        def act(self, s, noise=None, past=None): ...  # without `past`, `s` begins an episode

It stays a function of what it is given. Whoever acts keeps the steps: `rlkit.run` in evaluations,
`Policy.act` for a loaded policy, a `Memory` in a loop of one's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.core.spec import Spec


class Past(NamedTuple):
    """The K steps before now of S lanes with B episodes each, in time order and in agent units;
    where an episode has had fewer, the first slots are 0."""

    s: Tensor  # [S, B, K, *obs]
    a: Tensor  # [S, B, K, A], or [S, B, K] int64
    r: Tensor  # [S, B, K]
    mask: Tensor  # [S, B, K] bool, the slots that hold a step
    t: Tensor  # [S, B] int64, steps that the episode has had
    gained: Tensor  # [S, B], the sum of its rewards so far


def until(now: Tensor, past: Tensor, steps: int) -> Tensor:
    """The last `steps` steps up to and with that of now, `[S, B, ...]` and a field of the past
    `[S, B, K, ...]`, K >= steps - 1: `[S, B, steps, ...]`."""
    return torch.cat([past[:, :, past.shape[2] - (steps - 1) :], now.unsqueeze(2)], 2)


class Memory:
    """Keeps the last `length` steps of the episodes under way.

    Before every step `recall` gives what to act on, after it `keep` takes what was done.
    """

    def __init__(self, spec: Spec, length: int) -> None:
        if length < 1:
            raise ValueError(f"history {length} must be at least 1 step")
        self.spec, self.length = spec, length
        self.past: Past | None = None

    def recall(self, t: Any, reward: Any) -> Past:
        """The steps before now, given the steps `t` `[S, B]` that each episode has had and the
        rewards `[S, B]`, in agent units, of the last ones; an episode begins where t is 0.

        Raises ValueError where t goes on from a step that was not kept.
        """
        spec = self.spec
        t = torch.as_tensor(np.array(t), device=spec.device)
        r = torch.as_tensor(np.array(reward), dtype=spec.dtype, device=spec.device)
        if self.past is None or self.past.t.shape != t.shape:
            if bool((t > 0).any()):
                raise ValueError("an episode goes on of which no step was kept; begin it with t 0")
            self.past = self._empty(t)
        begun, past = t > 0, self.past
        r = torch.where(begun, r, torch.zeros_like(r))
        rewards = past.r.clone()
        rewards[..., -1] = r
        self.past = Past(
            s=_kept(past.s, begun),
            a=_kept(past.a, begun),
            r=_kept(rewards, begun),
            mask=past.mask & begun.unsqueeze(-1),
            t=t,
            gained=torch.where(begun, past.gained + r, torch.zeros_like(r)),
        )
        return self.past

    def keep(self, s: Tensor, a: Tensor) -> None:
        """Take observations `[S, B, *obs]` and actions of the step that follows `recall`."""
        assert self.past is not None
        if not self.spec.discrete:
            a = a.clamp(-1, 1)  # as environments execute it and datasets hold it
        past = self.past
        self.past = past._replace(
            s=_appended(past.s, s),
            a=_appended(past.a, a),
            r=_appended(past.r, torch.zeros_like(past.gained)),
            mask=_appended(past.mask, torch.ones_like(past.t, dtype=torch.bool)),
        )

    def _empty(self, t: Tensor) -> Past:
        spec, lead = self.spec, (*t.shape, self.length)

        def zeros(*shape: int, dtype: torch.dtype = spec.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=spec.device)

        actions = zeros(*lead, dtype=torch.int64) if spec.discrete else zeros(*lead, spec.act_size)
        mask = zeros(*lead, dtype=torch.bool)
        return Past(zeros(*lead, *spec.obs), actions, zeros(*lead), mask, t, zeros(*t.shape))


def _kept(x: Tensor, begun: Tensor) -> Tensor:
    """`x` `[S, B, K, ...]` with 0 where an episode begins."""
    return torch.where(begun.view(*begun.shape, *[1] * (x.dim() - 2)), x, torch.zeros_like(x))


def _appended(x: Tensor, newest: Tensor) -> Tensor:
    return torch.cat([x[:, :, 1:], newest.unsqueeze(2).to(x.dtype)], 2)

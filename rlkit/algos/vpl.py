"""Variational preference learning, Poddar, Wan, Ivison, Gupta & Jaques 2024, "Personalizing
Reinforcement Learning from Human Feedback with Variational Preference Learning" (arXiv 2408.10075):
a reward and a policy for each of users who disagree, and are not told apart.

    (1)-(3)  a latent z inferred from a set of labelled pairs, r̂(s, a, z): see
         `preference.models.latent_users`
    (4)  scaling "wins":  r(s, a, z) = mean over rows (s', a') of σ(r̂(s, a, z) - r̂(s', a', z)), of
         one scale for all users (VPL-SPO); "standard" and "scale" take off mean and deviation
    (5)  the updates of `agent` on observations (s, z), rewards r(s, a, z), z ~ q(z | a random set)

The policy acts for one user at a time: `user` of the pairs, or whoever answered the file `serve`,
and later `agent.serve(z)`. Pairs are those of a file whose column says who answered, or are asked
of synthetic `users`.

Differs from the authors' code: see `preference.models.latent_users`; a row's z is drawn anew every
time it is, from `latents` samples, where theirs is drawn once for each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rlkit.algos.behind.agents import Behind, Named, draws_itself
from rlkit.algos.preference.latent_rows import LatentRows, LatentScaling
from rlkit.algos.preference.teachers import ranking
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    Widths,
    checked,
    idle_beside,
)
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "continuous", "discrete")


@checked(idle={"preferences": "users teacher pairs length"})
@dataclass(frozen=True)
class Config(Named):
    needs = frozenset(("offline",))
    users: str = ""  # synthetic users, a factor each: "columns:right,-right"
    preferences: str | None = None  # file of labelled pairs with users, instead of asking
    teacher: str = "rational"  # how synthetic users answer: rational, noisy:1, mistaken:0.1, ...
    pairs: Count = 1000  # pairs that a lane asks about, the users taking turns
    length: Count = 1  # H, steps of a segment
    user: Natural = 0  # whom the policy acts for, by the number in the pairs
    serve: str | None = None  # file of pairs of whom the policy acts for, instead
    agent: str = "iql"  # offline algorithm that learns from observation and latent
    given: str = ""  # fields of its Config, as "beta=1.0 hidden=256,256"; the rest by default
    latent: Count = 8  # Z, numbers in z
    set_size: Count = 16  # pairs that z is inferred from
    kl: NonNegative = 1.0  # w of (3), weight of the KL
    cycles: Natural = 0  # times that w grows from 0 in the fit; 0: it is constant
    hidden_vae: Widths = (128, 128)  # widths of encoder and reward
    lr_vae: Positive = 1e-3  # their learning rate
    batch_vae: Count = 64  # sets an update of them
    steps_vae: Count = 2_000  # updates of them, before the first of the agent
    latents: Count = 1_000  # samples of z that rows are drawn with
    comparisons: Count = 64  # rows of (4)
    scaling: LatentScaling = "wins"  # of r̂ for each z, (4)


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "published": (
        {
            "latent": 32,
            "set_size": 16,
            "hidden_vae": (256, 256, 256),
            "lr_vae": 1e-3,
            "batch_vae": 256,
            "steps_vae": 10_000,
            "cycles": 4,
            "kl": 2.0,
            "agent": "iql",
            "given": "hidden=256,256 lr=3e-4 tau=0.7 beta=3.0 polyak=0.005",
        },
        {},
    ),
}


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What was set although `scaling` "none" compares with no other rows, or ""."""
    return "" if metrics else idle_beside(c, "scaling=none", "comparisons")


class Served(nn.Module):
    """The latent of whom a policy acts for, `[S, Z]`."""

    z: Tensor

    def __init__(self, spec: Spec, size: int) -> None:
        super().__init__()
        self.register_buffer("z", torch.zeros(spec.lanes, size, dtype=spec.dtype).to(spec.device))


class Agent(Behind):
    """The agent named by the config on observations (s, z), which acts on s for one user."""

    def __init__(self, spec: Spec, c: Config) -> None:
        if len(spec.obs) > 1:
            raise ValueError(f"vpl appends to vectors; observations are of shape {spec.obs}")
        c.check_learns(spec, "offline")
        wide = replace(spec, obs=(spec.obs_size + c.latent,))
        super().__init__(wide, c, ranking.wanted_columns(c.users) if c.preferences is None else ())
        self.served = Served(spec, c.latent)
        self._act = self.__dict__.pop("act")

    def serve(self, z: Tensor) -> None:
        """From now on act for the user of latent `z [S, Z]`."""
        self.served.z.copy_(z)

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The agent's action `[S, B, A]`, or `[S, B]`, for the user served."""
        z = self.served.z.unsqueeze(1) + 0 * s[..., :1]  # expand is no operation of exported ones
        return self._act(torch.cat((s, z), -1), noise)  # type: ignore[no-any-return]


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from. Raises UsageError for a user who is no column of them."""
    if c.preferences is None:
        ranking.check_columns(c.users, store)
    choose = getattr(c.module, "select", None)
    return store if choose is None else choose(store, c.own)


def source(stock: Stock, agent: Agent, c: Config) -> LatentRows:
    """Fit latents to the pairs of all users, feed the agent.

    Raises UsageError for users and files that cannot be read, and for an agent that makes its own
    minibatches.
    """
    if draws_itself(c.module, c.own) or "mc_return" in agent.columns:
        raise UsageError(f"agent {c.agent!r} cannot learn under latents; name iql, cql or td3_bc")
    return LatentRows(stock, getattr(c.own, "batch_size", 256), c, agent.serve)

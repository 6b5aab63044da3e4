"""What an agent must know of its task and of the lanes it trains: shapes, seeds, dtype, device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rlkit.core.normaliser import Normaliser
from rlkit.core.pixels import layout


@dataclass(frozen=True)
class Box:
    """Continuous actions of `size` dimensions. Agents see and emit them scaled to [-1, 1]."""

    size: int


@dataclass(frozen=True)
class Discrete:
    """Actions 0 .. n-1, int64."""

    n: int


@dataclass(frozen=True)
class Spec:
    """Task shapes and lanes.

    `obs` is the shape of one observation: `(17,)` for a vector, `(7, 7, 3)` for a MiniGrid view;
    with `image` it is that of a picture of uint8 numbers (`core.pixels`).
    `act` may be given as a number (continuous dimensions), a `Box` or a `Discrete`.
    A lane is a seed: lane k of every tensor belongs to `seeds[k]`.

    Nets of one's own: `encoder` makes a torch module from observations `[B, *obs]` to features
    `[B, n]`, which stands before the layers of every net of an agent; `critic` one from `(s, a)` to
    values `[B]` (discrete: from `s` to `[B, actions]`) in place of the Q functions. They are
    ordinary modules; lanes and ensemble members get copies. Nets see vectors through a `normaliser`
    where there is one, which becomes a part of the agent; whoever collects adds to it.
    """

    obs: tuple[int, ...]
    act: Box | Discrete
    seeds: tuple[int, ...] = (0,)
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    encoder: Callable[[], nn.Module] | None = None
    critic: Callable[[], nn.Module] | None = None
    image: bool = False
    normaliser: Normaliser | None = None

    def __init__(
        self,
        obs: int | tuple[int, ...],
        act: int | Box | Discrete,
        seeds: tuple[int, ...] | range = (0,),
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        encoder: Callable[[], nn.Module] | None = None,
        critic: Callable[[], nn.Module] | None = None,
        image: bool = False,
        normaliser: Normaliser | None = None,
    ) -> None:
        obs = (obs,) if isinstance(obs, int) else tuple(int(n) for n in obs)
        act = Box(act) if isinstance(act, int) else act
        seeds = tuple(int(seed) for seed in seeds)
        if not obs or min(obs) < 1:
            raise ValueError(f"observation shape {obs} must have positive dimensions")
        if not seeds or min(seeds) < 0:  # two lanes may share one: their configurations may differ
            raise ValueError(f"seeds {seeds} must be at least one, and not negative")
        if (act.size if isinstance(act, Box) else act.n) < 1:
            raise ValueError(f"{act} must have at least one action")
        values: dict[str, Any] = {"obs": obs, "act": act, "seeds": seeds, "dtype": dtype}
        values |= {"device": device, "encoder": encoder, "critic": critic, "image": bool(image)}
        values["normaliser"] = normaliser
        if image:
            layout(obs)
        if normaliser is not None and (len(obs) > 1 or normaliser.mean.shape != (len(seeds), *obs)):
            raise ValueError(
                f"a normaliser of {tuple(normaliser.mean.shape)} is not of {len(seeds)} lanes of "
                f"observations {obs} as these nets see them: go without (normalise_obs)"
            )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def lanes(self) -> int:
        """Number of lanes S."""
        return len(self.seeds)

    @property
    def discrete(self) -> bool:
        return isinstance(self.act, Discrete)

    @property
    def act_size(self) -> int:
        """Dimensions of a continuous action, or the number of discrete ones."""
        return self.act.size if isinstance(self.act, Box) else self.act.n

    @property
    def obs_size(self) -> int:
        """Numbers in one observation."""
        return math.prod(self.obs)

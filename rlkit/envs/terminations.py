"""When gymnasium's MuJoCo tasks end, computed from the next observation, for learnt models.

Each function maps next observations `[..., D]` in environment units to bool `[...]`: terminated.
They hold for the default arguments of v4 and v5, in which positions that do not matter are left out
of the observation, so that the first entry is the height of the torso.

Hopper and Ant are checked by gymnasium on the simulator's own state. Hopper's velocities are
clipped to ±10 in observations, so its test |x| < 100 can only fire on the predictions of a model
that diverges.
Differs from jannerm/mbpo: its Hopper compares the state itself, not its absolute value, with 100;
its Humanoid stays alive at a height of exactly 1 or 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rlkit.core.words.nearest import suggestion
from rlkit.envs.tasks.maze import LAYOUTS

Termination = Callable[[Tensor], Tensor]


def never(x: Tensor) -> Tensor:
    """No state ends the episode."""
    return torch.zeros_like(x[..., 0], dtype=torch.bool)


def hopper(x: Tensor) -> Tensor:
    """Fallen: too low, leaning by 0.2 rad, or anything not finite or beyond 100."""
    sane = x.isfinite().all(-1) & (x[..., 1:].abs() < 100).all(-1)
    return ~(sane & (x[..., 0] > 0.7) & (x[..., 1].abs() < 0.2))


def walker2d(x: Tensor) -> Tensor:
    """Fallen: height outside (0.8, 2) or leaning by 1 rad."""
    z, lean = x[..., 0], x[..., 1]
    return ~((z > 0.8) & (z < 2.0) & (lean > -1.0) & (lean < 1.0))


def ant(x: Tensor) -> Tensor:
    """Height outside [0.2, 1], or anything not finite."""
    z = x[..., 0]
    return ~(x.isfinite().all(-1) & (z >= 0.2) & (z <= 1.0))


def humanoid(x: Tensor) -> Tensor:
    """Height outside (1, 2)."""
    z = x[..., 0]
    return ~((z > 1.0) & (z < 2.0))


def inverted_pendulum(x: Tensor) -> Tensor:
    """The pole leans by more than 0.2 rad, or anything is not finite."""
    return ~(x.isfinite().all(-1) & (x[..., 1].abs() <= 0.2))


def inverted_double_pendulum(x: Tensor) -> Tensor:
    """The tip of two poles of 0.6 is not above 1. Observed are sines (1, 2) and cosines (3, 4)."""
    first = torch.atan2(x[..., 1], x[..., 3])
    second = first + torch.atan2(x[..., 2], x[..., 4])
    return ~(0.6 * (first.cos() + second.cos()) > 1)


_MUJOCO: dict[str, Termination] = {
    "Ant": ant,
    "HalfCheetah": never,
    "Hopper": hopper,
    "Humanoid": humanoid,
    "InvertedDoublePendulum": inverted_double_pendulum,
    "InvertedPendulum": inverted_pendulum,
    "Pusher": never,
    "Reacher": never,
    "Swimmer": never,
    "Walker2d": walker2d,
}
TERMINATIONS = {f"{name}-v{n}": rule for name, rule in _MUJOCO.items() for n in (4, 5)}
TERMINATIONS["Pendulum-v1"] = never
TERMINATIONS |= {
    f"rlkit/PointMaze_{layout.name}{dense}-v0": never
    for layout in LAYOUTS.values()
    for dense in ("", "Dense")
}
# `envs.tasks.distracted`: further numbers follow, which stay far within the bounds of `hopper`
TERMINATIONS |= {
    f"rlkit/{name}{word}-{version}": TERMINATIONS[f"{name}-{version}"]
    for name, version in (*((name, "v5") for name in _MUJOCO), ("Pendulum", "v1"))
    for word in ("Distracted", "Noisy")
}


_OWN = "set termination to learnt, never, or a rule of your own, package.module:function"


def termination(env_id: str | None) -> Termination:
    """The rule of a gymnasium task, `"Hopper-v5"` say.

    Raises ValueError when the id is None or its rule is not known.
    """
    if env_id is None:
        raise ValueError(
            "a learnt model must know when an episode ends, and the task has no name; give the "
            f"environment's id, or {_OWN}"
        )
    if env_id not in TERMINATIONS:
        raise ValueError(
            f"no termination rule is known for {env_id!r}{suggestion(env_id, TERMINATIONS)}; "
            f"known are {', '.join(TERMINATIONS)}; otherwise {_OWN}"
        )
    return TERMINATIONS[env_id]

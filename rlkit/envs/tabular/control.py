"""A pendulum swing-up on a grid: continuous dynamics as a finite MDP by interpolation."""

from __future__ import annotations

import numpy as np

from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.validate import check_count, settings


@settings(angles=check_count, speeds=check_count, torques=check_count)
def pendulum(angles: int = 51, speeds: int = 51, torques: int = 5) -> FiniteMDP:
    """Discretised Pendulum-v1 (g 10, mass 1, length 1, step .05 s, speed <= 8, torque <= 2).

    State = angle index * speeds + speed index; angles wrap round, angle 0 is upright. A move
    lands between grid points, and its bilinear weights become the transition law. Reward
    -(angle^2 + .1 speed^2 + .001 torque^2) at the grid point, as in gymnasium.
    """
    if angles < 3 or speeds < 2 or torques < 2:
        raise ValueError(f"the grid is too coarse: {angles, speeds, torques}")
    theta = -np.pi + 2 * np.pi * np.arange(angles) / angles
    omega = np.linspace(-8.0, 8.0, speeds)
    th, om, u = np.meshgrid(theta, omega, np.linspace(-2.0, 2.0, torques), indexing="ij")
    om2 = np.clip(om + (15.0 * np.sin(th) + 3.0 * u) * 0.05, -8.0, 8.0)
    th2 = th + om2 * 0.05
    x = (th2 + np.pi) / (2 * np.pi) * angles
    y = (om2 + 8.0) / 16.0 * (speeds - 1)
    i, j = np.floor(x).astype(np.int64), np.minimum(np.floor(y).astype(np.int64), speeds - 2)
    fx, fy = x - i, y - j
    cells = np.arange(angles * speeds).reshape(angles, speeds, 1)
    s = np.broadcast_to(cells, th.shape)
    a = np.broadcast_to(np.arange(torques), th.shape)
    lists = []
    for di, wx in ((0, 1.0 - fx), (1, fx)):
        for dj, wy in ((0, 1.0 - fy), (1, fy)):
            lists.append((s, a, (i + di) % angles * speeds + j + dj, wx * wy))
    s_, a_, s2, p = (np.concatenate([x.ravel() for x in part]) for part in zip(*lists, strict=True))
    reward = -(th**2 + 0.1 * om**2 + 0.001 * u**2)
    mu0 = np.zeros(angles * speeds)
    mu0[np.argmin(np.abs(theta + np.pi)) * speeds + np.argmin(np.abs(omega))] = 1.0
    return FiniteMDP.from_coo(s_, a_, s2, p, np.tile(reward.ravel(), 4), angles * speeds, mu0)

"""Small problems with known answers, as whole batches `[S, B, ...]` that hold every transition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.spec import Spec

CHAIN_STATES = 5


@dataclass(frozen=True)
class Chain:
    """The stitching chain: two behaviour paths cross in the middle, each good in one half only.

        0 --a0, r=1--> 1 --a0--> 3 --a0, r=0--> end        (half of the data)
        0 --a1, r=0--> 2 --a0--> 3 --a1, r=0--> 4 --a0, r=1--> end        (the other half)

    No behaviour path returns more than 1; taking the first half of one and the second of the
    other returns 1 + γ³. States are one-hot; `batch` holds every transition once a path.
    """

    batch: Batch
    gamma: float

    def expectile_values(self, tau: float) -> np.ndarray:
        """The fixed point of IQL's V `[5]`: expectiles over the data's two actions, backed up.

        With equal shares the τ-expectile of x < y is (1 - τ) x + τ y; τ = ½ is the value of the
        behaviour policy, τ → 1 the value of the best stitched path.
        """

        def expectile(x: float, y: float) -> float:
            low, high = min(x, y), max(x, y)
            return (1 - tau) * low + tau * high

        v = np.zeros(CHAIN_STATES)
        v[4] = 1.0
        v[3] = expectile(0.0, self.gamma * v[4])
        v[1] = v[2] = self.gamma * v[3]
        v[0] = expectile(1 + self.gamma * v[1], self.gamma * v[2])
        return v


def stitching_chain(spec: Spec, gamma: float = 0.9) -> Chain:
    """The chain for `spec` of 5 observations and 2 discrete actions, or one continuous (±0.5)."""
    if spec.obs != (CHAIN_STATES,) or spec.act_size != (2 if spec.discrete else 1):
        raise ValueError(f"the chain needs 5 observations and 2 actions (or 1 number), not {spec}")
    paths = [  # s, a, r, s', terminated
        *[(0, 0, 1.0, 1, False), (1, 0, 0.0, 3, False), (3, 0, 0.0, 3, True)],
        *[(0, 1, 0.0, 2, False), (2, 0, 0.0, 3, False), (3, 1, 0.0, 4, False)],
        (4, 0, 1.0, 4, True),
    ]
    s, a, r, s2, end = (np.array(column) for column in zip(*paths, strict=True))
    eye = torch.eye(CHAIN_STATES)

    def lanes(x: Tensor, dtype: torch.dtype | None = spec.dtype) -> Tensor:
        return x.to(spec.device, dtype).expand(spec.lanes, *x.shape).clone()

    action = torch.from_numpy(a)
    return Chain(
        Batch(
            s=lanes(eye[s]),
            a=lanes(action, torch.int64) if spec.discrete else lanes(action[:, None] - 0.5),
            r=lanes(torch.from_numpy(r)),
            cont=lanes(1 - torch.from_numpy(end).double()),
            s2=lanes(eye[s2]),
        ),
        gamma,
    )


def one_hot_states(spec: Spec) -> Tensor:
    """All states of the chain as one batch of observations `[S, 5, 5]`."""
    eye = torch.eye(CHAIN_STATES, device=spec.device, dtype=spec.dtype)
    return eye.expand(spec.lanes, CHAIN_STATES, CHAIN_STATES)

"""The one batch every agent learns from."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Transitions of S lanes; every field is `[S, B, ...]`, optional ones may be None.

    There is no `done`: `cont` is γ^(n-1) (1 - terminated), so every one-step target reads
    `r + gamma * cont * V(s2)`. A truncated episode keeps `cont` 1 and its true last observation
    as `s2`.
    """

    s: Tensor  # [S, B, *obs]
    a: Tensor  # [S, B, A] scaled to [-1, 1], or [S, B] int64 when discrete
    r: Tensor  # [S, B], sum of n discounted rewards
    cont: Tensor  # [S, B]
    s2: Tensor  # [S, B, *obs]
    w: Tensor | None = None  # [S, B] importance weight
    s0: Tensor | None = None  # [S, B, *obs] first observation of the episode
    a2: Tensor | None = None  # [S, B, A] next action of the dataset
    mc: Tensor | None = None  # [S, B] Monte-Carlo return
    index: Tensor | None = None  # type: ignore[assignment]  # [S, B] row in the replay
    noise: dict[str, Tensor] | None = None  # what the agent declared in `noise`
    real: Tensor | None = None  # [S, B] 1 where the row was met, 0 where a model imagined it
    before: Tensor | None = None  # [S, B, A] the episode's action before; 0 where it begins
    expert: Tensor | None = (
        None  # [S, B] 1 where the row is of the dataset, 0 where it was collected
    )
    other: Batch | None = None  # a second minibatch, of an expert's or a dataset's rows

"""HERON's reward: pairs of rows labelled by ranked factors (`ranking`), a net fitted to that."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rlkit.algos.preference.feedback import Preferences, draw_pairs, of_scaling
from rlkit.algos.preference.models.reward_model import (
    Fit,
    OwnInit,
    RewardNet,
    Scaling,
    fit,
    mean_reward,
    normalised,
)
from rlkit.algos.preference.teachers import ranking
from rlkit.core.errors import UsageError
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock


class Settings(Protocol):
    """Fields of a `Config` that say what is compared and fitted."""

    @property
    def factors(self) -> str: ...  # the most important first, see `ranking`
    @property
    def margin(self) -> tuple[float, ...]: ...  # σ in standard deviations
    @property
    def pairs(self) -> int: ...  # pairs of segments of a fit
    @property
    def length(self) -> int: ...  # H, steps of a segment
    @property
    def members(self) -> int: ...  # reward nets
    @property
    def bounded(self) -> bool: ...  # r̂ in (-1, 1)
    @property
    def hidden_reward(self) -> tuple[int, ...]: ...
    @property
    def lr_reward(self) -> float: ...
    @property
    def batch_reward(self) -> int: ...  # pairs a step
    @property
    def passes(self) -> int: ...  # over all pairs, at most
    @property
    def stop(self) -> float: ...  # accuracy that ends the fit
    @property
    def scaling(self) -> Scaling: ...  # of r̂ on all rows


class Tree:
    """Asks the decision tree about pairs of rows, and fits the reward of each lane."""

    def __init__(self, stock: Stock, data: Replay, c: Settings) -> None:
        ranking.check(c.factors, stock.spec)
        self.stock, self.data, self.c = stock, data, c
        init = OwnInit(stock.spec, "heron/reward")
        self.net = RewardNet(init, c.hidden_reward, c.members, c.bounded)
        self.beginning = of_scaling(stock.transforms)
        self.beginning += f"ranking {c.pairs} pairs by {c.factors}, then fitting a reward"
        self.metrics: dict[str, Tensor] = {}  # of the fit to a dataset

    def ask(self, round_: int) -> tuple[Preferences, dict[str, Tensor]]:
        """Labelled pairs, and for each lane the share of them that a level decided, `[S]`.

        Raises UsageError when margins and factors differ in number, or no pair was decided.
        """
        c, spec = self.c, self.stock.spec
        factors = ranking.read(c.factors, self.data, self.stock.transforms)
        n = factors.shape[-1]
        if len(c.margin) not in (1, n):
            raise UsageError(f"margin has {len(c.margin)} values for {n} factors; give one, or {n}")
        cut = draw_pairs(self.data, self.stock.streams, c.length, c.pairs, round_)
        rows = cut.rows.flatten(1)  # [S, n 2 H]
        wide = factors.expand(spec.lanes, -1, -1)
        steps = wide.gather(1, rows.unsqueeze(-1).expand(-1, -1, n)).view(*cut.rows.shape, n)
        z = (steps * cut.mask.unsqueeze(-1)).sum(-2)  # [S, pairs, 2, factors]
        margin = torch.tensor(c.margin, dtype=z.dtype, device=z.device)
        sigma = margin * z.flatten(1, 2).std(1, unbiased=False)
        said = ranking.ranked(z, sigma.unsqueeze(1))
        given = said.level < n
        if not given.any(1).all():
            seed = spec.seeds[int((~given.any(1)).nonzero()[0, 0])]
            raise UsageError(
                f"no factor of {c.factors!r} decided any of {c.pairs} pairs of seed {seed}; lower "
                "margin, or ask about more pairs"
            )
        y, w = said.y.to(spec.dtype), given.to(spec.dtype)
        decided = {"decided": w.mean(1)}
        for level in range(n):
            decided[f"level_{level}"] = (said.level == level).to(spec.dtype).mean(1)
        return Preferences(cut.s, cut.a, cut.mask, y, w), decided

    def learn(self, round_: int) -> dict[str, Tensor]:
        """Asks and fits; metrics `[S]`."""
        c = self.c
        pairs, decided = self.ask(round_)
        how = Fit(c.lr_reward, c.batch_reward, c.passes, c.stop)
        return fit(self.net, pairs, self.stock.spec, how, round_) | decided

    def reward(self, rows: slice) -> Tensor:
        """r̂ `[S, n]` of rows, as it is."""
        return mean_reward(self.net, *(self.data.rows(name)[:, rows] for name in ("s", "a")))

    def fit(self) -> None:
        """The fit for a dataset, which is asked about once."""
        self.metrics = self.learn(0)

    def complete(self) -> None:
        """r̂ in the place of every reward of the rows."""
        r = normalised(self.reward(slice(0, self.data.size)), self.c.scaling)
        self.data.rows("r").copy_(r)

    def state_dict(self) -> dict[str, Tensor]:
        """The reward nets."""
        return dict(self.net.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.net.load_state_dict(state)

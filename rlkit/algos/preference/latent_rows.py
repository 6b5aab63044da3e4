"""Minibatches of a dataset under latents of users: every row is seen as some user values it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.preference.feedback import of_scaling
from rlkit.algos.preference.models import latent_users
from rlkit.algos.preference.models.latent_users import LatentReward, Users, rewards
from rlkit.algos.preference.teachers import users
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.state import joined, part
from rlkit.core.streams import generator
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock

LatentScaling = Literal["wins", "standard", "scale", "none"]


class Settings(latent_users.Settings, users.Questions, Protocol):
    """Fields of a `Config` that say who is asked, how latents are fitted, and who is served."""

    @property
    def user(self) -> int: ...
    @property
    def serve(self) -> str | None: ...
    @property
    def latents(self) -> int: ...
    @property
    def comparisons(self) -> int: ...
    @property
    def scaling(self) -> LatentScaling: ...


class LatentRows:
    """Minibatches of the dataset under latents: a row and one of the samples of z each."""

    def __init__(
        self, stock: Stock, batch: int, c: Settings, serve: Callable[[Tensor], None]
    ) -> None:
        assert stock.data is not None
        self.stock, self.c, self.data, self.serve = stock, c, stock.data, serve
        self.batch_size = batch
        self.rows = Uniform(self.data, self.batch_size, stock.streams)
        self.answered = users.ask(stock, c) if c.preferences is None else self._read(c.preferences)
        self.length = self.answered.pairs.mask.shape[-1]
        self.net = LatentReward(nets.Init(stock.spec, "vpl"), c, self.length)
        zeros = torch.zeros(stock.spec.lanes, c.latents, 1, dtype=stock.spec.dtype)
        self.z = zeros.repeat(1, 1, c.latent).to(stock.spec.device)  # [S, M, Z]
        self.others = zeros.repeat(1, 1, c.comparisons).to(stock.spec.device)  # [S, M, K], r̂ of (4)
        self.metrics: dict[str, Tensor] = {}
        if c.serve is None:
            self.served, where = self.answered, c.preferences or "the pairs asked about"
            self.user = self.answered.number(c.user, where)
        else:
            self.served, self.user, where = self._read(c.serve), 0, c.serve
            if len(self.served.names) > 1 or c.user:
                self.user = self.served.number(c.user, where)
            if self.served.pairs.mask.shape[-1] != self.length:
                raise UsageError(f"{c.serve}: segments must have {self.length} steps")
        self.beginning = (
            f"{of_scaling(stock.transforms)}fitting latents of {len(self.answered.names)} users to "
            f"their pairs, then acting for user {self.served.names[self.user]} of {where}"
        )

    def _read(self, path: str) -> users.Answered:
        return users.read(path, self.stock.spec, self.stock.transforms)

    def begin(self) -> None:
        """Fits the latents, draws the samples, and has the agent serve its user."""
        spec, size = self.stock.spec, self.c.comparisons
        fitted = Users(self.net, self.answered, spec, self.c)
        self.metrics = fitted.fit()
        self.z.copy_(fitted.latents(self.c.latents))
        rows = [generator(k, "vpl/rows").integers(self.data.size, size=size) for k in spec.seeds]
        at = torch.from_numpy(np.stack(rows)).to(spec.device)
        s, a = (self.data.column(name, at) for name in ("s", "a"))
        self.others.copy_(rewards(self.net, self.net.steps(s, a), self.z))
        self.serve(Users(self.net, self.served, spec, self.c).latent_of(self.user))

    def indices(self, step: int, count: int) -> Tensor:
        """Rows and latents `[count, S, B]` in one number each: row times M plus latent."""
        u = self.stock.streams.draw("latent", "uniform", step, (self.batch_size,), count)
        which = torch.from_numpy((u * self.c.latents).astype(np.int64)).to(self.stock.spec.device)
        return self.rows.indices(step, count) * self.c.latents + which

    def batch(self, index: Tensor) -> Batch:
        b = self.rows.batch(index // self.c.latents)
        which = (index % self.c.latents).unsqueeze(-1)
        z = self.z.gather(1, which.expand(-1, -1, self.z.shape[-1]))
        others = self.others.gather(1, which.expand(-1, -1, self.others.shape[-1]))
        with torch.no_grad():
            r = self._scaled(self.net.reward(self.net.steps(b.s, b.a), z), others)
        s0 = None if b.s0 is None else torch.cat((b.s0, z), -1)
        return b._replace(s=torch.cat((b.s, z), -1), s2=torch.cat((b.s2, z), -1), s0=s0, r=r)

    def _scaled(self, r: Tensor, others: Tensor) -> Tensor:
        """Eq. (4): r̂ `[S, B]` against those of other rows for the same z, `[S, B, K]`."""
        scaling = self.c.scaling
        if scaling == "none":
            return r
        if scaling == "wins":
            return (r.unsqueeze(-1) - others).sigmoid().mean(-1)
        std = others.std(-1, correction=0).clamp(min=1e-6)
        return r / std if scaling == "scale" else (r - others.mean(-1)) / std

    def state_dict(self) -> dict[str, Tensor]:
        """Encoder and reward, and the samples of z; the agent keeps whom it serves."""
        net = joined({"net": self.net.state_dict()})
        return net | {"z": self.z, "others": self.others}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.net.load_state_dict(part(state, "net"))
        self.z.copy_(state["z"])
        self.others.copy_(state["others"])

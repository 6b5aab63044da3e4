"""Multi-step inverse dynamics (Zheng et al. 2023, arXiv 2210.06518): the actions of trajectories
that lack them, told by a model of P(a_t | s_{t-k}, ..., s_t, s_{t+1}) fitted where they are known.

    (1)  N(μ, σ²) of the k + 2 observations, squashed by tanh; μ and log σ are nets of their own
    (2)  L = -E log P(a_t | s_{t-k..t+1}) over known rows
    (3)  label: tanh μ, the mean of the members;  its variance: mean_j σ_j² + var_j μ_j

A tenth of the episodes with known actions is held out, and the weights of the best held-out loss
are kept. Observations before an episode's first are 0 in the agent's units. What follows a row is
the recorded next observation, at an episode's end too.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.preference.models.reward_model import OwnInit
from rlkit.core.lanes import in_use
from rlkit.core.optim import Adam
from rlkit.core.streams import Draw, Streams, generator
from rlkit.data.replay import Replay

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

_CHUNK = 4096  # rows labelled at once
_CHECKS = 50  # looks at the held-out rows in a fit


class Settings(Protocol):
    """What a fit is asked for; fields of an algorithm's Config."""

    @property
    def past(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def hidden_idm(self) -> tuple[int, ...]: ...
    @property
    def dropout_idm(self) -> float: ...
    @property
    def lr_idm(self) -> float: ...
    @property
    def steps_idm(self) -> int: ...
    @property
    def batch_idm(self) -> int: ...
    @property
    def holdout(self) -> float: ...


class Labels(NamedTuple):
    """What is said of the rows asked for."""

    action: Tensor  # [S, M, A] in (-1, 1)
    variance: Tensor  # [S, M, A], of the action before tanh


class InverseModel(nn.Module):
    """Eq. (1): `[S, B, (k + 2) obs]` to the law of the action, members on an axis of their own."""

    def __init__(self, init: nets.Init, c: Settings) -> None:
        super().__init__()
        spec = init.spec
        n_in = (c.past + 2) * spec.obs_size
        self.mean = nets.MLP(init, n_in, c.hidden_idm, spec.act_size, c.members)
        self.spread = nets.MLP(init, n_in, c.hidden_idm, spec.act_size, c.members)
        self.widths, self.members = list(c.hidden_idm), c.members

    @property
    def uniforms(self) -> int:
        """Uniform numbers that one row needs for dropout."""
        return 2 * self.members * sum(self.widths)

    def forward(
        self, x: Tensor, u: Tensor | None = None, p: float | Tensor = 0.0
    ) -> nets.TanhNormal:
        """The law of the action, `[S, n, B, A]`; with `u` `[S, B, uniforms]` a share p of the
        hidden units is dropped."""
        first = second = None
        if u is not None:
            apart = u.unflatten(-1, (2, self.members, -1)).permute(2, 0, 3, 1, 4)
            first, second = (nets.dropout(one, p, self.widths) for one in apart)
        log_std = -1.5 + 3.5 * self.spread(x, second).tanh()  # in [-5, 2]
        return nets.TanhNormal(self.mean(x, first), log_std)


def log_likelihood(law: nets.TanhNormal, a: Tensor) -> Tensor:
    """log P of actions `[S, B, A]` by every member, `[S, n, B]`."""
    return law.log_prob(a.unsqueeze(1).expand_as(law.mean))


class Labeller:
    """The inverse model of each lane of `replay`, whose column `action_known` says where to learn.

    Actions of other rows are never read.
    """

    def __init__(self, replay: Replay, streams: Streams, c: Settings) -> None:
        self.replay, self.streams, self.c = replay, streams, c
        spec = replay.spec
        self.model = InverseModel(OwnInit(spec, "idm"), c)
        self.step = Adam(self.model, c.lr_idm)
        known = replay.rows("action_known")[0].bool().cpu().numpy()
        self.unknown = np.flatnonzero(~known)
        episode = np.cumsum(replay.rows("t")[0].cpu().numpy() == 0) - 1
        self.training, self.heldout = [], []
        for seed in spec.seeds:
            train, held = _split(np.flatnonzero(known), episode, seed, c.holdout)
            self.training.append(train)
            self.heldout.append(held)
        self._back = torch.arange(c.past, -1, -1, device=spec.device)

    def fit(self) -> dict[str, Tensor]:
        """Fit by eq. (2); held-out losses `[S]` of the weights that were kept."""
        c, spec = self.c, self.replay.spec
        draw = Draw("uniform", "B", self.model.uniforms)
        drops = in_use(c.dropout_idm)
        flat = self.step.flat
        held = _padded(self.heldout, flat.data)
        best, kept = torch.full((spec.lanes,), torch.inf, device=spec.device), flat.data.clone()
        for t in range(c.steps_idm):
            u = self.streams.draw("idm/rows", "uniform", t, (c.batch_idm,))[0]
            pairs = zip(self.training, u, strict=True)
            drawn = np.stack([rows[(v * len(rows)).astype(np.int64)] for rows, v in pairs])
            index = torch.from_numpy(drawn).to(spec.device)
            masks = None
            if drops:
                masks = self.streams.tensor("idm/dropout", draw, t, 1, spec, c.batch_idm)[0]
            law = self.model(self._seen(index), masks, c.dropout_idm)
            self.step(-log_likelihood(law, self.replay.column("a", index)).mean(-1).sum(-1))
            if (t + 1) % max(1, c.steps_idm // _CHECKS) == 0 or t + 1 == c.steps_idm:
                loss = self._loss(*held)
                better = loss < best
                best = torch.where(better, loss, best)
                kept = torch.where(flat.per_lane(better.to(best)).bool(), flat.data, kept)
        flat.data.copy_(kept)
        return {"idm_loss": best}

    @torch.no_grad()
    def labels(self, rows: np.ndarray) -> Labels:
        """Eq. (3) for `rows` `[M]`, the same for all lanes."""
        spec, actions, variances = self.replay.spec, [], []
        for start in range(0, len(rows), _CHUNK):
            index = torch.from_numpy(rows[start : start + _CHUNK]).to(spec.device)
            law = self.model(self._seen(index.expand(spec.lanes, -1)))
            mean, spread = law.mean, law.log_std.exp()
            actions.append(mean.tanh().mean(1))
            variances.append(spread.square().mean(1) + mean.var(1, unbiased=False))
        empty = [torch.zeros(spec.lanes, 0, spec.act_size, device=spec.device, dtype=spec.dtype)]
        return Labels(*(torch.cat(parts or empty, 1) for parts in (actions, variances)))

    def _seen(self, index: Tensor) -> Tensor:
        """The observations `[S, B, (k + 2) obs]` that tell the actions of rows `[S, B]`."""
        rows = index.unsqueeze(-1) - self._back
        there = self.replay.column("t", index).unsqueeze(-1) >= self._back
        s = self.replay.column("s", rows.clamp(min=0)).flatten(3)
        s = torch.where(there.unsqueeze(-1), s, torch.zeros_like(s))
        return torch.cat([s.flatten(2), self.replay.column("s2", index).flatten(2)], -1)

    @torch.no_grad()
    def _loss(self, index: Tensor, w: Tensor) -> Tensor:
        """Eq. (2) `[S]` of rows `[S, M]`, weighted by `w`."""
        sums = torch.zeros_like(w[:, 0])
        for part, weight in zip(index.split(_CHUNK, 1), w.split(_CHUNK, 1), strict=True):
            law, a = self.model(self._seen(part)), self.replay.column("a", part)
            each = -log_likelihood(law, a).mean(1)
            sums += (weight * each).sum(-1)
        return sums / w.sum(-1)


def hide(store: EpisodeStore, labelled: float, threshold: float, seed: int) -> EpisodeStore:
    """The store with NaN for all actions but those of min(labelled, threshold) of its episodes,
    drawn among the `threshold` of lowest return; at least of one."""
    order = np.argsort(store.returns(), kind="stable")
    pool = order[: max(1, int(threshold * len(order)))]
    count = min(len(pool), max(1, int(labelled * len(order))))
    chosen = generator(seed, "hide").permutation(pool)[:count]
    known = np.isin(store.episode, chosen)
    if "action_known" in store.extra:
        known &= store.extra["action_known"].astype(bool)
    action = np.where(known[:, None], store.action, np.float32(np.nan)).astype(store.action.dtype)
    return dataclasses.replace(store, action=action, extra=store.extra | {"action_known": known})


def _split(
    rows: np.ndarray, episode: np.ndarray, seed: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows held out: those of a share of the episodes, at least one. Where
    there is one episode alone it is both."""
    numbers = np.unique(episode[rows])
    if len(numbers) < 2:
        return rows, rows
    count = min(len(numbers) - 1, max(1, round(share * len(numbers))))
    chosen = generator(seed, "idm/holdout").permutation(numbers)[:count]
    held = np.isin(episode[rows], chosen)
    return rows[~held], rows[held]


def _padded(rows: list[np.ndarray], like: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of every lane `[S, M]`, the shorter ones filled up, and weights that are 0 there."""
    longest = max(map(len, rows))
    index = np.stack([np.resize(one, longest) for one in rows])
    real = np.arange(longest) < np.array([[len(one)] for one in rows])
    return torch.from_numpy(index).to(like.device), torch.from_numpy(real).to(like)

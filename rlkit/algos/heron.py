"""HERON, Bukharin, Li, He & Zhao 2024, "Deep Reinforcement Learning from Hierarchical Preference
Design" (arXiv 2309.02632): a reward from an order of importance instead of from weights.

    (1)  pairs of segments are labelled by a decision tree over ranked factors of the reward, see
         `preference.ranking`; a pair that no level decides is dropped
    (2)  L_r = E -[y log σ(d) + (1 - y) log σ(-d)],   d = Σ_t r̂(second) - Σ_t r̂(first)
    (3)  the updates of `agent`, any other algorithm, with r̂ in the place of every reward

The true rewards are read by nobody. From a dataset (1) and (2) come before the first update; in an
environment they are repeated every `refit_every` steps, on what has been collected, and every row
is labelled anew. There `agent` is one that draws plain minibatches (SAC, TD3).

Differs from the authors' code: rewards are relabelled after each fit (theirs stay as they were when
the step was taken); r̂ is of (s, a), without the factors as inputs; pairs are drawn at random, where
they take all pairs of small batches. `length` 1 compares steps, as they do in control; the paper
compares trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.behind.agents import Behind, agent_module, draws_itself, own_config
from rlkit.algos.imitation.inverse_dynamics import apart
from rlkit.algos.preference import ranking
from rlkit.algos.preference.feedback import Preferences, draw_pairs
from rlkit.algos.preference.relabelling import COLUMNS, Relabelled
from rlkit.algos.preference.reward_model import (
    Fit,
    OwnInit,
    RewardNet,
    Scaling,
    fit,
    mean_reward,
    normalised,
)
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import Count, NonNegatives, Positive, Widths, checked
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

RUN = {"warmup": 1000}

FITS = ("offline", "online", "continuous", "discrete")


@checked()
@dataclass(frozen=True)
class Config:
    factors: str = "pendulum"  # the most important first, see `preference.ranking`
    margin: NonNegatives = (0.5,)  # σ of (2) there in standard deviations: one, or one a factor
    agent: str = "sac"  # algorithm that learns from the reward
    given: str = ""  # fields of its Config, as "alpha=1.0 hidden=256,256"; the rest by default
    pairs: Count = 2000  # pairs of segments of a fit
    length: Count = 1  # H, steps of a segment
    refit_every: Count = 400  # environment steps between fits
    members: Count = 1  # reward nets, of which the mean counts
    bounded: bool = False  # r̂ in (-1, 1)
    hidden_reward: Widths = (256, 256)  # widths of the reward nets
    lr_reward: Positive = 1e-3  # learning rate of the reward nets
    batch_reward: Count = 128  # pairs a step of their fit
    passes: Count = 20  # over all pairs, at most
    stop: Positive = 0.97  # accuracy that ends a fit
    scaling: Scaling = "standard"  # of r̂ on all rows: std 1, mean 0 and std 1, or none

    def __post_init__(self) -> None:
        _ = self.own  # whatever is wrong with it is said now

    @property
    def module(self) -> ModuleType:
        """The file of `agent`."""
        if self.agent == "heron":
            raise UsageError("agent 'heron' is this algorithm itself; name one behind it")
        return agent_module(self.agent)

    @property
    def own(self) -> Any:
        """The Config of `agent`."""
        return own_config(self.module, self.given)

    @property
    def gamma(self) -> float | None:
        """Discount of `agent`, where it has one."""
        return getattr(self.own, "gamma", None)


def Agent(spec: Spec, c: Config) -> Behind:
    """The agent named by the config, with the columns that its rewards are read from."""
    return Behind(spec, c, (*ranking.wanted_columns(c.factors), *COLUMNS))


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from. Raises UsageError for a factor that is no column of them."""
    for name in ranking.wanted_columns(c.factors):
        if name not in store.extra:
            there = ", ".join(sorted(store.extra)) or "none"
            raise UsageError(
                f"factors {c.factors!r}: the dataset has no column {name!r}"
                f"{suggestion(name, store.extra)}; it has {there}"
            )
    empty: dict[str, Any] = dict.fromkeys(COLUMNS, np.zeros(len(store), np.float32))
    store = store.with_columns(**empty)  # which rows of an environment have besides
    choose = getattr(c.module, "select", None)
    return store if choose is None else choose(store, c.own)


class Tree:
    """Asks the decision tree about pairs of rows, and fits the reward of each lane."""

    def __init__(self, stock: Stock, data: Replay, c: Config) -> None:
        ranking.check(c.factors)
        self.stock, self.data, self.c = stock, data, c
        init = OwnInit(stock.spec, "heron/reward")
        self.net = RewardNet(init, c.hidden_reward, c.members, c.bounded)

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


class Offline:
    """The agent's own minibatches of the dataset, whose rewards are each lane's r̂."""

    def __init__(self, stock: Stock, agent: Behind, c: Config) -> None:
        assert stock.data is not None
        self.rows = apart(stock.data, stock.spec)
        self.tree = Tree(stock, self.rows, c)
        self.inner: Any = Uniform(self.rows, getattr(c.own, "batch_size", 256), stock.streams)
        if draws_itself(c.module, c.own):
            self.inner = c.module.source(stock._replace(data=self.rows), agent.inner, c.own)
        self.batch_size = self.inner.batch_size
        self.indices, self.batch = self.inner.indices, self.inner.batch
        for name in ("every", "advance", "learned"):
            if hasattr(self.inner, name):
                setattr(self, name, getattr(self.inner, name))
        self.beginning = f"ranking {c.pairs} pairs by {c.factors}, then fitting a reward"
        self.metrics: dict[str, Tensor] = {}  # of the fit

    def begin(self) -> None:
        self.metrics = self.tree.learn(0)
        self._relabel()
        if hasattr(self.inner, "begin"):
            self.inner.begin()

    def _relabel(self) -> None:
        r = normalised(self.tree.reward(slice(0, self.rows.size)), self.tree.c.scaling)
        self.rows.rows("r").copy_(r)

    def state_dict(self) -> dict[str, Tensor]:
        """The reward nets, from which rewards are worked out again, and the agent's source."""
        own: dict[str, Tensor] = getattr(self.inner, "state_dict", dict)()
        net = {f"net.{n}": x for n, x in self.tree.net.state_dict().items()}
        return net | {f"own.{n}": x for n, x in own.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"net": {}, "own": {}}
        for name, x in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = x
        self.tree.net.load_state_dict(parts["net"])
        self._relabel()
        if parts["own"]:
            self.inner.load_state_dict(parts["own"])


class Online:
    """Minibatches under the reward of the last fit, which `advance` repeats."""

    every = 1

    def __init__(self, stock: Stock, agent: Behind, c: Config) -> None:
        assert stock.replay is not None
        if ranking.wanted_columns(c.factors):
            raise UsageError(
                f"factors {c.factors!r} are columns of a dataset, which an environment does not "
                "give; name a function, package.module:function"
            )
        if draws_itself(c.module, c.own):
            raise UsageError(
                f"agent {c.agent!r} draws minibatches of its own, whose rewards cannot be "
                "relabelled as they are collected; name sac or td3, or give a dataset"
            )
        self.stock, self.c, self.replay = stock, c, stock.replay
        self.tree = Tree(stock, self.replay, c)
        self.batch_size = getattr(c.own, "batch_size", 256)
        self.labels = Relabelled(self.replay, self.batch_size, stock.streams)
        self.asked, self.rounds = -1, 0
        ones = torch.ones(stock.spec.lanes, 1, dtype=stock.spec.dtype, device=stock.spec.device)
        self.shift, self.scale = torch.zeros_like(ones), ones  # of r̂, since the last fit
        self.metrics: dict[str, Tensor] = {}

    def indices(self, step: int, count: int) -> Tensor:
        return self.labels.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self.labels.batch(index)

    def advance(self, step: int) -> dict[str, Tensor]:
        """Fits and relabels when it is time, and labels what is new; metrics `[S]`."""
        if self.asked < 0 or step - self.asked >= self.c.refit_every:
            self.asked = step
            self.metrics = self.tree.learn(self.rounds)
            self.rounds += 1
            plain = self.tree.reward(slice(0, self.replay.size))
            if self.c.scaling != "none":
                self.scale = plain.std(1, keepdim=True, correction=0).clamp(min=1e-6)
            if self.c.scaling == "standard":
                self.shift = plain.mean(1, keepdim=True)
            self.labels.relabel((plain - self.shift) / self.scale)
        self.labels.label_new(lambda rows: (self.tree.reward(rows) - self.shift) / self.scale)
        return self.metrics

    def state_dict(self) -> dict[str, Tensor]:
        net = {f"net.{n}": x for n, x in self.tree.net.state_dict().items()}
        labels = {f"labels.{n}": x for n, x in self.labels.state_dict().items()}
        told = {f"told.{n}": x for n, x in self.metrics.items()}
        own = {"shift": self.shift, "scale": self.scale}
        return {**net, **labels, **told, **own, "rounds": torch.tensor([self.asked, self.rounds])}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        def part(name: str) -> dict[str, Tensor]:
            return {n.removeprefix(name): x for n, x in state.items() if n.startswith(name)}

        self.tree.net.load_state_dict(part("net."))
        self.labels.load_state_dict(part("labels."))
        self.metrics = part("told.")
        self.shift, self.scale = (state[n].to(self.shift) for n in ("shift", "scale"))
        self.asked, self.rounds = state["rounds"].tolist()


def source(stock: Stock, agent: Behind, c: Config) -> Source:
    """Label pairs by rank, fit the reward, feed the agent.

    Raises UsageError for factors that cannot be read, for an agent that does not learn from what is
    given, and for a dataset beside an environment.
    """
    if stock.data is not None and stock.replay is not None:
        raise UsageError("heron ranks a dataset's rows or its own; give a dataset or an env")
    where = "offline" if stock.replay is None else "online"
    kind = "discrete" if stock.spec.discrete else "continuous"
    if not {where, kind} <= set(c.module.FITS):
        raise UsageError(f"agent {c.agent!r} does not learn {kind} actions {where}")
    return Offline(stock, agent, c) if where == "offline" else Online(stock, agent, c)

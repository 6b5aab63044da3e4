"""HERON, Bukharin, Li, He & Zhao 2024, "Deep Reinforcement Learning from Hierarchical Preference
Design" (arXiv 2309.02632): a reward from an order of importance instead of from weights.

    (1)  pairs of segments are labelled by a decision tree over ranked factors of the reward, see
         `preference.teachers.ranking`; a pair that no level decides is dropped
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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.behind.agents import Behind, Named
from rlkit.algos.behind.rows import Completed, apart
from rlkit.algos.preference.models.decision_tree import Tree
from rlkit.algos.preference.models.reward_model import Scaling
from rlkit.algos.preference.relabelling import COLUMNS, Relabelled
from rlkit.algos.preference.teachers import ranking
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.state import part
from rlkit.core.words.ranges import Count, NonNegatives, Positive, Widths, checked
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

RUN = {"warmup": 1000}

FITS = ("offline", "online", "continuous", "discrete")
LEARNS_REWARD = True  # rewards of the replay reach no loss of the agent


@checked()
@dataclass(frozen=True)
class Config(Named):
    factors: str = "pendulum"  # the most important first, see `preference.teachers.ranking`
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


# name -> fields of Config, options of the run; the authors' learner is of TD3's kind
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pendulum": ({"factors": "pendulum", "agent": "td3"}, {"warmup": 25_000}),
}


def check_task(c: Config, spec: Spec) -> None:
    """Raises UsageError for factors that name nothing, or those of another task."""
    ranking.check(c.factors, spec)


def Agent(spec: Spec, c: Config) -> Behind:
    """The agent named by the config, with the columns that its rewards are read from."""
    return Behind(spec, c, (*ranking.wanted_columns(c.factors), *COLUMNS))


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from. Raises UsageError for a factor that is no column of them."""
    ranking.check_columns(c.factors, store)
    empty: dict[str, Any] = dict.fromkeys(COLUMNS, np.zeros(len(store), np.float32))
    store = store.with_columns(**empty)  # which rows of an environment have besides
    choose = getattr(c.module, "select", None)
    return store if choose is None else choose(store, c.own)


class Online:
    """Minibatches under the reward of the last fit, which `advance` repeats."""

    every = 1

    def __init__(self, stock: Stock, c: Config) -> None:
        assert stock.replay is not None
        if ranking.wanted_columns(c.factors):
            raise UsageError(
                f"factors {c.factors!r} are columns of a dataset, which an environment does not "
                "give; name a function, package.module:function"
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
        """The reward nets and their scale, what is labelled, and where the rounds stand."""
        net = {f"net.{n}": x for n, x in self.tree.net.state_dict().items()}
        labels = {f"labels.{n}": x for n, x in self.labels.state_dict().items()}
        told = {f"told.{n}": x for n, x in self.metrics.items()}
        own = {"shift": self.shift, "scale": self.scale}
        return {**net, **labels, **told, **own, "rounds": torch.tensor([self.asked, self.rounds])}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.tree.net.load_state_dict(part(state, "net"))
        self.labels.load_state_dict(part(state, "labels"))
        self.metrics = part(state, "told")
        self.shift, self.scale = (state[n].to(self.shift) for n in ("shift", "scale"))
        self.asked, self.rounds = state["rounds"].tolist()


def source(stock: Stock, agent: Behind, c: Config) -> Source:
    """Label pairs by rank, fit the reward, feed the agent.

    Raises UsageError for factors that cannot be read, for an agent that does not learn from what is
    given, and for a dataset beside an environment.
    """
    if stock.data is not None and stock.replay is not None:
        raise UsageError("heron ranks a dataset's rows or its own; give a dataset or an env")
    c.check_learns(stock.spec, "offline" if stock.replay is None else "online")
    if stock.data is None:
        return Online(stock, c)
    rows = apart(stock.data, stock.spec)
    return Completed(stock, rows, agent, c, Tree(stock, rows, c))

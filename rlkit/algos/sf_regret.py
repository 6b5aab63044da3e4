"""A reward from choices by regret, without known dynamics: Knox, Hatgis-Kessell, Booth, Niekum,
Stone & Allievi 2022, "Models of human preference for learning reward functions" (arXiv 2206.02231).

    (1)  people prefer the segment of less regret:  P(second) = σ(Σ_t A*(second) - Σ_t A*(first))
    (2)  the reward is w · φ, and A* under w is told by successor features of random policies, which
         are learnt from the dataset: see `successor` and `regret_model` in `preference.models`
    (3)  the updates of `agent`, any other algorithm, with w · φ in the place of every reward

`features` are φ, named as HERON's factors are (`preference.teachers.ranking`). What (1) tells that
sums of rewards do not is what steps cost: segments of one length have as many, so a model of
partial return (`statistic` "return", which is eq. (3) of `regret_model`) may well pay for walking
in circles.

Differs from the authors' code: see `preference.models.regret_model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.behind.agents import Behind, Named
from rlkit.algos.behind.rows import Completed, apart
from rlkit.algos.preference.models import regret_model
from rlkit.algos.preference.models.reward_model import Scaling, normalised
from rlkit.algos.preference.models.successor import Library
from rlkit.algos.preference.offline import Feedback
from rlkit.algos.preference.statistics import total
from rlkit.algos.preference.teachers import ranking
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import (
    Count,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
    idle_beside,
)
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "discrete")


@checked(idle={"preferences": "pairs length teacher advantages"})
@dataclass(frozen=True)
class Config(Named):
    needs = frozenset(("offline", "discrete"))
    features: str = ""  # φ: columns:coin,goal, or package.module:function, see `ranking`
    pairs: Count = 400  # pairs of segments a lane asks about
    length: Count = 3  # H, steps of a segment
    teacher: str = "regret"  # who answers: regret, regret+noisy:1, rational, ...
    advantages: str | None = None  # .npy of A*(s, a) a row, for the teacher; None: estimate
    preferences: str | None = None  # file of labelled pairs, instead of asking
    statistic: Literal["regret", "return"] = "regret"  # what choices are explained by
    agent: str = "iql"  # offline algorithm that learns from the reward
    given: str = ""  # fields of its Config, as "beta=1.0 hidden=256,256"; the rest by default
    policies: Count = 32  # K, random policies whose successor features are learnt
    gamma_sf: Share = 0.99  # γ of the features, and of A*
    hidden_sf: Widths = (64, 64)  # widths of their nets
    lr_sf: Positive = 1e-3  # learning rate of theirs, which falls to 0
    batch_sf: Count = 128  # rows an update of theirs
    steps_sf: Count = 5_000  # updates of theirs
    polyak_sf: PositiveShare = 0.1  # step of their target nets towards the nets
    temperature: Positive = 0.001  # of the maxima over policies and actions
    lr_weights: Positive = 0.5  # learning rate of w
    steps_weights: Count = 1_000  # steps of its fit, on all pairs
    scaling: Scaling = "scale"  # of the rewards: std 1, mean 0 and std 1, or none


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "published": ({"policies": 69, "gamma_sf": 0.999, "steps_weights": 5_000}, {}),
    "published_return": (
        {"statistic": "return", "lr_weights": 2.0, "steps_weights": 30_000},
        {},
    ),
}


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What of the successor features was set although `statistic` "return" has none, or ""."""
    unread = "gamma_sf hidden_sf lr_sf batch_sf steps_sf polyak_sf temperature"
    return "" if metrics else idle_beside(c, "statistic=return", unread)


def check_task(c: Config, spec: Spec) -> None:
    """Raises UsageError for features that name nothing, or those of another task."""
    ranking.check(c.features, spec)


def Agent(spec: Spec, c: Config) -> Behind:
    """The agent named by the config, with the columns that features are read from. Raises
    UsageError for one that does not learn the task's actions from a dataset."""
    c.check_learns(spec, "offline")
    return Behind(spec, c, ranking.wanted_columns(c.features))


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from. Raises UsageError for a feature that is no column of them."""
    ranking.check_columns(c.features, store)
    choose = getattr(c.module, "select", None)
    return store if choose is None else choose(store, c.own)


class Reward:
    """Asks, learns successor features and weights, and writes w · φ into the rows."""

    def __init__(self, stock: Stock, rows: Replay, c: Config) -> None:
        self.feedback = Feedback(stock, c, "sf_regret")
        if c.statistic == "return" and c.preferences is not None:
            raise UsageError("statistic 'return' needs the rows of segments: no preferences file")
        self.stock, self.rows, self.c = stock, rows, c
        phi = ranking.read(c.features, rows, stock.transforms)
        self.library = Library(rows, phi, stock.streams, c)
        self.weights = regret_model.Weights(nets.Init(stock.spec, "sf_regret"), phi.shape[-1])
        self.beginning = f"{self.feedback.beginning}, then fitting a reward by {c.statistic}"
        self.metrics: dict[str, Tensor] = {}

    def fit(self) -> None:
        c, spec = self.c, self.stock.spec
        pairs = self.feedback.gather()
        s, a, mask, y, w = (x.expand(spec.lanes, *x.shape[1:]) for x in pairs)
        told: dict[str, Tensor] = {}
        if c.statistic == "regret":
            told["sf_loss"] = self.library.fit()
            psi = self.library.at(s.flatten(1, 3))
            steps = a.flatten(1, 3)

            def terms(weights: Tensor) -> Tensor:
                return regret_model.advantages(psi, steps, weights, c.temperature).view(mask.shape)
        else:
            index = self.feedback.segments().rows.flatten(1).unsqueeze(-1)
            phi = self.library.phi.gather(1, index.expand(-1, -1, self.library.phi.shape[-1]))

            def terms(weights: Tensor) -> Tensor:
                return torch.einsum("snd,sd->sn", phi, weights).view(mask.shape)

        def logits(weights: Tensor) -> Tensor:
            first, second = total(terms(weights), mask).unbind(-1)
            return second - first

        self.metrics = told | regret_model.fit(
            self.weights, logits, y, w, self.library.w, c.lr_weights, c.steps_weights
        )

    def complete(self) -> None:
        """w · φ in the place of every reward of the rows."""
        r = torch.einsum("snd,sd->sn", self.library.phi, self.weights.w.detach())
        self.rows.rows("r").copy_(normalised(r, self.c.scaling))

    def state_dict(self) -> dict[str, Tensor]:
        """The weights, from which rewards are worked out again."""
        return dict(self.weights.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.weights.load_state_dict(state)


def source(stock: Stock, agent: Behind, c: Config) -> Completed:
    """Ask about segments of the dataset, fit the reward to the answers, feed the agent.

    Raises UsageError for features that cannot be read, and what `Feedback` finds wrong.
    """
    if stock.data is None:
        raise UsageError("sf_regret learns from a dataset: give --dataset")
    rows = apart(stock.data, stock.spec)
    return Completed(stock, rows, agent, c, Reward(stock, rows, c))

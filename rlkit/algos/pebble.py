"""PEBBLE, Lee, Smith & Abbeel 2021 (arXiv 2106.05091): SAC on a reward learnt by asking.

    (1)  r_int(s) = |s - s^(k)|, to the k-th neighbour of s among visited states, over its std
    (2)  L_r = E -[y log σ(d) + (1 - y) log σ(-d)],   d = Σ_t r̂(second) - Σ_t r̂(first)

Phases, in environment steps: random ones (the run's warm-up); `explore_steps` of SAC on (1); the
first questions, about uniformly drawn pairs, a fit of (2), all of the replay relabelled, critic,
target and their optimiser begun anew, `reset_updates` updates; then SAC on r̂, with more questions
every `ask_every` steps, about the candidates that `selector` prefers, until `budget` pairs have
been asked, and everything relabelled after every fit.

Rewards of the replay stay true, and the teacher alone reads them: the agent reads a column beside
them (`preference.relabelling`), where a new row is labelled before the next update. A teacher by
regret (`teacher` "regret") compares sums of optimal advantages instead: of the function
`advantages`, or by its own critics on what has been collected so far, see
`preference.teachers.advantages`. Agent and losses are SAC's (`sac.py`).

Differs from the paper: (1) is the plain distance, as in the authors' code; the paper's logarithm is
`novelty="log"`. Differs from the authors' code (rll-research/BPref): neighbours are looked for
among `neighbours` random states, drawn anew every `novelty_every` steps, when all is relabelled
with the std of that moment; segments may be cut from episodes of any length, and end in absorbing
steps where one terminated; a constant number of questions a round; log σ of the policy in [-20, 2].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import sac
from rlkit.algos.preference.interview import Interview, idle_teacher, known_advantages
from rlkit.algos.preference.models.reward_model import Fit, OwnInit, RewardNet, fit, mean_reward
from rlkit.algos.preference.novelty import Novelty
from rlkit.algos.preference.relabelling import COLUMNS, Relabelled
from rlkit.algos.preference.selectors import Selector
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.flat import flatten
from rlkit.core.spec import Spec
from rlkit.core.state import joined, part
from rlkit.core.words.ranges import (
    Count,
    HalfShare,
    Natural,
    NonNegative,
    Positive,
    ProperShare,
    Widths,
    checked,
    idle_beside,
)
from rlkit.data.stock import Stock

RUN = {"warmup": 1000}
_RESET_UPDATES_FROM = 1 << 40  # their number: no update of a training has such a one
_PARTS = ("net", "rows", "novelty", "interview")  # of a source's state

FITS = ("online", "continuous")
LEARNS_REWARD = True  # rewards of the replay reach no loss of the agent


@checked("subset <= n_critics")
@dataclass(frozen=True)
class Config(sac.Config):
    explore_steps: Natural = 9_000  # environment steps on (1) before the first questions
    neighbour: Count = 5  # k of (1)
    neighbours: Count = 1_000  # visited states among which the k-th neighbour is looked for
    novelty: Literal["distance", "log"] = "distance"  # (1) as it stands, or its logarithm
    novelty_every: Count = 1_000  # environment steps between two relabellings by (1)
    budget: Count = 200  # pairs a lane asks about in all
    per_round: Count = 20  # pairs of a round
    ask_every: Count = 5_000  # environment steps between rounds
    length: Count = 50  # H, steps of a segment
    recent: Count = 100_000  # newest steps that segments are cut from
    selector: Selector = "disagreement"  # which candidates are asked about
    teacher: str = "rational"  # who answers: rational, noisy:1, mistaken:0.1, regret, ...
    advantages: str | None = None  # function of A*(s, a), for a teacher by regret; None: estimate
    teacher_updates: Count = 5_000  # of that estimate, in every round
    members: Count = 3  # reward nets, of which the mean counts
    hidden_reward: Widths = (256, 256, 256)  # widths of the reward nets
    lr_reward: Positive = 3e-4  # learning rate of the reward nets
    batch_reward: Count = 128  # pairs a step of their fit
    passes: Count = 50  # over all pairs, at most
    stop: Positive = 0.97  # accuracy that ends a fit
    label_margin: HalfShare = 0.0  # m, targets are (1 - 2m) y + m
    floor: ProperShare = 0.0  # ε, share of answers taken for noise
    reset_updates: Natural = 100  # updates right after the critic begins anew
    alpha: NonNegative = 0.1  # α, temperature; its first value when it is learnt
    lr_alpha: Positive = 1e-4  # learning rate of the temperature


def check_task(c: Config, spec: Spec) -> None:
    """Raises UsageError for advantages that name nothing, or that nobody would look at."""
    known_advantages(c)


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What was set although nobody explores by it, or estimates advantages, or ""."""
    if metrics:
        return ""
    idle = idle_beside(c, "explore_steps=0", "neighbour neighbours novelty novelty_every")
    return "; ".join(filter(None, (idle, idle_teacher(c))))


def Agent(spec: Spec, c: Any) -> sac.Agent:
    """SAC's agent, for a replay whose rewards are relabelled."""
    agent = sac.Agent(spec, c)
    agent.columns = COLUMNS  # type: ignore[attr-defined]
    return agent


@torch.no_grad()
def begin_critic_anew(agent: sac.Agent, spec: Spec, c: Any) -> None:
    """New weights for critic and target, and an optimiser that remembers nothing; in place."""
    fresh = nets.Critic(
        OwnInit(spec, "pebble/critic"), agent.widths, c.n_critics, c.norm, agent.head, c.copies
    )
    flatten(agent.q).data.copy_(flatten(fresh).data)
    agent.q_bar.follow(agent.q)
    agent.step_q.forget()


class Source:
    """Minibatches under the reward of the moment; `advance` explores, asks, fits and relabels."""

    every = 1

    def __init__(self, stock: Stock, agent: sac.Agent, c: Config) -> None:
        if stock.replay is None or stock.data is not None:
            raise UsageError("pebble asks about its own experience: give an env and no dataset")
        if c.n_step > 1:
            raise UsageError("pebble relabels single steps: n_step is 1")
        self.stock, self.agent, self.c, self.replay = stock, agent, c, stock.replay
        self.batch_size = c.batch_size
        self.rows = Relabelled(self.replay, c.batch_size, stock.streams)
        self.indices, self.batch = self.rows.indices, self.rows.batch
        self.novelty = Novelty(self.replay, c.neighbour, c.neighbours, c.novelty == "log")
        self.interview = Interview(stock, self.replay, c)
        init = OwnInit(stock.spec, "pebble/reward")
        self.net = RewardNet(init, c.hidden_reward, c.members)
        self.begun = self.looked = self.asked = -1  # steps: first, last `look`, last round
        self.metrics: dict[str, Tensor] = {}  # of the last round

    def advance(self, step: int) -> dict[str, Tensor]:
        """Label what is new; explore, ask, fit and relabel when it is time."""
        c, interview = self.c, self.interview
        self.begun = step if self.begun < 0 else self.begun
        if step - self.begun < c.explore_steps:
            if self.looked < 0 or step - self.looked >= c.novelty_every:
                self.looked = step
                self.rows.relabel(self.novelty.look(step))
            self.rows.label_new(self.novelty.reward)
            return self.metrics
        if interview.rounds == 0 or (interview.left and step - self.asked >= c.ask_every):
            self.asked = step
            self.metrics = self._round()
        self.rows.label_new(self.learned_reward)
        return self.metrics

    def learned_reward(self, rows: slice) -> Tensor:
        """r̂ `[S, n]` of `rows` of the replay."""
        return mean_reward(self.net, *(self.replay.rows(name)[:, rows] for name in ("s", "a")))

    def _round(self) -> dict[str, Tensor]:
        c, spec, number = self.c, self.stock.spec, self.interview.rounds
        pairs = self.interview.ask(self.net)
        how = Fit(c.lr_reward, c.batch_reward, c.passes, c.stop, c.label_margin, c.floor)
        metrics = fit(self.net, pairs, spec, how, number)
        self.rows.relabel(self.learned_reward(slice(0, self.replay.size)))
        if number == 0:
            begin_critic_anew(self.agent, spec, c)
            if c.reset_updates:
                Engine(self.agent, c, spec, self).run(_RESET_UPDATES_FROM, c.reset_updates)
        return metrics | {"answers": (pairs.w > 0).to(spec.dtype).sum(1)}

    def state_dict(self) -> dict[str, Tensor]:
        """Reward nets, answers, visited states and where the phases stand."""
        steps = {"steps": torch.tensor([self.begun, self.looked, self.asked])}
        held = {name: getattr(self, name).state_dict() for name in _PARTS}
        return joined({**held, "phase": steps, "metrics": self.metrics})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name in _PARTS:
            getattr(self, name).load_state_dict(part(state, name))
        self.begun, self.looked, self.asked = state["phase.steps"].tolist()
        device = self.stock.spec.device
        self.metrics = {name: x.to(device) for name, x in part(state, "metrics").items()}


def source(stock: Stock, agent: sac.Agent, c: Config) -> Source:
    """Everything between SAC and its replay: exploration, questions, the reward, relabelling."""
    return Source(stock, agent, c)

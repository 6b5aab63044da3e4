"""Minibatches of real and imagined rows: the loop that model-based agents share.

MBPO, MOPO, RAVL and COMBO differ in their hooks and agents only. Minibatches say with `real` which
rows are not imagined. The `source` of an algorithm:

    def source(stock, agent, c):
        def hooks(model, end):
            return Hooks(all_members(model), reward=penalised(c.penalty), terminate=end)
        return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))

and its `Config` extends `ModelConfig`; the agent has critics `q` and `act_noise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlkit.algos.imagination.buffer import ImaginedRows
from rlkit.algos.imagination.diagnostics import local_lipschitz, value_error, value_of
from rlkit.algos.imagination.endings import ending
from rlkit.algos.imagination.fitting import LaneAdam, Loss, fit, likelihood, squared_error
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.rollout import Hooks, Terminate, roll_out, sampled
from rlkit.algos.imagination.settings import ModelConfig
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.state import joined, part
from rlkit.data.sampling.samplers import Mixed, Uniform, shares
from rlkit.data.stock import Stock
from rlkit.nets.dynamics import Dynamics


class Rows(NamedTuple):
    """All real rows at a fit; the first axis is 1 where the lanes share them."""

    s: Tensor  # [S, N, D]
    a: Tensor  # [S, N, A]
    r: Tensor  # [S, N]
    s2: Tensor  # [S, N, D]


MakeHooks = Callable[[Dynamics, Terminate], Hooks]
"""(model, when an episode ends in it) -> how it is rolled out."""
Objective = Callable[[Rows, int], tuple[Loss, Loss]]
"""(rows, fits before this one) -> what the fit minimises, and what ranks and stops its members."""


def by_deviation(deterministic: bool) -> Objective:
    """The likelihood, of a deterministic model the squared error; both ranked by the latter."""
    loss = squared_error if deterministic else likelihood
    return lambda rows, fits: (loss, squared_error)


_DIAGNOSED = 256  # real rows a round of diagnostics looks at


def rollout_length(step: int, schedule: tuple[int, ...]) -> int:
    """k at `step`: k0 up to step e0, k1 from step e1, linear and rounded down between."""
    begin, end, first, last = schedule
    share = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return int(first + share * (last - first))


def minibatches(
    stock: Stock,
    agent: Any,
    c: ModelConfig,
    hooks: MakeHooks,
    schedule: tuple[int, ...],
    objective: Objective | None = None,
) -> Source:
    """The source of a model-based agent: `Online` or `Offline`, by what is in `stock`.

    `schedule` (e0, e1, k0, k1) is `rollout_length`'s; `hooks(model, end)` says how the model is
    rolled out (see `rollout`), `objective` how it is fitted, by default by likelihood. With
    `c.real_ratio` 1 there is no model, and minibatches are those of a model-free agent, bit for
    bit. Raises UsageError for settings that do not fit.
    """
    ratio, held = c.real_ratio, c.holdout
    if isinstance(ratio, Tensor) or isinstance(held, Tensor):
        name = "real_ratio" if isinstance(ratio, Tensor) else "holdout"
        raise UsageError(f"config field {name!r} decides shapes and takes one value for all lanes")
    if not (0 <= ratio <= 1 and 0 < held < 1):
        raise UsageError(f"real_ratio {ratio} must lie in [0, 1], holdout {held} in (0, 1)")
    for name in ("model_every", "batch_model", "max_holdout", "max_epochs"):
        if getattr(c, name) < 1:
            raise UsageError(f"config field {name!r} is {getattr(c, name)}; it must be at least 1")
    if len(schedule) != 4 or schedule[0] >= schedule[1] or min(schedule[2:]) < 1:
        raise UsageError(
            f"rollout schedule {schedule} must read (e0, e1, k0, k1): steps e0 < e1 between which "
            "the length goes from k0 to k1, both at least 1"
        )
    if (real := stock.data if stock.replay is None else stock.replay) is None:
        raise UsageError("a model-based agent needs an environment or a dataset to learn from")
    if stock.data is not None and stock.replay is not None:
        raise UsageError(
            "the dynamics model is fitted to a dataset or to an environment's steps, "
            "not to both; give one of them"
        )
    if getattr(c, "n_step", 1) > 1:
        raise UsageError("imagined rows are single steps: n_step is 1 with a model")
    if ratio == 1:
        return Uniform(real, c.batch_size, stock.streams)
    kind = Offline if stock.replay is None else Online
    return kind(stock, agent, c, hooks, schedule, objective or by_deviation(c.deterministic))


class _Imagination:
    """Real and imagined rows in fixed shares; `model` makes the latter into `imagined`.

    Rollouts begin at states drawn from all real rows and follow the agent's stochastic policy.
    """

    def __init__(
        self,
        stock: Stock,
        agent: Any,
        c: ModelConfig,
        hooks: MakeHooks,
        schedule: tuple[int, ...],
        objective: Objective,
    ) -> None:
        real = stock.data if stock.replay is None else stock.replay
        assert real is not None
        self.stock, self.agent, self.c, self.real = stock, agent, c, real
        self.schedule, self.batch_size, self.every = schedule, c.batch_size, c.model_every
        self.objective, self.fits = objective, 0
        self.model = Dynamics(stock.spec, c.hidden_model, c.n_models, c.n_elites, c.deterministic)
        self.optimiser = LaneAdam(self.model, c.lr_model)
        self.ending = ending(stock, c.termination, c.end_updates)
        self.hooks = hooks(self.model, self.ending)
        real_share = 0
        if c.real_ratio > 0:
            real_share = shares(c.batch_size, c.real_ratio)[0]
        self.imagined = ImaginedRows(
            stock.spec,
            stock.streams,
            c.rollouts,
            max(schedule[2:]),
            c.retain,
            c.batch_size - real_share,
        )
        self.fitted: dict[str, Tensor] = {}  # metrics of the last fit
        self._mixed: Source = self.imagined
        if real_share:
            self._mixed = Mixed(Uniform(real, real_share, stock.streams), self.imagined)
        marks = torch.arange(c.batch_size, device=stock.spec.device) < real_share
        self._real = marks.to(stock.spec.dtype).expand(stock.spec.lanes, -1)  # of every minibatch

    def indices(self, step: int, count: int = 1) -> Tensor:
        return self._mixed.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self._mixed.batch(index)._replace(real=self._real)

    def fit(self, number: int) -> None:
        """Trains the model on all real rows; `fitted` tells how it went, `[S]` each."""
        rows = Rows(*(self.real.rows(name) for name in Rows._fields))
        x = torch.cat([rows.s, rows.a], -1)
        y = torch.cat([rows.s2 - rows.s, rows.r.unsqueeze(-1)], -1)
        loss, score = self.objective(rows, self.fits)
        done = fit(self.model, self.optimiser, x, y, self.c, number, loss=loss, score=score)
        self.fits += 1
        ends = self.ending.fit(self.real, number)
        self.fitted = {"model_epochs": done.epochs, "model_error": done.score, **ends}

    def roll_out(self, step: int) -> dict[str, Tensor]:
        """One round of rollouts with the present policy; metrics `[S]`."""
        noise = LaneNoise(self.stock.spec, "model/rollout", step)
        start = self.real.column("s", noise.integers(self.real.size, self.c.rollouts))
        length = rollout_length(step, self.schedule)
        self.imagined.begin()
        for rows in roll_out(sampled(self.agent), self.hooks, start, length, noise):
            self.imagined.add(rows)
        return {"imagined_rows": self.imagined.close()}

    def diagnose(self, step: int) -> dict[str, Tensor]:
        """Means over real rows, metrics `[S]`: `value_error` |V(s') - V(ŝ')| of the best member's
        mean ŝ' (0 after a terminal step), local Lipschitz constants of V and of s', and
        `model_nll` of a model with deviations, the elites' mean negative log-likelihood."""
        noise = LaneNoise(self.stock.spec, "model/diagnose", step)
        b = self.real.gather(noise.integers(self.real.size, _DIAGNOSED))
        best, v = self.model.elites[:, :1], value_of(self.agent)

        def next_state(x: Tensor) -> Tensor:
            s = x[..., : b.s.shape[-1]]
            return s + self.model.predict(x, best).mean.squeeze(1)[..., :-1]

        x = torch.cat([b.s, b.a], -1)
        with torch.no_grad():
            error = value_error(v, b.s2, next_state(x)) * b.cont
            nll = {}
            if not self.model.deterministic:
                y = torch.cat([b.s2 - b.s, b.r.unsqueeze(-1)], -1).unsqueeze(1)
                told = likelihood(self.model.predict(x, self.model.elites), y, y)
                nll = {"model_nll": (told.mean((-2, -1)) + math.log(2 * math.pi)) / 2}
        return nll | {
            "value_error": error.mean(-1),
            "value_lipschitz": local_lipschitz(v, b.s2, 1).mean(-1),
            "model_lipschitz": local_lipschitz(next_state, x).mean(-1),
        }

    def state_dict(self) -> dict[str, Tensor]:
        kept = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "imagined": self.imagined.state_dict(),
            "fitted": self.fitted,
            "ending": self.ending.state_dict(),
            "done": {"fits": torch.tensor(self.fits)},
        }
        return joined(kept)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name in ("model", "optimiser", "imagined", "ending"):
            getattr(self, name).load_state_dict(part(state, name))
        self.fits = int(state["done.fits"])
        fitted = part(state, "fitted")
        self.fitted = {name: x.to(self.stock.spec.device) for name, x in fitted.items()}


class Online(_Imagination):
    """Every `model_every` environment steps: fit to all real rows, then a round of rollouts."""

    def advance(self, step: int) -> dict[str, Tensor]:
        self.fit(step)
        return {**self.fitted, **self.roll_out(step), **self.diagnose(step)}


class Offline(_Imagination):
    """One fit to the dataset before the first update; every `model_every` updates a round."""

    beginning = "fitting the dynamics model to the dataset"

    def begin(self) -> None:
        self.fit(0)

    def advance(self, step: int) -> dict[str, Tensor]:
        return {**self.fitted, **self.roll_out(step), **self.diagnose(step)}

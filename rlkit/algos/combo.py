"""Conservative Offline Model-Based Policy Optimization, Yu et al. 2021 (arXiv 2102.08363).

An ensemble of dynamics models is fitted to the dataset once and rolled out as in `mbpo`. No model's
uncertainty is asked for: CQL's penalty (see `cql`, whose update this is) pushes values down where
the policy goes in the model, and up at the dataset's rows,

    (1)  E P_j = E_{s~ρ} T logsumexp(Z_j(s) / T) - E_{(s,a)~D} Q_j(s, a),      Z_j as in (2) of CQL
    (2)  L_Q = E_{D and imagined} Σ_j (Q_j(s, a) - y)² + α Σ_j E P_j

with ρ the states of the whole minibatch ("all"), or its imagined ones ("imagined"), and D its real
rows. With real rows alone ("all" and `real_ratio` 1) this is CQL, with α 0 a model-based SAC whose
target has no entropy.

Settings of OfflineRL-Kit by task and data are `PRESETS`; where none is, they are the defaults.

Differs from the paper: (2) has no factor ½, as in `cql`; the action drawn from the model's rollout
distribution is drawn anew at its states, by three sources. Differs from OfflineRL-Kit: (1) has one
soft maximum over all drawn actions of a state (theirs, by a reshape that is lost, has one for each
three); `rollouts` is 10,000, not 50,000; densities are CQL's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from rlkit import nets
from rlkit.algos import cql
from rlkit.algos.imagination.proposals import one_elite
from rlkit.algos.imagination.rollout import Hooks, Terminate
from rlkit.algos.imagination.settings import ModelConfig
from rlkit.algos.imagination.source import minibatches
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, PositiveShare, Widths, checked
from rlkit.data.stock import Stock

FITS = ("offline", "continuous")


@checked("n_elites <= n_models")
@dataclass(frozen=True)
class Config(ModelConfig, cql.Config):
    states: Literal["all", "imagined"] = "all"  # ρ of eq. (1)
    real_ratio: PositiveShare = 0.5  # share of real rows in a minibatch; 1 is CQL
    length: Count = 5  # steps of a rollout
    hidden: Widths = (256, 256, 256)  # widths of the policy
    model_every: Count = 1000  # updates between rounds of rollouts
    retain: Count = 5  # rounds whose rows are kept


_LOW = {"alpha": 0.5}
_SHORT = {"length": 1}
# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "halfcheetah_medium": (_LOW, {}),
    "halfcheetah_medium_replay": (_LOW, {}),
    "hopper_medium_replay": (_LOW, {}),
    "walker2d_medium": (_SHORT, {}),
    "walker2d_medium_replay": (_LOW | _SHORT, {}),
    "walker2d_medium_expert": (_SHORT, {}),
}


def over_real(x: Tensor, real: Tensor) -> Tensor:  # [S, n, B], [S, B] -> [S, n]
    """Mean of `x` over the rows where `real` is 1; 0 when there is none."""
    real = real.unsqueeze(-2)
    return (x * real).sum(-1) / real.sum(-1).clamp(min=1)


def conservative(states: str) -> cql.Average:
    """E P_j of eq. (1); a minibatch that does not say which rows are real has real ones alone."""

    def average(soft: Tensor, q: Tensor, b: Batch) -> Tensor:
        if b.real is None:
            return cql.over_all_rows(soft, q, b)
        down = soft.mean(-1) if states == "all" else over_real(soft, 1 - b.real)
        return down - over_real(q, b.real)

    return average


def Agent(spec: Spec, c: Config) -> cql.Agent:
    """CQL's agent, with the penalty of eq. (1)."""
    return cql.Agent(spec, c, average=conservative(c.states))


def source(stock: Stock, agent: cql.Agent, c: Config) -> Source:
    """Real and imagined minibatches, marked; with `real_ratio` 1 those of CQL.

    Raises UsageError when "imagined" states are asked for where none are, ValueError for a task
    whose termination rule is not known.
    """
    if c.states == "imagined" and c.real_ratio == 1:
        raise UsageError(
            "states 'imagined' pushes values down at imagined rows, and with real_ratio 1 there "
            "are none; lower real_ratio, or set states to 'all'"
        )

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))

"""Backward induction for stationary and stage-dependent finite-horizon problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.backup import Backup
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_law, policy_model
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_count, check_gamma


class StagePlan(NamedTuple):
    """value [H+1, S], policy [H, S] action ids, rows [H, S] their row indices."""

    value: Array
    policy: Array
    rows: Array

    def __repr__(self) -> str:
        return brief(self)


def stages(mdp: FiniteMDP | Sequence[FiniteMDP], horizon: int) -> list[FiniteMDP]:
    """One model a stage. ValueError unless a sequence has `horizon` members of equal size."""
    horizon = check_count("horizon", horizon)
    models = [mdp] * horizon if isinstance(mdp, FiniteMDP) else list(mdp)
    if len(models) != horizon or any(m.num_states != models[0].num_states for m in models):
        raise ValueError(f"need {horizon} models over the same states, got {len(models)}")
    return models


@named
def backward_induction(
    mdp: FiniteMDP | Sequence[FiniteMDP], horizon: int, v_term: Array | None = None,
    gamma: float = 1.0,
) -> StagePlan:  # fmt: skip
    """Optimal value and policy of every stage; `v_term` [S] is collected after the last one."""
    horizon, gamma = check_count("horizon", horizon), check_gamma(gamma)
    models = stages(mdp, horizon)
    n = models[0].num_states
    value = np.zeros((horizon + 1, n))
    if v_term is not None:
        value[horizon] = v_term
    policy, rows = np.zeros((horizon, n), np.int32), np.zeros((horizon, n), np.int64)
    operator: Backup | None = None
    for h in reversed(range(horizon)):
        if operator is None or operator.mdp is not models[h]:
            operator = Backup(models[h], gamma)
        operator(value[h + 1], value[h])
        rows[h] = operator.best
        policy[h] = models[h].a_id[rows[h]]
    return StagePlan(value, policy, rows)


@named
def evaluate_stages(
    mdp: FiniteMDP | Sequence[FiniteMDP], policy: Array, v_term: Array | None = None,
    gamma: float = 1.0,
) -> Array:  # fmt: skip
    """Value [H+1, S] of a policy [H, S] of action ids or [H, S, A] of probabilities."""
    models, gamma = stages(mdp, len(policy)), check_gamma(gamma)
    value = np.zeros((len(policy) + 1, models[0].num_states))
    if v_term is not None:
        value[-1] = v_term
    for h in reversed(range(len(policy))):
        m = models[h]
        mixed = policy_law(m, policy[h]) * m.q(value[h + 1], gamma)
        value[h] = np.add.reduceat(mixed, m.sa_ptr[:-1])
    return value


def stage_occupancy(
    mdp: FiniteMDP | Sequence[FiniteMDP], policy: Array, mu0: Array | None = None
) -> Array:
    """Probability [H, S] of being in a state at each stage under a policy."""
    models = stages(mdp, len(policy))
    law = np.empty((len(policy), models[0].num_states))
    law[0] = models[0].initial_law() if mu0 is None else mu0
    for h in range(1, len(policy)):
        p, _ = policy_model(models[h - 1], policy[h - 1])
        law[h] = law[h - 1] @ p
    return law

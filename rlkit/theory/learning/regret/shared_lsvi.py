"""GFUCB in linear MDPs: optimism for M of them at once that share an unknown representation.

Lu, Zhao, Du & Huang 2022, "Provable General Function Class Representation Learning in Multitask
Bandits and MDPs", its second half; the bandits are in `rlkit.algos.bandits.contextual.multitask`.
Stage values of task i are Q_i(s, a) = phi(s, a)' w_i, phi from a finite class Phi, the same for all
tasks. At each stage, from the last one back, with targets y = r + V_i(s') of what was seen:

  fit      w_i(phi) by ridge;  loss(phi) = sum_i min_w [sum (phi' w - y)² + ridge |w|²]
  set      phi with gap(phi) = loss(phi) - min loss <= beta
  values   Q_i = min(cap, max over the set of phi' w_i + sqrt((beta - gap) / M) |phi|_{Lambda_i^-1})
  beta     M (scale² k + ...) in all: a task's share is scale² (k + ln |Phi| / M)

so that what it costs to tell the representations apart is paid once for all tasks.

The paper takes the largest sum of first values over one joint set of all stages and tasks, which
nobody can compute. Here each stage and row takes its own maximum, as LSVI-UCB does, and every task
an equal share of the set's radius: with a class of one phi it is LSVI-UCB in every task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.regret.episodic import exact_value
from rlkit.theory.learning.replicates import each
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.streams import categorical, drawn, stream
from rlkit.theory.validate import as_reals, check_counts, check_positive, check_seed, settings


@dataclass(frozen=True)
class SharedRun:
    """Of every episode: the exact value [R, E, M] of each task's policy and the one planned for it,
    and the representation of least loss [R, E, H]; `optimal` [M]."""

    value: Array
    planned: Array
    chosen: Array
    optimal: Array

    def __repr__(self) -> str:
        return brief(self)

    def regret(self) -> Array:
        """Cumulative pseudo-regret of each task, [R, E, M]."""
        return np.cumsum(self.optimal - self.value, axis=1)


def shared_plan(
    features: Array, seen: Array, targets: Array, radius: float, ridge: float, cap: float
) -> tuple[Array, int]:
    """Optimistic values [M, L] of one stage, and the representation of least loss.

    `features` [F, L, k], `seen` [M, L] how often a row was taken, `targets` [M, L] the sums of its
    r + V(s'); `radius` is beta / M.
    """
    radius = check_positive("radius", radius, strict=False)
    ridge, tasks, k = check_positive("ridge", ridge), len(seen), features.shape[2]
    gram = np.einsum("flx,ml,fly->fmxy", features, seen, features) + ridge * np.eye(k)
    pull = np.einsum("flx,ml->fmx", features, targets)
    inverse = np.linalg.inv(gram)
    w = np.einsum("fmxy,fmy->fmx", inverse, pull)
    explained = np.einsum("fmx,fmx->f", pull, w)  # what the fit takes off the sum of squares
    gap = explained.max() - explained
    mean = np.einsum("flx,fmx->fml", features, w)
    size = np.einsum("flx,fmxy,fly->fml", features, inverse, features)
    spare = radius - gap / tasks
    bonus = np.sqrt(np.maximum(spare, 0.0))[:, None, None] * np.sqrt(np.maximum(size, 0.0))
    upper = np.where((spare >= 0.0)[:, None, None], mean + bonus, -np.inf)
    return np.minimum(cap, upper.max(0)), int(np.argmin(gap))


@named
@settings(seed=check_seed)
def learn_shared(
    mdps: Sequence[FiniteMDP], representations: Array, horizon: int, episodes: int, *,
    scale: float = 0.1, ridge: float = 1.0, replicates: int = 1, seed: int = 0, threads: int = 1,
) -> SharedRun:  # fmt: skip
    """GFUCB over `episodes` rounds of an episode in every task, planned anew before each.

    The M `mdps` have the same states, actions and number of rows L, none terminates;
    `representations` [F, L, k] is the class of row features. `scale`² stands for the constants and
    logarithms of the paper's beta. ValueError for tasks that differ in their rows.
    """
    horizon, episodes, replicates, threads = check_counts(
        horizon=horizon, episodes=episodes, replicates=replicates, threads=threads
    )
    check_positive("scale", scale, strict=False)
    check_positive("ridge", ridge)
    tasks = [mdps] if isinstance(mdps, FiniteMDP) else list(mdps)
    if not tasks or not all(isinstance(m, FiniteMDP) for m in tasks):
        raise ValueError("there are no tasks: give at least one FiniteMDP, and nothing else")
    models = [m.expanded() for m in tasks]
    first = models[0]
    for i, m in enumerate(models):
        if not (np.array_equal(m.sa_ptr, first.sa_ptr) and np.array_equal(m.a_id, first.a_id)):
            raise ValueError(f"task {i} has other states or actions than task 0")
        if m.stop is not None:
            raise ValueError(f"task {i} terminates; the horizon ends the episodes here")
    phi = as_reals("representations", representations, (None, first.num_rows, None))
    if 0 in phi.shape:
        raise ValueError(f"representations have shape {phi.shape}: there are none, or of no number")
    count, _, k = phi.shape
    radius = scale**2 * (k + math.log(count) / len(models))
    shape = (replicates, episodes, len(models))
    value, planned = np.empty(shape), np.empty(shape)
    chosen = np.empty((replicates, episodes, horizon), np.int64)

    def one(r: int) -> None:
        _run(models, phi, horizon, radius, ridge, seed, r, value[r], planned[r], chosen[r])

    each(one, replicates, threads)
    best = [float(m.initial_law() @ backward_induction(m, horizon).value[0]) for m in models]
    return SharedRun(value, planned, chosen, np.array(best))


def _run(
    models: list[FiniteMDP], phi: Array, horizon: int, radius: float, ridge: float, seed: int,
    replicate: int, value: Array, planned: Array, chosen: Array,
) -> None:  # fmt: skip
    tasks, rows, states = len(models), models[0].num_rows, models[0].num_states
    starts = models[0].sa_ptr[:-1]
    owner = models[0].state_of_row()
    luck: list[Any] = [stream(seed, replicate, i) for i in range(tasks)]
    taken, paid = np.zeros((horizon, tasks, rows)), np.zeros((horizon, tasks, rows))
    led = np.zeros((horizon, tasks, rows, states))  # how often to which state
    true_v = np.zeros((horizon + 1, states))
    for episode in range(len(value)):
        v = np.zeros((tasks, states))
        policy = np.empty((tasks, horizon, states), np.int64)
        for h in range(horizon - 1, -1, -1):
            targets = paid[h] + np.einsum("mls,ms->ml", led[h], v)
            q, chosen[episode, h] = shared_plan(
                phi, taken[h], targets, radius, ridge, float(horizon - h)
            )
            v = np.maximum.reduceat(q, starts, axis=1)
            best = np.where(q >= v[:, owner], np.arange(rows), rows)
            policy[:, h] = np.minimum.reduceat(best, starts, axis=1)
        for i, m in enumerate(models):
            law = m.initial_law()
            planned[episode, i] = law @ v[i]
            value[episode, i] = exact_value(
                m.sa_ptr, m.row_ptr, m.col, m.val, m.r, policy[i], 0.0, law, true_v
            )
            s = drawn(luck[i], law)
            for h in range(horizon):
                row = policy[i, h, s]
                s = categorical(luck[i], m.col, m.val, m.row_ptr[row], m.row_ptr[row + 1])
                taken[h, i, row] += 1.0
                paid[h, i, row] += m.r[row]
                led[h, i, row, s] += 1.0

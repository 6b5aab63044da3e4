"""Budgets and tolerances that are none are refused by name, before any work."""

import inspect

import numpy as np
import pytest

from rlkit.envs.tabular.chains import river_swim
from rlkit.envs.tabular.latent import probe
from rlkit.theory.evaluation import occupancy
from rlkit.theory.geometry.bisimulation import bisimulation_metric, policy_bisimulation
from rlkit.theory.geometry.representations import learn_successor, successor_svd
from rlkit.theory.learning.latent_learning import learn_latent
from rlkit.theory.learning.q_learning import learn_control, speedy_q
from rlkit.theory.learning.regret.episodic import learn
from rlkit.theory.learning.regret.loop import loop_finite, loop_linear_mixture
from rlkit.theory.learning.regret.loop_values import loop_linear
from rlkit.theory.learning.regret.lsvi import learn_linear
from rlkit.theory.learning.regret.optimistic_q import learn_optimistic_q
from rlkit.theory.learning.regret.ucrl import ucrl
from rlkit.theory.learning.td_learning import td_learn
from rlkit.theory.objectives.automata import eventually, learn_counterfactual
from rlkit.theory.objectives.occupancy import convex_front, maximum_entropy
from rlkit.theory.planning.average_reward import anchored_average, howard, relative_value_iteration
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.planning.solvers import solve
from rlkit.theory.preferences.games import (
    game_descent,
    magnetic_descent,
    quantal_response,
    regret_matching_plus,
)
from rlkit.theory.preferences.preference_games import nash_md, self_play
from rlkit.theory.returns.distributional import evaluate_laws, exact_laws
from rlkit.theory.returns.laws import Quantile
from rlkit.theory.returns.stock import SHORTFALL, solve_stock
from rlkit.theory.robust.rectangular import robust_backward_induction, solve_robust
from rlkit.theory.robust.regularised import solve_regularised
from rlkit.theory.trajectories import simulate

SWIM = river_swim(4)
POLICY, FEATURES = np.zeros(4, int), np.eye(4)
GAME = np.array([[0.0, 1.0], [-1.0, 0.0]])
PREFERENCES = 0.5 + 0.5 * GAME
LAW = Quantile(4)

# name of the call -> the call, with room for one bad argument; its whole numbers; its tolerances
CALLS = {
    "solve": (lambda **x: solve(SWIM, 0.9, **x), "max_backups threads", "eps"),
    "solve mpi": (lambda **x: solve(SWIM, 0.9, "mpi", **x), "", "cut-"),
    "solve gs": (lambda **x: solve(SWIM, 0.9, "gs", **x), "check", ""),
    "solve pi": (lambda **x: solve(SWIM, 0.9, "pi", **x), "max_backups", "eps forcing"),
    "solve 1": (lambda **x: solve(SWIM, 1.0, "pi", **x), "max_backups", "eps"),
    "robust": (lambda **x: solve_robust(SWIM, 0.9, "tv", radius=0.1, **x), "max_backups", "eps"),
    "robust stages": (
        lambda horizon: robust_backward_induction(SWIM, horizon, "tv", radius=0.1), "horizon", "",
    ),
    "regularised": (
        lambda **x: solve_regularised(
            SWIM, 0.9, **{"alpha": 1.0, "reference": np.full(8, 0.125)} | x
        ), "max_steps", "alpha tolerance",
    ),
    "rvi": (lambda **x: relative_value_iteration(SWIM, **x), "max_backups threads", "eps"),
    "anchored": (lambda **x: anchored_average(SWIM, **x), "max_backups threads", "eps"),
    "howard": (lambda **x: howard(SWIM, **x), "max_iterations", ""),
    "stages": (lambda horizon: backward_induction(SWIM, horizon), "horizon", ""),
    "simulate": (lambda **x: simulate(SWIM, POLICY, **{"steps": 9} | x), "steps max_length-", ""),
    "entropy": (lambda **x: maximum_entropy(SWIM, 0.9, **x), "max_steps", "tolerance"),
    "front": (lambda **x: convex_front(SWIM, 0.9, np.eye(8)[:2], **x), "", "tolerance"),
    "metric": (lambda **x: bisimulation_metric(SWIM, 0.9, **x), "", "tolerance"),
    "policy metric": (lambda **x: policy_bisimulation(SWIM, POLICY, 0.9, **x), "", "tolerance"),
    "svd": (lambda rank: successor_svd(SWIM, POLICY, 0.9, rank), "rank", ""),
    "successor": (
        lambda **x: learn_successor(simulate(SWIM, POLICY, 9), 4, 0.9, **x), "", "alpha",
    ),
    "laws": (lambda **x: evaluate_laws(SWIM, POLICY, 0.9, LAW, **x), "max_sweeps", "tolerance"),
    "exact laws": (lambda **x: exact_laws(SWIM, POLICY, 0.9, **{"horizon": 2} | x),
                   "horizon limit", "merge-"),
    "stock": (
        lambda **x: solve_stock(SWIM, 0.9, SHORTFALL, np.linspace(-1, 1, 3), LAW, **x),
        "max_sweeps horizon", "tolerance",
    ),
    "magnetic": (
        lambda **x: magnetic_descent(GAME, **{"temperature": 1, "eta": 1, "rounds": 2} | x),
        "rounds", "temperature eta",
    ),
    "quantal": (lambda **x: quantal_response(GAME, **{"temperature": 1} | x), "",
                "temperature tolerance"),
    "regret": (lambda rounds: regret_matching_plus(GAME, rounds), "rounds", ""),
    "descent": (lambda **x: game_descent(GAME, 0.1, **x), "rounds", ""),
    "self-play": (lambda **x: self_play(PREFERENCES, **{"eta": 1, "rounds": 2} | x), "rounds",
                  "eta"),
    "nash-md": (lambda **x: nash_md(PREFERENCES, **{"tau": 1, "rounds": 2} | x), "rounds", "tau"),
    "episodic": (
        lambda **x: learn(SWIM, **{"horizon": 3, "episodes": 2} | x),
        "horizon episodes replicates threads", "scale- prior",
    ),
    "lsvi": (
        lambda **x: learn_linear(SWIM, np.eye(8), **{"horizon": 3, "episodes": 2} | x),
        "horizon episodes replicates threads", "scale- ridge",
    ),
    "latent": (lambda **x: learn_latent(probe(), **{"episodes": 2} | x), "episodes", "scale-"),
    "control": (
        lambda **x: learn_control(SWIM, **{"steps": 9, "gamma": 0.9} | x),
        "steps replicates checkpoints threads n planning- max_length- episodes-",
        "alpha kappa- threshold-",
    ),
    "speedy": (lambda **x: speedy_q(SWIM, **{"sweeps": 2, "gamma": 0.9} | x),
               "sweeps replicates threads", ""),
    "td": (
        lambda **x: td_learn(SWIM, FEATURES, POLICY, **{"steps": 9, "gamma": 0.9} | x),
        "steps replicates checkpoints threads max_length-", "alpha beta power- offset",
    ),
    "ucrl": (lambda **x: ucrl(SWIM, **{"horizon": 9} | x),
             "horizon replicates checkpoints threads", "scale-"),
    "optimistic q": (
        lambda **x: learn_optimistic_q(SWIM, **{"steps": 9, "span": 1.0} | x),
        "steps replicates checkpoints threads", "span horizon scale-",
    ),
    "loop": (lambda **x: loop_finite(SWIM, [SWIM], **{"horizon": 9, "true_index": 0} | x),
             "horizon replicates checkpoints", "scale"),
    "loop mixture": (
        lambda **x: loop_linear_mixture(SWIM, SWIM.dense()[0][..., None],
                                        **{"horizon": 9, "span": 1.0} | x),
        "horizon replicates checkpoints", "span norm ridge scale",
    ),
    "loop linear": (
        lambda **x: loop_linear(SWIM, np.ones((SWIM.num_states, SWIM.num_actions, 1)),
                                **{"horizon": 9, "span": 1.0} | x),
        "horizon replicates checkpoints threads", "span norm ridge scale",
    ),
    "machine": (
        lambda **x: learn_counterfactual(SWIM, eventually(1, 2), np.zeros((4, 2, 4), int),
                                         **{"gamma": 0.9, "steps": 9, "seed": 0} | x),
        "steps max_length", "alpha",
    ),
}  # fmt: skip


def _cases():
    for call, (run, counts, tolerances) in CALLS.items():
        for name in counts.split():
            bad = [-1, float("nan"), 2.5, float("inf"), "10"] + ([] if name.endswith("-") else [0])
            yield from ((run, name.rstrip("-"), x, f"{call} {name}={x!r}") for x in bad)
        for name in tolerances.split():
            bad = [-1.0, float("nan"), float("inf")] + ([] if name.endswith("-") else [0.0])
            yield from ((run, name.rstrip("-"), x, f"{call} {name}={x!r}") for x in bad)


@pytest.mark.parametrize(
    ("run", "name", "value"), [pytest.param(*x[:3], id=x[3]) for x in _cases()]
)
def test_a_bad_budget_or_tolerance_is_refused_by_name(run, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}$"):
        run(**{name: value})


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, float("nan")])
def test_a_bad_confidence_is_refused_by_name(value):
    for run in (learn, ucrl, learn_optimistic_q):
        given = {"horizon": 3, "episodes": 2, "steps": 9, "span": 1.0}
        known = inspect.signature(run).parameters
        with pytest.raises(ValueError, match=r"^delta must lie in \(0, 1\)"):
            run(SWIM, **{k: x for k, x in given.items() if k in known}, delta=value)


def test_whole_floats_are_budgets():
    assert solve(SWIM, 0.9, max_backups=1e5).converged
    assert learn_control(SWIM, 1e2, gamma=0.9).steps[-1] == 100
    assert simulate(SWIM, POLICY, 5.0).s.size == 5
    assert occupancy(SWIM, POLICY, 0.9).sum() == pytest.approx(1.0)

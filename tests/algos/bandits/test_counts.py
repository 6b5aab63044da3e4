"""Horizons, runs, budgets and other counts of 0, -1, NaN or a fraction are refused by name."""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.contextual import (
    ee_net,
    linear,
    multitask,
    neural_gap,
    neural_ucb,
    policy_generations,
)
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.oracle_policies import Config, OraclePolicy
from rlkit.algos.bandits.contextual.oracles import MeanOracle, RidgeOracle, TreesOracle
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.identification import active_learning
from rlkit.algos.bandits.identification.design import g_optimal_design
from rlkit.algos.bandits.identification.misspecified import phased_elimination
from rlkit.algos.bandits.identification.pure_exploration import identify
from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import evaluate, learning
from rlkit.algos.bandits.off_policy.densities import GaussianMixture
from rlkit.algos.bandits.off_policy.importance import expectations
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog
from rlkit.algos.bandits.self_play import hedge_self_play
from rlkit.algos.bandits.slates import thompson
from rlkit.algos.bandits.slates.thompson import SlateRecommender
from rlkit.algos.bandits.teachers import mixtures, riac
from rlkit.envs.bandits.armed import Armed, RandomMeans
from rlkit.envs.bandits.competence import CompetenceGrid
from rlkit.envs.bandits.contextual import LinearContexts, TabularContexts
from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.dueling import Dueling
from rlkit.envs.bandits.exact import best_tallying_loss
from rlkit.envs.bandits.linear import LinearArms
from rlkit.envs.bandits.memory import LastSwitch, Tallying, hidden_arm
from rlkit.envs.bandits.multitask import SharedRepresentation
from rlkit.envs.bandits.slates import SlateWorld

BAD = [0, -1, float("nan"), 2.5]
TABLE = TabularContexts([[0.2, 0.8]])
PAIRS = Dueling([[0.5, 0.7], [0.3, 0.5]])
SWITCH = LastSwitch([[0.5, 0.6], [0.2, 0.3]], [[0.1, 0.1], [0.2, 0.2]])
LOG = DecisionLog(Feedback(np.array([0, 1] * 5), np.ones(10), prob=np.full(10, 0.5)), 2)
HALF = np.full((10, 2), 0.5)


# argument -> what is called with it
CALLS = {
    "runs": lambda n: simulate("ucb1", [0.5], runs=n, horizon=9),
    "horizon": lambda n: simulate("ucb1", [0.5], runs=1, horizon=n),
    "threads": lambda n: simulate("ucb1", [0.5], runs=1, horizon=9, threads=n),
    "runs of duels": lambda n: simulate("rucb", env=PAIRS, runs=n, horizon=9),
    "horizon of duels": lambda n: simulate("rucb", env=PAIRS, runs=1, horizon=n),
    "horizon of cycles": lambda n: simulate("cycle_plan", env=SWITCH, runs=1, horizon=n),
    "samples": lambda n: simulate("cycle_online", env=SWITCH, runs=1, horizon=99, samples=n),
    "batch of exp3": lambda n: simulate("exp3_batched", [0.5], runs=1, horizon=9, batch=n),
    "rounds": lambda n: play(ContextFreePolicy(2), TABLE, n),
    "batch": lambda n: play(ContextFreePolicy(2), TABLE, 2, batch=n),
    "runs of play": lambda n: play(ContextFreePolicy(2), TABLE, 2, runs=n),
    "rounds of self-play": lambda n: hedge_self_play(PAIRS.preferences, n),
    "budget": lambda n: identify("successive_halving", [0.2, 0.8], budget=n, runs=1),
    "cap": lambda n: identify("lucb", [0.2, 0.8], cap=n, runs=1),
    "runs of identify": lambda n: identify("lucb", [0.2, 0.8], runs=n),
    "steps": lambda n: g_optimal_design(np.eye(2), steps=n),
    "phases": lambda n: phased_elimination(np.eye(2), lambda a, k: 0.0, phases=n),
    "budget of learning": lambda n: active_learning.learn(active_learning.Config(budget=n)),
    "iterations": lambda n: active_learning.learn(active_learning.Config(iterations=n)),
    "folds": lambda n: evaluate(LOG, HALF, "clipped_ips", constant="mse", folds=n),
    "reps": lambda n: _bootstrap(n),
    "budget of importance": lambda n: expectations(lambda x: x, _normal(), budget=n),
    "rounds of importance": lambda n: expectations(lambda x: x, _normal(), rounds=n),
    "components": lambda n: expectations(lambda x: x, _normal(), components=n),
    "epochs": lambda n: learning.OffPolicyLearner(2, 1, learning.Config(epochs=n)),
    "patience": lambda n: learning.OffPolicyLearner(2, 1, learning.Config(patience=n)),
    "generations": lambda n: policy_generations.Config(generations=n),
    "size": lambda n: policy_generations.Config(size=n),
    "window": lambda n: policy_generations.Config(window=n),
    "arms": lambda n: ContextFreePolicy(n),
    "arms of linear": lambda n: LinearPolicy(n, 1, linear.Config(disjoint=True)),
    "dim": lambda n: LinearPolicy(2, n, linear.Config(disjoint=True)),
    "arms of ridge": lambda n: RidgeOracle(n, 2),
    "contexts": lambda n: MeanOracle(n, 2),
    "first_fit": lambda n: TreesOracle(2, 2, first_fit=n),
    "steps of the network": lambda n: NetworkOracle(2, 2, steps=n),
    "draws": lambda n: neural_gap.NeuralGapPolicy(2, 2, neural_gap.Config(draws=n)),
    "batch of neural": lambda n: neural_ucb.NeuralPolicy(2, 2, neural_ucb.Config(batch=n)),
    "train_every": lambda n: neural_ucb.NeuralPolicy(2, 2, neural_ucb.Config(train_every=n)),
    "pool": lambda n: ee_net.EENet(2, 2, ee_net.Config(pool=n)),
    "tasks": lambda n: multitask.GFUCB(2, 2, multitask.Config(tasks=n)),
    "refit": lambda n: multitask.GFUCB(2, 2, multitask.Config(refit=n)),
    "particles": lambda n: SlateRecommender(9, 3, thompson.Config(particles=n)),
    "slots": lambda n: SlateRecommender(9, n),
    "fit_rate": lambda n: mixtures.AlpGmm([0.0], [1.0], mixtures.Config(fit_rate=n)),
    "points": lambda n: riac.Riac([0.0], [1.0], riac.Config(points=n)),
    "proposals": lambda n: riac.Riac([0.0], [1.0], riac.Config(proposals=n)),
    "arms of means": lambda n: RandomMeans(n).tables(9),
    "arms of drawn features": lambda n: LinearArms("per_run", arms=n, dim=2).tables(),
    "cells": lambda n: CompetenceGrid(2, n),
    "horizon of tallying": lambda n: best_tallying_loss(_tallying(), n),
    "memory": lambda n: hidden_arm(3, n, 1),
    "tasks of shared features": lambda n: SharedRepresentation(n),
    "items": lambda n: SlateWorld(items=n),
}


def _gap(**options):
    return neural_gap.NeuralGapPolicy(2, 2, neural_gap.Config(**options))


def _normal():
    return GaussianMixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))


def _tallying():
    return Tallying([[0.5, 0.1]], [1.0])


def _bootstrap(reps):
    from rlkit.algos.bandits.off_policy.intervals import interval

    return interval(np.arange(9.0), "bootstrap", reps=reps)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", CALLS)
def test_a_count_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name.split(' of ')[0]} is "):
        CALLS[name](value)


def test_whole_floats_count_and_other_things_do_not():
    assert simulate("ucb1", [0.5, 0.4], runs=2.0, horizon=1e2).checkpoints[-1] == 100
    assert whole("n", np.int32(3)) == whole("n", np.float32(3.0)) == 3
    for value in (True, "3", None, [3], np.inf):
        with pytest.raises(ValueError, match=r"^n is "):
            whole("n", value)
    with pytest.raises(ValueError, match=r"whole rounds in 1\.\.9"):
        simulate("ucb1", [0.5], horizon=9, checkpoints=[1, 2.5])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("gamma", lambda x: OraclePolicy(RidgeOracle(2, 1), Config(gamma=x))),
        ("radius", lambda x: OraclePolicy(RidgeOracle(2, 1), Config(radius=x))),
        ("alpha", lambda x: LinearPolicy(2, 1, linear.Config(alpha=x))),
        ("noise_bound", lambda x: LinearPolicy(2, 1, linear.Config("oful", noise_bound=x))),
        ("perturbation", lambda x: _gap(perturbation=x)),
        ("explore", lambda x: multitask.GFUCB(2, 2, multitask.Config(explore=x))),
        ("cap", lambda x: learning.OffPolicyLearner(2, 1, learning.Config(cap=x))),
        ("alpha", lambda x: simulate("alpha_ucb", [0.5], runs=1, horizon=9, alpha=x)),
        ("sigma", lambda x: simulate("ts_gauss", env=Armed([0.5]), runs=1, horizon=9, sigma=x)),
    ],
)  # fmt: skip
def test_amounts_that_are_negative_or_no_number_are_refused_by_name(name, make):
    for value in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=rf"^{name} is "):
            make(value)


def test_delays_are_whole_rounds():
    for delay in (-1, 1.5, float("nan"), lambda rng, n: np.full(n, 0.5)):
        with pytest.raises(ValueError, match=r"^delay must give"):
            play(ContextFreePolicy(2), TABLE, 3, delay=delay)


def test_arms_of_linear_contexts_are_a_count():
    for value in (-1, float("nan"), 2.5):
        with pytest.raises(ValueError, match=r"^size_arms is "):
            LinearContexts([1.0, 2.0], size_arms=value)

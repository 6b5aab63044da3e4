"""Oracles of trees and networks under batched policies: what they learn, and their widths."""

import numpy as np
import pytest

from rlkit.algos.bandits.contextual import oracle_policies
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.oracle_policies import (
    OraclePolicy,
)
from rlkit.algos.bandits.contextual.oracles import RidgeOracle, TreesOracle
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.envs.bandits.contextual import Classification


def test_trees_oracle_learns_a_nonlinear_rule_that_ridge_cannot():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3000, 2))
    env = Classification(x, (x[:, 0] * x[:, 1] > 0).astype(int))
    regret = {}
    for name, oracle in (("trees", TreesOracle(2, 2)), ("ridge", RidgeOracle(2, 2))):
        policy = OraclePolicy(oracle, oracle_policies.Config("square_cb", gamma=20.0))
        regret[name] = play(policy, env, 60, batch=25).regret[-500:].mean()
    assert regret["trees"] < 0.15
    assert regret["ridge"] > 0.4


@pytest.mark.parametrize("rule", ["reg_cb", "reg_cb_elim"])
@pytest.mark.parametrize(
    "oracle",
    [
        lambda: TreesOracle(2, 2),
        lambda: NetworkOracle(2, 2, hidden=(32,), lr=5e-3, steps=8, widths=True),
    ],
    ids=["trees", "network"],
)
def test_reg_cb_learns_over_trees_and_networks(rule, oracle):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3000, 2))
    env = Classification(x, (x[:, 0] * x[:, 1] > 0).astype(int))
    policy = OraclePolicy(oracle(), oracle_policies.Config(rule, radius=0.1))
    regret = play(policy, env, 60, batch=20).regret
    assert regret[-400:].mean() < 0.25  # chance is .5
    assert len(np.unique(policy.dist(Observation(x[:200])).argmax(1))) == 2


def test_leaf_widths_are_those_of_ridge_on_the_leaves():
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.standard_normal((120, 2)), rng.integers(3, size=120)])
    oracle = TreesOracle(3, 2, first_fit=100, max_iter=7, max_leaf_nodes=4, min_samples_leaf=5)
    reward = x[:, 0] * (x[:, 2] == 1) + 0.1 * rng.standard_normal(120)
    rows = Feedback(x[:, 2].astype(int), reward, x[:, :2])
    oracle.learn(rows)
    fresh = Observation(rng.standard_normal((8, 2)))
    width = oracle.deviation(fresh)
    leaves = oracle.widths.leaves(x)
    count = len(oracle.widths.inverse)
    assert 7 * 2 <= count <= 7 * 4
    # Rows of one leaf get the same from its tree, rows of different leaves do not.
    added = oracle.widths._added(x)
    for m in range(7):
        groups = [added[leaves[:, m] == leaf, m] for leaf in np.unique(leaves[:, m])]
        assert all(np.ptp(g) < 1e-9 for g in groups)
        assert len(groups) == len(np.unique(added[:, m].round(9)))
    phi = np.zeros((120, count))
    np.put_along_axis(phi, leaves, 1.0, 1)
    inverse = np.linalg.inv(7 * np.eye(count) + phi.T @ phi)
    asked = oracle.widths.leaves(oracle._every_arm(fresh))
    phi = np.zeros((24, count))
    np.put_along_axis(phi, asked, 1.0, 1)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", phi, inverse, phi))
    np.testing.assert_allclose(width.ravel(), exact, rtol=1e-8)
    # Rows learned since the fit count too.
    oracle.learn(rows.rows(slice(0, 10)))
    assert oracle.fitted_rows == 120
    assert (oracle.deviation(fresh) <= width + 1e-12).all()
    assert (oracle.deviation(fresh) < width - 1e-4).any()


def test_network_widths_are_those_of_ridge_on_the_last_layer():
    rng = np.random.default_rng(2)
    oracle = NetworkOracle(3, 2, hidden=(5,), seeds=(0, 1), steps=3, widths=True)
    table = Feedback(
        rng.integers(3, size=60), rng.random(60), rng.standard_normal((60, 2)),
        run=np.repeat([0, 1], 30),
    )  # fmt: skip
    np.testing.assert_allclose(
        oracle.deviation(Observation(np.zeros((2, 2)))) >= 1.0, np.ones((2, 3))
    )
    oracle.learn(table)
    oracle._form()  # under the present features
    extra = Feedback(np.array([1, 2]), np.zeros(2), rng.standard_normal((2, 2)))
    oracle._count_rows(extra)
    x = rng.standard_normal((2, 1, 2))
    width = oracle.deviation(Observation(x.reshape(2, 2)))

    def features(rows, lane):
        every = np.repeat(np.asarray(rows)[None], 2, 0)
        return oracle._last(every)[lane].detach().numpy().astype(float)

    for lane in range(2):
        for arm in range(3):
            own = (table.run == lane) & (table.action == arm)
            rows = [*table.context[own], *extra.context[[lane]][extra.action[[lane]] == arm]]
            phi = features(np.array(rows), lane)
            v = np.eye(6) + phi.T @ phi
            asked = features(x[lane], lane)[0]
            exact = np.sqrt(asked @ np.linalg.solve(v, asked))
            assert width[lane, arm] == pytest.approx(exact, rel=1e-4)

"""GFUCB in linear MDPs: its reduction to LSVI-UCB, its fit by hand, and what sharing pays."""

import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.lsvi import learn_linear, ridge_plan
from rlkit.theory.learning.regret.shared_lsvi import learn_shared, shared_plan
from rlkit.theory.planning.finite_horizon import backward_induction

MODEL = garnet(4, 2, 2, seed=1)
STATES, ACTIONS, GROUPS = 5, 4, 3


def test_one_representation_and_one_task_plan_as_lsvi_ucb():
    rng, horizon, k = np.random.default_rng(0), 3, 5
    phi = rng.normal(size=(MODEL.num_rows, k))
    seen = rng.integers(0, 6, (horizon, MODEL.nnz)).astype(float)
    n = np.add.reduceat(seen, MODEL.row_ptr[:-1], axis=1)
    inverse = np.array([np.linalg.inv(0.5 * np.eye(k) + phi.T * x @ phi) for x in n])
    q, v = np.zeros((horizon, MODEL.num_rows)), np.zeros((horizon + 1, 4))
    ridge_plan(
        MODEL.sa_ptr, MODEL.row_ptr, MODEL.col, phi, seen, n * MODEL.r, inverse, 0.3, 0.0, np.inf,
        q, v, np.zeros((horizon, 4), np.int64),
    )  # fmt: skip
    for h in range(horizon):
        ahead = np.add.reduceat(seen[h] * v[h + 1][MODEL.col], MODEL.row_ptr[:-1])
        found, chosen = shared_plan(
            phi[None], n[h][None], (n[h] * MODEL.r + ahead)[None], 0.09, 0.5, float(horizon - h)
        )
        np.testing.assert_allclose(found[0], q[h], rtol=1e-9)
        assert chosen == 0


def test_losses_and_their_set_are_those_of_the_joint_ridge_fit():
    """Gaps by least squares on single rows of data; a representation beyond beta does not count."""
    rng, tasks, rows, k, ridge = np.random.default_rng(1), 3, 7, 2, 0.4
    phi = rng.normal(size=(4, rows, k))
    at = [rng.integers(rows, size=30) for _ in range(tasks)]
    y = [phi[2][a] @ rng.normal(size=k) + 0.1 * rng.normal(size=30) for a in at]
    loss = np.zeros(4)
    for f in range(4):
        for a, b in zip(at, y, strict=True):
            x = np.vstack([phi[f][a], np.sqrt(ridge) * np.eye(k)])
            w = np.linalg.lstsq(x, np.r_[b, np.zeros(k)], rcond=None)[0]
            loss[f] += ((x @ w - np.r_[b, np.zeros(k)]) ** 2).sum()
    seen = np.array([np.bincount(a, minlength=rows) for a in at], float)
    sums = np.array([np.bincount(a, b, rows) for a, b in zip(at, y, strict=True)])
    gaps = np.sort(loss - loss.min())
    for radius, members in ((0.5 * gaps[1] / tasks, 1), (0.5 * (gaps[1] + gaps[2]) / tasks, 2)):
        found, chosen = shared_plan(phi, seen, sums, radius, ridge, np.inf)
        assert chosen == 2 == loss.argmin()
        order = np.argsort(loss)[:members]
        alone = [
            shared_plan(
                phi[f : f + 1], seen, sums, radius - (loss[f] - loss.min()) / tasks, ridge, np.inf
            )[0]
            for f in order
        ]
        np.testing.assert_allclose(found, np.max(alone, 0), rtol=1e-8)


def groups(seed):
    """Features of a partition of the rows into groups, one-hot."""
    label = np.random.default_rng(seed).permutation(np.arange(STATES * ACTIONS) % GROUPS)
    return np.eye(GROUPS)[label]


def tasks_of(partition, count, seed=0):
    """MDPs whose rows pay and lead alike within a group: linear in the partition."""
    rng, label = np.random.default_rng(seed), partition.argmax(1)
    found = []
    for _ in range(count):
        p, r = rng.dirichlet(np.full(STATES, 0.3), GROUPS), rng.random(GROUPS)
        P, R = p[label].reshape(STATES, ACTIONS, STATES), r[label].reshape(STATES, ACTIONS)
        found.append(FiniteMDP.from_dense(P, R))
    return found


CLASS = np.array([groups(seed) for seed in range(16)])
TRUTH = 5


def test_sharing_makes_each_task_cheaper():
    """The same first task in the company of none, and of seven: representations are told apart
    sooner; and sooner than rows are learnt one by one."""
    everybody = tasks_of(CLASS[TRUTH], 8)
    options = dict(horizon=3, episodes=120, replicates=4, scale=0.3, ridge=0.3)
    together = learn_shared(everybody, CLASS, **options)
    alone = [learn_shared([m], CLASS, **options) for m in everybody]
    shared = together.regret()[:, -1].mean()
    single = np.mean([run.regret()[:, -1] for run in alone])
    assert shared < 0.8 * single
    rows = STATES * ACTIONS
    by_rows = np.mean([
        learn_linear(m, np.eye(rows), 3, 120, scale=0.3 * rows**0.5, ridge=0.3, replicates=4)
        .regret()[:, -1]
        for m in everybody
    ])  # fmt: skip
    assert shared < 0.5 * by_rows
    assert (together.chosen[:, -1] == TRUTH).mean() > 0.9


def test_the_last_policies_are_best_and_plans_optimistic():
    everybody = tasks_of(CLASS[TRUTH], 4, seed=3)
    run = learn_shared(everybody, CLASS, 3, 200, scale=0.5, ridge=0.3, replicates=2)
    for i, m in enumerate(everybody):
        exact = m.initial_law() @ backward_induction(m, 3).value[0]
        assert run.optimal[i] == pytest.approx(exact)
    assert (run.planned >= run.optimal - 1e-9).mean() > 0.95
    assert (run.value <= run.optimal + 1e-9).all()
    assert (run.value[:, -30:] > run.optimal - 0.05).mean() > 0.9


def test_company_and_threads_change_no_replicate():
    everybody = tasks_of(CLASS[TRUTH], 2)
    two = learn_shared(everybody, CLASS, 2, 12, replicates=2, threads=2)
    one = learn_shared(everybody, CLASS, 2, 12, replicates=1)
    np.testing.assert_array_equal(two.value[0], one.value[0])
    assert not np.array_equal(two.value[0], two.value[1])


def test_what_does_not_fit_is_refused():
    everybody = tasks_of(CLASS[TRUTH], 2)
    with pytest.raises(ValueError, match="task 1 has other states or actions"):
        learn_shared([everybody[0], MODEL], CLASS, 2, 3)
    with pytest.raises(ValueError, match="representations must have shape"):
        learn_shared(everybody, CLASS[:, 1:], 2, 3)
    with pytest.raises(ValueError, match="there are no tasks"):
        learn_shared([], CLASS, 2, 3)
    for none in ([1, 2], [everybody[0], None]):
        with pytest.raises(ValueError, match="and nothing else"):
            learn_shared(none, CLASS, 2, 3)
    for empty in (CLASS[:0], CLASS[:, :, :0]):
        with pytest.raises(ValueError, match="representations have shape"):
            learn_shared(everybody, empty, 2, 3)


def test_a_single_task_needs_no_list():
    alone = tasks_of(CLASS[TRUTH], 1)
    listed, bare = (learn_shared(m, CLASS, 2, 3) for m in (alone, alone[0]))
    np.testing.assert_array_equal(listed.value, bare.value)

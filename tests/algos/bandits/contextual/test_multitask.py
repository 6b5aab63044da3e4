"""GFUCB: reductions to OFUL, the gradient widths, and what tasks learn from one another."""

import numpy as np
import pytest
import torch

from rlkit.algos.bandits.contextual import linear, multitask
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.multitask import GFUCB, Representation
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.envs.bandits.multitask import SharedRepresentation

ARMS, DIM = 4, 3
THEORY = {"hidden": None, "ridge": 0.7, "explore": 1.0, "noise_bound": 0.3, "norm_bound": 1.2}
OFUL = {"rule": "oful", "ridge": 0.7, "noise_bound": 0.3, "norm_bound": 1.2}


def table(rng, rows, tasks=1):
    size = rows * tasks
    x, action = rng.standard_normal((size, ARMS, DIM)), rng.integers(ARMS, size=size)
    reward = x[np.arange(size), action] @ [0.5, -0.2, 0.3] + 0.1 * rng.standard_normal(size)
    return Feedback(action, reward, x, run=np.repeat(np.arange(tasks), rows))


@pytest.mark.parametrize("tasks", [1, 3])
def test_a_known_representation_gives_oful_in_every_task(tasks):
    rng = np.random.default_rng(0)
    joint = GFUCB(ARMS, DIM, multitask.Config(tasks=tasks, **THEORY))
    alone = [LinearPolicy(ARMS, DIM, linear.Config(**OFUL)) for _ in range(tasks)]
    for _ in range(5):
        f = table(rng, 6, tasks)
        joint.learn(f)
        for i, policy in enumerate(alone):
            own = f.rows(f.run == i)
            policy.learn(Feedback(own.action, own.reward, own.context))
        np.testing.assert_allclose(joint.radius(), [p.radius()[0] for p in alone])
        x = rng.standard_normal((tasks * 5, ARMS, DIM))
        expected = [p.dist(Observation(x[5 * i : 5 * i + 5])) for i, p in enumerate(alone)]
        np.testing.assert_array_equal(joint.dist(Observation(x)), np.concatenate(expected))


def test_squares_of_gradients_equal_autograd():
    phi, rng = Representation(DIM, (5, 6), 2, seed=3), np.random.default_rng(1)
    x, head = rng.standard_normal((4, DIM)), rng.standard_normal((4, 2))
    parts = phi.squares(x, head)
    for row in range(4):
        out = phi.net(torch.as_tensor(x[row : row + 1], dtype=torch.float32)[None])[0, 0]
        f = (out * torch.as_tensor(head[row], dtype=torch.float32)).sum()
        layers = [*phi.net.layers, phi.net.last]
        for layer, (inputs, back) in zip(layers, parts, strict=True):
            weight, bias = torch.autograd.grad(f, [layer.weight, layer.bias], retain_graph=True)
            by_hand = inputs[row][:, None] * back[row]
            torch.testing.assert_close(by_hand, weight[0].square(), rtol=1e-4, atol=1e-7)
            torch.testing.assert_close(back[row], bias[0, 0].square(), rtol=1e-4, atol=1e-7)


def test_widths_by_hand():
    c = multitask.Config(tasks=2, hidden=(5,), width=3, ridge=0.4, refit=1000)
    policy, rng = GFUCB(ARMS, DIM, c), np.random.default_rng(2)
    x = rng.standard_normal((2, ARMS, DIM))
    # Without data every head is 0: the width is the prior's, sqrt(|phi|² / ridge).
    features = policy.phi.features(x.reshape(-1, DIM))
    prior = np.sqrt((features**2).sum(1) / 0.4).reshape(2, ARMS)
    np.testing.assert_allclose(policy.predict(Observation(x))[1], prior, rtol=1e-6)
    np.testing.assert_allclose(policy.predict(Observation(x))[0], 0.0)
    for _ in range(3):
        policy.learn(table(rng, 4, 2))
    square = np.zeros((2, ARMS))
    for i in range(2):
        heads = np.repeat(policy.models.theta[i : i + 1], ARMS, 0)
        own = policy.phi.features(x[i])
        square[i] = np.einsum("nk,kl,nl->n", own, policy.models.inverse[i], own)
        for (inputs, back), (w, b) in zip(
            policy.phi.squares(x[i], heads), policy.precision, strict=True
        ):
            one = (inputs[:, :, None] * back[:, None] / w).sum((1, 2)) + (back / b).sum(1)
            square[i] += one.numpy()
    mean, width = policy.predict(Observation(x))
    np.testing.assert_allclose(width, np.sqrt(square), rtol=1e-5)
    expected = policy.phi.features(x[1]) @ policy.models.theta[1]
    np.testing.assert_allclose(mean[1], expected, rtol=1e-6)


def test_the_representation_sees_the_rows_of_all_tasks():
    # Three tasks with the same rows count for it as one task with three times the rows.
    rng = np.random.default_rng(4)
    one = GFUCB(ARMS, DIM, multitask.Config(hidden=(5,), width=3, refit=1000))
    three = GFUCB(ARMS, DIM, multitask.Config(tasks=3, hidden=(5,), width=3, refit=1000))
    for policy in (one, three):
        policy.models.theta[:] = [0.3, -0.5, 0.8]
    f = table(rng, 5)
    rows = np.tile(np.arange(5), 3)
    one.learn(f.rows(rows))
    copies = f.rows(rows)
    three.learn(Feedback(copies.action, copies.reward, copies.context, run=np.repeat(range(3), 5)))
    for a, b in zip(one.precision, three.precision, strict=True):
        torch.testing.assert_close(a[0], b[0])
        torch.testing.assert_close(a[1], b[1])


def test_heads_are_the_ridge_solution_on_the_trained_features():
    c = multitask.Config(tasks=2, hidden=(6,), width=2, ridge=0.3, refit=2, steps=5)
    policy, rng = GFUCB(ARMS, DIM, c), np.random.default_rng(5)
    tables = [table(rng, 6, 2) for _ in range(3)]
    for f in tables:
        policy.learn(f)
    for i in range(2):
        own = [f.rows(f.run == i) for f in tables]
        x = np.concatenate([f.context[np.arange(6), f.action] for f in own])
        features = policy.phi.features(x)
        reward = np.concatenate([f.reward for f in own])
        exact = np.linalg.solve(features.T @ features + 0.3 * np.eye(2), features.T @ reward)
        np.testing.assert_allclose(policy.models.theta[i], exact, rtol=1e-4)


def test_tasks_that_share_a_representation_predict_better_together():
    # Sixty random rows of each task: enough for a head, far too few for a network.
    errors = []
    for tasks, shared in ((1, True), (20, True), (20, False)):
        env = SharedRepresentation(tasks, arms=1, dim=8, sigma=0.05, shared=shared, seed=1)
        c = multitask.Config(tasks=tasks, width=4, refit=1, steps=600, batch=32)
        policy, rng = GFUCB(1, 8, c), np.random.default_rng(0)
        obs, means = env.draw(0, 60 * tasks, rng)
        reward = env.sample(means, rng)[:, 0]
        run = np.repeat(np.arange(tasks), 60)
        policy.learn(Feedback(np.zeros(len(reward), int), reward, obs.context, run=run))
        fresh, truth = env.draw(1, 500 * tasks, rng)
        errors.append(np.square(policy.predict(fresh)[0] - truth)[:500].mean())  # of task 0
    single, together, unrelated = errors
    assert together < 0.5 * single
    assert together < 0.5 * unrelated


def test_duplicate_tasks_predict_as_well_as_one_task_with_all_their_rows():
    errors = []
    for seed in range(2):
        env = SharedRepresentation(1, arms=1, dim=6, sigma=0.05, seed=seed)
        rng = np.random.default_rng(seed)
        obs, means = env.draw(0, 120, rng)
        reward, (fresh, truth) = env.sample(means, rng)[:, 0], env.draw(1, 1000, rng)
        for tasks in (1, 4):
            c = multitask.Config(tasks=tasks, width=4, refit=1, steps=400, batch=64 // tasks)
            policy = GFUCB(1, 6, c)
            copies, run = np.tile(obs.context, (4, 1, 1)), np.repeat(np.arange(tasks), 480 // tasks)
            policy.learn(Feedback(np.zeros(480, int), np.tile(reward, 4), copies, run=run))
            asked = Observation(np.tile(fresh.context, (tasks, 1, 1)))
            errors.append(np.square(policy.predict(asked)[0] - np.tile(truth, (tasks, 1))).mean())
    one, together = np.mean(errors[::2]), np.mean(errors[1::2])
    assert together < 1.2 * one < 0.1  # rewards have variance 1


@pytest.mark.slow
def test_regret_of_a_task_falls_with_the_number_of_tasks():
    regret = {}
    for tasks in (1, 10):
        finals = []
        for seed in range(5):
            env = SharedRepresentation(tasks, seed=seed)  # task 0 is the same in both
            c = multitask.Config(tasks=tasks, noise_bound=0.1, seed=seed, refit=25)
            finals.append(play(GFUCB(10, 10, c), env, 400, seed=seed, runs=tasks).curves()[0, -1])
        regret[tasks] = np.mean(finals)
    assert regret[10] < regret[1]


def test_the_environment_has_unit_rewards_and_own_or_shared_networks():
    rng = np.random.default_rng(6)
    env = SharedRepresentation(3, arms=5, dim=4)
    obs, means = env.draw(0, 600, rng)
    assert obs.context.shape == (600, 5, 4)
    np.testing.assert_allclose(np.linalg.norm(obs.context, axis=2), 1.0)
    np.testing.assert_allclose(means.reshape(3, -1).std(1), 1.0, atol=0.1)
    hidden = np.maximum(obs.context[0] @ env._first[0], 0)
    np.testing.assert_allclose(means[0], (hidden @ env._last[0])[:, 0])
    assert len(SharedRepresentation(3, shared=False)._first) == 3
    with pytest.raises(ValueError, match="do not split evenly over 3 tasks"):
        env.draw(0, 4, rng)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        GFUCB(2, 2, multitask.Config(tasks=0))
    with pytest.raises(ValueError, match="delta is 0"):
        GFUCB(2, 2, multitask.Config(delta=0.0))
    f, two = table(np.random.default_rng(0), 1, 3), GFUCB(ARMS, DIM, multitask.Config(tasks=2))
    with pytest.raises(ValueError, match="run of row 0 is 2"):
        two.learn(f.rows(f.run == 2))
    with pytest.raises(ValueError, match="sigma is -1"):
        SharedRepresentation(2, sigma=-1.0)

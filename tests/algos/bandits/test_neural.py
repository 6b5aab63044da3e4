"""Neural bandits: gradients, reductions to LinUCB and SquareCB, the perturbation, lanes."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from rlkit.algos.bandits.contextual import ee_net, linear, neural_gap, neural_ucb, oracle_policies
from rlkit.algos.bandits.contextual.arm_nets import ArmNet, arm_inputs, chosen_inputs
from rlkit.algos.bandits.contextual.ee_net import EENet
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.neural_gap import NeuralGapPolicy
from rlkit.algos.bandits.contextual.neural_ucb import NeuralPolicy
from rlkit.algos.bandits.contextual.oracle_policies import OraclePolicy
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.history import History, by_lane
from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.envs.bandits.contextual import Classification

ARMS, DIM = 3, 4
EE_SMALL = {
    "hidden": (32,), "explorer": (32,), "pool": 5, "steps": 4, "decider_after": 100,
    "lr": 5e-3, "lr_explorer": 5e-3, "lr_decider": 5e-3,
}  # fmt: skip


def arm_net(hidden=(6, 5), seeds=(0, 1), per_arm=False):
    return ArmNet(ARMS, DIM, hidden, seeds, per_arm, torch.float64, "cpu")


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("per_arm", [False, True])
def test_row_gradients_equal_autograd(hidden, per_arm):
    net, rng = arm_net(hidden, per_arm=per_arm), np.random.default_rng(0)
    shape = (2, 3, ARMS, DIM) if per_arm else (2, 3, DIM)
    context = torch.from_numpy(rng.standard_normal(shape))
    inputs = arm_inputs(context, ARMS, per_arm).flatten(1, 2)
    rows = net.gradients(inputs)
    outputs = net.predict(context)  # [S, b, K]
    for lane in range(2):
        for row in range(9):
            y = outputs[lane].flatten()[row]
            grads = torch.autograd.grad(y, list(net.net.parameters()), retain_graph=True)
            direct = torch.cat([g[lane].flatten() for g in grads])
            assert torch.allclose(rows[lane, row], direct, atol=1e-12)
    assert torch.equal(net.gradients(inputs[1:], slice(1, 2))[0], rows[1])
    # Sums of squares without the gradients themselves
    assert torch.allclose(net.square_sums(inputs), rows.square().sum(1), atol=1e-12)
    weights = torch.from_numpy(rng.random(rows[:, 0].shape))
    expected = (rows.square() * weights[:, None]).sum(-1)
    assert torch.allclose(net.weighted_squares(inputs, weights), expected, atol=1e-12)


def test_inputs_place_the_context_in_the_block_of_the_arm():
    context = torch.arange(4.0).reshape(1, 1, 4)
    all_arms = arm_inputs(context, 3, False)[0, 0]
    assert all_arms.shape == (3, 12)
    assert torch.equal(all_arms[1], torch.tensor([0.0] * 4 + [0, 1, 2, 3] + [0] * 4))
    picked = chosen_inputs(context, torch.tensor([[2]]), 3, False)
    assert torch.equal(picked[0, 0], all_arms[2])
    per_arm = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    action = torch.tensor([[0, 1, 2, 0, 1]] * 2)
    picked = chosen_inputs(per_arm, action, 3, True)
    assert torch.equal(picked[1, 3], per_arm[1, 3, 0])


def rows_for(rng, n, lanes=1):
    size = n * lanes
    context, action = rng.standard_normal((size, DIM)), rng.integers(ARMS, size=size)
    reward = (rng.random(size) < 0.3 + 0.2 * action).astype(float)
    return Feedback(action, reward, context, run=np.repeat(np.arange(lanes), n))


def test_linear_net_with_full_matrix_is_linucb():
    rng, ridge, nu = np.random.default_rng(1), 0.5, 0.8
    config = neural_ucb.Config(
        hidden=(), ridge=ridge, nu=nu, full=True, lr=0.02, steps=600, batch=256, dtype=torch.float64
    )
    net = NeuralPolicy(ARMS, DIM, config)
    with torch.no_grad():  # start at zero, where the decay goes
        for p in net.net.net.parameters():
            p.zero_()
        net.net.first.zero_()
    width = np.sqrt(ridge * nu)
    # Its inputs are one-hot blocks and a constant, shared over the arms through the bias.
    shared = LinearPolicy(ARMS, ARMS * DIM + 1, linear.Config("linucb", ridge=ridge, alpha=width))

    def blocks(context):
        x = arm_inputs(torch.from_numpy(context)[None], ARMS, False)[0].numpy()
        return np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2)

    f = rows_for(rng, 150)
    net.learn(f)
    net.optimiser.lr = 5e-4  # the noise of minibatches shrinks with the step
    for _ in range(600):
        net._train_step()
    shared.learn(Feedback(f.action, f.reward, blocks(f.context)))
    obs = Observation(rng.standard_normal((40, DIM)))
    mean, widths = net._predict(obs)
    x = blocks(obs.context)
    direct = width * shared.features.deviations(x, shared.models)
    np.testing.assert_allclose(widths, direct, atol=1e-9)
    np.testing.assert_allclose(mean, shared.features.means(x, shared.models), atol=0.05)
    assert (net.dist(obs).argmax(1) == shared.dist(Observation(x)).argmax(1)).mean() >= 0.9


def test_diagonal_widths_by_hand():
    policy = NeuralPolicy(ARMS, DIM, neural_ucb.Config(hidden=(5,), ridge=0.3, nu=2.0, steps=1))
    f = rows_for(np.random.default_rng(2), 6)
    inputs = chosen_inputs(
        torch.from_numpy(f.context).float()[None], torch.from_numpy(f.action)[None], ARMS, False
    )
    expected = 0.3 + policy.net.gradients(inputs).square().sum(1)
    policy.learn(f)
    assert torch.allclose(policy.precision, expected, rtol=1e-5)
    g = policy.net.gradients(inputs)
    widths = (0.3 * 2.0 * (g.square() / policy.precision[:, None]).sum(-1)).sqrt()
    assert torch.allclose(policy._widths(inputs), widths)


def test_perturbed_loss_is_a_ridge_toward_the_start():
    # E_eps 1/2 (y - f~)² = 1/2 (y - f)² + 1/2 c_p² |theta - theta_0|² / sqrt(m)
    config = neural_gap.Config(
        hidden=(16,), perturbation=0.7, draws=20_000, dtype=torch.float64, lr=0.3
    )
    policy = NeuralGapPolicy(ARMS, DIM, config)
    f = rows_for(np.random.default_rng(3), 30)
    policy.learn(f)
    context = torch.from_numpy(f.context)[None]
    with torch.no_grad():
        away = (policy.net.flat() - policy.net.first).square().sum()
        plain = policy.net.outputs(context, torch.from_numpy(f.action)[None])
        perturbed = plain[:, None] + policy.shifts()[:, :, None]
    assert away > 1e-3
    target = 1 - torch.from_numpy(f.reward)[None]
    monte_carlo = neural_gap.losses(perturbed, target, "square").mean()
    exact = 0.5 * (target - plain).square().mean() + 0.5 * 0.49 * away / 16**0.5
    assert float(monte_carlo) == pytest.approx(float(exact), rel=0.05)
    added = float(monte_carlo - 0.5 * (target - plain).square().mean())
    assert added == pytest.approx(float(0.5 * 0.49 * away / 4), rel=0.1)


@pytest.mark.parametrize("rule", ["square", "fast"])
def test_without_perturbation_it_is_gap_weighting_on_the_plain_net(rule):
    policy = NeuralGapPolicy(ARMS, DIM, neural_gap.Config(rule, perturbation=0.0, hidden=(8,)))
    f = rows_for(np.random.default_rng(4), 20)
    policy.learn(f)
    with torch.no_grad():
        out = policy.net.predict(torch.from_numpy(f.context).float()[None])[0].numpy()
    losses = 1 / (1 + np.exp(-out)) if rule == "fast" else out
    weights = oracle_policies.square_cb if rule == "square" else oracle_policies.fast_cb
    rows = 20 if rule == "square" else 1.0 + (1.0 - f.reward).sum()
    gamma = 10 * rows**0.5 if rule == "square" else max(10 * rows**0.5, 10 * ARMS)
    expected = weights(1.0 - losses.astype(float), np.ones((20, ARMS), bool), gamma)
    np.testing.assert_allclose(policy.dist(Observation(f.context)), expected, atol=1e-5)


def test_online_steps_are_plain_gradient_steps_inside_the_ball():
    config = neural_gap.Config(hidden=(8,), perturbation=0.0, lr=0.2, dtype=torch.float64)
    policy = NeuralGapPolicy(ARMS, DIM, config)
    f = rows_for(np.random.default_rng(5), 1)
    net = policy.net
    out = net.outputs(torch.from_numpy(f.context)[None], torch.from_numpy(f.action)[None])
    loss = 0.5 * (out - (1 - torch.from_numpy(f.reward)[None])).square().sum()
    grads = torch.autograd.grad(loss, list(net.net.parameters()))
    expected = net.first - 0.2 * torch.cat([g.flatten(1) for g in grads], dim=1)
    policy.learn(f)
    assert torch.allclose(net.flat(), expected, atol=1e-12)
    tight = NeuralGapPolicy(ARMS, DIM, neural_gap.Config(hidden=(8,), lr=5.0, radius=0.01))
    tight.learn(rows_for(np.random.default_rng(6), 20))
    assert (tight.net.flat() - tight.net.first).norm().item() <= 0.01 + 1e-6


def test_exploration_learns_what_exploitation_had_missed_before_training():
    config = ee_net.Config(hidden=(6,), explorer=(5,), pool=4, weight=0.7, dtype=torch.float64)
    policy, f = EENet(ARMS, DIM, config), rows_for(np.random.default_rng(9), 12)
    context = torch.from_numpy(f.context)[None]
    action = torch.from_numpy(f.action)[None]
    inputs = chosen_inputs(context, action, ARMS, False)
    gradients = policy.net.gradients(inputs)[0].numpy()
    with torch.no_grad():
        before = policy.net.net(inputs)[0, :, 0].numpy()
    policy.learn(f)
    size = gradients.shape[1]
    blocks = [gradients[:, i : i + 4].sum(1) / 4 * 2 for i in range(0, size, 4)]
    np.testing.assert_allclose(policy.residuals.context[0, :12], np.stack(blocks, 1), rtol=1e-5)
    np.testing.assert_allclose(policy.residuals.reward[0, :12], f.reward - before, rtol=1e-5)
    np.testing.assert_allclose(policy.pairs.context[0, :12, 0], before, rtol=1e-5)
    obs = Observation(f.context)
    exploit, explore = (part.flatten(0, 1).numpy() for part in policy.parts(obs))
    assert np.abs(explore).max() > 0
    np.testing.assert_allclose(policy.scores(obs), exploit + 0.7 * explore)


def test_the_decider_takes_over_when_a_lane_has_its_rows():
    config = ee_net.Config("net", (5,), (4,), hidden=(6,), decider_after=20, seeds=(0, 1))
    policy, rng = EENet(ARMS, DIM, config), np.random.default_rng(10)
    f = rows_for(rng, 20, lanes=2)
    policy.learn(f.rows(np.r_[0:20, 20:25]))  # 20 rows of lane 0, 5 of lane 1
    assert policy.pairs.count.tolist() == policy.residuals.count.tolist() == [20, 5]
    obs = Observation(rng.standard_normal((4, DIM)))
    exploit, explore = policy.parts(obs)
    with torch.no_grad():
        learned = policy.decider(torch.stack([exploit, explore], -1).flatten(1, 2))
    scores = torch.from_numpy(policy.scores(obs)).unflatten(0, (2, 2)).float()
    assert torch.allclose(scores[0], learned.reshape(exploit.shape)[0], atol=1e-6)
    assert torch.allclose(scores[1], (exploit + explore)[1], atol=1e-6)


FACTORIES = {
    "neural_ucb": lambda seeds: NeuralPolicy(
        ARMS, DIM, neural_ucb.Config(hidden=(8,), seeds=seeds, steps=3, batch=8)
    ),
    "neural_gap": lambda seeds: NeuralGapPolicy(
        ARMS, DIM, neural_gap.Config(hidden=(8,), seeds=seeds, replays=1, batch=8)
    ),
    "ee_net": lambda seeds: EENet(
        ARMS, DIM, ee_net.Config(hidden=(8,), explorer=(8,), pool=3, seeds=seeds, batch=8)
    ),
    "oracle": lambda seeds: OraclePolicy(
        NetworkOracle(ARMS, DIM, hidden=(8,), seeds=seeds, batch=8)
    ),
}


def outputs(policy, context):
    net = policy.oracle.net if isinstance(policy, OraclePolicy) else policy.net.predict
    with torch.no_grad():
        return net(torch.as_tensor(context, dtype=torch.float32))


@pytest.mark.parametrize("name", FACTORIES)
def test_a_lane_learns_the_same_in_any_company(name):
    rng = np.random.default_rng(7)
    together, alone = FACTORIES[name]((3, 9)), FACTORIES[name]((9,))
    for _ in range(4):
        f = rows_for(rng, 5, lanes=2)
        together.learn(f)
        own = f.rows(f.run == 1)
        alone.learn(Feedback(own.action, own.reward, own.context))
    context = rng.standard_normal((1, 7, DIM))
    both = outputs(together, np.repeat(context, 2, 0))
    assert torch.allclose(both[1], outputs(alone, context)[0], atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_histories_keep_uneven_lanes_apart():
    history = History((0, 1), (DIM,))
    rng = np.random.default_rng(8)
    f = rows_for(rng, 100, lanes=2)
    keep = np.r_[0:100, 100:130]
    history.add(f.rows(keep))
    assert history.count.tolist() == [100, 30]
    context, _, _ = history.minibatch(3, 500)
    known = {row.tobytes() for row in f.context[100:130].astype(np.float32)}
    assert {row.tobytes() for row in context[1]} <= known
    with pytest.raises(ValueError, match="run of row 0 is 2"):
        by_lane(1, 2, np.array([2]))
    with pytest.raises(ValueError, match="do not split evenly"):
        by_lane(3, 2, None)


@pytest.mark.parametrize(
    "policy",
    [
        lambda seeds: NeuralPolicy(
            2, 2, neural_ucb.Config(hidden=(32,), seeds=seeds, steps=4, nu=0.05, lr=5e-3)
        ),
        lambda seeds: NeuralPolicy(
            2, 2, neural_ucb.Config("ts", hidden=(32,), seeds=seeds, steps=4, nu=0.05, lr=5e-3)
        ),
        lambda seeds: NeuralGapPolicy(
            2, 2, neural_gap.Config(hidden=(32,), seeds=seeds, replays=4, lr=0.3)
        ),
        lambda seeds: NeuralGapPolicy(
            2, 2, neural_gap.Config("fast", hidden=(32,), seeds=seeds, replays=4, lr=1.0)
        ),
        lambda seeds: EENet(2, 2, ee_net.Config("linear", seeds=seeds, **EE_SMALL)),
        lambda seeds: EENet(2, 2, ee_net.Config("net", seeds=seeds, **EE_SMALL)),
        lambda seeds: OraclePolicy(NetworkOracle(2, 2, hidden=(32,), seeds=seeds, lr=5e-3)),
    ],
    ids=["ucb", "ts", "square", "fast", "ee_net", "ee_net with a decider", "oracle"],
)
def test_neural_policies_learn_what_no_linear_policy_can(policy):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2000, 2))
    env = Classification(x, (x[:, 0] * x[:, 1] > 0).astype(int))  # exclusive or
    log = play(policy((0, 1)), env, 150, batch=4, runs=2)
    curves = log.curves()
    assert curves.shape == (2, 600)
    late = (curves[:, -1] - curves[:, -201]) / 200
    assert late.max() < 0.3  # chance is .5


DIGITS = {
    "ucb": lambda d: NeuralPolicy(10, d, neural_ucb.Config(ridge=0.1, nu=0.01, lr=0.01, steps=4)),
    "ts": lambda d: NeuralPolicy(
        10, d, neural_ucb.Config("ts", ridge=0.1, nu=0.01, lr=0.01, steps=4)
    ),
    "square": lambda d: NeuralGapPolicy(
        10, d, neural_gap.Config(gamma=200.0, draws=20, lr=0.2, replays=2)
    ),
    "fast": lambda d: NeuralGapPolicy(
        10, d, neural_gap.Config("fast", gamma=400.0, draws=20, lr=0.6, replays=2)
    ),
    "ee_net": lambda d: EENet(10, d, ee_net.Config("linear", lr=0.01, steps=4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIGITS)
def test_neural_policies_halve_the_regret_of_uniform_play_on_digits(name):
    x, y = load_digits(return_X_y=True)
    x = x - x.mean(0)
    x = np.column_stack([x / np.linalg.norm(x, axis=1, keepdims=True), np.ones(len(x))])
    env = Classification(x, y)
    regret = play(DIGITS[name](x.shape[1]), env, 600, batch=5).regret
    assert regret.sum() < 0.5 * 0.9 * 3000
    assert regret[-500:].mean() < 0.2


def test_bad_neural_requests_are_refused():
    with pytest.raises(ValueError, match="unknown rule 'greedy'"):
        NeuralPolicy(2, 2, neural_ucb.Config("greedy"))
    with pytest.raises(ValueError, match="unknown rule 'ucb'"):
        NeuralGapPolicy(2, 2, neural_gap.Config("ucb"))
    with pytest.raises(ValueError, match="reward of row 1 is 2"):
        NeuralGapPolicy(2, 2).learn(
            Feedback(np.array([0, 1]), np.array([0.0, 2.0]), np.zeros((2, 2)))
        )
    # Few draws of many parameters: the frozen noise alone curves the loss more than 2 / lr.
    few = {"hidden": (100,), "draws": 4, "lr": 0.3}
    with pytest.raises(ValueError, match=r"lr 0.3 diverges: 4 draws .* of 62201 parameters"):
        NeuralGapPolicy(10, 62, neural_gap.Config(**few))
    NeuralGapPolicy(10, 62, neural_gap.Config(**few | {"draws": 16}))
    NeuralGapPolicy(10, 62, neural_gap.Config(**few | {"perturbation": 0.0}))
    with pytest.raises(ValueError, match="unknown decision 'ucb'"):
        EENet(2, 2, ee_net.Config("ucb"))
    with pytest.raises(ValueError, match="3 rows do not split"):
        NeuralPolicy(2, 2, neural_ucb.Config(seeds=(0, 1))).dist(Observation(np.zeros((3, 2))))

"""Bradley-Terry ensembles: losses against loops, exact recovery, lanes, early stopping."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit import nets
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.links import choice_probability, logistic_loss
from rlkit.algos.preference.models.reward_model import (
    Fit,
    OwnInit,
    RewardNet,
    fit,
    mean_reward,
    member_logits,
    member_probabilities,
    normalised,
    pair_loss,
)
from rlkit.core.spec import Discrete, Spec

OBS, H = 4, 5


def spec_of(seeds=(3, 0), discrete=False) -> Spec:
    return Spec(OBS, Discrete(3) if discrete else 2, seeds, torch.float64)


def net_of(spec: Spec, hidden=(8,), members=3, bounded=True) -> RewardNet:
    return RewardNet(OwnInit(spec, "test"), hidden, members, bounded)


def preferences(spec: Spec, n=12, seed=0) -> Preferences:
    """Random pairs whose lane k depends on seed k alone; some segments end early."""
    lanes = []
    for k in spec.seeds:
        rng = np.random.default_rng([seed, k])
        steps = rng.integers(1, H + 1, (n, 2, 1))
        action = rng.integers(3, size=(n, 2, H)) if spec.discrete else rng.normal(size=(n, 2, H, 2))
        y = rng.choice([0.0, 0.5, 1.0], n)
        lanes.append((rng.normal(size=(n, 2, H, OBS)), action, np.arange(H) < steps, y, np.ones(n)))
    return Preferences(*(torch.from_numpy(np.stack(x)) for x in zip(*lanes, strict=True)))


@pytest.mark.parametrize("discrete", [False, True])
def test_rows_of_each_member_and_rows_for_all_agree(discrete: bool) -> None:
    spec = spec_of(discrete=discrete)
    net, pairs = net_of(spec), preferences(spec)
    shared = member_logits(net, pairs.s, pairs.a, pairs.mask)
    own = [x.unsqueeze(1).expand(x.shape[0], 3, *x.shape[1:]) for x in pairs[:3]]
    torch.testing.assert_close(member_logits(net, *own), shared)
    assert shared.shape == (2, 3, 12)


@pytest.mark.parametrize("discrete", [False, True])
def test_stacked_ensemble_equals_a_loop_over_members(discrete: bool) -> None:
    spec = spec_of(discrete=discrete)
    net, pairs = net_of(spec), preferences(spec)
    stacked = pair_loss(
        member_logits(net, pairs.s, pairs.a, pairs.mask), pairs.y[:, None], pairs.w[:, None]
    )
    for k in range(spec.lanes):
        for member in range(3):
            x = pairs.s[k].flatten(0, 2)
            for layer in [*net.mlp.layers, net.mlp.last]:
                if layer is net.mlp.layers[0] and not discrete:
                    x = torch.cat((x, pairs.a[k].flatten(0, 2)), -1)
                x = x @ layer.weight[k, member] + layer.bias[k, member]
                x = x.relu() if layer is not net.mlp.last else x
            if discrete:
                x = x.gather(-1, pairs.a[k].flatten().unsqueeze(-1))
            sums = (x.squeeze(-1).tanh().view(12, 2, H) * pairs.mask[k]).sum(-1)
            loss = logistic_loss(sums[:, 1] - sums[:, 0], pairs.y[k]).mean()
            torch.testing.assert_close(stacked[k, member], loss)


def test_bounded_rewards_bound_the_logit() -> None:
    spec = spec_of()
    net, pairs = net_of(spec), preferences(spec)
    with torch.no_grad():
        net.mlp.last.weight.mul_(1e4)
    steps = pairs.mask.sum(-1).sum(-1).unsqueeze(1)
    assert (member_logits(net, pairs.s, pairs.a, pairs.mask).abs() <= steps).all()
    free = net_of(spec, bounded=False)
    with torch.no_grad():
        free.mlp.last.weight.mul_(1e4)
    assert (member_logits(free, pairs.s, pairs.a, pairs.mask).abs() > steps).any()


def test_absorbing_steps_count_nothing() -> None:
    spec = spec_of()
    net, pairs = net_of(spec), preferences(spec)
    other = pairs.s + 100 * (~pairs.mask).unsqueeze(-1)
    torch.testing.assert_close(
        member_logits(net, pairs.s, pairs.a, pairs.mask),
        member_logits(net, other, pairs.a, pairs.mask),
    )


def test_gradient_of_the_loss_in_the_rewards_is_p_minus_y() -> None:
    spec = spec_of()
    pairs = preferences(spec)
    net = net_of(spec, members=1, bounded=False)
    logits = member_logits(net, pairs.s, pairs.a, pairs.mask)[:, 0]
    (slope,) = torch.autograd.grad(pair_loss(logits, pairs.y, pairs.w).sum(), logits)
    torch.testing.assert_close(slope, (choice_probability(logits) - pairs.y) / 12)


def test_exact_labels_of_a_table_give_its_differences() -> None:
    """Labels p = σ(Σr - Σr) of single steps: r̂ is r up to a constant, to 1e-3."""
    states, actions = OBS, 3
    spec = Spec(states, Discrete(actions), (0,), torch.float64)
    true = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (states, actions)))
    cells = torch.cartesian_prod(torch.arange(states), torch.arange(actions))
    both = torch.cartesian_prod(torch.arange(len(cells)), torch.arange(len(cells)))
    s = torch.eye(states, dtype=torch.float64)[cells[both, 0]]  # [n, 2, states]
    r = true[cells[both, 0], cells[both, 1]]
    pairs = Preferences(
        s=s.view(1, -1, 2, 1, states),
        a=cells[both, 1].view(1, -1, 2, 1),
        mask=torch.ones(1, len(both), 2, 1, dtype=torch.bool),
        y=(r[:, 1] - r[:, 0]).sigmoid().unsqueeze(0),
        w=torch.ones(1, len(both), dtype=torch.float64),
    )
    net = net_of(spec, hidden=(), members=1, bounded=False)
    fit(net, pairs, spec, Fit(lr=0.05, batch=len(both), passes=600, stop=2.0))
    eye = torch.eye(states, dtype=torch.float64).repeat_interleave(actions, 0).unsqueeze(0)
    found = mean_reward(net, eye, torch.arange(actions).repeat(states).unsqueeze(0))
    error = found.view(states, actions) - true
    assert float(error.max() - error.min()) < 1e-3
    assert float(error.mean().abs()) > 1e-3  # the constant is nobody's to know


def test_members_differ_and_identical_ones_agree() -> None:
    spec = spec_of()
    pairs = preferences(spec)
    net = net_of(spec)
    p = member_probabilities(net, *pairs[:3])
    assert (p.std(1) > 1e-3).any()
    with torch.no_grad():  # one member thrice, one order for all: no disagreement after a fit
        for parameter in net.parameters():
            parameter.copy_(parameter[:, :1].expand_as(parameter))
    fit(net, pairs, spec, Fit(lr=1e-2, batch=12, passes=3, stop=2.0))
    p = member_probabilities(net, *pairs[:3])
    torch.testing.assert_close(p, p[:, :1].expand_as(p))


def test_each_member_has_an_order_of_its_own() -> None:
    spec = spec_of()
    pairs = preferences(spec)
    net = net_of(spec)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter[:, :1].expand_as(parameter))
    fit(net, pairs, spec, Fit(lr=1e-2, batch=4, passes=2, stop=2.0))
    p = member_probabilities(net, *pairs[:3])
    assert (p - p[:, :1]).abs()[:, 1:].amin((0, 2)).gt(0).all()


@pytest.mark.parametrize("stop", [0.7, 2.0])
def test_lanes_equal_separate_fits_whenever_they_stop(stop: float) -> None:
    seeds = (3, 0, 11)
    c = Fit(lr=1e-2, batch=5, passes=40, stop=stop)

    def run(chosen):
        spec = spec_of(chosen)
        net = net_of(spec)
        metrics = fit(net, preferences(spec), spec, c, round_=2)
        return metrics, dict(net.state_dict())

    metrics, together = run(seeds)
    stopped = set()
    for k, seed in enumerate(seeds):
        own_metrics, alone = run((seed,))
        for name, x in own_metrics.items():
            torch.testing.assert_close(metrics[name][k : k + 1], x, rtol=0, atol=1e-12)
        for name, x in alone.items():
            torch.testing.assert_close(together[name][k : k + 1], x, rtol=0, atol=1e-12)
        stopped.add(float(own_metrics["reward_accuracy"]))
    assert stop == 2.0 or min(stopped) > stop  # every lane reached it, each in its own pass


def test_numbers_of_a_fit_may_differ_between_lanes() -> None:
    """Rates, accuracies to stop at, label margins and floors, one a lane (a floor of 0 too)."""
    values = {"lr": (1e-2, 1e-3), "stop": (0.9, 2.0), "margin": (0.1, 0.0), "floor": (0.0, 0.2)}
    spec = spec_of()
    laned = {n: torch.tensor(v, dtype=torch.float64).unsqueeze(-1) for n, v in values.items()}
    net = net_of(spec)
    fit(net, preferences(spec), spec, Fit(batch=5, passes=20, **laned))
    assert all(x.isfinite().all() for x in net.state_dict().values())
    for k in range(2):
        alone = spec_of((spec.seeds[k],))
        own = net_of(alone)
        c = Fit(batch=5, passes=20, **{name: v[k] for name, v in values.items()})
        fit(own, preferences(alone), alone, c)
        for name, x in own.state_dict().items():
            torch.testing.assert_close(net.state_dict()[name][k : k + 1], x, rtol=0, atol=1e-10)


def test_what_cannot_be_fitted_is_refused() -> None:
    spec = spec_of()
    with pytest.raises(ValueError, match="members is 0"):
        net_of(spec, members=0)
    with pytest.raises(ValueError, match="must be at least 1"):
        fit(net_of(spec), preferences(spec), spec, Fit(passes=0))


def test_unanswered_pairs_teach_nothing() -> None:
    spec = spec_of((3,))
    pairs = preferences(spec)
    half = pairs._replace(w=(torch.arange(12) < 6).double().unsqueeze(0))
    other = half._replace(y=torch.where(half.w > 0, half.y, 1 - half.y))
    nets_ = []
    for each in (half, other):
        net = net_of(spec)
        fit(net, each, spec, Fit(lr=1e-2, batch=12, passes=5, stop=2.0))
        nets_.append(net.state_dict())
    for name, x in nets_[0].items():
        assert torch.equal(nets_[1][name], x)
    net = net_of(spec)
    before = {name: x.clone() for name, x in net.state_dict().items()}
    metrics = fit(net, pairs._replace(w=torch.zeros(1, 12).double()), spec, Fit(passes=3))
    assert all(torch.equal(net.state_dict()[name], x) for name, x in before.items())
    assert metrics["reward_accuracy"].tolist() == [0]


def test_a_fit_learns_and_is_the_same_again() -> None:
    """A linear reward is ordered rightly on new pairs; a second fit of the round repeats it."""
    spec = spec_of((0,))
    w = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)

    def labelled(seed, n):
        pairs = preferences(spec, n, seed)
        sums = ((pairs.s @ w) * pairs.mask).sum(-1)
        return pairs._replace(y=(sums[..., 1] > sums[..., 0]).double())

    results = []
    for _ in range(2):
        net = net_of(spec, hidden=(16,), bounded=False)
        metrics = fit(net, labelled(0, 400), spec, Fit(lr=1e-2, batch=32, passes=60))
        results.append(net.state_dict())
    assert all(torch.equal(results[0][name], x) for name, x in results[1].items())
    assert float(metrics["reward_accuracy"]) > 0.9
    new = labelled(1, 400)
    right = (member_probabilities(net, *new[:3]).mean(1) > 0.5) == (new.y > 0.5)
    assert float(right.double().mean()) > 0.93


def test_global_random_state_is_left_alone() -> None:
    spec = spec_of()
    before = torch.get_rng_state()
    fit(net_of(spec), preferences(spec), spec, Fit(passes=2))
    assert torch.equal(before, torch.get_rng_state())


def test_own_streams_are_not_the_agents() -> None:
    spec = spec_of()
    ours = nets.Linear(OwnInit(spec, "test"), 4, 3).weight
    agents = nets.Linear(nets.Init(spec), 4, 3).weight
    assert not torch.equal(ours, agents)
    assert torch.equal(ours, nets.Linear(OwnInit(spec, "test"), 4, 3).weight)


def test_scalings() -> None:
    r = torch.tensor([[1.0, 3.0, 5.0], [0.0, 0.0, 3.0]], dtype=torch.float64)
    scaled = normalised(r, "scale")
    torch.testing.assert_close(scaled.std(1, correction=0), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(scaled[:, 0] / scaled[:, 2], r[:, 0] / r[:, 2])
    standard = normalised(r, "standard")
    torch.testing.assert_close(standard.mean(1), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(standard.std(1, correction=0), torch.ones(2, dtype=torch.float64))
    assert normalised(r, "none") is r
    assert normalised(torch.ones(1, 4), "scale").isfinite().all()

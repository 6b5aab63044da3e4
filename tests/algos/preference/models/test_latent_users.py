"""Latents of users: the closed forms of the posterior, its KL and the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import vpl
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.models.latent_users import (
    LatentReward,
    Posterior,
    Users,
    loss,
    ramp,
    rewards,
)
from rlkit.algos.preference.models.reward_model import pair_loss
from rlkit.algos.preference.teachers.users import Answered
from rlkit.core.spec import Discrete, Spec


def net_of(spec: Spec, length: int = 2, **given: Any) -> tuple[LatentReward, vpl.Config]:
    c = vpl.Config(latent=3, hidden_vae=(16,), batch_vae=16, set_size=8, lr_vae=1e-2, **given)
    return LatentReward(nets.Init(spec, "vpl"), c, length), c


def sets(spec: Spec, net: LatentReward, count: int = 5, m: int = 6) -> tuple[Tensor, ...]:
    rng = np.random.default_rng(0)
    lead = (spec.lanes, count, m, 2, 2)
    s = torch.from_numpy(rng.normal(size=(*lead, *spec.obs)))
    a = torch.from_numpy(
        rng.integers(3, size=lead) if spec.discrete else rng.uniform(-1, 1, (*lead, 2))
    )
    mask = torch.from_numpy(rng.random(lead) < 0.8)
    y = torch.from_numpy(rng.choice([0.0, 0.5, 1.0], lead[:3]))
    w = torch.from_numpy(rng.choice([0.0, 1.0], lead[:3]))
    return net.steps(s, a), mask, y, w


def test_the_divergence_is_that_of_gaussians() -> None:
    mean, log_std = torch.randn(2, 4, 3).double(), torch.randn(2, 4, 3).double()
    law = torch.distributions.Normal(mean, log_std.exp())
    unit = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    expected = torch.distributions.kl_divergence(law, unit).sum(-1)
    torch.testing.assert_close(Posterior(mean, log_std).divergence, expected)


@pytest.mark.parametrize("act", [2, Discrete(3)])
def test_order_and_unanswered_pairs_do_not_move_the_posterior(act: Any) -> None:
    spec = Spec(3, act, (0, 1), torch.float64)
    net, _ = net_of(spec)
    x, _, y, w = sets(spec, net)
    q = net.posterior(x, y, w)
    order = torch.randperm(6)
    for mine, its in zip(
        q, net.posterior(x[:, :, order], y[:, :, order], w[:, :, order]), strict=True
    ):
        torch.testing.assert_close(mine, its)
    other = torch.where(w.bool(), y, 1 - y)
    for mine, its in zip(q, net.posterior(x, other, w), strict=True):
        torch.testing.assert_close(mine, its)
    assert not torch.allclose(q.mean, net.posterior(x, 1 - y, w).mean)


def test_without_its_latent_the_loss_is_bradley_terrys() -> None:
    """Decoder weights of z at 0: m times the mean of the pairs' losses, whoever labelled them."""
    spec = Spec(3, 2, (0, 1), torch.float64)
    net, _ = net_of(spec)
    with torch.no_grad():
        net.value.layers[0].weight[:, -3:] = 0
    x, mask, y, _ = sets(spec, net)
    w = torch.ones_like(y)
    eps = torch.randn(2, 5, 3).double()
    found, divergence = loss(net, (x, mask, y, w), eps, 0.0)
    d = net.logits(x, mask, torch.zeros(2, 5, 3).double())
    torch.testing.assert_close(found, 6 * pair_loss(d.flatten(1), y.flatten(1), w.flatten(1)))
    with_kl, _ = loss(net, (x, mask, y, w), eps, 0.7)
    torch.testing.assert_close(with_kl, found + 0.7 * divergence)
    torch.testing.assert_close(divergence, net.posterior(x, y, w).divergence.mean(-1))


def test_rewards_of_many_users_are_those_of_each() -> None:
    spec = Spec(3, 2, (0, 1), torch.float64)
    net, _ = net_of(spec)
    x, z = torch.randn(2, 7, 5).double(), torch.randn(2, 4, 3).double()
    table = rewards(net, x, z)
    for m in range(4):
        one = net.reward(x, z[:, m : m + 1].expand(-1, 7, -1))
        torch.testing.assert_close(table[:, m], one)


def test_the_weight_grows_in_cycles() -> None:
    assert ramp(3, 10, 0) == 1
    assert [ramp(t, 8, 2) for t in (0, 2, 4, 6)] == pytest.approx([0, 0.5, 0, 0.5])
    assert ramp(3, 8, 2) > ramp(2, 8, 2)


def answered(spec: Spec, agree: bool) -> Answered:
    """Two users who compare the sums of the first observation, alike or the other way round."""
    rng = np.random.default_rng(0)
    s = torch.from_numpy(rng.normal(size=(1, 200, 2, 2, *spec.obs)))
    a = torch.from_numpy(rng.uniform(-1, 1, (1, 200, 2, 2, 2)))
    user = np.arange(200) % 2
    total = s[..., 0].sum(-1)
    y = (total[..., 1] > total[..., 0]).double()
    if not agree:
        y = torch.where(torch.from_numpy(user == 1), 1 - y, y)
    ones = torch.ones(1, 200, 2, 2, dtype=torch.bool)
    pairs = Preferences(s, a, ones, y, torch.ones(1, 200).double())
    return Answered(pairs, user, np.arange(2))


def test_users_who_agree_need_no_latent_and_others_do() -> None:
    spec = Spec(3, 2, (0, 1), torch.float64)
    found = {}
    for agree in (True, False):
        net, c = net_of(spec, steps_vae=250)
        users = Users(net, answered(spec, agree), spec, c)
        found[agree] = users.fit()
        assert (found[agree]["vae_accuracy"] > 0.9).all()
    assert (found[True]["kl"] < 0.1).all()
    assert (found[False]["kl"] > 0.5).all()  # log 2 tells two users apart

"""EDAC, SAC with critics that pay for being alike: the term, its gradient, and what it is for."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import sac
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.testing.cases import Case, make_batch

CASE = Case(sac, config={"n_critics": 4, "diversity": 1.0})


def test_critics_that_are_alike_cost_their_number() -> None:
    one = torch.randn(2, 1, 12, 3, generator=torch.Generator().manual_seed(0)).double()
    for n in (2, 4, 10):
        got = sac.alike(one.expand(-1, n, -1, -1))
        torch.testing.assert_close(got, torch.full((2,), float(n)).double())


def test_orthogonal_slopes_cost_nothing_and_opposite_ones_pay() -> None:
    slopes = torch.eye(3).double().view(1, 3, 1, 3).expand(2, -1, 12, -1) * 7
    torch.testing.assert_close(sac.alike(slopes), torch.zeros(2).double())
    pair = torch.stack([slopes[:, 0], -slopes[:, 0]], 1)
    torch.testing.assert_close(sac.alike(pair), torch.full((2,), -2.0).double())


def test_by_hand_over_pairs_and_bounded_below() -> None:
    slopes = torch.randn(2, 5, 12, 3, generator=torch.Generator().manual_seed(1)).double()
    unit = slopes / slopes.norm(dim=-1, keepdim=True)
    total = sum((unit[:, i] * unit[:, j]).sum(-1) for i in range(5) for j in range(5) if i != j)
    assert isinstance(total, Tensor)
    got = sac.alike(slopes)
    torch.testing.assert_close(got, total.mean(-1) / 4)
    for seed in range(50):
        wild = torch.randn(1, 3, 1, 2, generator=torch.Generator().manual_seed(seed))
        assert float(sac.alike(wild)) >= -3 / 2 - 1e-5


def test_one_dimension_counts_signs() -> None:
    """ĝ = ±1, so an observation's part is ((Σ ĝ)² - N) / (N - 1)."""
    slopes = torch.tensor([3.0, -0.1, 2.0, 5.0]).view(1, 4, 1, 1)
    assert float(sac.alike(slopes)) == pytest.approx((2**2 - 4) / 3)


def test_a_flat_critic_has_no_direction_and_no_gradient_that_is_not_finite() -> None:
    slopes = torch.zeros(1, 2, 3, 2, requires_grad=True)
    cost = sac.alike(slopes)
    assert cost.tolist() == [0]
    assert torch.autograd.grad(cost.sum(), slopes)[0].isfinite().all()


def critic(dtype: torch.dtype, n: int = 3, hidden: tuple[int, ...] = (8, 8)) -> nets.Critic:
    return nets.Critic(nets.Init(Spec(5, 3, (3, 0), dtype)), hidden, n)


def test_slopes_are_those_of_finite_differences_and_values_the_critics_own() -> None:
    q, b = critic(torch.float64), make_batch(CASE.spec(), None, 0)
    out, slopes = q.with_slopes(b.s, b.a)
    qs = q.values(out)
    torch.testing.assert_close(qs, q(b.s, b.a))
    for d in range(3):
        step = torch.zeros_like(b.a)
        step[..., d] = 1e-6
        difference = (q(b.s, b.a + step) - q(b.s, b.a - step)) / 2e-6
        torch.testing.assert_close(slopes[..., d], difference, rtol=1e-6, atol=1e-8)


def test_the_terms_gradient_is_that_of_finite_differences() -> None:
    q, b = critic(torch.float64), make_batch(CASE.spec(), None, 0)

    def cost() -> Tensor:
        return sac.alike(q.with_slopes(b.s, b.a)[1]).sum()

    weight: Any = q.mlp.layers[1].weight
    (gradient,) = torch.autograd.grad(cost(), weight)
    for at in ((0, 0, 1, 2), (1, 2, 5, 3), (1, 1, 0, 0)):
        change = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[at] += sign * 1e-6
            change.append(float(cost().detach()))
            with torch.no_grad():
                weight[at] -= sign * 1e-6
        assert float(gradient[at]) == pytest.approx((change[0] - change[1]) / 2e-6, abs=1e-7)


def test_wide_nets_differentiate_twice_as_small_ones_do() -> None:
    """Float32 products of this size go through another library."""
    found = []
    for dtype in (torch.float32, torch.float64):
        q = critic(dtype, 2, (256, 256))
        rng = torch.Generator().manual_seed(0)
        s, a = (torch.rand(2, 64, d, generator=rng).to(dtype) for d in (5, 3))
        cost = sac.alike(q.with_slopes(s, a)[1]).sum()
        found.append(torch.autograd.grad(cost, q.mlp.layers[1].weight)[0])  # type: ignore[arg-type]
    torch.testing.assert_close(found[0].double(), found[1], rtol=1e-2, atol=1e-6)


def test_the_term_reaches_the_critics_only() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    a = agent.pi(b.s).sample(b.noise["now"])  # even of actions the policy made
    _, slopes = agent.q.with_slopes(b.s, a)
    cost = sac.alike(slopes).sum()
    policy = torch.autograd.grad(cost, agent.pi.parameters(), allow_unused=True, retain_graph=True)
    assert all(slope is None for slope in policy)
    first = torch.autograd.grad(cost, agent.q.mlp.layers[0].weight)[0]
    assert first.abs().max() > 0


def test_critics_disagree_about_actions_they_have_not_seen() -> None:
    """A bandit whose data lie around one action; the more diversity, the more they disagree."""
    spec = Spec(1, 2, (0, 1))
    rng = torch.Generator().manual_seed(0)
    s = torch.ones(2, 64, 1)
    strange = torch.rand(2, 64, 2, generator=rng) * 2 - 1
    spread = []
    for eta in (0.0, 1.0, 5.0):
        c = sac.Config(n_critics=5, diversity=eta, hidden=(32, 32), lr_q=3e-3)
        agent = sac.Agent(spec, c)
        rows = torch.Generator().manual_seed(1)
        for _ in range(100):
            a = (0.3 + 0.1 * torch.randn(2, 64, 2, generator=rows)).clamp(-1, 1)
            noise = {name: torch.randn(2, 64, 2, generator=rows) for name in agent.noise}
            r = -(a - 0.3).square().sum(-1)
            agent.update(Batch(s, a, r, torch.zeros(2, 64), s, noise=noise), c)
        with torch.no_grad():
            spread.append([float(agent.q(s, x).std(1).mean()) for x in (a, strange)])
    for seen, unseen in spread:
        assert unseen > 2 * seen
    assert spread[0][1] < spread[1][1] < spread[2][1]

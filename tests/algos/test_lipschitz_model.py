"""Smooth critics: bounded layers, robust terms, and the reduction to MBPO."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import lipschitz_model, mbpo
from rlkit.algos.imagination.spectral import SpectralLinear, iterate, spectral
from rlkit.algos.lipschitz_model import robust_loss, steepest, worst_of
from rlkit.core import state
from rlkit.core.spec import Spec
from rlkit.testing.cases import Case, make_batch, run_updates

SPEC = Spec(4, 2, (3, 0), torch.float64)
METHODS: list[Literal["adversarial", "uniform", "spectral"]] = [
    "adversarial",
    "uniform",
    "spectral",
]


def linear_critic(w: Tensor) -> nets.Critic:
    """Q_j(s, a) = w_j · s for both lanes; `w [n, D]`."""
    critic = nets.Critic(nets.Init(SPEC), (), n=len(w)).requires_grad_(False)
    critic.mlp.last.weight.zero_()
    critic.mlp.last.bias.zero_()
    critic.mlp.last.weight[:, :, :4, 0] = w
    return critic


def rows(n: int = 6) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    s = torch.randn(2, n, 4, generator=rng, dtype=torch.float64)
    return s, torch.zeros(2, n, 2, dtype=torch.float64)


def test_adversarial_term_of_a_linear_critic_is_the_squared_one_norm() -> None:
    """ε² ‖w‖₁², summed over critics; also in the box of an observation's own scales."""
    w = torch.tensor([[1.0, -2.0, 0.0, 0.5], [0.3, 0.0, 0.0, -1.0]]).double()
    critic, (s, a) = linear_critic(w), rows()
    scale = torch.tensor([1.0, 0.5, 3.0, 2.0]).double() * 0.1
    for size in (torch.full((4,), 0.1).double(), scale):
        delta = size * steepest(critic, s, a, 2)
        loss = robust_loss(critic, s, a, critic(s, a), delta)
        expected = (w.abs() @ size).square().sum()
        torch.testing.assert_close(loss, expected.expand(2))


def test_uniform_term_of_a_linear_critic_is_a_third_of_the_squared_norm() -> None:
    """E (w · δ)² = ε² ‖w‖₂² / 3 for one draw; the worst of many comes near ε² ‖w‖₁²."""
    w = torch.tensor([[1.0, -2.0, 0.0, 0.5]]).double()
    critic, (s, a) = linear_critic(w), rows(4000)
    rng = torch.Generator().manual_seed(1)
    delta = 0.1 * (2 * torch.rand(2, 1, 4000, 4, generator=rng, dtype=torch.float64) - 1)
    loss = worst_of(critic, s, a, critic(s, a), delta)
    torch.testing.assert_close(loss, (0.01 * w.square().sum() / 3).expand(2), rtol=0.05, atol=0)
    s, a = rows(5)
    many = 0.1 * (2 * torch.rand(2, 4000, 5, 4, generator=rng, dtype=torch.float64) - 1)
    worst = worst_of(critic, s, a, critic(s, a), many)
    torch.testing.assert_close(worst, (0.01 * w.abs().sum() ** 2).expand(2), rtol=0.1, atol=0)


def test_each_critic_has_its_own_worst_draw() -> None:
    w = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]).double()
    critic, (s, a) = linear_critic(w), rows()
    delta = torch.zeros(2, 2, 6, 4, dtype=torch.float64)
    delta[:, 0, :, 0], delta[:, 1, :, 1] = 0.3, 0.2
    loss = worst_of(critic, s, a, critic(s, a), delta)
    torch.testing.assert_close(loss, torch.full((2,), 0.3**2 + 0.2**2).double())


def test_a_flat_critic_has_no_robust_term_and_no_nan() -> None:
    """Dead ReLUs: the gradient and its sign are 0."""
    critic, (s, a) = nets.Critic(nets.Init(SPEC), (8,)), rows()
    with torch.no_grad():
        critic.mlp.layers[0].bias.fill_(-1e3)
    delta = 0.1 * steepest(critic, s, a, 2)
    assert (delta == 0).all()
    loss = robust_loss(critic, s, a, critic(s, a).detach(), delta)
    assert (loss == 0).all()
    grads = torch.autograd.grad(loss.sum(), list(critic.parameters()))
    assert all((g == 0).all() for g in grads)


def bounded_critic(bound: float | Tensor) -> nets.Critic:
    init = nets.Init(SPEC)
    critic = nets.Critic(init, (16, 16))
    with torch.no_grad():
        for p in critic.parameters():
            p.mul_(8)
    return spectral(init, critic, bound)


def layers(critic: nets.Critic) -> list[SpectralLinear]:
    return [m for m in critic.modules() if isinstance(m, SpectralLinear)]


@pytest.mark.parametrize("bound", [0.5, torch.tensor([[0.5], [2.0]]).double()])
def test_singular_values_are_bounded_once_power_iteration_has_converged(
    bound: float | Tensor,
) -> None:
    critic = bounded_critic(bound)
    raw = [torch.linalg.matrix_norm(layer.weight, 2) for layer in layers(critic)]
    assert all((norm > 2.1).any() for norm in raw)
    for _ in range(400):
        iterate(critic)
    limit = torch.as_tensor(bound).double().reshape(-1, 1).expand(2, 2)
    for layer, norm in zip(layers(critic), raw, strict=True):
        torch.testing.assert_close(layer.norm().flatten(1), norm, rtol=1e-3, atol=0)
        top = torch.linalg.svdvals(layer.effective())[..., 0]
        assert (top <= limit * (1 + 1e-3)).all()
        torch.testing.assert_close(top, torch.minimum(norm, limit), rtol=1e-3, atol=0)


def test_slopes_stay_below_the_product_of_the_bounds() -> None:
    critic = bounded_critic(0.5)
    for _ in range(400):
        iterate(critic)
    rng = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, 500, 6, generator=rng, dtype=torch.float64) for _ in range(2))
    change = (critic(x[..., :4], x[..., 4:]) - critic(y[..., :4], y[..., 4:])).abs()
    slope = change / (x - y).norm(dim=-1).unsqueeze(1)
    assert slope.amax() <= 0.5**3 * (1 + 3e-3)
    assert slope.amax() > 0.01 * 0.5**3


def test_weights_within_the_bound_are_as_they_were() -> None:
    plain, init = nets.Critic(nets.Init(SPEC), (8,)), nets.Init(SPEC)
    bounded = spectral(init, nets.Critic(init, (8,)), 1e6)
    s, a = rows()
    assert torch.equal(plain(s, a), bounded(s, a))
    assert [n for n, _ in plain.named_parameters()] == [n for n, _ in bounded.named_parameters()]


@pytest.mark.parametrize("method", METHODS)
def test_without_its_force_it_is_mbpo(method: str) -> None:
    """λ = 0, or β = ∞: the same nets, targets and moments after four updates, to the bit."""
    off: dict[str, Any] = {"bound": 1e30} if method == "spectral" else {"weight": 0.0}
    free, ours = Case(mbpo), Case(lipschitz_model)
    spec = free.spec(dtype=torch.float32)
    theirs, _ = run_updates(free, spec, free.make_config(), 4)
    smooth, _ = run_updates(ours, spec, ours.make_config(method=method, **off), 4)
    mine = state.tensors(smooth)
    for name, tensor in state.tensors(theirs).items():
        assert torch.equal(mine[name], tensor), name


@pytest.mark.parametrize("method", ["adversarial", "uniform"])
def test_a_strong_robust_term_flattens_the_critics(method: str) -> None:
    case = Case(lipschitz_model)
    spec = case.spec()
    rough = []
    for weight in (0.0, 50.0):
        config = case.make_config(method=method, weight=weight, radius=0.5, lr_q=1e-2)
        _, metrics = run_updates(case, spec, config, 60)
        rough.append(metrics["roughness"])
    assert (rough[1] < 0.5 * rough[0]).all()


def test_perturbations_are_in_deviations_of_the_observations() -> None:
    """Stretching an observation by 1000 and its first weights back leaves the term as it was."""
    case = Case(lipschitz_model)
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    b = make_batch(spec, agent, 0)
    now = agent.q(b.s, b.a).detach()
    before = agent.roughness(b, config, now)
    stretched = b._replace(s=b.s * torch.tensor([1000.0, 1, 1, 1, 1]).double())
    with torch.no_grad():
        agent.q.mlp.layers[0].weight[:, :, 0] /= 1000
    torch.testing.assert_close(agent.roughness(stretched, config, now), before)


def test_targets_are_bounded_too() -> None:
    """Averaged weights are bounded with their own σ, which the target's own vectors follow."""
    case = Case(lipschitz_model)
    spec = case.spec()
    agent, _ = run_updates(
        case, spec, case.make_config(method="spectral", bound=0.1, polyak=0.5), 60
    )
    for layer in layers(agent.q_bar.net):
        top = torch.linalg.svdvals(layer.effective())[..., 0]
        assert (top <= 0.1 * 1.05).all()
        assert layer.norm().min() > 0.1

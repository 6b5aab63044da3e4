"""Policies and their densities, against integrals, torch.distributions and counts."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rlkit import nets
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams

CONTINUOUS = Spec(4, 2, (6, 0), torch.float64)
DISCRETE = Spec(4, Discrete(3), (6, 0), torch.float64)
HEADS = (nets.DeterministicActor, nets.GaussianActor, nets.TanhGaussianActor)


def _s(batch: int = 5) -> Tensor:
    return torch.sin(torch.arange(2 * batch * 4, dtype=torch.float64)).view(2, batch, 4)


def _column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).view(1, -1, 1)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.7, -1.0), (-1.5, 0.5)])
def test_tanh_gaussian_density_integrates_to_one(dims: int, mean: float, log_std: float) -> None:
    """On a grid even in u = atanh(a), where it is smooth: ∫ p(a) da = ∫ p(a) (1 - a²) du."""
    u = torch.linspace(-6, 6, 601 if dims == 2 else 4001, dtype=torch.float64)
    axes = torch.meshgrid(*[u for _ in range(dims)], indexing="ij")
    grid = torch.stack([axis.flatten() for axis in axes], -1).unsqueeze(0)  # [1, B, dims]
    d = nets.TanhNormal(torch.full_like(grid, mean), torch.full_like(grid, log_std))
    a = grid.tanh()
    density = (d.log_prob(a).exp() * (1 - a.square()).prod(-1)).view(*(len(u) for _ in axes))
    for _ in range(dims):
        density = torch.trapezoid(density, u, dim=-1)
    inside = float(stats.norm(mean, math.exp(log_std)).cdf([-6, 6]) @ [-1, 1])
    assert float(density) == pytest.approx(inside**dims, abs=1e-6)


def test_tanh_gaussian_density_is_that_of_its_samples() -> None:
    eps = torch.from_numpy(Streams((0,)).draw("x", "normal", 0, (40_000, 1))[0]).double()
    d = nets.TanhNormal(torch.full_like(eps, 0.4), torch.full_like(eps, -0.5))
    a = np.sort(d.sample(eps).flatten().numpy())
    grid = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1].view(1, -1, 1)
    law = nets.TanhNormal(torch.full_like(grid, 0.4), torch.full_like(grid, -0.5))
    cdf = np.cumsum(law.log_prob(grid).exp().numpy().ravel()) * 1e-4
    assert stats.kstest(a, lambda x: np.interp(x, grid.flatten(), cdf)).pvalue > 1e-3


def test_density_of_a_sample_equals_the_density_of_the_same_action_given() -> None:
    eps = torch.linspace(-3, 3, 3 * 7 * 2, dtype=torch.float64).view(3, 7, 2)
    d = nets.TanhNormal(eps.flip(1) * 0.5, -0.5 + 0.1 * eps)
    a, log_prob = d.sample_log_prob(eps)
    assert torch.equal(a, d.sample(eps))
    assert log_prob.shape == (3, 7)
    assert float(a.abs().max()) < 1 - 1e-5
    assert torch.allclose(d.log_prob(a), log_prob, rtol=0, atol=1e-9)
    base = torch.distributions.Normal(d.mean, d.log_std.exp())
    squashed = torch.distributions.TransformedDistribution(
        base, torch.distributions.TanhTransform(cache_size=1)
    )
    expected = squashed.log_prob(a).sum(-1)
    assert torch.allclose(log_prob, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_density_of_far_samples_is_exact(dtype: torch.dtype) -> None:
    """log(1 - tanh²u) is 2 log 2 - 2|u| for large |u|, where 1 - tanh² has no digits left."""
    for u in (10.0, 50.0, 300.0):
        for sign in (1.0, -1.0):
            d = nets.TanhNormal(torch.tensor([[[sign * u]]], dtype=dtype), torch.zeros(1, 1, 1))
            _, log_prob = d.sample_log_prob(torch.zeros(1, 1, 1, dtype=dtype))
            expected = -0.5 * math.log(2 * math.pi) - (2 * math.log(2) - 2 * u)
            assert float(log_prob) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_std", [-20.0, -5.0, 2.0])
def test_density_and_its_gradient_are_finite_at_the_bounds(
    dtype: torch.dtype, log_std: float
) -> None:
    a = torch.tensor([[[-1.0], [1.0], [0.0], [1 - 1e-7]]], dtype=dtype)
    mean = torch.full_like(a, 0.3).requires_grad_()
    width = torch.full_like(a, log_std).requires_grad_()
    log_prob = nets.TanhNormal(mean, width).log_prob(a)
    assert log_prob.isfinite().all()
    for gradient in torch.autograd.grad(log_prob.sum(), [mean, width]):
        assert gradient.isfinite().all()


def test_gradient_through_a_reparameterised_sample() -> None:
    """Checked by finite differences of the sampled action and of its log-density."""
    eps = _column(0.3, -1.2, 2.0)
    mean, log_std = _column(0.1, -0.4, 3.0), _column(-0.3, 0.4, 0.1)

    def both(m: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return nets.TanhNormal(m, w).sample_log_prob(eps)

    assert torch.autograd.gradcheck(both, (mean.requires_grad_(), log_std.requires_grad_()))


def test_gaussian_density_equals_torch() -> None:
    d = nets.GaussianActor(nets.Init(CONTINUOUS), (6,))
    with torch.no_grad():
        d.log_std.copy_(torch.tensor([[[-0.5, 0.2]], [[0.1, -1.0]]]))
    law = d(_s())
    a = torch.cos(_s()[..., :2] * 3)
    reference = torch.distributions.Normal(law.mode, law.log_std.exp().expand_as(law.mode))
    assert torch.allclose(law.log_prob(a), reference.log_prob(a).sum(-1), rtol=0, atol=1e-12)
    assert torch.equal(law.sample(0 * a), law.mode)
    assert torch.allclose(law.sample(a), law.mode + law.log_std.exp() * a, rtol=0, atol=0)


@pytest.mark.parametrize("head", [nets.GaussianActor, nets.TanhGaussianActor])
def test_log_std_is_kept_within_its_bounds(head: type) -> None:
    pi = head(nets.Init(CONTINUOUS), (6,), log_std_bounds=(-0.01, 0.01))
    with torch.no_grad():
        for p in pi.parameters():
            p.mul_(50).add_(1)
    log_std = pi(_s()).log_std
    assert log_std.abs().max() <= 0.01


@pytest.mark.parametrize("head", HEADS)
def test_modes_are_inside_the_box_and_repeatable(head: type) -> None:
    pi = head(nets.Init(CONTINUOUS), (6,))
    mode = pi(_s()).mode
    assert mode.shape == (2, 5, 2)
    assert mode.abs().max() < 1
    assert torch.equal(mode, pi(_s()).mode)
    assert pi.noise.shape(CONTINUOUS, 5) == (5, 2)


def test_deterministic_policy_with_noise_stays_in_the_box() -> None:
    d = nets.DeterministicActor(nets.Init(CONTINUOUS), (6,))(_s())
    small = torch.full((2, 5, 2), 0.01, dtype=torch.float64)
    assert torch.allclose(d.sample(small), (d.mode + 0.01).clamp(-1, 1))
    assert torch.equal(d.sample(500 * small), torch.ones_like(d.mode))


def test_categorical_density_and_mode() -> None:
    d = nets.CategoricalActor(nets.Init(DISCRETE), (6,))(_s())
    reference = torch.distributions.Categorical(logits=d.logits)
    a = torch.tensor([[0, 2, 1, 1, 0], [2, 2, 0, 1, 0]])
    assert torch.allclose(d.log_prob(a), reference.log_prob(a), rtol=0, atol=1e-13)
    assert torch.allclose(d.log_probs.exp().sum(-1), torch.ones(2, 5).double())
    assert torch.equal(d.mode, d.log_probs.argmax(-1))
    assert d.mode.dtype == torch.int64


def test_gumbel_noise_samples_the_categorical_law() -> None:
    logits = torch.tensor([[[0.0, 1.0, -0.5, 2.0]], [[0.0, 0.0, 3.0, -9.0]]])  # [S, 1, A]
    gumbel = torch.from_numpy(Streams((0, 1)).draw("g", "gumbel", 0, (20_000, 4))[0])
    d = nets.Categorical(logits.expand(2, 20_000, 4))
    sample = d.sample(gumbel)
    for k in range(2):
        counts = torch.bincount(sample[k], minlength=4).double()
        p = logits[k, 0].double().softmax(-1)
        z = (counts - 20_000 * p) / (20_000 * p * (1 - p)).sqrt()
        assert z.abs().max() < 4


def test_categorical_noise_is_gumbel_of_every_action() -> None:
    noise = nets.CategoricalActor.noise
    assert noise.kind == "gumbel"
    assert noise.shape(DISCRETE, 7) == (7, 3)


@pytest.mark.parametrize("head", HEADS)
def test_heads_refuse_the_other_kind_of_actions(head: type) -> None:
    with pytest.raises(ValueError, match=f"{head.__name__} is for continuous actions"):
        head(nets.Init(DISCRETE))


def test_categorical_head_refuses_continuous_actions() -> None:
    with pytest.raises(ValueError, match="CategoricalActor is for discrete actions"):
        nets.CategoricalActor(nets.Init(CONTINUOUS))


@pytest.mark.parametrize("head", [*HEADS, nets.CategoricalActor])
def test_a_lane_is_the_same_in_any_company(head: type) -> None:
    spec = DISCRETE if head is nets.CategoricalActor else CONTINUOUS
    alone = Spec(spec.obs, spec.act, (0,), torch.float64)
    together, single = head(nets.Init(spec), (6,)), head(nets.Init(alone), (6,))
    one, other = together(_s()), single(_s()[1:])
    noise = torch.sin(torch.arange(2 * 5 * spec.act_size)).view(2, 5, -1).double()
    assert torch.allclose(one.sample(noise)[1:], other.sample(noise[1:]), rtol=0, atol=1e-13)

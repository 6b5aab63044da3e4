"""The generalised Gaussian of TD errors against closed forms, and the weights of rows."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.nets import gaussian_errors as ge

SHAPES = (0.5, 1.0, 2.0, 4.0)


def _draws(beta: float, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """|δ|^β is a Gamma(1/β)."""
    rng = np.random.default_rng(seed)
    sizes = rng.gamma(1 / beta, size=shape) ** (1 / beta)
    return torch.from_numpy(sizes * rng.choice([-1.0, 1.0], shape))


def test_laplace_and_normal_laws_are_members_and_all_integrate_to_one() -> None:
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    for beta, law in (
        (1.0, torch.distributions.Laplace(0.0, 1.0)),
        (2.0, torch.distributions.Normal(0.0, math.sqrt(0.5))),
    ):
        found = ge.negative_log_likelihood(x, torch.tensor(beta, dtype=torch.float64))
        torch.testing.assert_close(found, -law.log_prob(x), rtol=1e-5, atol=1e-5)
    wide = torch.linspace(-400, 400, 2_000_001, dtype=torch.float64)
    for beta in SHAPES:
        nll = ge.negative_log_likelihood(wide, torch.tensor(beta, dtype=torch.float64))
        assert float(torch.trapezoid((-nll).exp(), wide)) == pytest.approx(1, abs=2e-3)


def test_kurtosis_falls_with_the_shape() -> None:
    found = ge.excess_kurtosis(torch.tensor(SHAPES, dtype=torch.float64))
    assert found.tolist() == pytest.approx([22.2, 3.0, 0.0, -0.812], abs=1e-3)


@pytest.mark.parametrize("beta", [1.0, 1.3, 2.0])
def test_the_likelihood_is_greatest_at_the_shape_that_drew(beta: float) -> None:
    """Not so for β|δ| in place of |δ|^β, which finds 0.77, 0.85 and 0.92."""
    delta = _draws(beta, (20_000,))
    grid = torch.linspace(0.5, 3, 251, dtype=torch.float64)
    losses = torch.stack([ge.negative_log_likelihood(delta, b).mean() for b in grid])
    assert float(grid[losses.argmin()]) == pytest.approx(beta, rel=0.04)


def test_shapes_begin_at_one_and_stay_within_their_bounds() -> None:
    out = torch.tensor([[0.0, 0.0], [0.0, -50.0], [0.0, 50.0]], dtype=torch.float64)
    assert ge.shape(out).tolist() == pytest.approx([1.0, ge.LEAST, ge.MOST])


def test_the_estimated_variance_has_the_smallest_error() -> None:
    """Mean squared errors for K = 5: 0.335 for normal laws, 2.09 for Laplace's; without κ and
    with the plain unbiased variance they are larger."""
    for beta, true, expected in ((2.0, 1.0, 0.335), (1.0, 1.0, 2.09)):
        scale = math.sqrt(math.gamma(3 / beta) / math.gamma(1 / beta))
        unit = 1.0 if beta == 2.0 else math.sqrt(2)  # the sheet's Laplace law has scale 1
        delta = _draws(beta, (5, 400_000)) / scale * unit
        kurtosis = float(ge.excess_kurtosis(torch.tensor(beta, dtype=torch.float64)))
        truth = true * unit**2
        error = (ge.error_variance(delta, kurtosis) - truth).square().mean()
        assert float(error) == pytest.approx(expected, rel=0.03)
        assert error < (delta.var(-2) - truth).square().mean()


def test_equal_variances_weigh_rows_alike_and_a_lonely_row_cannot_outweigh_all() -> None:
    uniform = ge.row_weights(torch.full((2, 40), 0.3, dtype=torch.float64))
    torch.testing.assert_close(uniform, torch.full_like(uniform, 1 / 40))
    zero = ge.row_weights(torch.zeros(1, 8, dtype=torch.float64))
    torch.testing.assert_close(zero, torch.full_like(zero, 1 / 8))
    mild = torch.linspace(1, 2, 64, dtype=torch.float64)[None]
    torch.testing.assert_close(ge.row_weights(mild), (1 / mild) / (1 / mild).sum())  # ξ = 0
    steep = torch.logspace(-6, 3, 64, dtype=torch.float64)[None]
    w = ge.row_weights(steep)
    assert float(w.sum()) == pytest.approx(1)
    assert float(1 / w.square().sum()) == pytest.approx(16, rel=1e-4)  # the least ξ that will do
    assert (w.diff() <= 0).all()
    few = ge.row_weights(steep[:, ::8])
    assert float(1 / few.square().sum()) == pytest.approx(7, rel=1e-3)


def test_lanes_and_scales_weigh_as_alone() -> None:
    v = _draws(1.0, (3, 50)).abs()
    torch.testing.assert_close(ge.row_weights(v)[1:2], ge.row_weights(v[1:2]))
    torch.testing.assert_close(ge.row_weights(1e4 * v), ge.row_weights(v))


def test_weights_are_constants_of_the_loss() -> None:
    delta = _draws(2.0, (2, 5, 30)).requires_grad_()
    beta = torch.full((2, 5, 30), 2.0, dtype=torch.float64)
    loss = ge.biev_loss(delta, beta)
    assert loss.shape == (2,)
    (slope,) = torch.autograd.grad(loss.sum(), delta)
    w = ge.row_weights(ge.error_variance(delta.detach()))
    torch.testing.assert_close(slope, 2 * w.unsqueeze(1) * delta.detach())


def test_the_head_learns_a_median_at_shape_one_and_its_weight_is_constant() -> None:
    head = ge.GGDHead()
    out = torch.tensor([[[0.4, 0.3]]], dtype=torch.float64, requires_grad=True)
    target = head.target(
        torch.tensor([[1.0]]).double(),
        torch.tensor([[0.5]]).double(),
        torch.tensor([[[2.0, 9.0]]]).double(),
        0.25,
    )
    assert head.mean(target).item() == pytest.approx(1 + 0.5 * 2.25)
    assert head.error(out, target).item() == pytest.approx(2.125 - 0.4)
    (slope,) = torch.autograd.grad(head.loss(out, target).sum(), out)
    beta = ge.shape(out.detach()).item()
    assert slope[0, 0, 0].item() == pytest.approx(-(beta**2) * 1.725 ** (beta - 1), rel=1e-5)

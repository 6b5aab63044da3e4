"""Lipschitz constants and value errors of functions that have known ones."""

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.imagination.diagnostics import (
    local_lipschitz,
    taylor_error,
    value_error,
    value_gradient,
    value_of,
    weighted_error,
)
from rlkit.core.spec import Spec


def rows(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_linear_map_has_its_largest_singular_value_everywhere() -> None:
    weight = rows(4, 6)
    found = local_lipschitz(lambda x: x @ weight, rows(2, 5, 4), iterations=200)
    torch.testing.assert_close(found, torch.linalg.matrix_norm(weight, 2).expand(2, 5))
    rough = local_lipschitz(lambda x: x @ weight, rows(2, 5, 4), iterations=3)
    assert (rough <= found + 1e-12).all()
    assert (rough > 0.7 * found).all()


def test_scalar_function_has_the_norm_of_its_gradient_after_one_step() -> None:
    x = rows(2, 5, 3)
    found = local_lipschitz(lambda x: x.square().sum(-1), x, iterations=1)
    torch.testing.assert_close(found, 2 * x.norm(dim=-1))


def test_each_row_has_its_own_jacobian() -> None:
    x = rows(1, 4, 2)
    found = local_lipschitz(lambda x: torch.stack([x[..., 0] * x[..., 1], x[..., 0]], -1), x, 300)
    for b in range(4):
        u, v = x[0, b]
        jacobian = torch.stack([torch.stack([v, u]), torch.tensor([1.0, 0.0]).double()])
        torch.testing.assert_close(found[0, b], torch.linalg.matrix_norm(jacobian, 2))


def test_flat_function_has_zero_and_no_nan() -> None:
    assert (local_lipschitz(lambda x: x * 0 + 1, rows(1, 3, 2)) == 0).all()


@pytest.mark.parametrize("wide", [False, True])
def test_nets_can_be_differentiated_twice(wide: bool) -> None:
    """Wide float32 layers use a product with a derivative of its own."""
    spec = Spec(6, 2, (0, 1), torch.float32 if wide else torch.float64)
    model = nets.Dynamics(spec, (128, 128) if wide else (8,), n=1, n_elites=1, deterministic=True)
    x = rows(2, 128, 8).to(spec.dtype)

    def f(x: Tensor) -> Tensor:
        return model.predict(x).mean.squeeze(1)

    found = local_lipschitz(f, x, iterations=60)
    near = x[:, :1]
    columns = []
    for d in range(8):
        step = torch.zeros(8, dtype=x.dtype)
        step[d] = 1e-2 if wide else 1e-5
        columns.append((f(near + step) - f(near - step)) / (2 * step[d]))
    jacobian = torch.cat(columns, 1).detach()  # [S, in, out]
    norm = torch.linalg.matrix_norm(jacobian, 2)
    torch.testing.assert_close(found[:, 0], norm, rtol=0.02 if wide else 1e-4, atol=1e-6)


def test_value_error_of_a_linear_value_and_its_bound() -> None:
    """|w · (s' - ŝ')|, at most the Lipschitz constant times the distance."""
    w, s2, guess = rows(3), rows(2, 5, 3), rows(2, 5, 3) * 0.5

    def v(s: Tensor) -> Tensor:
        return s @ w

    error = value_error(v, s2, guess)
    torch.testing.assert_close(error, ((s2 - guess) @ w).abs())
    bound = local_lipschitz(v, s2, 1) * (s2 - guess).norm(dim=-1)
    assert (error <= bound + 1e-12).all()


def test_errors_weighted_by_the_value_of_a_dimension() -> None:
    """V = w · s: Σ w_d² Δ_d², no gradient to a dimension without value, the squared error where all
    are worth 1; the Taylor form is blind to errors across w."""
    w = torch.tensor([2.0, 0.0, -1.0]).double()
    s2, guess = rows(1, 4, 3), (rows(1, 4, 3) * 0.3).requires_grad_()
    g = value_gradient(lambda s: s @ w, s2)
    torch.testing.assert_close(g, w.expand(1, 4, 3))
    error = weighted_error(g, s2, guess)
    torch.testing.assert_close(error, (w.square() * (guess - s2).square()).sum(-1))
    (slope,) = torch.autograd.grad(error.sum(), guess)
    assert (slope[..., 1] == 0).all()
    assert (slope[..., [0, 2]] != 0).all()
    signs = torch.tensor([1.0, -1.0, 1.0]).double().expand_as(s2)
    plain = (guess - s2).square().sum(-1)
    torch.testing.assert_close(weighted_error(signs, s2, guess), plain)
    across = s2 + torch.tensor([1.0, 5.0, 2.0]).double()
    assert (taylor_error(g, s2, across) < 1e-28).all()
    torch.testing.assert_close(weighted_error(g, s2, across), torch.full((1, 4), 8.0).double())
    torch.testing.assert_close(
        taylor_error(g, s2, guess), value_error(lambda s: s @ w, s2, guess).square()
    )


def test_value_of_an_agent_is_the_least_of_its_critics_at_its_action() -> None:
    class Agent:
        def q(self, s: Tensor, a: Tensor) -> Tensor:
            return torch.stack([s[..., 0] + a[..., 0], s[..., 0] * 2], 1)

        def act(self, s: Tensor) -> Tensor:
            return s * 0 + 0.5

    s = torch.tensor([[[0.0], [1.0]]])
    assert value_of(Agent())(s).tolist() == [[0.0, 1.5]]

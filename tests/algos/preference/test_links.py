"""Links and statistics against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from rlkit.algos.preference.links import (
    biased_loss,
    choice_probability,
    logistic_loss,
    softened,
)
from rlkit.algos.preference.statistics import discounted, recent, regret, total


def test_statistics_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    mask = torch.tensor([True, True, False])
    assert float(total(x, mask)) == 3
    assert float(total(x, mask | True)) == 7
    assert float(discounted(x, mask, 0.5)) == 1 + 0.5 * 2
    assert float(recent(x, mask, 0.5)) == 0.25 * 1 + 0.5 * 2
    assert float(regret(x, mask, torch.tensor(10.0), torch.tensor(4.0))) == 10 - (3 + 4)


def test_discounts_may_differ_between_lanes() -> None:
    x = torch.ones(2, 5, 2, 3, dtype=torch.float64)
    gamma = torch.tensor([[0.5], [1.0]], dtype=torch.float64)
    sums = discounted(x, torch.ones_like(x, dtype=torch.bool), gamma)
    assert torch.equal(sums[0], torch.full((5, 2), 1.75, dtype=torch.float64))
    assert torch.equal(sums[1], torch.full((5, 2), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("y", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_loss_is_the_cross_entropy_of_the_probability(y: float, floor: float) -> None:
    d = torch.linspace(-8, 8, 33, dtype=torch.float64)
    p = choice_probability(d, floor)
    expected = -(y * p.log() + (1 - y) * (1 - p).log())
    torch.testing.assert_close(logistic_loss(d, torch.tensor(y), floor), expected)


def test_loss_is_finite_where_sigmoids_are_not() -> None:
    d = torch.tensor([-2000.0, 2000.0])
    assert logistic_loss(d, torch.tensor([1.0, 0.0])).tolist() == [2000, 2000]
    noisy = logistic_loss(d, torch.tensor([1.0, 0.0]), 0.1)
    torch.testing.assert_close(noisy, torch.full((2,), -math.log(0.05)))


def test_no_floor_is_the_limit_of_a_small_one() -> None:
    d, y = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    torch.testing.assert_close(logistic_loss(d, y, 1e-12), logistic_loss(d, y))


def test_a_tie_wants_equal_sums() -> None:
    d = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = logistic_loss(d, torch.tensor(0.5))
    assert float(torch.autograd.grad(loss, d)[0]) == 0
    assert float(loss.detach()) == pytest.approx(math.log(2))


def test_gradient_of_every_step_is_p_minus_y() -> None:
    """dL/dr of each step of the second segment is p - y, of the first y - p."""
    r = torch.randn(4, 2, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(4, 2, 6, dtype=torch.bool)
    y = torch.tensor([0.0, 1.0, 0.5, 0.7], dtype=torch.float64)
    sums = total(r, mask)
    d = sums[:, 1] - sums[:, 0]
    (slope,) = torch.autograd.grad(logistic_loss(d, y).sum(), r)
    expected = (choice_probability(d) - y).detach()
    torch.testing.assert_close(slope[:, 1], expected.unsqueeze(-1).expand(4, 6))
    torch.testing.assert_close(slope[:, 0], -expected.unsqueeze(-1).expand(4, 6))


def test_biased_loss_measured_values() -> None:
    """Scores (winner, loser) = (1, 0): 0.3133; (-1, -2), both lower by 2: 0.6931 at λ = ½."""
    one = torch.tensor(1.0)
    for scores, value in (((1.0, 0.0), 0.3133), ((-1.0, -2.0), 0.6931)):
        winner, loser = (torch.tensor(s) for s in scores)
        assert float(biased_loss(loser, winner, one, 0.5)) == pytest.approx(value, abs=1e-4)
        assert float(biased_loss(winner, loser, 1 - one, 0.5)) == pytest.approx(value, abs=1e-4)


def test_unbiased_is_the_logistic_loss() -> None:
    first, second, y = torch.randn(3, 20, dtype=torch.float64)
    y = y.sigmoid()
    torch.testing.assert_close(biased_loss(first, second, y, 1.0), logistic_loss(second - first, y))


def test_softened_targets() -> None:
    y = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(softened(y, 0.1), torch.tensor([0.1, 0.5, 0.9]))

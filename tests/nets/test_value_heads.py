"""Value heads against closed forms: encodings, slopes, minimisers, lanes."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit import nets
from rlkit.core.spec import Discrete, Spec
from rlkit.nets import value_heads as vh
from rlkit.nets.action_values import of_action

HEADS = get_args(nets.Head)
CATEGORICAL = ("two_hot", "hl_gauss", "c51")
LOW, HIGH, BINS = -10.0, 10.0, 51
ATOMS = np.linspace(LOW, HIGH, BINS)
CENTRES = (np.linspace(LOW, HIGH, BINS + 1)[:-1] + np.linspace(LOW, HIGH, BINS + 1)[1:]) / 2


def _numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape))


def _row(low: float, high: float, n: int = 601) -> Tensor:
    return torch.linspace(low, high, n, dtype=torch.float64).unsqueeze(0)  # [1, n]


# --- encodings --------------------------------------------------------------------------------
def test_two_hot_keeps_the_mean_with_two_neighbours() -> None:
    y = _row(LOW, HIGH)
    p = vh.two_hot(y, LOW, HIGH, BINS)
    assert (p >= 0).all()
    assert (p.sum(-1) - 1).abs().max() < 1e-13
    assert (p @ torch.from_numpy(ATOMS) - y).abs().max() < 1e-12
    for law in p[0]:
        filled = law.gt(1e-12).nonzero().squeeze(-1).tolist()
        assert len(filled) == 1 or filled == [filled[0], filled[0] + 1]


def test_two_hot_of_an_atom_is_one_hot_and_beyond_the_bounds_the_last_atom() -> None:
    exact = vh.two_hot(torch.from_numpy(ATOMS)[None], LOW, HIGH, BINS)
    torch.testing.assert_close(exact[0], torch.eye(BINS, dtype=torch.float64), rtol=0, atol=1e-12)
    beyond = vh.two_hot(torch.tensor([[-11.0, 1e6]], dtype=torch.float64), LOW, HIGH, BINS)
    assert beyond[0, 0, 0] == beyond[0, 1, -1] == 1


def test_hl_gauss_errors_of_the_round_trip() -> None:
    """Within 2e-6 away from the bounds, moved inwards at them: -0.27 with σ 0.75, -0.64 with 2."""
    for sigma, at_edge in ((0.75, -0.2706), (2.0, -0.6389)):
        y = _row(-8, 8) if sigma == 0.75 else _row(-6, 6)
        p = vh.hl_gauss(y, LOW, HIGH, BINS, sigma)
        assert (p.sum(-1) - 1).abs().max() < 1e-13
        assert (p @ torch.from_numpy(CENTRES) - y).abs().max() < 2e-6
        edge = vh.hl_gauss(torch.tensor([[HIGH, 99.0]]).double(), LOW, HIGH, BINS, sigma)
        error = (edge @ torch.from_numpy(CENTRES) - HIGH).squeeze(0)
        assert error.tolist() == pytest.approx([at_edge, at_edge], abs=1e-4)


def test_hl_gauss_is_the_normal_law_of_every_bin() -> None:
    y, sigma, width = 0.3, 0.75, (HIGH - LOW) / BINS
    edges = np.linspace(LOW, HIGH, BINS + 1)
    normal = [0.5 * (1 + math.erf((e - y) / (sigma * width * math.sqrt(2)))) for e in edges]
    mass = np.diff(normal) / (normal[-1] - normal[0])
    p = vh.hl_gauss(torch.tensor([[y]], dtype=torch.float64), LOW, HIGH, BINS, sigma)
    np.testing.assert_allclose(p[0, 0], mass, atol=1e-14)
    in_the_middle_of_a_bin = vh.hl_gauss(torch.zeros(1, 1).double(), LOW, HIGH, BINS, sigma)
    assert int((in_the_middle_of_a_bin > 1e-3).sum()) == 5


def test_hl_gauss_without_width_is_one_hot() -> None:
    y = _row(-9.99, 9.99, 500)
    p = vh.hl_gauss(y, LOW, HIGH, BINS, 1e-9)
    bins = ((y - LOW) / (HIGH - LOW) * BINS).long()
    torch.testing.assert_close(p, F.one_hot(bins, BINS).double(), rtol=0, atol=1e-9)


def test_hl_gauss_far_beyond_the_bounds_is_finite_in_single_precision() -> None:
    p = vh.hl_gauss(torch.tensor([[-1e9, -11.0, 10.5, 1e9]]), LOW, HIGH, BINS, 0.01)
    assert torch.isfinite(p).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(1, 4))


@pytest.mark.parametrize("name", HEADS)
def test_the_value_of_a_point_rises_with_it(name: Any) -> None:
    head = nets.value_head(name, bins=BINS, low=LOW, high=HIGH)
    point = head.point(_row(-9.9, 9.9))
    out = point.clamp(min=1e-30).log() if name in CATEGORICAL else point
    assert (head.value(out).diff() > 0).all()


# --- losses -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CATEGORICAL)
def test_slope_of_the_cross_entropy_is_softmax_minus_target(name: Any) -> None:
    head = nets.value_head(name, bins=7, low=-2, high=3)
    out = _numbers(2, 4, 7).requires_grad_()
    target = head.point(_numbers(2, 4, seed=1))
    (slope,) = torch.autograd.grad(head.loss(out, target).sum(), out)
    torch.testing.assert_close(slope, out.softmax(-1) - target)


def test_huber_is_torchs_and_half_the_square_without_threshold() -> None:
    u = _row(-3, 3)
    expected = F.huber_loss(u, torch.zeros_like(u), reduction="none", delta=0.7)
    torch.testing.assert_close(vh.huber_loss(u, 0.7), expected)
    torch.testing.assert_close(vh.huber_loss(u, math.inf), 0.5 * u.square())


def test_quantile_loss_by_the_double_sum() -> None:
    out, target, kappa = _numbers(1, 3), _numbers(1, 5, seed=1), 0.6
    total = 0.0
    for i in range(3):
        for j in range(5):
            u = float(target[0, j] - out[0, i])
            huber = 0.5 * u * u if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)
            total += abs((i + 0.5) / 3 - (u < 0)) * huber / 5
    assert float(vh.quantile_huber(out, target, kappa)) == pytest.approx(total, rel=1e-12)


def test_one_quantile_is_half_the_scalar_loss() -> None:
    out, y = _numbers(2, 9, 1), _numbers(2, 9, seed=1, scale=2)
    scalar, quantile = (nets.value_head(name, bins=1) for name in ("scalar", "quantile"))
    half = 0.5 * scalar.loss(out, scalar.point(y))
    torch.testing.assert_close(quantile.loss(out, quantile.point(y)), half)
    torch.testing.assert_close(scalar.value(out), quantile.value(out))


def test_quantile_loss_is_least_at_the_quantiles() -> None:
    """Of 41 equally likely numbers, for a threshold far below their distances."""
    sample = _numbers(41, scale=3).sort().values
    out = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    for k in range(3000):
        loss = vh.quantile_huber(out, sample[None], 1e-3).sum()
        (slope,) = torch.autograd.grad(loss, out)
        out = (out - 3e4 / (100 + k) * slope).detach().requires_grad_()
    expected = [float(sample[int((i + 0.5) / 4 * 41)]) for i in range(4)]
    assert out[0].tolist() == pytest.approx(expected, abs=5e-3)


# --- the law of C51 ---------------------------------------------------------------------------
def test_projection_by_a_loop_over_atoms() -> None:
    p, r = _numbers(2, 3, BINS).softmax(-1), _numbers(2, 3, seed=1, scale=4)
    discount = torch.rand(2, 3, generator=torch.Generator().manual_seed(0)).double()
    got, step = vh.projection(p, r, discount, LOW, HIGH), (HIGH - LOW) / (BINS - 1)
    for k in range(2):
        for i in range(3):
            expected = np.zeros(BINS)
            for j, z in enumerate(ATOMS):
                landed = min(max(float(r[k, i]) + float(discount[k, i]) * z, LOW), HIGH)
                place = (landed - LOW) / step
                lower, upper = math.floor(place), math.ceil(place)
                mass = float(p[k, i, j])
                expected[lower] += mass if lower == upper else mass * (upper - place)
                expected[upper] += mass * (place - lower)
            np.testing.assert_allclose(got[k, i], expected, atol=1e-12)


def test_projection_without_reward_and_discount_is_the_identity() -> None:
    p, zero = _numbers(2, 3, BINS).softmax(-1), torch.zeros(2, 3, dtype=torch.float64)
    same = vh.projection(p, zero, torch.ones_like(zero), LOW, HIGH)
    torch.testing.assert_close(same, p, rtol=0, atol=1e-12)


def test_projection_at_the_end_is_two_hot_of_the_reward() -> None:
    p, r = _numbers(2, 3, BINS).softmax(-1), _numbers(2, 3, seed=1, scale=6)
    ended = vh.projection(p, r, torch.zeros_like(r), LOW, HIGH)
    torch.testing.assert_close(ended, vh.two_hot(r, LOW, HIGH, BINS), rtol=0, atol=1e-12)


def test_projection_keeps_the_mean_inside_the_bounds() -> None:
    p, r = _numbers(2, 3, BINS).softmax(-1), _numbers(2, 3, seed=1)
    moved = vh.projection(p, r, torch.full_like(r, 0.5), LOW, HIGH)
    atoms = torch.from_numpy(ATOMS)
    torch.testing.assert_close(moved @ atoms, r + 0.5 * (p @ atoms))


def test_one_sure_atom_makes_c51_and_two_hot_the_same() -> None:
    two_hot, c51 = (
        nets.value_head(name, bins=BINS, low=LOW, high=HIGH) for name in CATEGORICAL[::2]
    )
    atom = torch.full((1, 6), 20)
    sure = torch.full((1, 6, BINS), -1e4, dtype=torch.float64).scatter(-1, atom[..., None], 1e4)
    r, discount = _numbers(1, 6, seed=1), torch.full((1, 6), 0.9, dtype=torch.float64)
    out = _numbers(1, 6, BINS, seed=2)
    first = two_hot.loss(out, two_hot.target(r, discount, sure))
    second = c51.loss(out, c51.target(r, discount, sure))
    torch.testing.assert_close(first, second)
    y = r + discount * ATOMS[20]
    torch.testing.assert_close(first, two_hot.loss(out, two_hot.point(y)))


# --- every head -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", HEADS)
def test_a_number_is_learnt(name: Any) -> None:
    """Descent on the loss against `point(y)` ends at the value y, with no error left."""
    head = nets.value_head(name, bins=11, low=-3, high=5)
    y = torch.tensor([[-1.3, 0.0, 2.2]], dtype=torch.float64)
    point = head.point(y)
    assert point.shape == (1, 3, head.size)
    out = torch.zeros_like(point).requires_grad_()
    for _ in range(4000):
        (slope,) = torch.autograd.grad(head.loss(out, point).sum(), out)
        out = (out - 0.5 * slope).detach().requires_grad_()
    torch.testing.assert_close(head.value(out.detach()), y, rtol=0, atol=0.01)
    assert head.error(out.detach(), point).max() < 0.01


@pytest.mark.parametrize("name", ["scalar", "two_hot", "hl_gauss"])
def test_targets_of_taught_numbers_are_points(name: Any) -> None:
    head = nets.value_head(name, bins=BINS, low=LOW, high=HIGH)
    r, discount, out2 = _numbers(2, 4), _numbers(2, 4, seed=1), _numbers(2, 4, head.size, seed=2)
    expected = head.point(r + discount * head.value(out2))
    torch.testing.assert_close(head.target(r, discount, out2), expected)


def test_quantile_targets_are_the_moved_quantiles() -> None:
    head = nets.value_head("quantile", bins=3)
    target = head.target(
        torch.tensor([[1.0]]), torch.tensor([[0.5]]), torch.tensor([[[0, 2, 4.0]]])
    )
    assert target.tolist() == [[[1, 2, 3]]]


def test_errors_by_hand() -> None:
    out, target = _numbers(2, 4, 5), _numbers(2, 4, 5, seed=1)
    y = _numbers(2, 4, seed=2)
    scalar = nets.value_head("scalar")
    expected = (out[..., 0] - y).abs()
    torch.testing.assert_close(scalar.error(out[..., :1], scalar.point(y)), expected)
    two_hot = nets.value_head("two_hot", bins=5, low=-9, high=9)
    expected = (two_hot.value(out) - y).abs()
    torch.testing.assert_close(two_hot.error(out, two_hot.point(y)), expected)
    hl_gauss, wide = nets.value_head("hl_gauss"), _numbers(2, 4, 51)
    expected = (hl_gauss.value(wide) - y).abs()
    torch.testing.assert_close(hl_gauss.error(wide, hl_gauss.point(y)), expected, rtol=0, atol=2e-6)
    law, c51 = target.softmax(-1), nets.value_head("c51", bins=5)
    divergence = F.kl_div(out.log_softmax(-1), law, reduction="none").sum(-1)
    torch.testing.assert_close(c51.error(out, law), divergence)
    at_the_end = c51.point(torch.full((2, 4), 10.0).double())  # a law with zeros
    assert torch.isfinite(c51.error(out, at_the_end)).all()
    quantile = nets.value_head("quantile", bins=5)
    moved = quantile.error(out, out.flip(-1) + 0.25)
    torch.testing.assert_close(moved, torch.full_like(moved, 0.25))


@pytest.mark.parametrize("middle", [(5,), (2, 5), (5, 3)])
@pytest.mark.parametrize("name", HEADS)
def test_lanes_with_their_own_numbers_equal_separate_ones(name: Any, middle: tuple) -> None:
    """Whatever lies between lanes and outputs."""
    numbers = {"low": (-10.0, -1.0), "high": (10.0, 4.0), "sigma": (0.75, 2.0), "huber": (1.0, 0.1)}
    tensors = {n: torch.tensor(x, dtype=torch.float64).unsqueeze(-1) for n, x in numbers.items()}
    together = nets.value_head(name, bins=9, **tensors)
    size = together.size
    r, discount = _numbers(2, *middle), _numbers(2, *middle, seed=1).sigmoid()
    out, out2 = (_numbers(2, *middle, size, seed=seed, scale=2) for seed in (2, 3))
    target = together.target(r, discount, out2)
    for k in range(2):
        alone = nets.value_head(name, bins=9, **{n: x[k] for n, x in numbers.items()})
        one = slice(k, k + 1)
        aim = alone.target(r[one], discount[one], out2[one])
        torch.testing.assert_close(target[one], aim, rtol=0, atol=1e-13)
        pairs = (
            (together.value(out), alone.value(out[one])),
            (together.loss(out, target), alone.loss(out[one], aim)),
            (together.error(out, target), alone.error(out[one], aim)),
        )
        for laned, single in pairs:
            assert laned.shape == (2, *middle)
            torch.testing.assert_close(laned[one], single, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", HEADS)
def test_single_precision_stays_single_and_close(name: Any) -> None:
    head = nets.value_head(name, bins=BINS)
    results = []
    for dtype in (torch.float64, torch.float32):
        out, out2 = (_numbers(2, 4, head.size, seed=seed).to(dtype) for seed in (0, 1))
        r, discount = _numbers(2, 4, seed=2).to(dtype), torch.full((2, 4), 0.9, dtype=dtype)
        target = head.target(r, discount, out2)
        found = (head.value(out), target, head.loss(out, target), head.error(out, target))
        assert {x.dtype for x in found} == {dtype}
        results.append(found)
    for double, single in zip(*results, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_one_traced_graph(name: Any) -> None:
    head = nets.value_head(name, bins=7)

    def loss(out: Tensor, r: Tensor, discount: Tensor, out2: Tensor) -> Tensor:
        target = head.target(r, discount, out2)
        return head.loss(out, target) + head.error(out, target) + head.value(out)

    torch._dynamo.reset()
    size = head.size
    given = _numbers(2, 4, size), _numbers(2, 4), _numbers(2, 4), _numbers(2, 4, size, seed=1)
    traced = torch.compile(loss, fullgraph=True, backend="eager")(*given)
    torch.testing.assert_close(traced, loss(*given))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("two_hot", {"bins": 1}, "bins is 1; head 'two_hot' needs at least 2"),
        ("quantile", {"bins": 0}, "at least 1"),
        ("c51", {"low": 3.0, "high": 3.0}, "high - low is 0.0"),
        ("hl_gauss", {"sigma": torch.tensor([[0.5], [0.0]])}, "sigma"),
        ("scalar", {"huber": 0.0}, "huber is 0.0; a value head needs it above 0"),
        ("c52", {}, "unknown value head 'c52'"),
    ],
)
def test_numbers_that_make_no_head_are_refused(name: Any, given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nets.value_head(name, **given)


# --- nets -------------------------------------------------------------------------------------
SPEC = Spec(4, Discrete(3), (6, 0), torch.float64)


def test_action_values_have_outputs_of_every_action_and_begin_near_the_middle() -> None:
    q = nets.ActionValues(nets.Init(SPEC), (16,), 7, "before")
    out = q(_numbers(2, 5, 4))
    assert out.shape == (2, 5, 3, 7)
    assert out.abs().max() < 0.05
    a = torch.tensor([[0, 2, 1, 1, 0], [2, 2, 0, 1, 0]])
    taken = of_action(out, a)
    assert taken.shape == (2, 5, 7)
    for k in range(2):
        for i in range(5):
            assert torch.equal(taken[k, i], out[k, i, a[k, i]])


def test_dueling_outputs_have_the_base_as_their_mean() -> None:
    q = nets.ActionValues(nets.Init(SPEC), (6,), 7, dueling=True)
    s = _numbers(2, 5, 4)
    assert q.base is not None
    torch.testing.assert_close(q(s).mean(-2), q.base(s))
    advantage = q.mlp(s).unflatten(-1, (3, 7))
    torch.testing.assert_close(q(s) - q.base(s).unsqueeze(-2), advantage - advantage.mean(-2, True))


def test_views_of_a_grid() -> None:
    grid = Spec((7, 7, 3), Discrete(3), (6, 0), torch.float64)
    q = nets.ActionValues(nets.Init(grid), (8,), 5, dueling=True)
    assert q(torch.zeros(2, 4, 7, 7, 3)).shape == (2, 4, 3, 5)


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete"):
        nets.ActionValues(nets.Init(Spec(4, 2)))

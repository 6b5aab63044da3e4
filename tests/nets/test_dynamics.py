"""The dynamics ensemble as a net: bounds, members, normalisation, lanes."""

import math

import pytest
import torch

from rlkit.core.spec import Discrete, Spec
from rlkit.nets import Dynamics
from rlkit.nets.dynamics import bounded

SPEC = Spec(4, 2, (3, 0), torch.float64)


def inputs(spec: Spec = SPEC, rows: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    s = torch.randn(spec.lanes, rows, 4, generator=rng, dtype=torch.float64)
    a = torch.rand(spec.lanes, rows, 2, generator=rng, dtype=torch.float64) * 2 - 1
    return s.to(spec.dtype), a.to(spec.dtype)


def test_log_variance_has_the_stated_range() -> None:
    """[min, max + log(1 + e^(min - max))] whatever comes in, without NaN."""
    low, high = torch.tensor(-10.0).double(), torch.tensor(0.5).double()
    x = torch.tensor([-1e6, -1e3, -10.0, 0.0, 0.5, 1e3, 1e6], dtype=torch.float64)
    out = bounded(x, low, high)
    top = 0.5 + math.log1p(math.exp(-10.5))
    assert top == pytest.approx(0.5 + 2.75e-5, abs=1e-6)
    assert out.isfinite().all()
    assert (out >= low).all()
    assert (out <= top + 1e-12).all()
    assert float(out[0]) == pytest.approx(-10)
    assert float(out[-1]) == pytest.approx(top)
    assert (out.diff() >= 0).all()


def test_extreme_inputs_stay_within_the_bounds() -> None:
    model = Dynamics(SPEC, (8, 8), n=3, n_elites=2)
    s, a = inputs()
    log_var = model(s * 1e6, a).log_var
    assert log_var is not None
    assert log_var.isfinite().all()
    assert (log_var >= -10).all()
    assert (log_var <= 0.5 + 3e-5).all()


def test_shapes_and_a_model_without_variance() -> None:
    s, a = inputs()
    prediction = Dynamics(SPEC, (8,), n=3, n_elites=2)(s, a)
    assert prediction.mean.shape == prediction.std.shape == (2, 3, 9, 5)
    plain = Dynamics(SPEC, (8,), n=1, n_elites=1, deterministic=True)(s, a)
    assert plain.log_var is None
    assert plain.mean.shape == (2, 1, 9, 5)
    assert (plain.std == 0).all()


def test_chosen_members_predict_as_among_all() -> None:
    """Given rows for all or rows of their own, a member says what it says among the others."""
    model = Dynamics(SPEC, (8, 8), n=4, n_elites=2)
    s, a = inputs()
    every = model(s, a)
    members = torch.tensor([[3, 0], [1, 1]])
    lanes = torch.arange(2).unsqueeze(-1)
    chosen = model(s, a, members)
    torch.testing.assert_close(chosen.mean, every.mean[lanes, members])
    torch.testing.assert_close(chosen.std, every.std[lanes, members])
    x = torch.cat([s, a], -1)
    apart = model.predict(torch.stack([x[:, :3], x[:, 3:6]], 1), members)  # three rows each
    torch.testing.assert_close(apart.mean[:, 0], chosen.mean[:, 0, :3])
    torch.testing.assert_close(apart.mean[:, 1], chosen.mean[:, 1, 3:6])


def test_inputs_are_normalised_and_constant_ones_are_not_scaled() -> None:
    """A model sees (x - mean) / std: shifted and stretched rows with their statistics give what
    the plain rows give."""
    s, a = inputs()
    plain, moved = Dynamics(SPEC, (8,), n=2, n_elites=1), Dynamics(SPEC, (8,), n=2, n_elites=1)
    s[..., 2] = 0.0
    x = torch.cat([s, a], -1)
    y = x * torch.tensor([2.0, 0.1, 5.0, 1, 1, 1]) + torch.tensor([3.0, -7, 4, 0, 0, 0])
    for k in range(2):
        plain.normalise_by(k, x[k])
        moved.normalise_by(k, y[k])
    assert (moved.scale[..., 2] == 1).all()
    torch.testing.assert_close(moved.predict(y).mean, plain.predict(x).mean)
    torch.testing.assert_close(moved.centre[1, 0], y[1].mean(0))


def test_first_weights_are_truncated_normal() -> None:
    """Standard deviation 1 / (2 √in) before the cut at two of them, which leaves 0.88 of it."""
    model = Dynamics(Spec(30, 2, (0,)), (400, 400), n=3, n_elites=1)
    for weight in (w.detach() for w in model.weights):
        std = 0.5 / weight.shape[-2] ** 0.5
        assert float(weight.abs().max()) <= 2 * std + 1e-6
        assert float(weight.std()) == pytest.approx(0.8796 * std, rel=0.03)
    assert all((bias == 0).all() for bias in model.biases)


def test_a_lane_is_the_same_in_any_company_and_names_differ() -> None:
    together = Dynamics(SPEC, (8,), n=2, n_elites=1)
    alone = Dynamics(Spec(4, 2, (0,), torch.float64), (8,), n=2, n_elites=1)
    other = Dynamics(SPEC, (8,), n=2, n_elites=1, name="second")
    for mine, its, theirs in zip(together.weights, alone.weights, other.weights, strict=True):
        assert torch.equal(mine[1:], its)
        assert not torch.equal(mine, theirs)
    members = together.weights[0]
    assert not torch.equal(members[:, 0], members[:, 1])


def test_what_it_cannot_model_is_refused() -> None:
    with pytest.raises(ValueError, match="vector observations and continuous actions"):
        Dynamics(Spec((7, 7, 3), 2))
    with pytest.raises(ValueError, match="vector observations and continuous actions"):
        Dynamics(Spec(4, Discrete(2)))
    with pytest.raises(ValueError, match="8 elites of 7 members"):
        Dynamics(SPEC, n_elites=8)

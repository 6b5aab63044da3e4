"""VaGraM: the closed forms of its loss, what its weights are of, and where its model looks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import mbpo, vagram
from rlkit.algos.imagination.fitting import LaneAdam, fit, squared_error
from rlkit.algos.imagination.source import Rows
from rlkit.core import state
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.nets.dynamics import Dynamics, Prediction
from rlkit.testing.cases import make_batch

SPEC = Spec(5, 3, (3, 0), torch.float64)
SMALL: dict[str, Any] = {
    "hidden": (16, 16),
    "batch_size": 32,
    "rollout_schedule": (0, 1, 2, 2),
    "rollouts": 40,
    "model_every": 20,
    "hidden_model": (16, 16),
    "decay_model": (1e-5,),
    "n_models": 3,
    "n_elites": 2,
    "max_epochs": 3,
}


# --- the loss ---------------------------------------------------------------------------------


def lossed(g: Tensor, error: Tensor, form: str = "gradient") -> Tensor:
    """The loss [S, n, b] of one row whose model errs by `error` [D + 1]; g is [M, D]."""
    prediction = Prediction(error.view(1, 1, 1, -1), None)
    rows = torch.zeros(1, 1, 1, dtype=torch.int64)
    return vagram.weighted(g.unsqueeze(0).unsqueeze(2), form)(
        prediction, torch.zeros(1, 1, 1, len(error)), rows
    )


def test_by_hand() -> None:
    """V = w·s: Σ_d w_d² Δ_d², and the reward's error beside it; Taylor's form is (w·Δ)²."""
    w = torch.tensor([[2.0, 0.0, -1.0]])
    error = torch.tensor([1.0, 100.0, 3.0, 0.5])
    assert float(lossed(w, error)) == pytest.approx(4 + 9 + 0.25)
    assert float(lossed(w, error, "taylor")) == pytest.approx((2 - 3) ** 2 + 0.25)
    two = torch.cat([w, torch.zeros(1, 3)])  # the mean over critics
    assert float(lossed(two, error)) == pytest.approx((4 + 9) / 2 + 0.25)


def test_slopes_of_one_are_the_squared_error() -> None:
    error = torch.tensor([1.0, -2.0, 3.0, 0.5])
    plain = squared_error(Prediction(error.view(1, 1, 1, -1), None), torch.zeros(4), error)
    assert float(lossed(torch.ones(2, 3), error)) == pytest.approx(4 * float(plain))


def test_taylors_form_is_level_across_the_gradient_and_vagrams_is_not() -> None:
    g, across = torch.tensor([[1.0, 1.0]]), torch.tensor([3.0, -3.0, 0.0])
    assert float(lossed(g, across, "taylor")) == pytest.approx(0)
    assert float(lossed(g, across)) == pytest.approx(18)


def test_long_gradients_are_as_long_as_the_quantile() -> None:
    g = torch.arange(1.0, 101.0).view(1, 1, 100, 1).repeat(2, 2, 1, 1)
    g[:, 1] *= 10  # each critic has its own quantile
    got = vagram.clipped(g, torch.tensor([[0.5], [1.0]]))
    assert got[0, 0, :, 0].tolist() == pytest.approx([min(k, 50.0) for k in range(1, 101)])
    assert float(got[0, 1].max()) == pytest.approx(500)
    assert torch.equal(got[1], g[1])


def agent_and_config() -> tuple[vagram.Agent, vagram.Config]:
    c = vagram.Config(**SMALL)
    return vagram.Agent(SPEC, c), c


def test_gradients_are_of_each_critic_and_leave_no_trace() -> None:
    agent, _ = agent_and_config()
    b = make_batch(SPEC, agent, 0)
    agent.update(b, agent_and_config()[1])  # now critics and targets differ
    before = {name: x.clone() for name, x in state.tensors(agent).items()}
    g = vagram.value_gradients(agent, b.s2)
    assert g.shape == (2, 4, 12, 5)
    a2 = agent.act(b.s2).detach()
    for m, critics in enumerate((agent.q, agent.q, agent.q_bar, agent.q_bar)):
        near = 1e-6 * torch.eye(5, dtype=torch.float64)
        for d in range(5):
            rise = critics(b.s2 + near[d], a2) - critics(b.s2 - near[d], a2)
            torch.testing.assert_close(g[:, m, :, d], rise[:, m % 2].detach() / 2e-6)
    assert not g.requires_grad
    assert all(torch.equal(before[n], x) for n, x in state.tensors(agent).items())
    assert all(p.grad is None for p in (*agent.q.parameters(), *agent.pi.parameters()))


# --- a model with little room -----------------------------------------------------------------


def test_a_small_model_learns_what_the_value_depends_on() -> None:
    """One hidden unit, two dimensions; the value is of the first, the second varies ten times as
    much: the squared error spends the unit on the second, VaGraM on the first."""
    spec = Spec(2, 1, (0, 1))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 600, 3, generator=rng)
    step = torch.stack([x[..., 0], 10 * x[..., 1].tanh(), 0 * x[..., 0]], -1)  # of s and of r
    g = torch.tensor([1.0, 0.0]).expand(2, 1, 600, 2)
    c = vagram.Config(
        hidden_model=(1,), decay_model=(0.0,), lr_model=1e-2, max_epochs=60, batch_model=32
    )
    errors = {}
    for name, loss in (("plain", squared_error), ("ours", vagram.weighted(g, "gradient"))):
        model = Dynamics(spec, (1,), n=3, n_elites=1, deterministic=True)
        fit(model, LaneAdam(model, 1e-2), x, step, c, 0, loss=loss, score=loss)
        guess = model.predict(x.expand(2, -1, -1), model.elites).mean
        errors[name] = (guess - step.unsqueeze(1)).square().mean((1, 2)) / step.var(1)
    assert (errors["ours"][:, 0] < 0.2).all()
    assert (errors["plain"][:, 0] > 0.5).all()
    assert (errors["plain"][:, 1] < errors["ours"][:, 1]).all()


# --- its source -------------------------------------------------------------------------------


def stock() -> Stock:
    rows = Replay(SPEC, 96, envs=12)
    for step in range(8):
        b = make_batch(SPEC, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(SPEC, Streams(SPEC.seeds), Transforms(), None, rows, "HalfCheetah-v5")


def advanced(algorithm: Any, rounds: int = 1, **given: Any) -> Any:
    config = resolve(algorithm.Config(**{**SMALL, **given}), SPEC)
    source = algorithm.source(stock(), algorithm.Agent(SPEC, config), config)
    for k in range(rounds):
        source.advance(20 * k)
    return source


def weights(source: Any) -> list[Tensor]:
    return [p.detach() for p in source.model.parameters()]


def differ(one: Any, other: Any) -> bool:
    pairs = zip(weights(one), weights(other), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def test_all_but_the_fit_is_mbpo() -> None:
    like = {"deterministic": True, "batch_model": 1024, "patience": 10}
    assert differ(advanced(vagram), advanced(mbpo, **like))
    ours, theirs = advanced(vagram, 0), advanced(mbpo, 0, **like)
    ours.objective = theirs.objective
    for source in (ours, theirs):
        source.advance(20)
    assert not differ(ours, theirs)
    index = ours.indices(20, 1)[0]
    assert torch.equal(index, theirs.indices(20, 1)[0])
    assert torch.equal(ours.batch(index).s2, theirs.batch(index).s2)


@pytest.mark.parametrize(("name", "value"), [("form", "taylor"), ("clip", 0.5), ("plain_fits", 0)])
def test_every_setting_of_the_fit_matters(name: str, value: Any) -> None:
    assert differ(advanced(vagram, 2), advanced(vagram, 2, **{name: value}))


def test_the_squared_error_goes_after_the_first_fits_in_a_resumed_run_too() -> None:
    agent, c = agent_and_config()
    rows = Rows(*(stock().replay.rows(name) for name in Rows._fields))  # type: ignore[union-attr]
    y = torch.zeros(2, 3, 5, 6).double()
    prediction, index = Prediction(y + 1, None), torch.zeros(2, 3, 5, dtype=torch.int64)
    early, late = (vagram.objective(agent, c)(rows, n)[0](prediction, y, index) for n in (3, 4))
    torch.testing.assert_close(early, late + 1)
    first = advanced(vagram, 2)
    again = advanced(vagram, 0)
    again.load_state_dict({n: x.clone() for n, x in first.state_dict().items()})
    assert again.fits == first.fits == 2
    for source in (first, again):
        source.advance(40)
    assert not differ(first, again)


def test_a_model_with_deviations_is_refused() -> None:
    with pytest.raises(ValueError, match="leave deterministic on"):
        advanced(vagram, deterministic=False)

"""The loop of fits, rollouts and mixed minibatches."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos.imagination.fitting import LaneAdam
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal, one_elite
from rlkit.algos.imagination.rollout import Hooks, Step, Terminate
from rlkit.algos.imagination.source import MakeHooks, Offline, Online, minibatches, rollout_length
from rlkit.core.errors import RunError, UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw, Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.nets.dynamics import Dynamics

SPEC = Spec(3, 2, (3, 0), torch.float64)
A = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.1, 0.0, 0.7]]).double()
B = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.5, 0.5]]).double()


@dataclass(frozen=True)
class Config:
    batch_size: int = 20
    real_ratio: float = 0.25
    model_every: int = 10
    rollouts: int = 16
    retain: int = 2
    n_models: int = 3
    n_elites: int = 2
    deterministic: bool = False
    termination: str = "never"
    end_updates: int = 1
    hidden_model: tuple[int, ...] = (8,)
    lr_model: float = 1e-3
    batch_model: int = 16
    decay_model: tuple[float, ...] = (1e-5,)
    holdout: float = 0.2
    max_holdout: int = 100
    patience: int = 1
    max_epochs: int = 3


class Agent:
    """Acts by its noise; its critics are a plain function."""

    act_noise = Draw("normal", "B", "A")

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        mean = (s[..., :2] * 0.1).tanh()
        return mean if noise is None else mean + 0.3 * noise

    def q(self, s: Tensor, a: Tensor) -> Tensor:
        return torch.stack([s.sum(-1) + a.sum(-1), s.square().sum(-1)], 1)


def stock(spec: Spec = SPEC, rows: int = 50, shared: bool = False) -> Stock:
    """Rows of the linear system; row t of lane k tells its lane and time in s."""
    replay = Replay(spec, 200)
    for t in range(rows):
        noise = LaneNoise(spec, "test/rows", t)
        s, a = noise.normal(1, 3), noise.uniform(1, 2) * 2 - 1
        s2 = s @ A.T + a @ B.T + 0.1 * noise.normal(1, 3)
        no = torch.zeros(spec.lanes, 1, dtype=torch.bool)
        replay.add(s, a, s.sum(-1), no, no, s2)
    data, own = (replay, None) if shared else (None, replay)
    return Stock(spec, Streams(spec.seeds), Transforms(), data, own, "HalfCheetah-v5")


def learnt(model: Dynamics, end: Terminate) -> Hooks:
    return Hooks(one_elite(model))


def online(
    spec: Spec = SPEC,
    hooks: MakeHooks = learnt,
    schedule: tuple[int, ...] = (0, 1, 2, 2),
    rows: int = 50,
    **given: Any,
) -> Online:
    source = minibatches(stock(spec, rows), Agent(), Config(**given), hooks, schedule)
    assert isinstance(source, Online)
    return source


def true_step(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
    s2 = s @ A.T + a @ B.T + 0.1 * noise.normal(*s.shape[1:])
    return Proposal(s, a, s2.unsqueeze(1), s.sum(-1).unsqueeze(1))


@pytest.mark.parametrize(
    ("epoch", "length"), [(0, 1), (20, 1), (85, 8), (149, 14), (150, 15), (400, 15)]
)
def test_rollout_length_follows_its_schedule(epoch: int, length: int) -> None:
    """Hopper's of MBPO."""
    assert rollout_length(epoch * 1000, (20_000, 150_000, 1, 15)) == length


def test_with_the_true_model_imagined_rows_are_the_systems() -> None:
    """s2 = A s + B a + noise: the mean of what is left over is that of the noise."""
    source = online(hooks=lambda model, end: Hooks(true_step), rollouts=4000, schedule=(0, 1, 1, 1))
    source.advance(0)
    rows = source.imagined.replay.rows
    s, a, s2, r = rows("s"), rows("a"), rows("s2"), rows("r")
    left = s2 - s @ A.T - a @ B.T
    assert left.mean(1).abs().max() < 4 * 0.1 / 4000**0.5
    torch.testing.assert_close(left.std(1), torch.full((2, 3), 0.1).double(), rtol=0.05, atol=0)
    torch.testing.assert_close(r, s.sum(-1))
    real = source.real.rows("s")
    for k in range(2):  # every start is a real state of the lane's own
        known = {tuple(x) for x in real[k].tolist()}
        assert {tuple(x) for x in s[k].tolist()} <= known
        assert len(known & {tuple(x) for x in s[k].tolist()}) == len(known)


def test_minibatches_hold_real_rows_first_and_imagined_ones_behind() -> None:
    source = online()
    source.advance(0)
    index = source.indices(7, 3)
    assert index.shape == (3, 2, 20)
    assert torch.equal(index[1:2], source.indices(8, 1))
    batch = source.batch(index[0])
    torch.testing.assert_close(batch.s[:, :5], source.real.gather(index[0][:, :5]).s)
    imagined = source.imagined.replay.gather(index[0][:, 5:])
    torch.testing.assert_close(batch.s2[:, 5:], imagined.s2)
    assert source.batch_size == 20


def test_no_real_rows_at_ratio_zero_and_no_model_at_ratio_one() -> None:
    source = online(real_ratio=0.0)
    source.advance(0)
    index = source.indices(0, 1)[0]
    assert torch.equal(source.batch(index).s, source.imagined.replay.gather(index).s)
    free = minibatches(stock(), Agent(), Config(real_ratio=1.0), learnt, (0, 1, 1, 1))
    assert isinstance(free, Uniform)
    plain = Uniform(stock().replay or Replay(SPEC, 1), 20, Streams(SPEC.seeds))
    assert torch.equal(free.indices(4, 2), plain.indices(4, 2))


def ends_beyond(limit: float) -> MakeHooks:
    def terminate(step: Step) -> tuple[Tensor, Tensor]:
        return step.s2[..., 0].abs() > limit, torch.zeros_like(step.r, dtype=torch.bool)

    return lambda model, end: Hooks(true_step, terminate=terminate)


def test_no_row_begins_in_an_ended_state_and_ends_are_stored() -> None:
    source = online(hooks=ends_beyond(2.0), schedule=(0, 1, 6, 6), rollouts=200)
    metrics = source.advance(0)
    rows = source.imagined.replay.rows
    drawn = [set(source.indices(t, 1)[0, 0, 5:].tolist()) for t in range(900)]
    used = torch.tensor(sorted(set().union(*drawn)))
    s, s2, cont = rows("s")[0, used, 0], rows("s2")[0, used, 0], rows("cont")[0, used]
    starts = {float(x) for x in source.real.rows("s")[0, :, 0] if abs(x) > 2.0}
    assert all(float(x) in starts for x in s if abs(x) > 2.0)
    torch.testing.assert_close(cont, (s2.abs() <= 2.0).double())
    assert (cont == 0).any()
    assert metrics["imagined_rows"][0] == len(used)
    assert metrics["imagined_rows"][0] < 6 * 200


def test_rows_of_the_last_rounds_are_kept() -> None:
    """Two rounds of two steps, then the oldest go, whatever the present length."""
    source = online(schedule=(20, 21, 2, 1), rollouts=4)
    counts = [source.advance(step)["imagined_rows"].tolist() for step in (0, 10, 20, 30, 40)]
    assert [c[0] for c in counts] == [8, 16, 16, 12, 8]  # lengths 2, 2, 2, 1, 1
    newest = set(range(16 - 4, 16)) | {0, 1, 2, 3}  # the ring has 16 rows
    drawn = torch.cat([source.indices(t, 1)[0, 0, 5:] for t in range(50)])
    starts = source.imagined.replay.rows("s")[0]
    assert len(newest & set(drawn.tolist())) <= 8
    real = {tuple(x) for x in source.real.rows("s")[0].tolist()}
    assert all(tuple(starts[i].tolist()) in real for i in drawn.tolist())  # only first steps left


def test_a_lane_is_the_same_in_any_company() -> None:
    whole = online(hooks=ends_beyond(2.0), schedule=(0, 1, 3, 3))
    own = online(replace(SPEC, seeds=(0,)), ends_beyond(2.0), (0, 1, 3, 3))
    for step in (0, 10):
        metrics, alone = whole.advance(step), own.advance(step)
        for name, value in alone.items():
            torch.testing.assert_close(metrics[name][1:], value, rtol=1e-9, atol=1e-9)
    for t in range(3):
        batch, mine = (x.batch(x.indices(t, 1)[0]) for x in (whole, own))
        for name in ("s", "a", "r", "cont", "s2"):
            torch.testing.assert_close(getattr(batch, name)[1:], getattr(mine, name))


def test_a_loaded_source_goes_on_bit_for_bit() -> None:
    first = online()
    first.advance(0)
    first.advance(10)
    saved = {name: x.clone() for name, x in first.state_dict().items()}
    second = online()
    second.load_state_dict(saved)
    for step in (20, 30):
        for t in range(step, step + 3):
            batch, other = (x.batch(x.indices(t, 1)[0]) for x in (first, second))
            assert torch.equal(batch.s2, other.s2)
        metrics, others = first.advance(step), second.advance(step)
        assert all(torch.equal(metrics[name], others[name]) for name in metrics)
    state = second.state_dict()
    for name, x in first.state_dict().items():
        assert torch.equal(x, state[name]), name


def test_state_before_the_first_round_can_be_saved() -> None:
    source, other = online(), online()
    other.load_state_dict(source.state_dict())
    with pytest.raises(ValueError, match="nothing is imagined yet"):
        other.indices(0, 1)
    with pytest.raises(ValueError, match="imagined rows of 4 steps are saved, 8 expected"):
        online(retain=4).load_state_dict(source.state_dict())


def test_metrics_have_a_value_a_lane_and_the_model_learns() -> None:
    source = online(max_epochs=30, rows=150)
    metrics = source.advance(0)
    names = {"model_epochs", "model_error", "imagined_rows"}
    names |= {"value_error", "value_lipschitz", "model_lipschitz", "model_nll"}
    assert metrics.keys() == names
    assert all(x.shape == (2,) and x.isfinite().all() for x in metrics.values())
    later = source.advance(10)
    assert (later["model_error"] < metrics["model_error"]).all()


def test_the_recorded_likelihood_is_that_of_the_elites_gaussians() -> None:
    source = online()
    told = source.advance(0)["model_nll"]
    noise = LaneNoise(source.stock.spec, "model/diagnose", 0)
    b = source.real.gather(noise.integers(source.real.size, 256))
    p = source.model(b.s, b.a, source.model.elites)
    y = torch.cat([b.s2 - b.s, b.r.unsqueeze(-1)], -1).unsqueeze(1)
    exact = -torch.distributions.Normal(p.mean, p.std).log_prob(y).mean((1, 2, 3))
    torch.testing.assert_close(told, exact.detach())
    assert "model_nll" not in online(deterministic=True).advance(0)


def test_diagnostics_of_the_true_system() -> None:
    """A linear model with the right weights: its slope is that of [A, B], and V = least critic."""
    source = online(deterministic=True, hidden_model=(), n_models=1, n_elites=1)
    source.model.scale.fill_(1.0)
    with torch.no_grad():
        weight = torch.cat([A.T - torch.eye(3), B.T])
        source.model.weights[0].copy_(torch.cat([weight, torch.zeros(5, 1)], 1).expand(2, 1, 5, 4))
    found = source.diagnose(0)
    norm = torch.linalg.matrix_norm(torch.cat([A, B], 1), 2)
    torch.testing.assert_close(found["model_lipschitz"], norm.expand(2), rtol=1e-3, atol=0)
    rows = source.real.gather(LaneNoise(SPEC, "model/diagnose", 0).integers(50, 256))

    def v(s: Tensor) -> Tensor:
        return source.agent.q(s, source.agent.act(s)).amin(1)

    error = (v(rows.s2) - v(rows.s @ A.T + rows.a @ B.T)).abs().mean(-1)
    torch.testing.assert_close(found["value_error"], error)


def test_offline_fits_once_and_rolls_out_every_period() -> None:
    given = stock(shared=True)
    source = minibatches(given, Agent(), Config(), learnt, (0, 1, 1, 1))
    assert isinstance(source, Offline)
    assert source.every == 10
    before = source.model.weights[0].detach().clone()
    source.begin()
    fitted = source.model.weights[0].detach().clone()
    assert not torch.equal(fitted, before)
    metrics = [source.advance(step) for step in (0, 10)]
    assert torch.equal(source.model.weights[0], fitted)
    assert torch.equal(metrics[0]["model_error"], metrics[1]["model_error"])
    assert not hasattr(online(), "begin")


def test_all_lanes_fit_the_rows_they_share() -> None:
    replay = Replay(replace(SPEC, seeds=(0,)), 50, shared=True)
    own = stock(replace(SPEC, seeds=(0,))).replay
    assert own is not None
    replay.load_state_dict({"rows.0": own.state_dict()["rows.0"], "written": torch.tensor(50)})
    both = Replay(SPEC, 50, shared=True)
    both.load_state_dict(replay.state_dict())
    given = stock()._replace(data=both, replay=None)
    source = minibatches(given, Agent(), Config(), learnt, (0, 1, 1, 1))
    assert isinstance(source, Offline)
    source.begin()
    source.advance(0)
    assert not torch.equal(source.model.weights[0][0], source.model.weights[0][1])
    assert source.batch(source.indices(0, 1)[0]).s.shape == (2, 20, 3)


@pytest.mark.parametrize(
    ("given", "schedule", "text"),
    [
        ({"real_ratio": torch.ones(2, 1)}, (0, 1, 1, 1), "'real_ratio' decides shapes"),
        ({"real_ratio": 1.5}, (0, 1, 1, 1), r"real_ratio 1.5 must lie in \[0, 1\]"),
        ({"holdout": 0.0}, (0, 1, 1, 1), "holdout 0.0 in"),
        ({"model_every": 0}, (0, 1, 1, 1), "'model_every' is 0"),
        ({}, (5, 5, 1, 1), "steps e0 < e1"),
        ({}, (0, 5, 1), "must read"),
        ({}, (0, 5, 0, 1), "both at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    given: dict[str, Any], schedule: tuple[int, ...], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        minibatches(stock(), Agent(), Config(**given), learnt, schedule)


def test_a_stock_of_both_kinds_or_none_is_refused() -> None:
    given = stock()
    for wrong, text in (
        (given._replace(data=given.replay), "not to both"),
        (given._replace(replay=None), "needs an environment or a dataset"),
    ):
        with pytest.raises(UsageError, match=text):
            minibatches(wrong, Agent(), Config(), learnt, (0, 1, 1, 1))


def test_a_model_that_predicts_nothing_finite_is_an_error() -> None:
    def nothing(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        p = true_step(s, a, alive, noise)
        return p._replace(s2=torch.full_like(p.s2, torch.nan))

    with pytest.raises(RunError, match="model of seed 3 predicts no finite state"):
        online(hooks=lambda model, end: Hooks(nothing)).advance(0)


def test_the_optimiser_goes_on_from_fit_to_fit() -> None:
    source = online()
    source.advance(0)
    assert isinstance(source.optimiser, LaneAdam)
    steps = source.optimiser.steps.clone()
    source.advance(10)
    assert (source.optimiser.steps > steps).all()

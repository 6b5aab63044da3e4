"""PETS: bootstraps, plans against known answers, and the weights of rows near good episodes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import pets
from rlkit.algos.imagination import closeness
from rlkit.algos.imagination.planning import cross_entropy, standard_normals
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

TINY: dict[str, Any] = {
    **{"horizon": 3, "population": 12, "rounds": 2, "particles": 2, "n_models": 2},
    **{"hidden": (8, 8), "hidden_end": (8,), "elite": 0.25},
}
CASE = Case(pets, config=TINY)
SPEC = Spec(5, 3, (3, 0), torch.float64)


# --- plans ------------------------------------------------------------------------------------


def planned(goal: Tensor, rounds: int, momentum: float = 0.0) -> Tensor:
    """The plan of the cross-entropy method for -|a - goal|², goal [S, B, H, A]."""
    spec = Spec(2, 2, (0, 1))
    draws = standard_normals(spec, "test", rounds, 200, *goal.shape[2:])
    return cross_entropy(
        lambda plans: -(plans - goal.unsqueeze(2)).square().sum((-2, -1)),
        draws,
        goal.shape[1],
        20,
        momentum,
    )


def test_the_best_plan_of_a_hill_is_its_top() -> None:
    goal = torch.tensor([[[[0.3, -0.6], [0.9, 0.0]], [[-0.8, 0.1], [0.0, 0.5]]]]).repeat(2, 1, 1, 1)
    torch.testing.assert_close(planned(goal, 10), goal, atol=0.06, rtol=0)
    few, many = ((planned(goal, k) - goal).square().mean() for k in (1, 10))
    assert many < few / 10


def test_no_candidate_leaves_the_box() -> None:
    seen: list[Tensor] = []

    def worth(plans: Tensor) -> Tensor:
        seen.append(plans)
        return plans.sum((-2, -1))  # best at the bounds

    spec = Spec(2, 2, (0, 1))
    draws = standard_normals(spec, "test", 6, 50, 3, 2)
    mean = cross_entropy(worth, draws, 4, 5, 0.1)
    assert all((plans.abs() <= 1 + 1e-6).all() for plans in seen)
    assert (mean > 0.6).all()


def test_a_worth_that_is_no_number_is_the_worst() -> None:
    spec = Spec(2, 1)
    draws = standard_normals(spec, "test", 4, 50, 1, 1)

    def worth(plans: Tensor) -> Tensor:
        a = plans[..., 0, 0]
        return torch.where(a > 0, torch.nan, a)

    assert (cross_entropy(worth, draws, 1, 5, 0.0) < 0).all()


def test_draws_are_the_lanes_own() -> None:
    many = standard_normals(Spec(2, 1, (4, 9)), "x", 1000)
    assert torch.equal(many[1:], standard_normals(Spec(2, 1, (9,)), "x", 1000))
    assert not torch.equal(many[0], many[1])
    assert float(many.std()) == pytest.approx(1, abs=0.05)


# --- what a plan is worth ---------------------------------------------------------------------


def known(reward: float, rising: float, end_logit: float) -> pets.Agent:
    """An agent whose model says s' = s + rising, r = reward, and whose end has this logit."""
    agent = CASE.agent(SPEC, CASE.make_config(deterministic=True))
    with torch.no_grad():
        for p in (*agent.model.parameters(), *agent.ends.parameters()):
            p.zero_()
        agent.model.biases[-1][..., :-1] = rising
        agent.model.biases[-1][..., -1] = reward
        agent.ends.mlp.last.bias.fill_(end_logit + pets._RARE)
    return agent


@pytest.mark.parametrize(("logit", "share"), [(-40.0, 1.0), (0.0, 0.5), (40.0, 0.0)])
def test_rewards_count_while_the_episode_goes_on(logit: float, share: float) -> None:
    agent = known(2.0, 0.1, logit)
    plans = torch.zeros(2, 7, 12, 3, 3, dtype=torch.float64)
    worth = agent.worth(torch.zeros(2, 7, 5, dtype=torch.float64), plans)
    expected = torch.full_like(worth, 2 * (1 + share + share**2))
    torch.testing.assert_close(worth, expected)


def test_a_state_is_worth_the_same_in_any_company() -> None:
    agent = CASE.agent(SPEC, CASE.make_config())
    b = make_batch(SPEC, agent, 0)
    whole = agent.act(b.s)
    torch.testing.assert_close(agent.act(b.s[:, 3:5]), whole[:, 3:5])
    assert (whole[:, 0] != whole[:, 1]).any()


# --- the model --------------------------------------------------------------------------------


def test_bootstraps_are_poisson_and_stay() -> None:
    index, seeds = torch.arange(40_000).expand(2, -1), torch.tensor([3, 0])
    w = pets.places(index, seeds, 3).double()  # [S, n, B]
    assert torch.equal(w, pets.places(index, seeds, 3).double())
    torch.testing.assert_close(w.mean(-1), torch.ones(2, 3).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(w.var(-1), torch.ones(2, 3).double(), atol=0.04, rtol=0)
    apart = torch.corrcoef(w.flatten(0, 1)) - torch.eye(6).double()
    assert apart.abs().max() < 0.02
    rest = torch.corrcoef(torch.stack([w[0, 0, 1:], w[0, 0, :-1]]))[0, 1]
    assert abs(float(rest)) < 0.02


def test_weights_of_rows_are_weights_of_the_loss() -> None:
    """A row with weight 0 might as well be missing; equal weights change nothing."""
    c = CASE.make_config(bootstrap=False, decay=0.0)
    b = make_batch(SPEC, CASE.agent(SPEC, c), 0)
    w = (torch.arange(12) % 2).double().expand(2, -1)
    half = [x[:, 1::2] for x in (b.s, b.a, b.r, b.cont, b.s2)]
    agents = [CASE.agent(SPEC, c) for _ in range(3)]
    agents[0].step_model.clip = agents[1].step_model.clip = None
    agents[0].update(b._replace(w=2 * w), c)
    agents[1].update(Batch(*half), c)
    agents[2].update(b._replace(w=None), c)
    first, second, third = (list(a.model.parameters()) for a in agents)
    for x, y in zip(first, second, strict=True):
        torch.testing.assert_close(x, y, atol=1e-9, rtol=0)
    assert any(not torch.allclose(x, y) for x, y in zip(first, third, strict=True))


def test_it_learns_to_drive_home() -> None:
    """s' = s + 0.4 a, r = -s²: from random steps to the action that leads nearest to 0."""
    spec = Spec(1, 1, (0, 1), torch.float32)
    c = pets.Config(
        **{"horizon": 4, "population": 60, "rounds": 4, "particles": 1, "n_models": 2},
        **{"hidden": (32, 32), "hidden_end": (8,), "lr": 5e-3, "batch_size": 64},
    )
    agent, streams = pets.Agent(spec, c), Streams((0, 1))
    for step in range(400):
        u = torch.from_numpy(streams.draw("rows", "uniform", step, (64, 2))[0]).float() * 2 - 1
        s, a = 2 * u[..., :1], u[..., 1:]
        s2 = s + 0.4 * a
        agent.update(Batch(s, a, -s2.square().squeeze(-1), torch.ones(2, 64), s2), c)
    s = torch.tensor([-1.5, -0.2, 0.0, 0.2, 1.5]).view(1, 5, 1).repeat(2, 1, 1)
    torch.testing.assert_close(agent.act(s), (-s / 0.4).clamp(-1, 1), atol=0.25, rtol=0)


# --- rows near good episodes ------------------------------------------------------------------


def test_good_are_the_finished_episodes_of_highest_return() -> None:
    """Two environments, one episode of each finished, the second's is better; the rest goes on."""
    r = np.array([1, 5, 1, 5, 9, 9, 9, 9], float)  # rows t * 2 + e
    last = np.array([0, 0, 1, 1, 0, 0, 0, 0], bool)
    assert closeness.good_rows(r, last, 2, 0.5).tolist() == [1, 3]
    assert closeness.good_rows(r, last, 2, 1.0).tolist() == [0, 1, 2, 3]
    assert closeness.good_rows(r, np.zeros(8, bool), 2, 1.0).tolist() == []


def test_weights_by_hand() -> None:
    x = np.array([[0.0], [1.0], [2.0], [5.0]])
    std = x.std()
    got = closeness.weights(x, np.array([1]), 2.0)
    raw = np.exp(-2.0 * np.abs(x[:, 0] - 1) / std)
    np.testing.assert_allclose(got, raw / raw.mean())
    assert got.mean() == pytest.approx(1)
    np.testing.assert_array_equal(closeness.weights(x, np.array([1]), 0.0), 1)
    assert closeness.effective_share(np.ones(4)) == 1
    assert closeness.effective_share(np.array([1.0, 0, 0, 0])) == 0.25


def test_a_weighted_line_fits_the_good_part() -> None:
    """y = |x| by a line: weights near x = 1 find slope 1, none find 0."""
    x = np.linspace(-2, 2, 401)
    good = np.flatnonzero(abs(x - 1) < 0.5)
    for kappa, slope in ((0.0, 0.0), (20.0, 1.0)):
        w = np.sqrt(closeness.weights(x[:, None], good, kappa))
        design = np.stack([x, np.ones_like(x)], 1) * w[:, None]
        found = np.linalg.lstsq(design, abs(x) * w, rcond=None)[0][0]
        assert found == pytest.approx(slope, abs=0.05)


def stock(online: bool = True) -> Stock:
    rows = Replay(SPEC, 96, envs=12)
    for step in range(8):
        b = make_batch(SPEC, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no | (step == 3), b.s2)
    data, replay = (None, rows) if online else (rows, None)
    return Stock(SPEC, Streams(SPEC.seeds), Transforms(), data, replay, None)


def looked(online: bool = True, **given: Any) -> tuple[Any, pets.Agent, dict[str, Tensor]]:
    c = resolve(CASE.make_config(**given), SPEC)
    agent = pets.Agent(SPEC, c)
    source: Any = pets.source(stock(online), agent, c)
    metrics: dict[str, Tensor] = source.advance(0) if online else {}
    if not online:
        source.begin()
    return source, agent, metrics


@pytest.mark.parametrize("online", [True, False])
def test_its_source_gives_the_model_its_statistics_and_the_rows_their_weights(online: bool) -> None:
    source, agent, _ = looked(online)
    x = torch.cat([source.replay.rows("s"), source.replay.rows("a")], -1)
    torch.testing.assert_close(agent.model.centre.squeeze(1), x.mean(1))
    index = source.indices(0, 1)[0]
    assert source.batch(index).w is None
    weighed, _, metrics = looked(online, closeness=(0.0, 3.0))
    w = weighed.batch(index).w
    assert (w[0] == 1).all()
    assert w[1].std() > 0
    assert weighed.omega[1].mean() == pytest.approx(1)
    if online:
        assert float(metrics["effective_share"][0]) == 1
        assert 0 < float(metrics["effective_share"][1]) < 1
    again, _, _ = looked(online, closeness=(0.0, 3.0), good=0.9)
    assert not torch.equal(again.omega, weighed.omega)
    again.load_state_dict(weighed.state_dict())
    assert torch.equal(again.omega, weighed.omega)
    assert weighed.every == 250


def test_a_dataset_beside_an_environment_is_refused() -> None:
    c = CASE.make_config()
    both = stock()._replace(data=stock().replay)
    with pytest.raises(UsageError, match="not to both"):
        pets.source(both, pets.Agent(SPEC, c), c)

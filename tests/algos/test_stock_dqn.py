"""Stock-augmented DQN: reduction to QR-DQN, updates by hand, and the exact plans of `theory`."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.algos import dqn, stock_dqn
from rlkit.algos.stock_dqn import best_cvar, utility_of
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.core.normaliser import Normaliser
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.envs.tasks.stocked import LONGEST, bet_twice, stop_or_go
from rlkit.policy.trace import trace
from rlkit.testing import Case
from rlkit.testing.bets import cvar, law_of, observed
from rlkit.testing.cases import OBS, make_batch, make_noise
from rlkit.theory.returns.laws import Categorical, Outcomes
from rlkit.theory.returns.stock import (
    HOMEOSTASIS,
    QUADRATIC,
    SHORTFALL,
    Utility,
    exponential,
    solve_stock,
)
from rlkit.theory.returns.stock import (
    best_cvar as exact_cvar,
)

CASE = Case(
    stock_dqn,
    discrete=True,
    config={"bins": 7, "stock_bins": 5, "stock_low": -1.0, "stock_high": 1.0},
)


@pytest.mark.parametrize("name", ["shortfall", "homeostasis", "quadratic", "exponential"])
def test_utilities_are_those_of_the_solver(name: str) -> None:
    theirs: dict[str, Utility] = {
        "shortfall": SHORTFALL,
        "homeostasis": HOMEOSTASIS,
        "quadratic": QUADRATIC,
        "exponential": exponential(0.7),
    }
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    np.testing.assert_allclose(utility_of(name, x, 0.7), theirs[name].f(x.numpy()), atol=1e-15)


def test_risk_neutral_updates_are_those_of_dqn_with_quantiles() -> None:
    """With f(x) = x, and the stock read as one more number of the observation."""
    spec = CASE.spec()
    settings = {"gamma": 0.9, "bins": 7, "n_step": 1, "lr": 0.01}
    mine_config = CASE.make_config(utility="mean", relabel=0.0, **settings)
    their_config = dataclasses.replace(dqn.Config(), hidden=(8, 8), head="quantile", **settings)
    seen = dataclasses.replace(spec, obs=(OBS - 1 + 5,))
    mine, theirs = CASE.agent(spec, mine_config), dqn.Agent(seen, their_config)
    for step in range(6):
        batch = make_batch(spec, mine, step)._replace(w=None)
        later = (batch.s[..., -1] + batch.r) / (0.9 * batch.cont + (batch.cont == 0))
        read = batch._replace(s=mine.read(batch.s, batch.s[..., -1]), s2=mine.read(batch.s2, later))
        found = mine.update(batch, mine_config, target=step == 3)
        expected = theirs.update(read, their_config, target=step == 3)
        torch.testing.assert_close(found["q_loss"], expected["q_loss"], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found["q"], expected["q"], rtol=1e-10, atol=1e-12)
    assert torch.equal(mine.act(batch.s), theirs.act(read.s))


def test_a_stock_is_read_between_its_two_nearest_points() -> None:
    agent = CASE.agent(CASE.spec(), CASE.make_config())
    s = torch.arange(2 * 3 * OBS, dtype=torch.float64).reshape(2, 3, OBS)
    stock = torch.tensor([[0.1, -1.0, 7.0]] * 2, dtype=torch.float64)
    seen = agent.read(s, stock)
    assert torch.equal(seen[..., : OBS - 1], s[..., :-1])  # its own stock is not read
    expected = torch.tensor([[0, 0, 0.8, 0.2, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    torch.testing.assert_close(seen[0, :, OBS - 1 :], expected.double())


def test_the_target_looks_at_the_next_stock_and_ends_with_the_reward() -> None:
    spec = CASE.spec()
    config = CASE.make_config(utility="homeostasis", gamma=0.8, double=False)
    agent = CASE.agent(spec, config)
    with torch.no_grad():
        agent.theta_bar.flat.data.copy_(torch.linspace(-2, 2, agent.theta_bar.flat.data.numel()))
    batch = make_batch(spec, agent, 1)
    stock = torch.full_like(batch.r, 0.3)
    y = agent.target(batch, stock, config)
    ended = batch.cont == 0
    assert ended.any()
    torch.testing.assert_close(y[ended], batch.r[ended].unsqueeze(-1).expand(-1, 7))
    later = (0.3 + batch.r) / 0.8
    theta = agent.theta_bar(agent.read(batch.s2, later))  # [S, B, A, m]
    best = -(later[..., None, None] + theta).abs().mean(-1)
    chosen = theta.gather(2, best.argmax(-1)[..., None, None].expand(-1, -1, 1, 7)).squeeze(2)
    expected = batch.r.unsqueeze(-1) + 0.8 * chosen
    torch.testing.assert_close(y[~ended], expected[~ended])


def test_relabelled_rows_forget_their_own_stock() -> None:
    spec = CASE.spec()
    for relabel, same in ((1.0, True), (0.0, False)):
        config = CASE.make_config(relabel=relabel)
        losses = []
        for shift in (0.0, 0.4):
            agent = CASE.agent(spec, config)
            batch = make_batch(spec, agent, 0)
            s = batch.s.clone()
            s[..., -1] += shift
            losses.append(agent.update(batch._replace(s=s), config)["q_loss"])
        assert torch.equal(*losses) == same


def test_running_statistics_scale_what_is_seen_and_leave_the_stock() -> None:
    """As an agent without them does on observations that were scaled before."""
    plain = CASE.spec()
    seen = Normaliser(plain.obs, plain.lanes, plain.dtype)
    rng = np.random.default_rng(0)
    seen.add(rng.normal(3.0, 5.0, (plain.lanes, 50, OBS)))
    spec = dataclasses.replace(plain, normaliser=seen)
    config = CASE.make_config(relabel=0.0)
    mine, other = CASE.agent(spec, config), CASE.agent(plain, config)
    assert seen.users == 1
    assert mine.normaliser is seen
    for step in range(3):
        batch = make_batch(plain, other, step)._replace(w=None)

        def scaled(s: torch.Tensor) -> torch.Tensor:
            return torch.cat([seen(s)[..., :-1], s[..., -1:]], -1)

        apart = batch._replace(s=scaled(batch.s), s2=scaled(batch.s2))
        found = mine.update(batch, config, target=step == 1)
        expected = other.update(apart, config, target=step == 1)
        torch.testing.assert_close(found["q_loss"], expected["q_loss"], rtol=1e-10, atol=1e-12)
        assert not torch.allclose(apart.s, batch.s)
    for one, same in zip(mine.theta.parameters(), other.theta.parameters(), strict=True):
        torch.testing.assert_close(one, same)
    assert torch.equal(mine.act(batch.s), other.act(apart.s))
    twin = copy.deepcopy(mine)  # looks through statistics of its own
    twin.normaliser.add(rng.normal(-9.0, 1.0, (plain.lanes, 50, OBS)))
    assert not torch.equal(twin.read(batch.s, batch.r), mine.read(batch.s, batch.r))


def test_what_makes_no_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="give gamma=1"):
        CASE.agent(CASE.spec(), CASE.make_config(utility="exponential", gamma=0.9))
    image = Spec((3, 4), Discrete(2), (0,))
    with pytest.raises(ValueError, match="the stock last"):
        stock_dqn.Agent(image, stock_dqn.Config())


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (Transforms(obs_mean=np.zeros(2), obs_std=np.ones(2)), "normalise_obs would"),
        (Transforms(reward_scale=2.0), "reward would"),
        (Transforms(reward_bias=-1.0), "reward would"),
    ],
)
def test_a_stock_of_another_unit_is_refused(units: Transforms, said: str) -> None:
    spec, c = Spec(2, Discrete(2)), stock_dqn.Config(hidden=(4,))
    stock = Stock(spec, Streams(spec.seeds), units)
    with pytest.raises(UsageError, match=said):
        stock_dqn.source(stock, stock_dqn.Agent(spec, c), c)


def test_the_policy_can_be_exported() -> None:
    spec = CASE.spec((0,))
    agent = CASE.agent(spec, CASE.make_config())
    assert trace(agent, spec) is not None


# --- exact answers ----------------------------------------------------------------------------
def sweep(model: Outcomes, spec: Spec, stocks: np.ndarray) -> Batch:
    """Every outcome at every stock, as often as its probability asks for; states one-hot."""
    copies = np.rint(10 * model.p).astype(int)
    k, stock = (x.ravel() for x in np.meshgrid(np.repeat(np.arange(len(model.p)), copies), stocks))
    k = k.astype(int)
    eye = np.eye(model.mdp.num_states + 1)[:, :-1]

    def lanes(x: Any, dtype: torch.dtype = spec.dtype) -> torch.Tensor:
        return torch.as_tensor(np.array(x), dtype=dtype).expand(spec.lanes, *np.shape(x)).clone()

    return Batch(
        s=lanes(np.column_stack([eye[model.mdp.state_of_row()[model.row[k]]], stock])),
        a=lanes(model.mdp.a_id[model.row[k]], torch.int64),
        r=lanes(model.r[k]),
        cont=lanes(model.s2[k] >= 0),
        s2=lanes(np.column_stack([eye[model.s2[k]], np.full(k.size, np.nan)])),  # never read
    )


def learn(model: Outcomes, updates: int, stocks: np.ndarray, **given: Any) -> Any:
    """Two lanes after full sweeps; with `relabel` the stocks are drawn anew for every row."""
    spec = Spec(model.mdp.num_states + 1, Discrete(2), (0, 1))
    numbers = {"gamma": 1.0, "bins": 10, "hidden": (64,), "lr": 1e-2, "huber": 0.05}
    config = resolve(stock_dqn.Config(**{**numbers, **given}), spec)
    agent, streams = stock_dqn.Agent(spec, config), Streams(spec.seeds)
    batch = sweep(model, spec, stocks)
    for step in range(updates):
        noise = streams.draw("noise/stock", "uniform", step, (batch.r.shape[1], 2))[0]
        batch = batch._replace(noise={"stock": torch.from_numpy(noise).to(spec.dtype)})
        agent.update(batch, config, target=step % 25 == 24)
    return agent


def test_one_agent_finds_the_best_cvar_of_every_level() -> None:
    """The two-round bet: .1 and .25 play safe, .5 looks at its stock, 1 bets."""
    model, stocks = bet_twice(), np.arange(-8.0, 8.5)
    plan = solve_stock(model, 1.0, SHORTFALL, stocks, Categorical(np.arange(-6.0, 7.0)))
    numbers = {"stock_low": -12.0, "stock_high": 12.0, "stock_bins": 25}
    # 25 quantiles tell laws whose probabilities are multiples of 1/25, as here, without loss.
    agent = learn(model, 500, stocks, utility="shortfall", relabel=0.0, bins=25, **numbers)
    start = observed(0, 2, 0.0)
    for tau, known in ((0.1, 2.0), (0.25, 2.0), (0.5, 2.4), (1.0, 4.0)):
        assert exact_cvar(plan, tau)[0] == pytest.approx(known)
        level, first = best_cvar(agent, start, tau, torch.arange(-8.0, 8.5))
        for lane in range(2):
            law = law_of(agent, model, lane, float(first[lane]))
            assert cvar(law, tau) == pytest.approx(known)
            # An error of the value counts 1 / τ times.
            assert float(level[lane]) == pytest.approx(known, abs=0.15 / tau)
    # Where the exact plan is not indifferent, the same actions are chosen.
    agreed, asked = 0, 0
    for state in range(2):
        for i, c in enumerate(stocks):
            sides = _exact_sides(model, plan, state, i)
            if abs(sides[0] - sides[1]) > 0.3:
                asked += 1
                choice = agent.act(observed(state, 2, float(c)).expand(2, 1, -1))
                agreed += int((choice == int(np.argmax(sides))).all())
    assert asked >= 8
    assert agreed == asked


def _exact_sides(model: Outcomes, plan: Any, state: int, i: int) -> list[float]:
    """E f(c + G) of either action, from the exact values at the next stocks."""
    sides = []
    for action in range(2):
        k = np.flatnonzero(model.row == model.mdp.row_table()[state, action])
        later = plan.stock[i] + model.r[k]
        ahead = [
            min(c, 0.0) if s2 < 0 else float(np.interp(c, plan.stock, plan.value[s2]))
            for c, s2 in zip(later, model.s2[k], strict=True)
        ]
        sides.append(float(model.p[k] @ ahead))
    return sides


def test_one_agent_stops_where_its_stock_is_made_up() -> None:
    numbers = {"stock_low": -9.0, "stock_high": 9.0, "stock_bins": 19}
    agent = learn(stop_or_go(), 1000, np.zeros(4), utility="homeostasis", bins=5, **numbers)
    for first in range(-6, 0):
        stock, state = float(first), 0
        while True:
            actions = agent.act(observed(state, LONGEST, stock).expand(2, 1, -1)).flatten()
            assert (actions == actions[0]).all()
            if actions[0] == 0:
                break
            stock, state = stock + 1.0, state + 1
            assert state < LONGEST
        assert stock == 0.0


def test_noise_of_the_update_is_declared() -> None:
    spec = CASE.spec()
    noise = make_noise(spec, CASE.agent(spec, CASE.make_config()), 0)
    assert noise is not None
    assert noise["stock"].shape == (spec.lanes, 12, 2)


def test_it_says_when_stocks_are_where_all_look_alike() -> None:
    spec = CASE.spec()
    c = CASE.make_config(stock_low=-0.5, stock_high=0.5)
    agent = CASE.agent(spec, c)
    batch = make_batch(spec, agent, 0)
    own = batch.s[..., -1]
    beyond = agent.update(batch, resolve(c, spec))["beyond"]
    torch.testing.assert_close(beyond, (own.abs() > 0.5).to(own).mean(-1))
    few, many = ({"beyond": np.array([0.0, share])} for share in (0.2, 0.21))
    assert stock_dqn.notice(few, c) == ""
    assert "21% of the rows have a stock beyond" in stock_dqn.notice(many, c)
    assert stock_dqn.notice({}, c) == ""
    idle = stock_dqn.notice({}, stock_dqn.Config(risk=2.0))
    assert idle == "risk 2.0 has no effect beside utility 'shortfall'"
    assert stock_dqn.notice({}, stock_dqn.Config(risk=2.0, utility="exponential", gamma=1.0)) == ""

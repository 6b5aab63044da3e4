"""RAVL: what its critics' ensemble is for, and its reductions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import mbpo, ravl, sac
from rlkit.algos.imagination.rollout import Hooks, Imagined, LaneNoise, Proposal, Step, roll_out
from rlkit.core import state
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

CASE = Case(ravl, config={"n_critics": 4})
SMALL: dict[str, Any] = {
    "n_critics": 3,
    "hidden": (16, 16),
    "batch_size": 32,
    "length": 2,
    "rollouts": 40,
    "model_every": 20,
    "hidden_model": (16, 16),
    "decay_model": (1e-5,),
    "n_models": 3,
    "n_elites": 2,
    "max_epochs": 3,
}


# --- the problem ------------------------------------------------------------------------------


def chain_rows(length: int, states: int) -> list[Imagined]:
    """Rollouts of `length` steps along the chain 0 -> 1 -> ... -> `states`, which is terminal."""

    def right(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        return Proposal(s, a, (s + 1).unsqueeze(1), torch.zeros_like(s[..., 0]).unsqueeze(1))

    def end(step: Step) -> tuple[Tensor, Tensor]:
        ended = step.s2[..., 0] >= states
        return ended, torch.zeros_like(ended)

    spec = Spec(1, 1)
    start = torch.zeros(1, 3, 1)
    hooks = Hooks(right, terminate=end)
    noise = LaneNoise(spec, "test/chain", 0)
    return list(roll_out(lambda s, noise: torch.ones_like(s), hooks, start, length, noise))


def learnt(rows: list[Imagined], q: np.ndarray, gamma: float) -> np.ndarray:
    """Values `[N, states + 1]` after exact backups from rows, towards the least of N members."""
    q = q.copy()
    columns = [
        [x[0].tolist() for x in (r.s[..., 0], r.r, r.terminated, r.s2[..., 0])] for r in rows
    ]
    kept = [r.kept[0].tolist() for r in rows]
    steps = {  # the transitions that a replay would hold
        row
        for step, alive in zip(columns, kept, strict=True)
        for row, there in zip(zip(*step, strict=True), alive, strict=True)
        if there
    }
    for _ in range(12):
        for s, r, terminated, s2 in steps:
            q[:, int(s)] = r + gamma * (not terminated) * q[:, int(s2)].min()
    return q


@pytest.mark.parametrize(("length", "value"), [(4, 3.2805), (2, 4.05), (8, 0.0), (20, 0.0)])
def test_values_at_the_edge_of_reach_stay_what_they_were(length: int, value: float) -> None:
    """No reward anywhere, but V(0) = γ^k Q0 for ever, until rollouts reach the chain's end."""
    q = learnt(chain_rows(length, 8), np.full((1, 9), 5.0), 0.9)
    assert q[0, 0] == pytest.approx(value)


def test_the_least_of_an_ensemble_lowers_them() -> None:
    rng, rows = np.random.default_rng(0), chain_rows(4, 8)
    one, ten = [], []
    for _ in range(200):
        q0 = rng.normal(0, 1, (10, 9))
        one.append(learnt(rows, q0[:1], 0.9)[0, 0])
        ten.append(learnt(rows, q0, 0.9)[0, 0])
    assert np.mean(one) == pytest.approx(0, abs=0.15)
    assert np.mean(ten) == pytest.approx(0.9**4 * -1.54, abs=0.1)  # E min of ten normals: -1.54


# --- the diversity term -----------------------------------------------------------------------


def test_critics_that_are_alike_cost_their_number() -> None:
    one = torch.randn(2, 1, 12, 3, generator=torch.Generator().manual_seed(0)).double()
    for n in (2, 4, 10):
        got = ravl.alike(one.expand(-1, n, -1, -1))
        torch.testing.assert_close(got, torch.full((2,), float(n)).double())


def test_orthogonal_slopes_cost_nothing_and_opposite_ones_pay() -> None:
    slopes = torch.eye(3).double().view(1, 3, 1, 3).expand(2, -1, 12, -1) * 7
    torch.testing.assert_close(ravl.alike(slopes), torch.zeros(2).double())
    pair = torch.stack([slopes[:, 0], -slopes[:, 0]], 1)
    torch.testing.assert_close(ravl.alike(pair), torch.full((2,), -2.0).double())


def test_by_hand_over_pairs_and_bounded_below() -> None:
    slopes = torch.randn(2, 5, 12, 3, generator=torch.Generator().manual_seed(1)).double()
    unit = slopes / slopes.norm(dim=-1, keepdim=True)
    total = sum((unit[:, i] * unit[:, j]).sum(-1) for i in range(5) for j in range(5) if i != j)
    assert isinstance(total, Tensor)
    got = ravl.alike(slopes)
    torch.testing.assert_close(got, total.mean(-1) / 4)
    for seed in range(50):
        wild = torch.randn(1, 3, 1, 2, generator=torch.Generator().manual_seed(seed))
        assert float(ravl.alike(wild)) >= -3 / 2 - 1e-5


def test_one_dimension_counts_signs() -> None:
    """ĝ = ±1, so an observation's part is ((Σ ĝ)² - N) / (N - 1)."""
    slopes = torch.tensor([3.0, -0.1, 2.0, 5.0]).view(1, 4, 1, 1)
    assert float(ravl.alike(slopes)) == pytest.approx((2**2 - 4) / 3)


def test_a_flat_critic_has_no_direction_and_no_gradient_that_is_not_finite() -> None:
    slopes = torch.zeros(1, 2, 3, 2, requires_grad=True)
    cost = ravl.alike(slopes)
    assert cost.tolist() == [0]
    assert torch.autograd.grad(cost.sum(), slopes)[0].isfinite().all()


def critic(dtype: torch.dtype, n: int = 3, hidden: tuple[int, ...] = (8, 8)) -> nets.Critic:
    return nets.Critic(nets.Init(Spec(5, 3, (3, 0), dtype)), hidden, n)


def test_slopes_are_those_of_finite_differences_and_values_the_critics_own() -> None:
    q, b = critic(torch.float64), make_batch(CASE.spec(), None, 0)
    qs, slopes = ravl.values_and_slopes(q, b.s, b.a, 3)
    torch.testing.assert_close(qs, q(b.s, b.a))
    for d in range(3):
        step = torch.zeros_like(b.a)
        step[..., d] = 1e-6
        difference = (q(b.s, b.a + step) - q(b.s, b.a - step)) / 2e-6
        torch.testing.assert_close(slopes[..., d], difference, rtol=1e-6, atol=1e-8)


def test_the_terms_gradient_is_that_of_finite_differences() -> None:
    q, b = critic(torch.float64), make_batch(CASE.spec(), None, 0)

    def cost() -> Tensor:
        return ravl.alike(ravl.values_and_slopes(q, b.s, b.a, 3)[1]).sum()

    weight: Any = q.mlp.layers[1].weight
    (gradient,) = torch.autograd.grad(cost(), weight)
    for at in ((0, 0, 1, 2), (1, 2, 5, 3), (1, 1, 0, 0)):
        change = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[at] += sign * 1e-6
            change.append(float(cost().detach()))
            with torch.no_grad():
                weight[at] -= sign * 1e-6
        assert float(gradient[at]) == pytest.approx((change[0] - change[1]) / 2e-6, abs=1e-7)


def test_wide_nets_differentiate_twice_as_small_ones_do() -> None:
    """Float32 products of this size go through another library."""
    found = []
    for dtype in (torch.float32, torch.float64):
        q = critic(dtype, 2, (256, 256))
        rng = torch.Generator().manual_seed(0)
        s, a = (torch.rand(2, 64, d, generator=rng).to(dtype) for d in (5, 3))
        cost = ravl.alike(ravl.values_and_slopes(q, s, a, 2)[1]).sum()
        found.append(torch.autograd.grad(cost, q.mlp.layers[1].weight)[0])  # type: ignore[arg-type]
    torch.testing.assert_close(found[0].double(), found[1], rtol=1e-2, atol=1e-6)


def test_the_term_reaches_the_critics_only() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    a = agent.pi(b.s).sample(b.noise["now"])  # even of actions the policy made
    _, slopes = ravl.values_and_slopes(agent.q, b.s, a, 4)
    cost = ravl.alike(slopes).sum()
    policy = torch.autograd.grad(cost, agent.pi.parameters(), allow_unused=True, retain_graph=True)
    assert all(slope is None for slope in policy)
    first = torch.autograd.grad(cost, agent.q.mlp.layers[0].weight)[0]
    assert first.abs().max() > 0


# --- the agent --------------------------------------------------------------------------------


def test_two_critics_without_diversity_are_sac() -> None:
    spec, c = CASE.spec(), CASE.make_config(n_critics=2, diversity=0.0)
    ours = CASE.agent(spec, c)
    theirs_config = sac.Config(hidden=(8, 8), batch_size=12)
    theirs = sac.Agent(spec, theirs_config)
    for step in range(10):
        b = make_batch(spec, ours, step)
        ours.update(b, c)
        theirs.update(b, theirs_config)
    mine = state.tensors(ours)
    for name, tensor in state.tensors(theirs).items():
        torch.testing.assert_close(mine[name], tensor, rtol=0, atol=1e-12)


def test_a_single_critic_is_refused() -> None:
    with pytest.raises(ValueError, match="n_critics is 1"):
        CASE.agent(CASE.spec(), CASE.make_config(n_critics=1))


def test_a_fixed_temperature_stays() -> None:
    spec, c = CASE.spec(), CASE.make_config(learn_alpha=False, alpha=0.2)
    agent = CASE.agent(spec, c)
    metrics = agent.update(make_batch(spec, agent, 0), c)
    assert agent.log_alpha().exp().flatten().tolist() == pytest.approx([0.2, 0.2])
    assert metrics["alpha"].tolist() == pytest.approx([0.2, 0.2])


def test_critics_disagree_about_actions_they_have_not_seen() -> None:
    """A bandit whose data lie around one action; the more diversity, the more they disagree."""
    spec = Spec(1, 2, (0, 1))
    rng = torch.Generator().manual_seed(0)
    s = torch.ones(2, 64, 1)
    strange = torch.rand(2, 64, 2, generator=rng) * 2 - 1
    spread = []
    for eta in (0.0, 1.0, 5.0):
        c = ravl.Config(n_critics=5, diversity=eta, hidden=(32, 32), lr_q=3e-3)
        agent = ravl.Agent(spec, c)
        rows = torch.Generator().manual_seed(1)
        for _ in range(100):
            a = (0.3 + 0.1 * torch.randn(2, 64, 2, generator=rows)).clamp(-1, 1)
            noise = {name: torch.randn(2, 64, 2, generator=rows) for name in agent.noise}
            r = -(a - 0.3).square().sum(-1)
            agent.update(Batch(s, a, r, torch.zeros(2, 64), s, noise=noise), c)
        with torch.no_grad():
            spread.append([float(agent.q(s, x).std(1).mean()) for x in (a, strange)])
    for seen, unseen in spread:
        assert unseen > 2 * seen
    assert spread[0][1] < spread[1][1] < spread[2][1]


# --- the rows ---------------------------------------------------------------------------------


def stock(spec: Spec) -> Stock:
    rows = Replay(spec, 96, envs=12)
    for step in range(8):
        b = make_batch(spec, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(spec, Streams(spec.seeds), Transforms(), rows, None, "HalfCheetah-v5")


def advanced(algorithm: Any, **given: Any) -> dict[str, Tensor]:
    """State, metrics and a minibatch of an offline source after two rounds."""
    spec = Spec(5, 3, (3, 0), torch.float64)
    config = resolve(algorithm.Config(**given), spec)
    agent = algorithm.Agent(spec, config)
    source = algorithm.source(stock(spec), agent, config)
    source.begin()
    metrics: dict[str, Tensor] = {}
    for step in (0, 20):
        metrics |= source.advance(step)
    b = source.batch(source.indices(20, 1)[0])
    every = torch.tensor(float(source.every))
    return {**source.state_dict(), **metrics, "s": b.s, "s2": b.s2, "r": b.r, "every": every}


def test_its_rows_are_those_of_mbpo_offline() -> None:
    """No penalty: the same model and rollouts; policies begin alike, critics do not matter."""
    shared = {n: x for n, x in SMALL.items() if n != "length"}
    ours = advanced(ravl, **SMALL)
    theirs = advanced(mbpo, **shared, real_ratio=0.05, retain=5, rollout_schedule=(0, 1, 2, 2))
    for name in ("s", "s2", "r", "model_error", "imagined_rows"):
        assert torch.equal(ours[name], theirs[name]), name


def test_without_rollouts_it_is_model_free() -> None:
    spec = Spec(5, 3, (3, 0))
    config = ravl.Config(**{**SMALL, "real_ratio": 1.0})
    agent = ravl.Agent(spec, config)
    source = ravl.source(stock(spec), agent, config)
    assert isinstance(source, Uniform)
    Engine(agent, config, spec, source).run(0, 2)


def test_an_unknown_task_is_refused_before_work_begins() -> None:
    spec, config = Spec(5, 3), ravl.Config(**SMALL)
    given = stock(spec)._replace(env_id="CartPole-v1")
    with pytest.raises(ValueError, match="no termination rule is known for 'CartPole-v1'"):
        ravl.source(given, ravl.Agent(spec, config), config)

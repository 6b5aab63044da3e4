"""Off-policy GAIL: its discriminator in closed forms, the end of an episode, and its rows."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos import gail
from rlkit.algos.imitation.absorbing import with_end
from rlkit.algos.imitation.discriminator import (
    Discriminator,
    classification_loss,
    coin_entropy,
    slope_penalty,
    slopes,
)
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

CASE = Case(gail, config={"hidden_d": (8, 8)})


def noise_of(agent: gail.Agent, streams: Streams, step: int, rows: int) -> dict[str, Tensor]:
    spec = Spec(1, 1, streams.seeds)
    draws = {n: (d.kind, d.shape(spec, rows)) for n, d in agent.noise.items()}
    drawn = {n: streams.draw(n, kind, step, shape)[0] for n, (kind, shape) in draws.items()}
    return {n: torch.from_numpy(x).to(agent.q.mlp.last.weight) for n, x in drawn.items()}


# --- losses by hand ---------------------------------------------------------------------------
def test_losses_by_hand() -> None:
    d, w = torch.tensor([0.0, 2.0]).double(), torch.tensor([0.25, 0.75]).double()
    p = d.sigmoid()
    bce = -(0.9 * p.log() + 0.1 * (1 - p).log())
    torch.testing.assert_close(classification_loss(d, 0.9, w), (w * bce).sum())
    entropy = -(p * p.log() + (1 - p) * (1 - p).log())
    torch.testing.assert_close(coin_entropy(d, w), (w * entropy).sum())
    torch.testing.assert_close(gail.reward(d, "survival"), -(1 - p).log())
    torch.testing.assert_close(gail.reward(d, "logit"), p.log() - (1 - p).log())
    assert gail.reward(torch.tensor(500.0), "survival") == 500  # no overflow, no floor


@pytest.mark.parametrize(("size", "one_sided"), [(0.5, True), (0.5, False), (3.0, True)])
def test_penalty_of_a_linear_discriminator(size: float, one_sided: bool) -> None:
    """max(0, |w| - 1)² exactly, with no gradient below 1; two-sided (|w| - 1)²."""
    d = nn.Linear(4, 1, dtype=torch.float64)
    with torch.no_grad():
        d.weight.mul_(size / d.weight.norm())
    x = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0)).double()
    cost = slope_penalty(slopes(d, x), 1.0, one_sided)
    excess = size - 1 if not one_sided else max(0.0, size - 1)
    torch.testing.assert_close(cost, torch.full((2,), excess**2, dtype=torch.float64))
    (slope,) = torch.autograd.grad(cost.sum(), d.weight)
    torch.testing.assert_close(slope, 2 * 2 * excess * d.weight.detach() / size)


def test_slopes_are_those_of_the_net() -> None:
    init = nets.Init(Spec(3, 1, (0, 1), torch.float64))
    d = Discriminator(init, 3, (16,), spectral=True)
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).double()
    found = slopes(d, x).detach()
    for lane in range(2):
        for row in range(5):
            moved = [x.clone() for _ in range(6)]
            for k in range(3):
                moved[2 * k][lane, row, k] += 1e-6
                moved[2 * k + 1][lane, row, k] -= 1e-6
            values = [float(d(m)[lane, row].detach()) for m in moved]
            slope = [(values[2 * k] - values[2 * k + 1]) / 2e-6 for k in range(3)]
            assert float(found[lane, row]) == pytest.approx(math.hypot(*slope), rel=1e-5)


def test_spectral_estimate_finds_the_largest_singular_value() -> None:
    init = nets.Init(Spec(3, 1, (0, 1), torch.float64))
    d = Discriminator(init, 6, (20, 9), spectral=True)
    for _ in range(300):
        d.sharpen()
    for k, weight in enumerate(d.weights):
        left, right = d.get_buffer(f"left{k}"), d.get_buffer(f"right{k}")
        found = (left @ weight @ right.mT).flatten()
        torch.testing.assert_close(found, torch.linalg.matrix_norm(weight, 2), rtol=1e-6, atol=0)
    plain = Discriminator(init, 6, (20, 9), spectral=False)
    assert not list(plain.buffers())


def test_places_between_rows_differ_by_half() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    ours, expert = torch.zeros(2, 12, 9).double(), torch.ones(2, 12, 9).double()
    mix = torch.rand(2, 12, 2, generator=torch.Generator().manual_seed(0)).double()
    got = agent.between(ours, expert, {"mix": mix}, c)
    torch.testing.assert_close(got[..., :6], (1 - mix[..., :1]).expand(-1, -1, 6))
    torch.testing.assert_close(got[..., 6:], (1 - mix[..., 1:]).expand(-1, -1, 3))
    near = torch.randn(2, 12, 9, generator=torch.Generator().manual_seed(1)).double()
    for where, rows in (("expert", expert), ("policy", ours)):
        c = CASE.make_config(penalise=where, spread=0.3)
        torch.testing.assert_close(
            agent.between(ours, expert, {"near": near}, c), rows + 0.3 * near
        )


# --- the discriminator's optimum ---------------------------------------------------------------
def fitted(ours: Tensor, expert: Tensor, steps: int, **options: object) -> gail.Agent:
    """An agent of 1-D states whose D was trained on rows `[S, N]` (actions 0)."""
    spec = Spec(1, 1, (0, 1))
    c = gail.Config(
        label_low=1.0, label_high=1.0, entropy=0.0, hidden=(4,), hidden_d=(32, 32), lr_d=2e-3,
        spectral=False, **options,
    )  # fmt: skip
    agent = gail.Agent(spec, c)
    n, one = ours.shape[1], torch.ones_like(ours)
    rows = [
        with_end(Batch(x[..., None], 0 * x[..., None], one, one, x[..., None]), True)
        for x in (ours, expert)
    ]
    streams = Streams(spec.seeds)
    for step in range(steps):
        agent.discriminate(*rows, noise_of(agent, streams, step, n), c)
    return agent


def logit(agent: gail.Agent, x: Tensor) -> Tensor:
    """D `[S, N]` at 1-D states `[N]`."""
    rows = torch.stack([x, 0 * x, 0 * x], -1).expand(2, -1, -1)
    return agent.d(rows).detach()


def normal_rows(mean: float, n: int = 128) -> Tensor:
    """Quantiles of N(mean, 1): a sample without chance."""
    u = (torch.arange(n) + 0.5) / n
    return (mean + math.sqrt(2) * torch.erfinv(2 * u - 1)).expand(2, -1)


def test_an_expert_like_the_policy_cannot_be_told_apart() -> None:
    agent = fitted(normal_rows(0.0), normal_rows(0.0), 150)
    d = logit(agent, torch.linspace(-2, 2, 9))
    assert d.abs().max() < 0.02
    reward = gail.reward(d, "survival")
    torch.testing.assert_close(reward, torch.full_like(reward, math.log(2)), atol=0.02, rtol=0)


def test_logit_of_two_gaussians_is_their_log_ratio() -> None:
    """N(0.4, 1) against N(-0.4, 1): 0.8 x inside the data; the slope of 0.8 is within k = 1."""
    agent = fitted(normal_rows(-0.4), normal_rows(0.4), 400)
    x = torch.linspace(-1.2, 1.2, 13)
    assert (logit(agent, x) - 0.8 * x).abs().max() < 0.15


def test_penalty_keeps_a_steep_log_ratio_within_its_slope() -> None:
    """N(±2, 1) have the log ratio 4 x; with the penalty D's slope stays near 1."""
    x = torch.linspace(-2, 2, 41)
    steep = [
        (logit(agent, x).diff(dim=-1) / 0.1).abs().max()
        for agent in (
            fitted(normal_rows(-2.0), normal_rows(2.0), 300),
            fitted(normal_rows(-2.0), normal_rows(2.0), 300, penalty=0.0),
        )
    ]
    assert steep[0] < 1.2
    assert steep[1] > 2


# --- the end of an episode ----------------------------------------------------------------------
def test_terminal_steps_lead_to_the_absorbing_state() -> None:
    spec = CASE.spec()
    agent = CASE.agent(spec, CASE.make_config())
    b = make_batch(spec, agent, 0)
    cont = torch.ones_like(b.cont)
    cont[0, :3], cont[1, 5] = 0, 0
    rows = with_end(b._replace(cont=cont), absorbing=True)
    end = torch.tensor([0.0, 0, 0, 0, 0, 1]).double()
    torch.testing.assert_close(rows.s[:, :-1, :-1], b.s)
    assert (rows.s[:, :-1, -1] == 0).all()
    for reached in (rows.s[:, -1], rows.s2[:, -1], rows.s2[0, :3], rows.s2[1, 5:6]):
        torch.testing.assert_close(reached, end.expand_as(reached))
    torch.testing.assert_close(rows.s2[0, 3:-1, :-1], b.s2[0, 3:])
    assert (rows.a[:, -1] == 0).all()
    torch.testing.assert_close(rows.w[:, 0], 1 / torch.tensor([15.0, 13]).double())
    torch.testing.assert_close(rows.w[:, -1], torch.tensor([3 / 15, 1 / 13]).double())
    plain = with_end(b._replace(cont=cont), absorbing=False)
    assert (plain.w[:, -1] == 0).all()
    torch.testing.assert_close(plain.s2[:, :-1, :-1], b.s2)


def test_states_may_be_told_by_their_successors() -> None:
    """D(s, s') sees the absorbing state after a terminal step, and not the observation there."""
    spec, c = CASE.spec(), CASE.make_config(inputs="ss")
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    rows = with_end(b._replace(cont=torch.zeros_like(b.cont)), True)
    seen = agent.seen(rows, c)
    assert seen.shape == (2, 13, 12)
    assert (seen[..., 6:11] == 0).all()
    assert (seen[..., 11] == 1).all()


@pytest.mark.parametrize("absorbing", [True, False])
def test_a_constant_added_to_the_reward_matters_without_absorbing_states_only(
    absorbing: bool,
) -> None:
    """Two states, one ends: with r = δ everywhere both are worth δ / (1 - γ), or else the one that
    ends is worth δ alone."""
    spec = Spec(2, 1, (0,), torch.float64)
    c = gail.Config(
        gamma=0.5, absorbing=absorbing, reward="logit", hidden=(16,), hidden_d=(4,), lr=0.01,
        lr_d=1e-30, polyak=0.2, smooth=0.0, batch_size=2, actor_period=1,
    )  # fmt: skip
    agent = gail.Agent(spec, c)
    agent.step_pi.lr = 0.0
    with torch.no_grad():
        for net in (agent.pi, agent.pi_bar.net):  # the only action there is
            net.mlp.last.weight.zero_()
            net.mlp.last.bias.zero_()
        agent.d.head.weight.zero_()
        agent.d.head.bias.fill_(0.7)  # δ
    s = torch.eye(2, dtype=torch.float64)[None]
    zero = torch.zeros(1, 2, 1).double()
    b = Batch(s, zero, zero[..., 0], torch.tensor([[0.0, 1.0]]).double(), s)
    noise = noise_of(agent, Streams(spec.seeds), 0, 2)
    for _ in range(300):
        agent.update(b._replace(noise=noise, other=b), c)
    rows = with_end(b, absorbing)
    q = agent.q(rows.s, rows.a).detach().mean(1)[0]
    ending = 1.4 if absorbing else 0.7
    assert q[:2].tolist() == pytest.approx([ending, 1.4], abs=0.02)
    if absorbing:
        assert float(q[2]) == pytest.approx(1.4, abs=0.02)


def test_absorbing_states_let_it_imitate_an_expert_who_ends() -> None:
    """An action above 0 ends the episode, as the expert's always do. Every reward is positive, so
    without absorbing states the policy learns to go on for ever instead."""
    chosen = {}
    for absorbing in (True, False):
        spec = Spec(1, 1, (0, 1, 2))
        c = gail.Config(
            absorbing=absorbing, gamma=0.8, hidden=(32,), hidden_d=(32,), lr=3e-3, lr_d=3e-3,
            polyak=0.2, batch_size=32, norm="none", explore=0.3,
        )  # fmt: skip
        agent = gail.Agent(spec, c)
        streams = Streams(spec.seeds)
        one = torch.ones(3, 32)
        s = one[..., None]
        expert = Batch(s, 0.5 * s, one, 0 * one, s)
        taken = torch.from_numpy(streams.draw("first", "uniform", 0, (64, 1))[0]).float() * 2 - 1
        for step in range(400):
            with torch.no_grad():
                eps = torch.from_numpy(streams.draw("act", "normal", step, (2, 1))[0])
                taken = torch.cat([taken, agent.act(s[:, :2], eps)], 1)
            u = streams.draw("rows", "uniform", step, (32,))[0]
            rows = torch.from_numpy((u * taken.shape[1]).astype(np.int64))
            a = taken.gather(1, rows[..., None])
            going = (a[..., 0] <= 0).float()
            noise = noise_of(agent, streams, step, 32)
            b = Batch(s, a, one, going, s, noise=noise, other=expert)
            agent.update(b, c, actor=step % 2 == 1)
        chosen[absorbing] = agent.act(s[:, :1]).detach().flatten()
    assert (chosen[True] > 0).all()
    assert (chosen[False] < 0).all()


# --- rows ---------------------------------------------------------------------------------------
def test_minibatches_pair_the_policys_rows_with_the_experts() -> None:
    spec = Spec(1, 1, (3, 0))
    data, ring = Replay(spec, 3, shared=True), Replay(spec, 4)
    data._data[..., 0] = torch.tensor([100.0, 101, 102])
    data._advance(3)
    flag = np.zeros((2, 1), bool)
    for t in range(4):
        s = np.array([[[t]], [[10 + t]]], np.float32)
        ring.add(s, s * 0, s[..., 0] * 0, flag, flag, s)
    c = gail.Config(batch_size=50)
    stock = Stock(spec, Streams(spec.seeds), Transforms(), data, ring)
    source = gail.source(stock, gail.Agent(spec, c), c)
    index = source.indices(0, 3)
    assert index.shape == (3, 2, 100)
    assert source.batch_size == 50
    b = source.batch(index[1])
    assert set(b.s[0].flatten().tolist()) == {0, 1, 2, 3}
    assert set(b.s[1].flatten().tolist()) == {10, 11, 12, 13}
    assert b.other is not None
    assert set(b.other.s.flatten().tolist()) == {100, 101, 102}
    assert not torch.equal(b.other.index[0], b.other.index[1])
    for part in (stock._replace(data=None), stock._replace(replay=None)):
        with pytest.raises(UsageError, match="expert's dataset"):
            gail.source(part, gail.Agent(spec, c), c)


def test_gradients_of_policy_and_critics_are_clipped() -> None:
    agent = CASE.agent(CASE.spec(), CASE.make_config())
    steps = {n: x.clip for n, x in vars(agent).items() if isinstance(x, Adam)}
    assert steps == {"step_pi": 40.0, "step_q": 40.0, "step_d": None}

"""IQL against closed forms, a reduction to cloning, and the exact value of the stitching chain."""

import numpy as np
import pytest
import torch

from rlkit.algos import bc, iql
from rlkit.algos.common import q_loss
from rlkit.core.spec import Discrete, Spec
from rlkit.testing.cases import Case, make_batch
from rlkit.testing.toys import one_hot_states, stitching_chain


@pytest.mark.parametrize(
    ("tau", "value"), [(0.5, 0.2000), (0.7, 0.3684), (0.9, 0.6923), (0.99, 0.9612)]
)
def test_v_loss_is_least_at_the_expectile(tau: float, value: float) -> None:
    q = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)  # P(1) = 0.2
    v = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    for _ in range(3000):
        (slope,) = torch.autograd.grad(iql.v_loss(q, v.expand(5), tau), v)
        v = (v - 0.5 * slope).detach().requires_grad_()
    assert float(v.detach()) == pytest.approx(value, abs=5e-5)


def test_losses_by_hand() -> None:
    q, v = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert float(iql.v_loss(q, v, 0.7)) == pytest.approx((0.7 * 1 + 0.3 * 4) / 2)
    qs, y = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([0.0, 1.0])
    assert float(q_loss(qs, y)) == pytest.approx((1 + 1) / 2 + (0 + 1) / 2)
    log_prob, adv = torch.tensor([-1.0, -2.0]), torch.tensor([0.0, 10.0])
    assert float(iql.pi_loss(log_prob, adv, 3.0, 100.0)) == pytest.approx((1 + 200) / 2)


def test_the_rows_that_weights_leave_are_counted() -> None:
    alike, one = torch.full((2, 5), 7.0), torch.eye(4)[:2]
    assert iql.effective(alike).tolist() == pytest.approx([1.0, 1.0])
    assert iql.effective(one).tolist() == pytest.approx([0.25, 0.25])
    assert float(iql.effective(torch.tensor([3.0, 1.0]))) == pytest.approx(16 / 20)


def test_few_rows_are_told_of() -> None:
    few, many = {"effective": np.array([0.4, 0.05])}, {"effective": np.array([0.4, 0.15])}
    assert "lower config.beta" in iql.notice(few, iql.Config())
    assert iql.notice(many, iql.Config()) == iql.notice({}, iql.Config()) == ""


@pytest.mark.parametrize("discrete", [False, True])
def test_beta_zero_is_cloning(discrete: bool) -> None:
    """With β = 0 every weight is 1, so the policy follows BC step for step."""
    case = Case(iql, discrete=discrete)
    spec = case.spec()
    config = case.make_config(beta=0.0)
    ours = case.agent(spec, config)
    cloning = bc.Agent(spec, bc.Config(hidden=config.hidden, lr=config.lr))
    cloning.pi.load_state_dict(ours.pi.state_dict())
    for step in range(10):
        batch = make_batch(spec, ours, step)
        ours.update(batch, config)
        cloning.update(batch, bc.Config())
    for mine, its in zip(ours.pi.parameters(), cloning.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_never_asks_for_an_action_outside_the_data() -> None:
    """Poisoned values of all actions the data lacks change no loss and no parameter."""
    case = Case(iql, discrete=True)
    spec, config = case.spec(), case.make_config()
    results = []
    for poison in (0.0, 1e6):
        agent = case.agent(spec, config)
        for net in (agent.q, agent.q_bar.net):
            with torch.no_grad():
                net.mlp.last.bias[..., -1] += poison  # the last action never occurs below
        batch = make_batch(spec, agent, 0)
        metrics = agent.update(batch._replace(a=batch.a.clamp(max=1)), config)
        results.append((metrics, [p.clone() for p in agent.v.parameters()]))
    for name, metric in results[0][0].items():
        torch.testing.assert_close(metric, results[1][0][name], rtol=0, atol=1e-12)
    for clean, poisoned in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(clean, poisoned, rtol=0, atol=1e-12)


@pytest.mark.parametrize("discrete", [True, False])
def test_reaches_the_exact_value_of_the_stitching_chain(discrete: bool) -> None:
    """Three lanes at τ = ½, 0.7, 0.9 each reach their own fixed point; β 3 and 10 stitch."""
    taus = (0.5, 0.7, 0.9)
    spec = Spec(5, Discrete(2) if discrete else 1, range(3), torch.float64)
    chain = stitching_chain(spec)
    config = iql.Config(gamma=chain.gamma, lr=3e-3, polyak=0.05, hidden=(32,), beta=10.0)
    laned = torch.tensor(taus, dtype=torch.float64).unsqueeze(-1)
    config = iql.Config(**{**config.__dict__, "tau": laned})
    agent = iql.Agent(spec, config)
    for _ in range(3000):
        agent.update(chain.batch, config)
    v = agent.v(one_hot_states(spec)).detach().numpy()
    for lane, tau in enumerate(taus):
        np.testing.assert_allclose(v[lane], chain.expectile_values(tau), atol=0.01)
    actions = agent.act(one_hot_states(spec))
    start, crossing = actions[-1, 0], actions[-1, 3]
    good_start, good_crossing = (0, 1) if discrete else (-0.5, 0.5)
    assert float((start.detach() - good_start).abs().max()) < 0.2
    assert float((crossing.detach() - good_crossing).abs().max()) < 0.2


def test_tau_towards_one_approaches_the_best_path() -> None:
    spec = Spec(5, Discrete(2), (0,), torch.float64)
    chain = stitching_chain(spec)
    best = 1 + chain.gamma**3
    values = [chain.expectile_values(tau)[0] for tau in (0.5, 0.9, 0.99, 0.9999)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(best, abs=1e-3)


def test_actor_rate_falls_along_the_cosine() -> None:
    case = Case(iql)
    spec, config = case.spec(), case.make_config(lr_decay_steps=2)
    agent = case.agent(spec, config)
    for step in range(2):
        agent.update(make_batch(spec, agent, step), config)
    before = [p.detach().clone() for p in agent.pi.parameters()]
    agent.update(make_batch(spec, agent, 2), config)
    for old, new in zip(before, agent.pi.parameters(), strict=True):
        assert torch.equal(old, new)

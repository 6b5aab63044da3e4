"""DQN against updates by hand, and exact tabular values and laws."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import dqn
from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.envs.tabular.garnet import garnet
from rlkit.policy.trace import trace
from rlkit.testing import Case, run_check
from rlkit.testing.cases import make_batch
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.planning.solvers import solve
from rlkit.theory.returns.distributional import evaluate_laws
from rlkit.theory.returns.laws import Categorical, Quantile

HEADS = get_args(nets.Head)
SMALL = {"bins": 7, "low": -2.0, "high": 3.0, "target_period": 2, "n_step": 1}
CASE = Case(dqn, discrete=True, config=SMALL)


# --- contract ---------------------------------------------------------------------------------
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "check",
    [
        "lanes_equal_separate_runs",
        "terminal_rows_ignore_the_next_state",
        "order_within_a_batch_is_irrelevant",
        "no_silent_broadcast",
        "touches_no_global_state",
    ],
)
def test_every_head_keeps_the_contract(head: str, check: str) -> None:
    parts = {"head": head, "prioritised": True, "dueling": head in ("c51", "scalar")}
    run_check(check, dataclasses.replace(CASE, config={**SMALL, **parts}))


# --- updates by hand --------------------------------------------------------------------------
@pytest.mark.parametrize("double", [False, True])
def test_one_step_of_a_linear_net_by_hand(double: bool) -> None:
    """Huber loss of r + γ cont Q̄(s', a*) and one step of torch's Adam."""
    spec = CASE.spec((3,))
    config = CASE.make_config(hidden=(), double=double, huber=0.5, lr=0.1, gamma=0.9)
    agent = CASE.agent(spec, config)
    with torch.no_grad():
        agent.q_bar.flat.data.copy_(torch.linspace(-1, 1, agent.q_bar.flat.data.numel()))
    batch = make_batch(spec, agent, 0)._replace(w=None)
    weight, bias = (p.detach()[0].clone().requires_grad_() for p in agent.q.parameters())
    weight_bar, bias_bar = (p[0] for p in agent.q_bar.net.parameters())
    s, a, r, cont, s2 = (x[0] for x in batch[:5])
    q_bar = s2 @ weight_bar + bias_bar
    best = (s2 @ weight + bias if double else q_bar).argmax(-1, keepdim=True)
    y = r + 0.9 * cont * q_bar.gather(-1, best).squeeze(-1)
    q = (s @ weight + bias).gather(-1, a.unsqueeze(-1)).squeeze(-1)
    loss = torch.nn.functional.huber_loss(q, y.detach(), delta=0.5)
    step = torch.optim.Adam([weight, bias], lr=0.1)
    loss.backward()
    step.step()
    metrics = agent.update(batch, config)
    torch.testing.assert_close(metrics["q_loss"][0], loss.detach())
    torch.testing.assert_close(metrics["q"][0], q.detach().mean())
    for ours, theirs in zip(agent.q.parameters(), (weight, bias), strict=True):
        torch.testing.assert_close(ours[0].detach(), theirs.detach())


def test_double_targets_never_exceed_those_of_the_maximum() -> None:
    spec = CASE.spec()
    config = CASE.make_config(lr=0.1, gamma=0.9)
    agent = CASE.agent(spec, config)
    for step in range(5):  # online net and target grow apart
        agent.update(make_batch(spec, agent, step), config)
    batch = make_batch(spec, agent, 9)
    double = agent.target(batch, config)[:, 0, :, 0]
    single = agent.target(batch, dataclasses.replace(config, double=False))[:, 0, :, 0]
    q, q_bar = (agent.head.value(net(batch.s2)).argmax(-1) for net in (agent.q, agent.q_bar))
    assert (double <= single + 1e-15).all()
    assert torch.equal(double[q == q_bar], single[q == q_bar])
    apart = (q != q_bar) & (batch.cont > 0)
    assert apart.any()
    assert (double[apart] < single[apart]).all()


def test_weights_scale_the_rows() -> None:
    spec, config = CASE.spec(), CASE.make_config()
    batch = make_batch(spec, CASE.agent(spec, config), 0)
    assert batch.w is not None
    agent = CASE.agent(spec, config)
    q = agent.q(batch.s).squeeze(-1).gather(-1, batch.a.unsqueeze(-1)).squeeze(-1)
    y = agent.target(batch, config)[:, 0, :, 0]
    each = torch.nn.functional.huber_loss(q, y, reduction="none")
    expected = (batch.w * each).mean(-1).detach()
    torch.testing.assert_close(agent.update(batch, config)["q_loss"], expected)


def test_the_target_is_copied_when_due_or_moved_by_polyak() -> None:
    spec = CASE.spec()
    for polyak in (1.0, 0.1):
        config = CASE.make_config(polyak=polyak, lr=0.1)
        agent = CASE.agent(spec, config)
        before = agent.q_bar.flat.data.clone()
        agent.update(make_batch(spec, agent, 0), config, target=False)
        assert torch.equal(agent.q_bar.flat.data, before)
        agent.update(make_batch(spec, agent, 1), config, target=True)
        moved = before.lerp(agent.step_q.flat.data, polyak)
        torch.testing.assert_close(agent.q_bar.flat.data, moved)


# --- exact answers ----------------------------------------------------------------------------
def sweep(spec: Spec, mdp: FiniteMDP) -> Batch:
    """Every transition once, states one-hot, weighted by its probability."""
    row = np.repeat(np.arange(mdp.num_rows), np.diff(mdp.row_ptr))
    eye = np.eye(mdp.num_states)

    def lanes(x: Any, dtype: torch.dtype = spec.dtype) -> Tensor:
        return torch.tensor(np.array(x), dtype=dtype).expand(spec.lanes, *np.shape(x)).clone()

    return Batch(
        s=lanes(eye[mdp.state_of_row()[row]]),
        a=lanes(mdp.a_id[row], torch.int64),
        r=lanes(mdp.r[row]),
        cont=lanes(np.ones(row.size)),
        s2=lanes(eye[mdp.col]),
        w=lanes(mdp.val),
    )


def learn(head: str, mdp: FiniteMDP, gamma: float, **given: Any) -> tuple[Any, Tensor]:
    """An agent of two lanes after 450 sweeps, and its outputs `[2, states, A, m]`."""
    spec = Spec(mdp.num_states, Discrete(mdp.num_actions), (0, 1), torch.float64)
    numbers = {"low": -1.0, "high": 3.0, "bins": 21, "hidden": (), "lr": 0.1}
    config = dqn.Config(**{**numbers, "gamma": gamma, "head": head, **given})
    agent, batch = dqn.Agent(spec, config), sweep(spec, mdp)
    for k in range(450):
        agent.update(batch, config, target=k % 25 == 24)
    states = torch.eye(mdp.num_states, dtype=torch.float64).expand(2, -1, -1)
    return agent, agent.q(states).detach()


@pytest.mark.parametrize("head", ["scalar", "two_hot", "hl_gauss", "c51"])
def test_reaches_the_solvers_values_of_a_random_mdp(head: str) -> None:
    mdp, gamma = garnet(4, 2, 2, seed=1), 0.5
    agent, out = learn(head, mdp, gamma, huber=1e9, dueling=head == "c51")
    exact = mdp.q_table(solve(mdp, gamma).value, gamma)
    for lane in agent.head.value(out).numpy():
        np.testing.assert_allclose(lane, exact, atol=5e-3)


@pytest.mark.parametrize(("head", "law"), [("c51", "categorical"), ("quantile", "quantile")])
def test_reaches_the_exact_law_of_the_return(head: str, law: str) -> None:
    """The fixed point of distributional evaluation under the optimal policy, atom by atom. Huber's
    threshold blurs quantiles by about its own size."""
    mdp, gamma = garnet(4, 2, 2, seed=1), 0.5
    given = {"huber": 0.005, "lr": 0.01, "bins": 8} if head == "quantile" else {}
    _, out = learn(head, mdp, gamma, **given)
    best = solve(mdp, gamma).policy
    kind = Quantile(8) if law == "quantile" else Categorical(np.linspace(-1, 3, 21))
    exact = evaluate_laws(mdp, best, gamma, kind).laws
    for lane in out:
        greedy = lane[np.arange(4), best]
        learnt = greedy.sort(-1).values if law == "quantile" else greedy.softmax(-1)
        np.testing.assert_allclose(learnt, exact, atol=0.01)


def test_quantiles_reach_the_values_where_nothing_is_random() -> None:
    mdp, gamma = garnet(4, 2, 1, seed=1), 0.5
    agent, out = learn("quantile", mdp, gamma, bins=5, lr=0.05)
    exact = mdp.q_table(solve(mdp, gamma).value, gamma)
    np.testing.assert_allclose(agent.head.value(out)[0], exact, atol=2e-3)
    np.testing.assert_allclose(out[0], exact[..., None] * np.ones(5), atol=5e-3)


# --- exploration ------------------------------------------------------------------------------
def test_epsilon_falls_along_a_line_of_the_updates() -> None:
    spec = CASE.spec()
    lasts = torch.tensor([[0.1], [0.5]], dtype=torch.float64)
    config = CASE.make_config(epsilon=0.9, epsilon_updates=4)
    for last, expected in ((0.1, (0.9, 0.7, 0.5, 0.3, 0.1, 0.1)), (lasts, None)):
        c = dataclasses.replace(config, epsilon_last=last)
        agent = dqn.Agent(spec, c)
        found = []
        for step in range(6):
            found.append(agent.epsilon(c).reshape(-1).tolist())
            metrics = agent.update(make_batch(spec, agent, step), c)
            assert metrics["epsilon"].shape == (2,)
        if expected is not None:
            assert [e[0] for e in found] == pytest.approx(expected, abs=1e-6)
        else:
            assert found[4] == pytest.approx([0.1, 0.5], abs=1e-6)
            assert found[2] == pytest.approx([0.5, 0.7], abs=1e-6)


def test_a_share_epsilon_of_actions_is_uniform_and_the_rest_greedy() -> None:
    spec = Spec(5, Discrete(3), (3, 0))
    config = dqn.Config(epsilon=0.3, hidden=(8,))
    agent = dqn.Agent(spec, config)
    with torch.no_grad():
        agent.q.mlp.last.bias[..., 1] += 9  # always the greedy one
    s = torch.zeros(2, 6000, 5)
    assert (agent.act(s) == 1).all()
    noise = torch.from_numpy(Streams(spec.seeds).draw("act", "uniform", 0, (6000, 2))[0]).float()
    share = torch.stack([(agent.act(s, noise) == k).float().mean(-1) for k in range(3)], -1)
    expected = torch.tensor([0.1, 0.8, 0.1]).expand(2, 3)
    torch.testing.assert_close(share, expected, rtol=0, atol=0.02)
    ends = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.3, 0.0], [1.0, 1.0]]).expand(2, 4, 2)
    assert agent.act(s[:, :4], ends).tolist() == [[2, 0, 1, 1]] * 2  # 1.0 may come by rounding


def test_views_of_a_grid_are_learnt_and_policies_can_be_traced() -> None:
    spec = Spec((7, 7, 3), Discrete(7), (5,), torch.float64)
    config = dqn.Config(head="c51", dueling=True, hidden=(8,), bins=5, epsilon=0.5)
    agent = dqn.Agent(spec, config)
    rng = np.random.default_rng(0)
    s, s2 = (torch.from_numpy(rng.integers(0, 4, (1, 9, 7, 7, 3))).double() for _ in range(2))
    a, ones = torch.from_numpy(rng.integers(0, 7, (1, 9))), torch.ones(1, 9).double()
    agent.update(Batch(s, a, ones, ones, s2), config)
    noise = torch.from_numpy(rng.random((1, 9, 2)))
    sampled, best = trace(agent, spec, (2,)), trace(agent, spec)
    views = s[0].float().numpy()
    np.testing.assert_array_equal(best(views), agent.act(s)[0])
    np.testing.assert_array_equal(sampled(views, noise[0].float().numpy()), agent.act(s, noise)[0])


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="discrete"):
        dqn.Agent(Spec(4, 2), dqn.Config())


def test_the_gradients_norm_is_bounded_lane_by_lane() -> None:
    """Adam's first moment is a tenth of the gradient; 0 bounds nothing."""
    norms = []
    for clip in ((0.0, 0.01), (0.0, 0.0)):
        c = resolve(CASE.make_config(clip=clip), spec := CASE.spec())
        agent = dqn.Agent(spec, c)
        agent.update(make_batch(spec, agent, 0), c)
        norms.append(agent.step_q.flat.square_sums(agent.step_q.m).sqrt() * 10)
    assert norms[1].min() > 0.02
    torch.testing.assert_close(norms[0][0], norms[1][0])
    assert float(norms[0][1]) == pytest.approx(0.01, rel=1e-3)
    plain = CASE.make_config()
    assert dqn.Agent(CASE.spec(), plain).step_q.clip is None

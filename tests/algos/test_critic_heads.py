"""Critics behind value heads: values, targets, copies, and what they learn."""

from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import cql, cql_discrete, dqn, iql, sac, td3
from rlkit.algos.common import copies_loss, head_loss, least, q_loss, target_of
from rlkit.core.batch import Batch
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.nets.gaussian_errors import biev_loss
from rlkit.testing import Case
from rlkit.testing.cases import make_batch

HEADS = get_args(nets.Head)
SPEC = Spec(3, 2, (0, 1), torch.float64)


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_the_scalar_head_is_the_squared_error_that_papers_write() -> None:
    qs, y = _numbers(2, 3, 7), _numbers(2, 7, seed=1)
    head = nets.value_head("scalar", huber=None)
    found = head_loss(head, qs[:, :, None, :, None], y[:, None, :, None])
    assert torch.equal(found, q_loss(qs, y))


@pytest.mark.parametrize("name", HEADS)
def test_least_is_the_critic_whose_mean_is_least_copy_by_copy(name: Any) -> None:
    head = nets.value_head(name, bins=5, low=-2.0, high=2.0)
    out = _numbers(2, 3, 4, 6, head.size)
    values = head.value(out)
    assert torch.equal(head.value(least(head, out)), values.amin(1))
    r, discount, plus = _numbers(2, 6, seed=1) * 0.1, _numbers(2, 6, seed=2).sigmoid(), 0.05
    y = target_of(head, r, 0.3 * discount, least(head, out), torch.full_like(r, plus))
    means = r[:, None] + 0.3 * discount[:, None] * (values.amin(1) + plus)
    tolerance = 0.02 if name == "hl_gauss" else 1e-9  # its law is cut off at the bounds
    torch.testing.assert_close(head.mean(y), means, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("discrete", [False, True])
def test_a_critic_of_copies_is_the_mean_of_their_values(name: Any, discrete: bool) -> None:
    spec = Spec(3, Discrete(4), (0, 1), torch.float64) if discrete else SPEC
    head = nets.value_head(name, bins=5)
    q = nets.Critic(nets.Init(spec), (8,), 2, head=head, copies=3)
    s = _numbers(2, 6, 3)
    a = torch.randint(4, (2, 6)) if discrete else _numbers(2, 6, 2)
    out = q.outputs(s, a)
    assert out.shape == (2, 2, 3, 6, head.size)
    torch.testing.assert_close(q(s, a), head.value(out).mean(2))
    if discrete:
        every = q.all(s)
        assert every.shape == (2, 2, 6, 4)
        picked = every.gather(-1, a[:, None, :, None].expand(-1, 2, -1, -1)).squeeze(-1)
        torch.testing.assert_close(picked, q(s, a))


def test_copies_weigh_their_errors_by_biev() -> None:
    head = nets.value_head("scalar", huber=None)
    out, y = _numbers(2, 2, 5, 30, 1), _numbers(2, 5, 30, 1, seed=1)
    plain, weighed = head_loss(head, out, y), head_loss(head, out, y, 0.3)
    expected = biev_loss((y.unsqueeze(1) - out).squeeze(-1)).sum(1)
    torch.testing.assert_close(weighed - plain, 0.3 * expected)
    one = copies_loss(head, out[:, :, :1], y[:, None, :1].expand(-1, 2, -1, -1, -1), 0.3)
    assert torch.equal(one, torch.zeros(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("module", [sac, td3])
def test_copies_of_equal_weights_learn_as_one(module: ModuleType) -> None:
    """Without BIEV the copies are separate learners of the same data: equal weights stay equal."""
    case = Case(module, config={"copies": 3, "biev": 0.0})
    spec, c = case.spec(), case.make_config()
    agent = case.agent(spec, c)
    for net in (agent.q, agent.q_bar.net):
        for p in net.parameters():
            copies = p.data.view(p.shape[0], 2, 3, *p.shape[2:])
            copies.copy_(copies[:, :, :1].expand_as(copies).clone())
    for step in range(3):
        agent.update(make_batch(spec, agent, step), c)
    for p in agent.q.parameters():
        copies = p.data.view(p.shape[0], 2, 3, *p.shape[2:])
        torch.testing.assert_close(copies, copies[:, :, :1].expand_as(copies), rtol=0, atol=1e-12)


def test_what_does_not_go_together_is_refused() -> None:
    case = Case(sac, config={"copies": 2, "subset": 1})
    with pytest.raises(ValueError, match="among single critics"):
        case.agent(case.spec(), case.make_config())
    own = Spec(3, 2, (0,), critic=lambda: torch.nn.Bilinear(3, 2, 1))
    with pytest.raises(ValueError, match="head scalar"):
        nets.Critic(nets.Init(own), head=nets.value_head("c51"))


def _bandit(spec: Spec, update: int, rows: int = 64) -> Batch:
    """One state, r = 1 - (a - 0.3)² with a little noise; every pull is an episode."""
    rng = np.random.default_rng(update)
    a = torch.from_numpy(rng.uniform(-1, 1, (1, rows, 1))).expand(spec.lanes, -1, -1)
    noise = torch.from_numpy(rng.normal(0, 0.1, (1, rows))).expand(spec.lanes, -1)
    s = torch.ones(spec.lanes, rows, 1, dtype=spec.dtype)
    r = 1 - (a[..., 0] - 0.3).square() + noise
    return Batch(s, a, r, torch.zeros_like(r), s)


LEARNT = [(sac, head) for head in HEADS if head != "scalar"]
LEARNT += [(td3, "c51"), (td3, "ggd"), (cql, "hl_gauss")]


@pytest.mark.parametrize(("module", "name"), LEARNT)
def test_every_head_finds_the_best_action_and_its_value(module: ModuleType, name: Any) -> None:
    spec = Spec(1, 1, (0,), torch.float64)
    given: dict[str, Any] = {"head": name, "bins": 21, "low": -2.0, "high": 2.0, "lr": 1e-2}
    given |= {"lr_q": 1e-2, "hidden": (16,)}
    if module is cql:
        given |= {"hidden_q": (16,), "alpha": 0.0, "n_actions": 1}
    else:
        given |= {"copies": 3 if name == "ggd" else 1}
    given |= {"learn_alpha": False, "alpha": 0.02} if module is sac else {}
    c = module.Config(**given)
    agent = module.Agent(spec, c)
    streams = Streams(spec.seeds)
    for step in range(300):
        noise = {
            key: streams.tensor(f"noise/{key}", draw, step, 1, spec, 64)[0]
            for key, draw in agent.noise.items()
        }
        due = {"actor": step % 2 == 1} if module is td3 else {}
        agent.update(_bandit(spec, step)._replace(noise=noise), c, **due)
    s = torch.ones(1, 1, 1, dtype=torch.float64)
    tolerance = 0.25 if module is cql else 0.2  # CQL's policy is held at an entropy
    with torch.no_grad():
        assert agent.act(s).item() == pytest.approx(0.3, abs=tolerance)
    best = torch.full((1, 1, 1), 0.3, dtype=torch.float64)
    assert agent.q(s, best).mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("module", [cql_discrete, iql])
def test_every_head_learns_the_rewards_of_arms(module: ModuleType, name: Any) -> None:
    spec = Spec(1, Discrete(3), (0,), torch.float64)
    given: dict[str, Any] = {"head": name, "bins": 21, "low": -2.0, "high": 2.0, "hidden": ()}
    given |= {"alpha": 0.0, "target_period": 10} if module is cql_discrete else {}
    c = module.Config(**given, lr=2e-2)
    agent = module.Agent(spec, c)
    means = torch.tensor([-0.8, 0.1, 0.9], dtype=torch.float64)
    rng = np.random.default_rng(0)
    for _ in range(300):
        a = torch.from_numpy(rng.integers(3, size=(1, 48)))
        r = means[a] + torch.from_numpy(rng.choice([-0.2, 0.2], (1, 48)))
        s = torch.ones(1, 48, 1, dtype=torch.float64)
        agent.update(Batch(s, a, r, torch.zeros_like(r), s), c)
    found = agent.q.all(torch.ones(1, 1, 1, dtype=torch.float64))[0, 0, 0].detach()
    torch.testing.assert_close(found, means, rtol=0, atol=0.12)


def test_dqn_acts_on_the_mean_of_its_copies_weighed_by_their_shapes() -> None:
    case = Case(dqn, discrete=True, config={"head": "ggd", "copies": 3})
    spec = case.spec()
    agent = case.agent(spec, case.make_config())
    s = _numbers(2, 6, 5)
    out = agent.q(s)
    assert out.shape == (2, 3, 6, 3, 2)
    beta = 0.1 + 3.9 * torch.sigmoid(out[..., 1] + np.log(0.9 / 3.0))
    expected = (beta * out[..., 0]).sum(1) / beta.sum(1)
    torch.testing.assert_close(agent.values(agent.q, s), expected)
    assert torch.equal(agent.act(s), expected.argmax(-1))

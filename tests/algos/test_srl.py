"""Sequences of actions: its reduction to SAC, temporal recall, acting, and what is learnt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rlkit
from rlkit import nets
from rlkit.algos import sac, srl
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.history import Memory
from rlkit.core.lanes import resolve
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.preceding import Preceded
from rlkit.run.settings.options import Options
from rlkit.run.settings.options import resolve as checked
from rlkit.run.train import resume, train
from rlkit.testing.cases import Case, make_noise, run_updates

SMALL: dict[str, Any] = {"hidden": (8, 8), "hidden_q": (8, 8), "hidden_model": (8,)}
CASE = Case(srl, config={"length": 3, **{k: SMALL[k] for k in ("hidden_q", "hidden_model")}})


def agent_of(spec: Spec, **given: Any) -> tuple[srl.Agent, Any]:
    config = resolve(srl.Config(**SMALL | given), spec)
    return srl.Agent(spec, config), config


class Seen(nn.Module):
    """A net of srl's, given observations that hold the action before at their end."""

    def __init__(self, net: nn.Module, size: int) -> None:
        super().__init__()
        self.net, self.size = net, size

    def forward(self, s: Tensor, *a: Tensor) -> Any:
        state, before = s.split([self.size, s.shape[-1] - self.size], -1)
        return self.net(state, *a) if a else self.net(state, before)

    def outputs(self, s: Tensor, a: Tensor, masks: Any = None) -> Tensor:
        return self.net.outputs(s[..., : self.size], a, masks)


def test_one_action_is_sac_whose_policy_sees_the_action_before() -> None:
    from rlkit.core.target import Target

    spec = Spec(5, 3, (3, 0), torch.float64)
    ours, c = agent_of(spec, length=1)
    wide = Spec(8, 3, (3, 0), torch.float64)
    config = resolve(sac.Config(hidden=(8, 8)), wide)
    theirs = sac.Agent(wide, config)
    init = nets.Init(spec)  # the same first weights
    pi, q = nets.SequenceActor(init, (8, 8)), nets.Critic(init, (8, 8), 2)
    theirs.pi, theirs.q = Seen(pi, 5), Seen(q, 5)  # type: ignore[assignment]
    theirs.q_bar = Target(theirs.q)
    theirs.step_pi, theirs.step_q = Adam(theirs.pi, config.lr), Adam(theirs.q, config.lr_q)
    for step in range(5):
        b = CASE.make_batch(spec, ours, step)
        assert b.before is not None
        assert b.noise is not None
        noise = {"next": b.noise["next"], "now": b.noise["now"][:, :, 0]}
        joined = b._replace(
            s=torch.cat([b.s, b.before], -1), s2=torch.cat([b.s2, b.a], -1), noise=noise
        )
        found, expected = ours.update(b, c), theirs.update(joined, config)
        for name in ("q_loss", "pi_loss", "alpha", "entropy"):
            torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-12)
    for mine, other in zip(ours.pi.parameters(), theirs.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_with_an_exact_model_what_is_recalled_is_what_would_be_met() -> None:
    spec = Spec(2, 1, (0, 4), torch.float64)
    agent, _ = agent_of(spec, length=4)
    along = torch.tensor([[0.9, 0.2], [-0.1, 0.8]]).double()
    push = torch.tensor([[0.0, 0.5]]).double()

    def exact(s: Tensor, a: Tensor) -> Tensor:
        return s @ along + a @ push

    met: list[tuple[Tensor, Tensor]] = []
    q = agent.q

    class Listening:
        def __call__(self, s: Tensor, a: Tensor) -> Tensor:
            met.append((s, a))
            return q(s, a)

    agent.model_bar, agent.q = exact, Listening()  # type: ignore[assignment]
    b = Case(srl).make_batch(spec, agent, 0)
    loss, log_prob = agent.recall(b, torch.ones(2, 1).double())
    assert len(met) == 4
    s = b.s
    for seen, a in met:
        torch.testing.assert_close(seen, s)
        assert not seen.requires_grad
        assert a.requires_grad
        s = exact(s, a).detach()
    assert loss.shape == (2,)
    assert log_prob.shape == b.r.shape
    # each action is judged on its own, and the first pays for none of the others' values
    separate = sum((-q(s, a).amin(-2)).mean(-1) for s, a in met) + 4 * log_prob.mean(-1)
    torch.testing.assert_close(loss, separate)


def test_no_gradient_passes_through_the_model() -> None:
    spec = Spec(5, 3, (0,), torch.float64)
    agent, _ = agent_of(spec, length=3)
    b = CASE.make_batch(spec, agent, 0)
    loss, _ = agent.recall(b, torch.ones(1, 1).double())
    weights = [*agent.model.parameters(), *agent.model_bar.net.parameters()]
    for p in weights:
        p.requires_grad_()
    slopes = torch.autograd.grad(loss.sum(), weights, allow_unused=True)
    assert all(slope is None for slope in slopes)


@pytest.mark.parametrize("closed", [False, True])
def test_it_decides_once_in_a_sequence_and_goes_on_with_it(closed: bool) -> None:
    spec = Spec(3, 2, (0, 5), torch.float64)
    agent, _ = agent_of(spec, length=3, closed=closed)
    memory, rng = Memory(spec, agent.history), np.random.default_rng(0)
    before = torch.zeros(2, 2, 2).double()
    t = np.zeros((2, 2), np.int64)
    plan = before.unsqueeze(2)
    for step in range(11):
        s = torch.from_numpy(rng.standard_normal((2, 2, 3)))
        t[:, 1] = step - 4 if step >= 4 else step  # a second episode begins in slot 1
        t[:, 0] = step
        before = before * torch.from_numpy(t > 0).unsqueeze(-1)
        fresh = torch.from_numpy(t % 3 == 0) | closed
        plan = torch.where(fresh[..., None, None], agent.plan(s, before, 3), plan)
        turn = torch.from_numpy(np.zeros_like(t) if closed else t % 3)
        expected = plan.gather(2, turn[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)
        past = memory.recall(t.copy(), np.zeros((2, 2)))
        before = agent.act(s, None, past)
        torch.testing.assert_close(before, expected)
        memory.keep(s, before)
        if step == 0:
            torch.testing.assert_close(agent.act(s), expected)
            assert not torch.equal(agent.act(s, torch.ones_like(before)), expected)


def test_rows_know_the_action_before_them() -> None:
    spec, rng = Spec(2, 1, (0, 1)), np.random.default_rng(0)
    replay, done, log = Replay(spec, 8, envs=2), np.ones((2, 2), bool), []
    last = np.zeros((2, 2, 1), np.float32)
    for _ in range(9):
        a = rng.uniform(-1, 1, (2, 2, 1)).astype(np.float32)
        log.append(last * ~done[..., None])
        s = np.zeros((2, 2, 2), np.float32)
        done = rng.random((2, 2)) < 0.3
        replay.add(s, a, done * 0.0, done, ~done & False, s)
        last = a
    source = Preceded(replay, 40, Streams(spec.seeds))
    index = source.indices(0, 1)[0]
    b: Batch = source.batch(index)
    assert b.before is not None
    for lane in range(2):
        for row, before in zip(index[lane].tolist(), b.before[lane], strict=True):
            slot, env = divmod(row, 2)
            step = max(t for t in range(9) if t % 4 == slot)
            if step == 5:  # the oldest one there
                assert before == 0
            else:
                assert before.item() == pytest.approx(log[step][lane, env, 0])


def test_a_run_is_resumed_bit_for_bit_and_is_no_file(
    tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    config = SMALL | {"length": 3, "batch_size": 8}
    given: dict[str, Any] = {"env": "Pendulum-v1", "workers": 1, "eval_episodes": 1, "quiet": True}
    given |= {"warmup": 7, "seeds": (0, 1), "envs": 2, "config": config, "eval_every": 20}
    whole = train(checked(Options("srl", steps=40, out=str(tmp_path / "whole"), **given))).folder
    part = train(checked(Options("srl", steps=20, out=str(tmp_path / "part"), **given))).folder
    resume(part, 40, quiet=True)
    assert digests(part) == digests(whole)
    with pytest.raises(UsageError, match="looks back at its episode, which a file cannot"):
        rlkit.export(whole)


def test_it_learns_a_sequence_that_nobody_corrects() -> None:
    """s' = s + a, reward -s'²: from s in [-2, 2] the best way home is one of two steps at most."""
    spec = Spec(1, 1, (0, 1))
    config = resolve(
        srl.Config(
            length=3, hidden=(24, 24), hidden_q=(32, 32), hidden_model=(16,), gamma=0.8, lr=2e-3,
            lr_q=2e-3, lr_model=2e-3, alpha=0.01, learn_alpha=False, polyak=0.02, batch_size=64,
        ),
        spec,
    )  # fmt: skip
    agent, drawn = srl.Agent(spec, config), torch.Generator().manual_seed(0)
    for step in range(500):
        s, a, before = (2 * torch.rand(2, 64, 1, generator=drawn) - 1 for _ in range(3))
        s = 2 * s
        r = -(s + a).square().squeeze(-1)
        ones = torch.ones(2, 64)
        b = Batch(s, a, r, ones, s + a, before=before)
        agent.update(b._replace(noise=make_noise_of(spec, agent, step, 64)), config)
    s = torch.linspace(-1.8, 1.8, 13).view(1, 13, 1).expand(2, -1, -1)
    planned = agent.plan(s, torch.zeros(2, 13, 1), 3).detach()
    met = s + planned.squeeze(-1).cumsum(-1)
    assert met[..., 1:].abs().mean() < 0.15  # home after two steps, without a look
    home = (s.abs() - torch.arange(1, 4)).clamp(min=0)
    assert (met.square().sum(-1) - home.square().sum(-1)).mean() < 0.15


def make_noise_of(spec: Spec, agent: Any, step: int, batch: int) -> dict[str, Tensor]:
    streams = Streams(spec.seeds)
    return {
        name: streams.tensor(f"noise/{name}", draw, step, 1, spec, batch)[0]
        for name, draw in agent.noise.items()
    }


@pytest.mark.parametrize(
    ("obs", "hidden", "said"),
    [((7, 7, 3), (8,), "srl predicts vectors"), (4, (), "hidden is empty")],
)
def test_what_it_is_not_for_is_said(obs: Any, hidden: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agent_of(Spec(obs, 2), hidden=hidden)


def test_metrics_are_those_of_a_lane() -> None:
    _, metrics = run_updates(CASE, CASE.spec(), CASE.make_config())
    assert {name: x.shape for name, x in metrics.items()} == dict.fromkeys(metrics, (2,))
    assert make_noise(CASE.spec(), srl.Agent(CASE.spec(), CASE.make_config()), 0) is not None

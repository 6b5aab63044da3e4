"""Loops of one's own: an agent draws the noise that it is not given, and has a state."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import iql, sac, td3
from rlkit.core import Batch, Draw, Learner, Spec, resolve, state
from rlkit.testing.cases import BATCH, Case, make_batch, make_noise

SAC = Case(sac)


def own(case: Case, seeds: tuple[int, ...], updates: int = 4) -> Any:
    """An agent after updates on batches without noise."""
    spec, config = case.spec(seeds), case.make_config()
    agent = case.agent(spec, config)
    for step in range(updates):
        agent.update(make_batch(spec, agent, step)._replace(noise=None), config)
    return agent


def test_noise_differs_from_update_to_update_and_from_the_engines() -> None:
    seen: list[dict[str, Tensor]] = []

    class Agent(td3.Agent):
        def update(self, b: Batch, c: td3.Config, actor: bool = True) -> dict[str, Tensor]:
            assert b.noise is not None
            seen.append(b.noise)
            return super().update(b, c, actor)

    spec, config = SAC.spec(), Case(td3).make_config()
    agent = Agent(spec, config)
    batch = make_batch(spec, agent, 0)
    agent.update(batch._replace(noise=None), config)
    agent.update(batch._replace(noise=None), config)
    agent.update(batch, config)  # noise that is given is used, and moves no stream
    agent.update(batch._replace(noise=None), config)
    twin = Agent(spec, config)
    for _ in range(3):
        twin.update(batch._replace(noise=None), config)
    drawn = [one["target"] for one in seen]
    assert all(x.shape == (2, BATCH, 3) and x.dtype == spec.dtype for x in drawn)
    assert batch.noise is not None
    assert drawn[2] is batch.noise["target"]
    assert torch.equal(drawn[2], (make_noise(spec, agent, 0) or {})["target"])
    for i in range(4):
        for j in range(i):
            assert not torch.equal(drawn[i], drawn[j])
    again = zip((drawn[0], drawn[1], drawn[3]), drawn[4:], strict=True)
    assert all(torch.equal(x, y) for x, y in again)


def test_a_lane_draws_the_same_in_any_company() -> None:
    together, alone = own(SAC, (3, 0)), own(SAC, (0,))
    for name, tensor in state.tensors(alone).items():
        other = state.tensors(together)[name]
        lane = other[1:] if tensor.dim() else other
        torch.testing.assert_close(lane, tensor, rtol=0, atol=1e-12)


def test_batches_of_other_sizes_share_no_numbers() -> None:
    spec = Spec(2, 2, seeds=(0,))
    drawn: list[Tensor] = []

    class Agent(Learner):
        noise = {"eps": Draw("normal", "B", "A"), "u": Draw("uniform", "B")}

        def update(self, b: Batch, config: Any) -> None:
            assert b.noise is not None
            assert ((b.noise["u"] >= 0) & (b.noise["u"] < 1)).all()
            drawn.append(b.noise["eps"].flatten())

    agent = Agent(spec, None)
    for size in (4, 8, 4, 8):
        x = torch.zeros(1, size, 2)
        agent.update(Batch(x, x, x[..., 0], x[..., 0], x), None)
    numbers = torch.cat(drawn)
    assert numbers.unique().numel() == numbers.numel() == 48


def test_the_state_is_what_checkpoints_hold_and_the_count_of_own_draws() -> None:
    agent = own(SAC, (0,), 2)
    held = agent.state_dict()
    assert held.keys() - state.tensors(agent).keys() == {"own_noise.calls"}
    assert int(held["own_noise.calls"]) == 2
    fresh = SAC.agent(SAC.spec((0,)), SAC.make_config())
    with pytest.raises(ValueError, match=r"lacks 'own_noise.calls'"):
        fresh.load_state_dict(state.tensors(agent))
    wide = SAC.agent(SAC.spec((0,)), SAC.make_config(hidden=(9, 8)))
    before = state.clone(wide)
    with pytest.raises(ValueError, match="has shape"):
        wide.load_state_dict(held)
    assert all(torch.equal(x, before[n]) for n, x in state.tensors(wide).items())
    assert int(wide.state_dict()["own_noise.calls"]) == 0


def test_a_copy_goes_on_by_itself() -> None:
    agent = own(SAC, (0,), 2)
    twin = copy.deepcopy(agent)
    spec, config = SAC.spec((0,)), SAC.make_config()
    for each in (agent, twin):
        each.update(make_batch(spec, each, 9)._replace(noise=None), config)
    for name, tensor in agent.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name])


@pytest.mark.parametrize("kind", [tuple, list])
def test_values_a_lane_must_be_resolved(kind: type) -> None:
    spec = Spec(5, 3, seeds=(0, 1))
    config = dataclasses.replace(iql.Config(hidden=(8,)), tau=kind((0.7, 0.9)))
    with pytest.raises(ValueError, match=r"'tau' is .*0\.9.* a lane; .*resolve\(config, spec\)"):
        iql.Agent(spec, config)
    agent = iql.Agent(spec, resolve(config, spec))
    with pytest.raises(ValueError, match=r"resolve\(config, spec\)"):
        agent.update(make_batch(spec, agent, 0), config)
    agent.update(make_batch(spec, agent, 0), resolve(config, spec))


def test_given_noise_is_traced_as_one_graph() -> None:
    spec, config = SAC.spec((0,)), SAC.make_config()
    agent = SAC.agent(spec, config)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        compiled = torch.compile(agent.update, fullgraph=True, backend="eager")
        compiled(make_batch(spec, agent, 0), config)

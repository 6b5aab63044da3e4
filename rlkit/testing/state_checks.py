"""Checks of an agent's state: saved and loaded, it goes on as if nothing had happened."""

from __future__ import annotations

from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.lanes import resolve
from rlkit.testing.cases import Case, Skipped, due_flags, observations, run_updates


def checkpoint_continues_bitwise(case: Case) -> None:
    """Saved and loaded into a fresh agent, the next updates are the same to the bit."""
    spec, config = case.spec(dtype=torch.float32), case.make_config()
    agent, _ = run_updates(case, spec, config, 5)
    saved = safetensors.torch.load(safetensors.torch.save(state.clone(agent)))
    assert saved, "the agent has no state to save; nets and optimisers must be its attributes"
    fresh = case.agent(spec, config)
    state.load(fresh, saved)
    results = []
    for each in (agent, fresh):
        for step in range(5, 10):
            due, b = due_flags(each, step), case.make_batch(spec, each, step)
            metrics = each.update(b, resolve(config, spec), **due)
        action = each.act(observations(spec))
        results.append({**state.tensors(each), **metrics, "the action": action})
    for name, tensor in results[0].items():
        assert torch.equal(tensor, results[1][name]), f"{name} differs after loading"


def own_loop_continues_bitwise(case: Case) -> None:
    """An agent with a `state_dict` draws its own noise, the same after `load_state_dict`."""
    spec, config = case.spec(dtype=torch.float32), case.make_config()
    resolved = resolve(config, spec)
    first, second = case.agent(spec, config), case.agent(spec, config)
    if not hasattr(first, "state_dict"):
        raise Skipped("no state_dict: not made for loops of one's own")

    def update(agent: Any, step: int) -> dict[str, Tensor]:
        batch = case.make_batch(spec, agent, step)._replace(noise=None)
        return agent.update(batch, resolved, **due_flags(agent, step))

    for step in range(3):
        update(first, step)
    cloned = {name: tensor.detach().clone() for name, tensor in first.state_dict().items()}
    second.load_state_dict(safetensors.torch.load(safetensors.torch.save(cloned)))
    for step in range(3, 6):
        metrics, again = update(first, step), update(second, step)
    results = [{**first.state_dict(), **metrics}, {**second.state_dict(), **again}]
    for name, tensor in results[0].items():
        assert torch.equal(tensor, results[1][name]), f"{name} differs after loading"
    try:
        second.load_state_dict({name: cloned[name] for name in list(cloned)[1:]})
    except ValueError:
        return
    raise AssertionError("load_state_dict takes a state that lacks a tensor")

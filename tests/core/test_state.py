"""State of an agent as named tensors, loaded whole or not at all."""

import pytest
import torch

from rlkit import nets
from rlkit.core import state
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target


class Agent:
    def __init__(self, seeds: tuple[int, ...] = (0, 1), width: int = 4) -> None:
        init = nets.Init(Spec(3, 2, seeds))
        self.periods = {"actor": 2}
        self.q = nets.Critic(init, (width,))
        self.log_alpha = nets.Scalar(init, 0.0)
        self.q_bar = Target(self.q)
        self.step_q = Adam(self.q, 0.1)

    def update(self) -> None:
        lanes = self.log_alpha.value.shape[0]
        s, a = torch.ones(lanes, 5, 3), torch.ones(lanes, 5, 2)
        self.step_q(self.q(s, a).square().mean((1, 2)))
        self.q_bar.follow(self.q, 0.5)


def _equal(agent: Agent, saved: dict[str, torch.Tensor]) -> bool:
    live = state.tensors(agent)
    return live.keys() == saved.keys() and all(torch.equal(live[n], saved[n]) for n in live)


def test_parts_are_the_attributes_with_a_state() -> None:
    assert list(state.parts(Agent())) == ["q", "log_alpha", "q_bar", "step_q"]


def test_tensors_are_live_and_clones_are_not() -> None:
    agent = Agent()
    live, copied = state.tensors(agent), state.clone(agent)
    assert {"q.mlp.last.weight", "q_bar.mlp.last.weight", "step_q.steps"} <= live.keys()
    agent.update()
    assert _equal(agent, live)
    assert not _equal(agent, copied)
    changed = {name.split(".")[0] for name in live if not torch.equal(live[name], copied[name])}
    assert changed == {"q", "q_bar", "step_q"}


def test_clone_and_load_restore_and_continue_bitwise() -> None:
    agent, fresh = Agent(), Agent(seeds=(7, 9))
    agent.update()
    saved = state.clone(agent)
    where = {name: t.data_ptr() for name, t in state.tensors(fresh).items()}
    state.load(fresh, saved)
    assert where == {name: t.data_ptr() for name, t in state.tensors(fresh).items()}
    agent.update()
    fresh.update()
    assert _equal(fresh, state.clone(agent))
    assert not _equal(agent, saved)


def test_every_fault_is_named_and_changes_nothing() -> None:
    saved = state.clone(Agent(seeds=(5, 6)))
    name = "step_q.m.mlp.last.weight"  # the last parts: everything before is in order
    missing = {n: t for n, t in saved.items() if n != name}
    misshapen = {**saved, name: saved[name][:, :1]}
    extra = {**saved, "step_q.momentum": torch.zeros(2)}
    for wrong, message in (
        (missing, rf"state lacks '{name}'"),
        (misshapen, rf"'{name}' has shape \(2, 1, 4, 1\) .* expects \(2, 2, 4, 1\)"),
        (extra, r"'step_q\.momentum', which the agent does not know"),
        (state.clone(Agent(seeds=(5, 6, 7))), r"lanes or layer widths differ"),
        (state.clone(Agent(seeds=(5, 6), width=8)), r"shape"),
    ):
        agent = Agent()
        before = state.clone(agent)
        with pytest.raises(ValueError, match=message):
            state.load(agent, wrong)
        assert _equal(agent, before)


def test_only_some_parts_are_transferred() -> None:
    giver, taker = Agent(seeds=(5, 6)), Agent()
    giver.update()
    saved, before = state.clone(giver), state.clone(taker)
    del saved["log_alpha.value"]  # parts that are not asked for may be missing
    state.load(taker, saved, only=("q", "q_bar"))
    for name, tensor in state.tensors(taker).items():
        source = saved if name.split(".")[0] in ("q", "q_bar") else before
        assert torch.equal(tensor, source[name])


def test_only_names_must_be_parts() -> None:
    agent = Agent()
    before = state.clone(agent)
    with pytest.raises(ValueError, match=r"no part 'v'; its parts: q, log_alpha, q_bar, step_q"):
        state.load(agent, before, only=("q", "v"))
    incomplete = {n: t for n, t in before.items() if n != "q.mlp.last.bias"}
    with pytest.raises(ValueError, match=r"lacks 'q\.mlp\.last\.bias'"):
        state.load(agent, incomplete, only=("q",))
    assert _equal(agent, before)

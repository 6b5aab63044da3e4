"""Every check passes an honest agent and fails one made faulty in exactly that respect.

Here the checks of lanes, gradients and rows; those of state and actions are in the next file.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos import bc, iql, sac
from rlkit.algos.common import q_loss
from rlkit.core.batch import Batch
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, Positive, checked
from rlkit.testing import CHECKS, Case, Skipped, check_agent

_HEADS = {
    **{name: {"head": "c51"} for name in ("bins", "low", "high")},
    "sigma": {"head": "hl_gauss"},
}
IQL_CASE: dict[str, Any] = {"vary": {"adv_clip": {"beta": 50.0}, **_HEADS}}
QUICK = [name for name in CHECKS if name not in ("compile_equals_eager", "graph_equals_eager")]


def _changing_batch(change: Callable[[Batch], Batch]) -> type:
    class Agent(iql.Agent):
        def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
            return super().update(change(b), c)

    return Agent


@pytest.mark.parametrize("check", QUICK)
def test_honest_agents_pass(check: str, algorithm: Callable[..., ModuleType]) -> None:
    CHECKS[check](Case(algorithm(), **IQL_CASE))
    vary = {**_HEADS, "biev": {"copies": 2}}
    exempt = {"n_step": "of the draw of minibatches"}
    CHECKS[check](Case(sac, config={"actor_period": 2}, vary=vary, exempt=exempt))


# config_is_data


@dataclass
class Unfrozen:
    lr: float = 3e-4


@dataclass(frozen=True)
class WithTensor:
    lr: Tensor = dataclasses.field(default_factory=lambda: torch.tensor(3e-4))


@dataclass(frozen=True)
class WithSet:
    layers: frozenset[int] = frozenset({1})


def test_unfrozen_config(faulty: Callable[..., str]) -> None:
    assert "must be a frozen dataclass" in faulty("config_is_data", config=Unfrozen)


@pytest.mark.parametrize("config", [WithTensor, WithSet])
def test_config_that_is_no_json(config: type, algorithm: Callable[..., ModuleType]) -> None:
    with pytest.raises((AssertionError, TypeError), match="JSON"):
        CHECKS["config_is_data"](Case(algorithm(config=config)))


# ranges_are_declared


@checked()
@dataclass(frozen=True)
class WithoutRange:
    batch_size: Count = 256
    sizes: tuple[int, ...] = (8, 8)


@dataclass(frozen=True)
class Unchecked:
    lr: Positive = 3e-4


def test_config_without_ranges(faulty: Callable[..., str]) -> None:
    said = faulty("ranges_are_declared", config=WithoutRange)
    assert "field 'sizes' declares no range" in said
    said = faulty("ranges_are_declared", config=Unchecked)
    assert "field 'lr' takes -1" in said


# no_layers_are_a_linear_net


class LastWidth(iql.Agent):
    def __init__(self, spec: Spec, c: iql.Config) -> None:
        self.last = c.hidden[-1]
        super().__init__(spec, c)


class Refuses(iql.Agent):
    def __init__(self, spec: Spec, c: iql.Config) -> None:
        if not c.hidden:
            raise ValueError("at least one layer is needed")
        super().__init__(spec, c)


def test_nets_that_need_a_layer(faulty: Callable[..., str]) -> None:
    said = faulty("no_layers_are_a_linear_net", agent=LastWidth)
    assert "hidden=() ends in IndexError" in said
    said = faulty("no_layers_are_a_linear_net", agent=Refuses)
    assert "hidden=() is refused without its name: ValueError: at least one layer" in said


# lanes_equal_separate_runs


class MeanOverLanes(iql.Agent):
    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        loss = q_loss(self.q(b.s, b.a), b.r).mean()
        return {"q_loss": self.step_q(loss)}


class SharedAdvantageScale(iql.Agent):
    """Normalises by a statistic of all lanes together."""

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        return super().update(b._replace(r=b.r / b.r.std()), c)


class SharedNormClip(bc.Agent):
    def __init__(self, spec: Spec, c: bc.Config) -> None:
        super().__init__(spec, c)
        step = self.step_pi.apply

        def clipped(grads: Any) -> None:
            norm = torch.stack([g.square().sum() for g in grads]).sum().sqrt()
            step([g / norm for g in grads])

        self.step_pi.apply = clipped  # type: ignore[method-assign]
        self.step_pi.eps = 1e-2


class FirstLanesRate(iql.Agent):
    """Right for one rate, wrong for one rate a lane."""

    def __init__(self, spec: Spec, c: iql.Config) -> None:
        rate = c.lr[0].item() if isinstance(c.lr, Tensor) else c.lr
        super().__init__(spec, dataclasses.replace(c, lr=rate))


@pytest.mark.parametrize("agent", [MeanOverLanes, SharedAdvantageScale, FirstLanesRate])
def test_lanes_that_are_not_separate(agent: type, faulty: Callable[..., str]) -> None:
    text = faulty("lanes_equal_separate_runs", agent, **IQL_CASE)
    assert "off its separate run" in text


def test_clipping_over_all_lanes(faulty: Callable[..., str]) -> None:
    case = {"fraction": "before training", "fraction_of": "before training"}
    text = faulty("lanes_equal_separate_runs", SharedNormClip, bc.Config, exempt=case)
    assert "off its separate run" in text


def test_nets_that_start_from_their_company(faulty: Callable[..., str]) -> None:
    class Agent(iql.Agent):
        def __init__(self, spec: Spec, c: iql.Config) -> None:
            super().__init__(spec, c)
            with torch.no_grad():
                self.pi.mlp.last.bias.mul_(1 + spec.lanes)

    assert "off its separate run" in faulty("lanes_equal_separate_runs", Agent, **IQL_CASE)


# optimisers_move_their_own_net


class OneOptimiserForTwoNets(iql.Agent):
    def __init__(self, spec: Spec, c: iql.Config) -> None:
        init = nets.Init(spec)
        self.pi, self.v = nets.GaussianActor(init, c.hidden), nets.Value(init, c.hidden)
        self.step_pi = Adam(nn.ModuleList([self.pi, self.v]), c.lr)
        self.act_noise = self.pi.noise

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        adv = b.r - self.v(b.s)
        return {"loss": self.step_pi(iql.pi_loss(self.pi(b.s).log_prob(b.a), adv, c.beta, 9.0))}


class OptimiserOfTheTarget(iql.Agent):
    """Trains the target critic by gradient; a target is moved by `follow` alone."""

    def __init__(self, spec: Spec, c: iql.Config) -> None:
        super().__init__(spec, c)
        self.q_bar.net.requires_grad_(True)
        self.step_bar = Adam(self.q_bar.net, c.lr)

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        metrics = super().update(b, c)
        self.step_bar(q_loss(self.q_bar(b.s, b.a), b.r))
        return metrics


class NoOptimiserAtAll(iql.Agent):
    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        return {"q_loss": q_loss(self.q(b.s, b.a), b.r).detach()}


def test_an_optimiser_that_moves_two_nets(faulty: Callable[..., str]) -> None:
    text = faulty("optimisers_move_their_own_net", OneOptimiserForTwoNets)
    assert text == "one optimiser moved ['pi', 'v']"


def test_an_optimiser_that_moves_a_target(faulty: Callable[..., str]) -> None:
    assert "q_bar" in faulty("optimisers_move_their_own_net", OptimiserOfTheTarget)


def test_nothing_learns(faulty: Callable[..., str]) -> None:
    assert "no optimiser moved" in faulty("optimisers_move_their_own_net", NoOptimiserAtAll)


# terminal_rows_ignore_the_next_state, order_within_a_batch_is_irrelevant


def test_bootstrap_without_cont(faulty: Callable[..., str]) -> None:
    agent = _changing_batch(lambda b: b._replace(cont=torch.ones_like(b.cont)))
    text = faulty("terminal_rows_ignore_the_next_state", agent)
    assert "depends on s2 although cont is 0" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b._replace(r=b.r * torch.linspace(0, 1, b.r.shape[1])),
        lambda b: b._replace(r=b.r.cumsum(1)),
        lambda b: b._replace(s2=b.s2.roll(1, 1)),
    ],
    ids=["weights by position", "sums along the batch", "next state of another row"],
)
def test_order_dependence(change: Callable[[Batch], Batch], faulty: Callable[..., str]) -> None:
    text = faulty("order_within_a_batch_is_irrelevant", _changing_batch(change))
    assert "the order of the rows matters" in text


def test_noise_of_another_row(faulty: Callable[..., str]) -> None:
    class Agent(sac.Agent):
        def update(self, b: Batch, c: sac.Config, actor: bool = True) -> dict[str, Tensor]:
            assert b.noise is not None
            next_noise = b.noise["next"][:, :1].expand_as(b.noise["next"])
            return super().update(b._replace(noise={**b.noise, "next": next_noise}), c, actor)

    text = faulty("order_within_a_batch_is_irrelevant", Agent, sac.Config)
    assert "the order of the rows matters" in text


# no_silent_broadcast


def _valuing(loss: Callable[[Tensor, Tensor], Tensor]) -> type:
    class Agent(iql.Agent):
        def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
            return {"v_loss": self.step_v(loss(self.v(b.s), b.r))}

    return Agent


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    "operation",
    [
        lambda v, r: (v - r).square(),
        lambda v, r: (r - v).square(),
        lambda v, r: torch.sub(v, r).square(),
        lambda v, r: v.sub(other=r).square(),
        lambda v, r: v * r,
        lambda v, r: torch.minimum(v, r),
        lambda v, r: torch.where(v > 0, v, r),
        lambda v, r: (v < r).to(v) * v,
        lambda v, r: nn.functional.mse_loss(v, r, reduction="none"),
        lambda v, r: nn.functional.huber_loss(v, r, reduction="none"),
    ],
    ids=["-", "reversed", "sub", "keyword", "*", "minimum", "where", "<", "mse", "huber"],
)
def test_silent_broadcast(
    operation: Callable[[Tensor, Tensor], Tensor], faulty: Callable[..., str]
) -> None:
    """`[S, B, 1]` against `[S, 1, B]` gives every pair of rows."""
    agent = _valuing(lambda v, r: operation(v.unsqueeze(-1), r.unsqueeze(-2)).mean((-2, -1)))
    assert "grows to" in faulty("no_silent_broadcast", agent)


def test_forgotten_squeeze(faulty: Callable[..., str]) -> None:
    """`[S, B, 1] - [S, B]` is silent in a single lane only, and an error of shapes in several."""
    agent = _valuing(lambda v, r: (v.unsqueeze(-1) - r).square().mean((-2, -1)))
    assert "grows to" in faulty("no_silent_broadcast", agent)


def test_lanes_against_lanes(faulty: Callable[..., str]) -> None:
    """`[S, 1] - [S]` is silent in a single lane, and mixes the lanes in several."""
    agent = _valuing(lambda v, r: (v.mean(-1, keepdim=True) - r.mean(-1)).square().mean(-1))
    assert "grows to" in faulty("no_silent_broadcast", agent)


# check_agent


def test_check_agent_runs_all_and_names_the_failed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def recorded(name: str, fault: type[Exception] | None) -> Callable[[Case], None]:
        def check(case: Case) -> None:
            assert case.discrete
            assert case.module is iql
            ran.append(name)
            if fault:
                raise fault("because")

        return check

    checks = sys.modules["rlkit.testing.checks"]
    table = {"one": recorded("one", None), "two": recorded("two", Skipped)}
    monkeypatch.setattr(checks, "CHECKS", {**table, "three": recorded("three", None)})
    check_agent(iql, discrete=True)
    assert ran == ["one", "two", "three"]
    monkeypatch.setattr(checks, "CHECKS", {**table, "three": recorded("three", AssertionError)})
    with pytest.raises(AssertionError, match=r"rlkit\.algos\.iql, check 'three': because"):
        check_agent(iql, discrete=True)


def test_every_check_has_a_faulty_agent() -> None:
    """A check nobody has seen fail proves nothing."""
    files = Path(__file__).parent.glob("test_checks*.py")
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    for check in CHECKS:
        assert f'"{check}"' in source, f"no agent of this file fails {check}"

"""The engine gives the same numbers however updates are grouped, and trusts only what agrees."""

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import sac
from rlkit.core import engine, state
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine, EngineWarning, choose, difference
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw, Streams
from rlkit.core.target import Target
from rlkit.testing import Case

SEEDS = (3, 0)
ROWS, BATCH = 40, 8


@dataclass(frozen=True)
class Config:
    lr: float = 0.01
    polyak: float = 0.1


class Agent:
    """A critic every update, an actor every third, a hard target copy every second; all noisy."""

    noise = {"eps": Draw("normal", "B", "A"), "drop": Draw("uniform", "B")}

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, (4,))
        self.q = nets.Critic(init, (4,))
        self.q_bar = Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr)
        self.periods = {"actor": 3, "copy": 2}

    def update(
        self, b: Batch, c: Config, actor: bool = True, copy: bool = True
    ) -> dict[str, Tensor]:
        assert b.noise is not None
        with torch.no_grad():
            a2 = self.pi(b.s2).sample(0.3 * b.noise["eps"])
            y = b.r + 0.9 * b.cont * self.q_bar(b.s2, a2).amin(-2) + b.noise["drop"]
        q_loss = (self.q(b.s, b.a) - y.unsqueeze(-2)).square().mean(-1).sum(-1)
        metrics = {"q_loss": self.step_q(q_loss)}
        if actor:
            metrics["pi_loss"] = self.step_pi(-self.q(b.s, self.pi(b.s).mode)[:, 0].mean(-1))
        if copy:
            self.q_bar.follow(self.q, c.polyak)
        return metrics


class Rows:
    """Uniform rows of forty made-up transitions, drawn by streams as a sampler would."""

    batch_size = BATCH

    def __init__(self, spec: Spec) -> None:
        self.streams = Streams(spec.seeds)
        x = torch.linspace(0, 7, ROWS * 3, dtype=spec.dtype).view(ROWS, 3)
        self.s, self.a, self.s2 = torch.sin(x), torch.cos(x[:, :2]), torch.sin(x + 1)
        self.r, self.cont = torch.cos(x[:, 2]), (x[:, 0] < 6).to(spec.dtype)

    def indices(self, step: int, count: int) -> Tensor:
        numbers = self.streams.draw("rows", "uniform", step, (BATCH,), count)
        return torch.from_numpy((numbers * ROWS).astype("int64"))

    def batch(self, index: Tensor) -> Batch:
        columns = (self.s, self.a, self.r, self.cont, self.s2)
        return Batch(*(column[index] for column in columns))


def _engine(mode: str = "eager", seeds: tuple[int, ...] = SEEDS, kind: Any = Agent) -> Engine:
    spec = Spec(3, 2, seeds, torch.float64)
    return Engine(kind(spec, Config()), Config(), spec, Rows(spec), mode)


def _equal(one: Engine, saved: dict[str, Tensor]) -> bool:
    live = state.tensors(one.agent)
    return all(torch.equal(live[name], saved[name]) for name in live)


@pytest.mark.parametrize("cuts", [[1] * 20, [7, 13], [3, 1, 10, 6]])
def test_grouping_of_updates_is_irrelevant(cuts: list[int]) -> None:
    whole, parted = _engine(), _engine()
    last = whole.run(0, 20)
    at = 0
    for count in cuts:
        metrics = parted.run(at, count)
        at += count
    assert _equal(parted, state.tensors(whole.agent))
    assert torch.equal(metrics["q_loss"], last["q_loss"])
    assert not _equal(whole, state.tensors(_engine().agent))


def test_more_updates_than_are_drawn_at_once() -> None:
    whole, parted = _engine(), _engine()
    whole.run(0, 130)
    parted.run(0, 100)
    parted.run(100, 30)
    assert _equal(parted, state.tensors(whole.agent))


def test_a_fresh_engine_continues_where_another_stopped() -> None:
    whole, first, second = _engine(), _engine(), _engine()
    whole.run(0, 17)
    first.run(0, 11)
    state.load(second.agent, state.clone(first.agent))
    second.run(11, 6)
    assert _equal(second, state.tensors(whole.agent))


def test_a_lane_learns_the_same_in_any_company() -> None:
    together, alone = _engine(), _engine(seeds=(0,))
    together.run(0, 12)
    alone.run(0, 12)
    tensors = state.tensors(together.agent)
    for name, tensor in state.tensors(alone.agent).items():
        lane = tensors[name][1:] if tensor.dim() else tensors[name]
        assert torch.allclose(lane, tensor, rtol=0, atol=1e-12), name


def test_periodic_parts_run_on_their_updates_only() -> None:
    one = _engine()
    assert [one.due(step) for step in (0, 1, 2, 5)] == [
        {"actor": False, "copy": False},
        {"actor": False, "copy": True},
        {"actor": True, "copy": False},
        {"actor": True, "copy": True},
    ]
    for step in range(7):
        before = state.clone(one.agent)
        metrics = one.run(step, 1)
        live = state.tensors(one.agent)
        moved = {name.split(".")[0] for name in live if not torch.equal(live[name], before[name])}
        expected = {"q", "step_q"}
        expected |= {"pi", "step_pi"} if step in (2, 5) else set()
        expected |= {"q_bar"} if step % 2 else set()
        assert moved == expected
        assert ("pi_loss" in metrics) == (step in (2, 5))
    assert "pi_loss" in one.run(7, 6), "the last value of a periodic metric is kept"


def test_noise_is_new_at_every_step_and_follows_its_declaration() -> None:
    one = _engine()
    seen: list[dict[str, Tensor]] = []
    update = one._update

    def spy(b: Batch, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        assert b.noise is not None
        seen.append(b.noise)
        return update(b, *args, **kwargs)

    one._update = spy
    one.run(0, 5)
    for noise in seen:
        assert noise["eps"].shape == (2, BATCH, 2)
        assert noise["drop"].shape == (2, BATCH)
        assert noise["eps"].dtype == torch.float64
    assert torch.stack([n["eps"] for n in seen]).unique().numel() == 5 * 2 * BATCH * 2
    expected = Streams(SEEDS).draw("noise/eps", "normal", 3, (BATCH, 2))[0]
    assert torch.equal(seen[3]["eps"], torch.from_numpy(expected).double())


def test_uniform_noise_stays_below_one_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """`floor(n * noise)` must never be n, though a double just below 1 rounds to 1."""
    spec = Spec(3, 2, SEEDS)
    one = Engine(Agent(spec, Config()), Config(), spec, Rows(spec))
    draw = one.streams.draw

    def high(*args: Any) -> Any:
        return draw(*args) * 0 + (1 - 2**-40)

    monkeypatch.setattr(one.streams, "draw", high)
    _, noise = one._inputs(0, 1)
    assert noise["drop"].dtype == torch.float32
    assert noise["drop"].max() < 1


def test_an_update_that_writes_into_its_noise_spoils_no_later_one() -> None:
    spec = Spec(3, 2, SEEDS)
    one = Engine(Agent(spec, Config()), Config(), spec, Rows(spec))
    _, noise = one._inputs(0, 4)
    expected = noise["eps"].clone()
    noise["eps"].zero_()
    assert torch.equal(one._inputs(0, 4)[1]["eps"], expected)


@pytest.mark.parametrize("count", [0, -3])
def test_no_updates_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match="at least one update"):
        _engine().run(0, count)


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="unknown engine 'fast'; use one of auto, eager"):
        _engine("fast")


def test_auto_compiles_where_it_is_repaid_and_captures_on_cuda() -> None:
    assert choose("auto", "cpu", 1000) == "eager"
    assert choose("auto", "cpu", 1_000_000) == "compile"
    assert choose("auto", "cuda", 10) == choose("auto", "cuda:1", 10**6) == "graph"
    for mode in ("eager", "compile", "graph"):
        assert choose(mode, "cpu", 10**6) == mode
    spec = Spec(3, 2, SEEDS, torch.float64)
    parts = (Agent(spec, Config()), Config(), spec, Rows(spec))
    assert Engine(*parts, "auto", updates_ahead=100).mode == "eager"
    assert Engine(*parts, "auto", updates_ahead=10**6).mode == "compile"


def _compile_with(backend: str) -> Callable[..., Any]:
    original = torch.compile

    def compile_(update: Callable[..., Any], **options: Any) -> Any:
        del options["options"]["cpp_wrapper"]  # the code generator's own
        return original(update, backend=backend, **options)

    return compile_


def test_compiled_updates_agree_with_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """One full graph per set of due parts; the contract suite runs the real code generator."""
    monkeypatch.setattr(torch, "compile", _compile_with("aot_eager"))
    eager, compiled = _engine(), _engine("compile")
    for one in (eager, compiled):
        metrics = one.run(0, 9)
        last = one.run(9, 4)
    assert (compiled.mode, compiled.reason) == ("compile", "")
    tensors = state.tensors(eager.agent)
    for name, tensor in state.tensors(compiled.agent).items():
        assert torch.allclose(tensor, tensors[name], rtol=0, atol=1e-12), name
    assert {"q_loss", "pi_loss"} == metrics.keys() == last.keys()


def _broken_compiler(fault: str) -> Callable[..., Any]:
    """Stands in for torch.compile; what it returns is wrong in one way."""

    def compile_(update: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        agent = inspect.getclosurevars(update).nonlocals["update"].__self__

        def wrong(*args: Any, **kwargs: Any) -> dict[str, Tensor]:
            if fault == "raises":
                raise NotImplementedError("no such instruction\n  at line 3")
            if fault == "raises without a word":
                raise RuntimeError
            metrics = update(*args, **kwargs)
            with torch.no_grad():
                if fault == "parameters":
                    agent.pi.mlp.last.weight.add_(1e-3)
                if fault == "lost step count":
                    agent.step_q.steps.zero_()
                if fault == "nan":
                    agent.q.mlp.last.bias.fill_(float("nan"))
                if fault == "hurried target":
                    agent.q_bar.follow(agent.q, 1.0)
            if fault == "metric":
                metrics["q_loss"] = metrics["q_loss"] * 1.5
            if fault == "no metric":
                del metrics["q_loss"]
            return metrics

        return wrong

    return compile_


FAULTS = {
    "raises": "NotImplementedError: no such instruction",
    "raises without a word": "RuntimeError",
    "parameters": "weight changes differently",
    "lost step count": "changes differently",
    "nan": "changes differently .nan",
    "hurried target": "changes differently",
    "metric": "metric q_loss differs",
    "no metric": "q_loss",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_compiler_is_found_out(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _broken_compiler(fault))
    suspicious, eager = _engine("compile"), _engine()
    with pytest.warns(EngineWarning, match="continuing eager"):
        suspicious.run(4, 5)
    eager.run(4, 5)
    assert suspicious.mode == "eager"
    assert re.search(FAULTS[fault], suspicious.reason)
    assert "engine 'compile' not used: " in suspicious.reason
    assert _equal(suspicious, state.tensors(eager.agent)), "the check left its mark on the state"
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        suspicious.run(9, 2)


def test_graph_without_cuda_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    captured, eager = _engine("graph"), _engine()
    with pytest.warns(EngineWarning):
        captured.run(0, 5)
    eager.run(0, 5)
    assert captured.mode == "eager"
    assert "CUDA" in captured.reason
    assert _equal(captured, state.tensors(eager.agent))


def test_a_data_dependent_branch_is_not_compiled_silently() -> None:
    class Branching(Agent):
        def update(self, b: Batch, c: Config, **due: bool) -> dict[str, Tensor]:
            metrics = super().update(b, c, **due)
            return metrics if metrics["q_loss"].sum() > 0 else {}

    one = _engine("compile", kind=Branching)
    with pytest.warns(EngineWarning, match="Unsupported|branch"):
        one.run(0, 2)
    assert one.mode == "eager"


def test_difference_compares_changes_in_norm() -> None:
    before = {"w": torch.zeros(1000)}
    eager = {"w": torch.ones(1000)}
    one_off = torch.ones(1000)
    one_off[0] = 1.5  # a first Adam step of another size, from a gradient of rounding
    assert difference(before, eager, {"w": one_off}, {}, {}) == ""
    assert "w changes" in difference(before, eager, {"w": 1.05 * eager["w"]}, {}, {})
    assert "w changes" in difference(before, before, {"w": 1e-3 * eager["w"]}, {}, {})
    doubles = {"w": before["w"].double()}
    near, far = torch.ones(1000).double() * (1 + 1e-8), torch.ones(1000).double() * (1 + 1e-5)
    exact = {"w": torch.ones(1000).double()}
    assert difference(doubles, exact, {"w": near}, {}, {}) == ""
    assert "w changes" in difference(doubles, exact, {"w": far}, {}, {})


def test_the_self_check_sees_every_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the actor, due at every third update only, must be met before mode is trusted."""
    seen: set[tuple[bool, bool]] = set()

    def compile_(update: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        due = inspect.getclosurevars(update).nonlocals["due"]

        def watched(b: Batch) -> dict[str, Tensor]:
            seen.add((due["actor"], due["copy"]))
            return update(b)

        return watched

    monkeypatch.setattr(torch, "compile", compile_)
    one = _engine("compile")
    with contextlib.suppress(EngineWarning):
        one._adopt(1)
    assert seen == {(a, c) for a in (True, False) for c in (True, False)}
    assert one.mode == "compile"
    assert engine.MODES == ("auto", "eager", "compile", "graph")


def test_a_period_of_zero_is_refused() -> None:
    case = Case(sac)
    spec = case.spec()
    config = case.make_config()
    agent = case.agent(spec, config)
    agent.periods = {"actor": 0}
    with pytest.raises(ValueError, match="period 0 of 'actor'"):
        Engine(agent, config, spec, None, "eager")  # type: ignore[arg-type]

"""Every check of state, randomness, actions and compiling fails an agent faulty in that respect."""

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import iql, td3
from rlkit.core.batch import Batch
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.testing import CHECKS, Case, Skipped
from rlkit.testing.checks import other_value

_HEADS = {
    **{name: {"head": "c51"} for name in ("bins", "low", "high")},
    "sigma": {"head": "hl_gauss"},
}
IQL_CASE: dict[str, Any] = {"vary": {"adv_clip": {"beta": 50.0}, **_HEADS}}


def _doing(side_effect: Callable[[dict[str, Tensor]], object]) -> type:
    class Agent(iql.Agent):
        def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
            metrics = super().update(b, c)
            side_effect(metrics)
            return metrics

    return Agent


# touches_no_global_state


@pytest.mark.parametrize(
    "read",
    [
        lambda m: m["q_loss"][0].item(),
        lambda m: float(m["q_loss"][0]),
        lambda m: m["q_loss"].tolist(),
        lambda m: m["q_loss"].cpu(),
        lambda m: m["q_loss"].numpy(),
        lambda m: np.asarray(m["q_loss"]),
        lambda m: m["adv"][m["adv"] > 0],
        lambda m: 1 if m["q_loss"][0] > 0 else 2,
    ],
    ids=["item", "float", "tolist", "cpu", "numpy", "asarray", "mask", "branch"],
)
def test_read_back(read: Callable[[dict[str, Tensor]], object], faulty: Callable[..., str]) -> None:
    assert "waits for the device" in faulty("touches_no_global_state", _doing(read))


@pytest.fixture
def _global_generators() -> Iterator[None]:
    """The faults below are not to disturb other tests."""
    torch_state, python = torch.get_rng_state(), random.getstate()
    numpy = copy.deepcopy(np.random.get_state())  # noqa: NPY002
    yield
    torch.set_rng_state(torch_state)
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002


@pytest.mark.usefixtures("_global_generators")
@pytest.mark.parametrize(
    ("library", "draw"),
    [
        ("torch", lambda _: torch.randn(2)),
        ("numpy", lambda _: np.random.standard_normal()),  # noqa: NPY002
        ("python", lambda _: random.random()),
    ],
)
def test_global_generator(
    library: str, draw: Callable[[Any], object], faulty: Callable[..., str]
) -> None:
    text = faulty("touches_no_global_state", _doing(draw))
    assert text == f"the global generator of {library} was used"


@pytest.mark.usefixtures("_global_generators")
def test_global_generator_behind_a_noisy_action(faulty: Callable[..., str]) -> None:
    class Agent(iql.Agent):
        def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
            a = super().act(s)
            return a if noise is None else a + torch.randn_like(a)

    assert "torch was used" in faulty("touches_no_global_state", Agent)


# checkpoint_continues_bitwise


class HiddenCounter(iql.Agent):
    def __init__(self, spec: Spec, c: iql.Config) -> None:
        super().__init__(spec, c)
        self.count = 0

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        self.count += 1
        return super().update(b._replace(r=b.r / self.count), c)


class HiddenNets:
    """Everything lives in dictionaries, where nobody finds it to save it."""

    def __init__(self, spec: Spec, c: iql.Config) -> None:
        self.nets = {"pi": nets.GaussianActor(nets.Init(spec), c.hidden)}
        self.optimisers = {"pi": Adam(self.nets["pi"], c.lr)}
        self.act_noise = self.nets["pi"].noise

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        return {"loss": self.optimisers["pi"](-self.nets["pi"](b.s).log_prob(b.a).mean(-1))}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.nets["pi"](s).mode


class HiddenTarget(iql.Agent):
    """The target is saved, but what the update uses is a slow copy in a list."""

    def __init__(self, spec: Spec, c: iql.Config) -> None:
        super().__init__(spec, c)
        self.slow = [Target(self.q)]

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        self.slow[0].follow(self.q, 0.5)
        return super().update(b._replace(r=self.slow[0](b.s, b.a).amin(-2)), c)


class HiddenMetric(iql.Agent):
    """Its parameters continue, but what it reports and how it acts do not."""

    def __init__(self, spec: Spec, c: iql.Config) -> None:
        super().__init__(spec, c)
        self.scale = torch.ones(())

    def update(self, b: Batch, c: iql.Config) -> dict[str, Tensor]:
        self.scale = self.scale * 0.9
        return {**super().update(b, c), "scaled": self.scale * b.r.mean(-1)}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        return super().act(s, noise) * self.scale


@pytest.mark.parametrize("agent", [HiddenCounter, HiddenNets, HiddenTarget, HiddenMetric])
def test_state_lost_by_a_checkpoint(agent: type, faulty: Callable[..., str]) -> None:
    faulty("checkpoint_continues_bitwise", agent)


# own_loop_continues_bitwise


class GlobalNoise(td3.Agent):
    """Draws from torch's own generator where it is given no noise."""

    def update(self, b: Batch, c: td3.Config, actor: bool = True) -> dict[str, Tensor]:
        return super().update(b._replace(noise={"target": torch.randn_like(b.a)}), c, actor)


class ForgetsItsCount(td3.Agent):
    """Its noise begins again after loading."""

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        super().load_state_dict({**saved, "own_noise.calls": torch.tensor(0)})


class TakesAnything(td3.Agent):
    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        super().load_state_dict({**self.state_dict(), **saved})


@pytest.mark.parametrize("agent", [GlobalNoise, ForgetsItsCount])
def test_own_noise_lost(agent: type) -> None:
    check = CHECKS["own_loop_continues_bitwise"]
    check(Case(_module(td3.Agent)))
    with pytest.raises(AssertionError, match="differs after loading"):
        check(Case(_module(agent)))


def test_loading_what_is_incomplete() -> None:
    with pytest.raises(AssertionError, match="lacks a tensor"):
        CHECKS["own_loop_continues_bitwise"](Case(_module(TakesAnything)))


def test_agents_of_others_need_no_state_dict() -> None:
    module = _module(HiddenNets)
    module.Config = iql.Config
    with pytest.raises(Skipped, match="no state_dict"):
        CHECKS["own_loop_continues_bitwise"](Case(module))


def _module(agent: type) -> Any:
    module: Any = ModuleType("with_own_noise")
    module.Config, module.Agent = td3.Config, agent
    return module


# acts_in_its_space


def _acting(change: Callable[[Tensor], Tensor], noisy: bool = False) -> type:
    class Agent(iql.Agent):
        def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
            a = super().act(s, noise)
            return change(a) if (noise is not None) == noisy else a

    return Agent


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: a + 1.5, "leaves the action space"),
        (lambda a: a * float("nan"), "NaN"),
        (lambda a: a.mean(-1), "shape"),
        (lambda a: a[:1], "shape"),
    ],
)
def test_impossible_action(
    change: Callable[[Tensor], Tensor], complaint: str, faulty: Callable[..., str]
) -> None:
    assert complaint in faulty("acts_in_its_space", _acting(change))


@pytest.mark.parametrize("noisy", [False, True])
def test_impossible_discrete_action(noisy: bool, faulty: Callable[..., str]) -> None:
    agent = _acting(lambda a: a + 3, noisy)
    assert "leaves the action space" in faulty("acts_in_its_space", agent, discrete=True)


def test_action_that_changes_from_call_to_call(faulty: Callable[..., str]) -> None:
    numbers = np.random.default_rng(0)
    agent = _acting(lambda a: a * 0.5 * numbers.random())
    assert "changes from call to call" in faulty("acts_in_its_space", agent)


def test_noise_that_is_not_used(faulty: Callable[..., str]) -> None:
    class Agent(iql.Agent):
        def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
            return super().act(s)

    assert "noise" in faulty("acts_in_its_space", Agent)


# every_field_matters


@dataclass(frozen=True)
class WithUnusedField(iql.Config):
    temperature: float = 1.0


def test_unused_field(faulty: Callable[..., str], algorithm: Callable[..., ModuleType]) -> None:
    text = faulty("every_field_matters", config=WithUnusedField, **IQL_CASE)
    assert text.startswith("field 'temperature': 0.5 gives the same result")
    exempt = {"temperature": "read by nobody, in this test"}
    CHECKS["every_field_matters"](
        Case(algorithm(config=WithUnusedField), exempt=exempt, **IQL_CASE)
    )


def test_ignored_rate(faulty: Callable[..., str]) -> None:
    class Agent(iql.Agent):
        def __init__(self, spec: Spec, c: iql.Config) -> None:
            super().__init__(spec, dataclasses.replace(c, lr=3e-4))

    assert "field 'lr'" in faulty("every_field_matters", Agent, **IQL_CASE)


def test_other_values_are_legal_and_different() -> None:
    pairs = ((True, bool), (3, int), (0.5, float), (0.0, float), ((8, 8), tuple[int, ...]))
    for value, hint in (*pairs, ("none", nets.Norm)):
        other = other_value(hint, value)
        assert other != value
        assert type(other) is type(value)
    with pytest.raises(AssertionError, match="list it in `vary`"):
        other_value(str, "text")


# compile_equals_eager, graph_equals_eager


@pytest.mark.filterwarnings("ignore::rlkit.core.engine.EngineWarning")
def test_update_that_cannot_be_compiled(faulty: Callable[..., str]) -> None:
    agent = _doing(lambda m: 1 if m["q_loss"].sum() > 0 else 2)
    assert "not used" in faulty("compile_equals_eager", agent)


@pytest.mark.filterwarnings("ignore::rlkit.core.engine.EngineWarning")
@pytest.mark.parametrize("late", [False, True])
def test_compiled_code_that_is_wrong(
    late: bool, monkeypatch: pytest.MonkeyPatch, faulty: Callable[..., str]
) -> None:
    """At once, which the engine's own check sees, or only after it, which this check must see."""

    calls = []

    def compile_(update: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def wrong(b: Batch) -> dict[str, Tensor]:
            calls.append(1)
            factor = 1.0 if late and len(calls) <= 4 else 1.01
            return update(b._replace(r=b.r * factor))

        return wrong

    monkeypatch.setattr(torch, "compile", compile_)
    complaint = "off eager after 8 updates" if late else "changes differently"
    assert complaint in faulty("compile_equals_eager")


def test_graph_check_is_skipped_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Skipped, match="no CUDA device"):
        CHECKS["graph_equals_eager"](Case(iql))


class Plain(td3.Agent):
    """One that does not sample: `act_noise` is optional."""

    act_noise = None  # type: ignore[assignment]

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        assert noise is None
        return super().act(s)


@pytest.mark.parametrize("check", ["acts_in_its_space", "touches_no_global_state"])
def test_an_agent_without_act_noise_passes(
    check: str, algorithm: Callable[..., ModuleType]
) -> None:
    CHECKS[check](Case(algorithm(Plain, td3.Config)))

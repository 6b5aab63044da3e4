"""The contract of an agent, one function a check; `check_agent(module)` runs them all.

In pytest, give every check its own id:

    @pytest.mark.parametrize("check", CHECKS)
    @pytest.mark.parametrize("case", [Case(my_algorithm)])
    def test_contract(case, check):
        run_check(check, case)
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rlkit.core import engine, state
from rlkit.core.lanes import float_fields, resolve
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.testing.cases import (
    ACTIONS,
    BATCH,
    Batches,
    Case,
    Skipped,
    due_flags,
    make_noise,
    map_rows,
    observations,
    run_updates,
)
from rlkit.testing.config_checks import (
    config_is_data,
    no_layers_are_a_linear_net,
    ranges_are_declared,
)
from rlkit.testing.state_checks import checkpoint_continues_bitwise, own_loop_continues_bitwise

TOLERANCE = 1e-12  # between float64 states after 20 updates


def check_agent(module: ModuleType, **case: Any) -> None:
    """Raise AssertionError with a reason unless `module` honours the contract of an agent.

    Keyword arguments are those of `Case`. Checks that need a CUDA device are passed over where
    there is none.
    """
    for name in CHECKS:
        try:
            run_check(name, Case(module, **case))
        except Skipped:
            continue
        except AssertionError as error:
            raise AssertionError(f"{module.__name__}, check {name!r}: {error}") from None


def run_check(name: str, case: Case) -> None:
    """One check; raises Skipped where it does not apply or this machine cannot run it."""
    if name in case.inapplicable:
        raise Skipped(case.inapplicable[name])
    CHECKS[name](case)


def lanes_equal_separate_runs(case: Case) -> None:
    """Four lanes equal four runs of one lane, with every float field different in each."""
    seeds = (3, 0, 11, 4)
    config = case.make_config()
    factors = (1.0, 0.5, 0.75, 0.9)
    laned = {
        name: tuple(getattr(config, name) * f for f in factors)
        for name in float_fields(type(config))
        if name not in case.exempt and getattr(config, name) is not None
    }
    for overrides in ({}, laned):
        together, _ = run_updates(case, case.spec(seeds), case.make_config(**overrides), 20)
        for k, seed in enumerate(seeds):
            own = {name: values[k] for name, values in overrides.items()}
            alone, _ = run_updates(case, case.spec((seed,)), case.make_config(**own), 20)
            for name, tensor in state.tensors(alone).items():
                other = state.tensors(together)[name]
                lane = other[k : k + 1] if tensor.dim() else other  # a step count has no lanes
                gap = float((lane - tensor).abs().max())
                assert gap <= TOLERANCE, f"lane {k} of {name} is {gap:.1e} off its separate run"


def compile_equals_eager(case: Case) -> None:
    """One full graph of `update` exists and changes every tensor as eager does."""
    _engine_equals_eager(case, "compile")


def graph_equals_eager(case: Case) -> None:
    """A captured CUDA graph changes every tensor as eager does."""
    if not torch.cuda.is_available():
        raise Skipped("no CUDA device")
    _engine_equals_eager(case, "graph")


def _engine_equals_eager(case: Case, mode: str) -> None:
    device = "cuda" if mode == "graph" else "cpu"
    spec = dataclasses.replace(case.spec(), device=device) if device == "cuda" else case.spec()
    config = case.make_config()
    agents = []
    for each in ("eager", mode):
        agent = case.agent(spec, config)
        runner = engine.Engine(agent, resolve(config, spec), spec, Batches(case, spec, agent), each)
        runner.run(0, 8)
        assert runner.mode == each, runner.reason
        agents.append(agent)
    first, second = (state.tensors(agent) for agent in agents)
    for name, tensor in first.items():
        gap = float((second[name] - tensor).abs().max())
        assert gap <= 1e-9, f"{name} is {gap:.1e} off eager after 8 updates"


def optimisers_move_their_own_net(case: Case) -> None:
    """A step of one optimiser changes no parameter but its own net's."""
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    parts = {n: p.net if isinstance(p, Target) else p for n, p in state.parts(agent).items()}
    nets = {n: p for n, p in parts.items() if isinstance(p, torch.nn.Module)}
    moved: dict[int, set[str]] = {}
    original = Adam.apply

    def watched(self: Adam, grads: Any) -> None:
        before = {n: [p.detach().clone() for p in net.parameters()] for n, net in nets.items()}
        original(self, grads)
        for n, net in nets.items():
            pairs = zip(before[n], net.parameters(), strict=True)
            if any(not torch.equal(old, new) for old, new in pairs):
                moved.setdefault(id(self), set()).add(n)

    Adam.apply = watched  # type: ignore[method-assign]
    try:
        for step in range(4):
            due = due_flags(agent, step)
            agent.update(case.make_batch(spec, agent, step), resolve(config, spec), **due)
    finally:
        Adam.apply = original  # type: ignore[method-assign]
    assert moved, "no optimiser moved anything"
    for names in moved.values():
        assert len(names) == 1, f"one optimiser moved {sorted(names)}"
        targets = [n for n in names if isinstance(state.parts(agent)[n], Target)]
        assert not targets, f"an optimiser moved the target {targets[0]}"


def terminal_rows_ignore_the_next_state(case: Case) -> None:
    """With `cont` 0 nothing depends on `s2`."""
    spec, config = case.spec(), case.make_config()
    results = []
    for scale in (1.0, -7.0):
        agent = case.agent(spec, config)
        for step in range(2):
            b = case.make_batch(spec, agent, step)
            b = b._replace(cont=torch.zeros_like(b.cont), s2=b.s2 * scale)
            agent.update(b, resolve(config, spec), **due_flags(agent, step))
        results.append(state.tensors(agent))
    _same(results, 1e-12, "the update depends on s2 although cont is 0")


def order_within_a_batch_is_irrelevant(case: Case) -> None:
    """Permuting the rows of a batch, noise included, changes nothing beyond rounding."""
    spec, config = case.spec(), case.make_config()
    order = torch.from_numpy(np.random.default_rng(0).permutation(BATCH))
    results = []
    for permuted in (False, True):
        agent = case.agent(spec, config)
        for step in range(2):
            b = case.make_batch(spec, agent, step)
            if permuted:
                b = map_rows(lambda x: x[:, order], b)
                noise = {n: _permute_noise(agent, n, x, order) for n, x in (b.noise or {}).items()}
                b = b._replace(noise=noise or None)
            agent.update(b, resolve(config, spec), **due_flags(agent, step))
        results.append(state.tensors(agent))
    _same(results, 1e-9, "the order of the rows matters")


def _permute_noise(agent: Any, name: str, noise: Tensor, order: Tensor) -> Tensor:
    dims = agent.noise[name].dims
    return noise.index_select(1 + dims.index("B"), order) if "B" in dims else noise


def no_silent_broadcast(case: Case) -> None:
    """No arithmetic makes a tensor larger than its operands, as `[B, 1] - [B]` would."""
    config = case.make_config()
    for seeds in ((3,), (3, 0)):  # one lane hides [S] - [S, 1], more make [S, B, 1] - [S, B] fail
        spec = case.spec(seeds)
        agent = case.agent(spec, config)
        with _GrowthForbidden():
            agent.update(case.make_batch(spec, agent, 0), resolve(config, spec))


class _GrowthForbidden(TorchFunctionMode):
    NAMES = {
        *("add", "sub", "mul", "div", "true_divide", "maximum", "minimum", "where"),
        *("__add__", "__sub__", "__mul__", "__truediv__", "__radd__", "__rsub__", "__rmul__"),
        *("lt", "le", "gt", "ge", "__lt__", "__le__", "__gt__", "__ge__", "pow", "__pow__"),
        *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "lerp", "addcmul"),
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in self.NAMES and isinstance(out, Tensor):
            sizes = [a.numel() for a in args if isinstance(a, Tensor)]
            if sizes and out.numel() > max(sizes):
                shapes = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
                raise AssertionError(f"{func.__name__} of {shapes} grows to {tuple(out.shape)}")
        return out


def touches_no_global_state(case: Case) -> None:
    """No global random generator is advanced and nothing is read back from the device."""
    spec, config = case.spec(), case.make_config()
    before = _global_states()
    agent = case.agent(spec, config)
    with _ReadBackForbidden():
        agent.update(case.make_batch(spec, agent, 0), resolve(config, spec))
        s, noise = observations(spec), _act_noise(spec, agent)
        agent.act(s)
        agent.act(s, noise)
    for library, state_before in before.items():
        unmoved = state_before == _global_states()[library]
        assert unmoved, f"the global generator of {library} was used"


def _global_states() -> dict[str, bytes]:
    legacy: Any = np.random.get_state()  # noqa: NPY002 - to see whether anyone moved it
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": legacy[1].tobytes() + bytes(str(legacy[2]), "ascii"),
        "python": repr(random.getstate()).encode(),
    }


class _ReadBackForbidden(TorchFunctionMode):
    NAMES = {
        *("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"),
        *("__array__", "nonzero", "masked_select", "unique"),
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        mask = name == "__getitem__" and isinstance(args[1], Tensor) and args[1].dtype == torch.bool
        text = "waits for the device; keep it out of an agent"
        assert not mask, f"indexing by a boolean mask {text}"
        assert name not in self.NAMES, f"{name}() {text}"
        return func(*args, **(kwargs or {}))


def acts_in_its_space(case: Case) -> None:
    """`act` gives actions of the right shape, inside the bounds, the same for the same input."""
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    s = observations(spec)
    noise = _act_noise(spec, agent)
    for a in (agent.act(s), agent.act(s, noise)):
        shape = (spec.lanes, BATCH) if spec.discrete else (spec.lanes, BATCH, ACTIONS)
        assert tuple(a.shape) == shape, f"actions have shape {tuple(a.shape)}, not {shape}"
        assert not a.isnan().any(), "an action is NaN"
        if spec.discrete:
            assert ((a >= 0) & (a < ACTIONS)).all(), "an action leaves the action space"
    a = agent.act(s)  # noisy continuous actions may leave the box: whoever acts clips them
    assert spec.discrete or (a.abs() <= 1).all(), "a deterministic action leaves the action space"
    assert torch.equal(a, agent.act(s)), "the deterministic action changes from call to call"
    if noise is not None:
        assert not torch.equal(a, agent.act(s, noise)), "the noise changes no action"


def _act_noise(spec: Spec, agent: Any) -> Tensor | None:
    """None for an agent that does not sample: it declares no `act_noise`."""
    draw = getattr(agent, "act_noise", None)
    actor = type("Actor", (), {"noise": {} if draw is None else {"act": draw}})
    draws = make_noise(spec, actor, 0)
    return None if draws is None else draws["act"]


def every_field_matters(case: Case) -> None:
    """Changing any field of `Config` changes a parameter, a moment, a target or a metric."""
    hints = get_type_hints(case.module.Config)
    for field in dataclasses.fields(case.module.Config):
        if field.name in case.exempt or field.name == "batch_size":  # the loop reads that one
            continue
        context = dict(case.vary.get(field.name, {}))
        base = case.make_config(**context)
        value = other_value(hints[field.name], getattr(base, field.name))
        changed = case.make_config(**{**context, field.name: value})
        pair = [run_updates(case, case.spec(), c, 4) for c in (base, changed)]
        first, second = ({**state.tensors(agent), **metrics} for agent, metrics in pair)
        same = first.keys() == second.keys() and all(
            first[n].shape == second[n].shape and torch.equal(first[n], second[n]) for n in first
        )
        assert not same, f"field {field.name!r}: {value!r} gives the same result as the default"


def other_value(hint: Any, value: Any) -> Any:
    """Another legal value of a configuration field."""
    if isinstance(value, bool):
        return not value
    if get_origin(hint) is Literal:
        return next(option for option in get_args(hint) if option != value)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.5 if value else 0.5
    if get_origin(hint) is tuple and get_args(hint)[0] is float and value:
        return (*value[:-1], (value[0] + value[-1]) / 2)  # bounds, closer
    if get_origin(hint) is tuple and get_args(hint)[0] is int:
        return (*value[:-1], value[-1] + 1) if value else (9,)
    raise AssertionError(f"no other value known for a field of type {hint}; list it in `vary`")


def _same(pair: list[dict[str, Tensor]], tol: float, text: str) -> None:
    first, second = pair
    for name, tensor in first.items():
        gap = float((tensor - second[name]).abs().max())
        assert gap <= tol, f"{text}: {name} moves by {gap:.1e}"


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        config_is_data,
        ranges_are_declared,
        no_layers_are_a_linear_net,
        lanes_equal_separate_runs,
        optimisers_move_their_own_net,
        terminal_rows_ignore_the_next_state,
        order_within_a_batch_is_irrelevant,
        no_silent_broadcast,
        touches_no_global_state,
        checkpoint_continues_bitwise,
        own_loop_continues_bitwise,
        acts_in_its_space,
        every_field_matters,
        compile_equals_eager,
        graph_equals_eager,
    )
}

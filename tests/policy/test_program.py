"""A traced policy computes what torch computes, with numpy and as an ONNX graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.algos import bc, iql, sac
from rlkit.core.spec import Discrete, Spec
from rlkit.core.target import Target
from rlkit.data.transforms import Transforms
from rlkit.policy.onnx_graph import model
from rlkit.policy.program import Operation, Program
from rlkit.policy.trace import trace
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import algorithms

OBS, GRID = (5,), (7, 7, 3)


def observations(spec: Spec, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if len(spec.obs) == 3:
        return rng.integers(0, 4, (count, *spec.obs)).astype(np.float32)
    return rng.standard_normal((count, *spec.obs), np.float32)


def double(spec: Spec) -> Spec:
    return Spec(spec.obs, spec.act, spec.seeds, dtype=torch.float64)


def by_onnx(program: Program, spec: Spec, obs: np.ndarray) -> np.ndarray:
    shape = () if spec.discrete else (spec.act_size,)
    made = model(program, Transforms(), spec.obs, shape, 0 if spec.discrete else None, "{}")
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"obs": obs})[0]


@pytest.mark.parametrize(
    ("algo", "spec", "config"),
    [
        (iql, Spec(OBS, 2), iql.Config(hidden=(16, 16))),
        (iql, Spec(GRID, Discrete(7)), iql.Config(hidden=(16,))),
        (sac, Spec(OBS, 3), sac.Config(hidden=(16, 8))),
        (bc, Spec(OBS, 2), bc.Config(hidden=(16, 16), norm="before", policy="deterministic")),
        (bc, Spec(OBS, 2), bc.Config(hidden=(16, 16), norm="after", policy="tanh_gaussian")),
    ],
)
def test_an_agent_traced(algo, spec: Spec, config) -> None:
    agent, twin = algo.Agent(spec, config), algo.Agent(double(spec), config)
    program, draw = trace(twin, double(spec)), agent.act_noise
    for count in (1, 2, 40):
        obs = observations(spec, count)
        with torch.no_grad():
            expected = agent.act(torch.from_numpy(obs)[None])[0].numpy()
        np.testing.assert_allclose(program(obs), expected, atol=2e-6)
        np.testing.assert_allclose(by_onnx(program, spec, obs), expected, atol=2e-6)
        assert program(obs).dtype == expected.dtype
    if draw is None:
        return
    shape = draw.shape(spec, count)
    noise = np.random.default_rng(1).standard_normal(shape, np.float32)
    with torch.no_grad():
        drawn = agent.act(torch.from_numpy(obs)[None], torch.from_numpy(noise)[None])[0].numpy()
    np.testing.assert_allclose(trace(twin, double(spec), shape[1:])(obs, noise), drawn, atol=2e-6)
    assert not np.array_equal(drawn, expected)


@pytest.mark.parametrize("name", algorithms())
def test_every_shipped_algorithm_can_be_exported(name: str) -> None:
    algo = algorithm(name)
    config = algo.Config(hidden=(8,)) if "hidden" in algo.Config.__dataclass_fields__ else None
    if name == "pets":  # the least of plans
        config = algo.Config(hidden=(8,), horizon=2, rounds=1, population=10)
    discrete = "continuous" not in algo.FITS
    spec = Spec(OBS, Discrete(3) if discrete else 2, dtype=torch.float64)
    agent = algo.Agent(spec, config or algo.Config())
    if hasattr(agent, "history"):
        pytest.skip("looks back at its episode; export refuses it, see test_decision_transformer")
    if name == "pets":
        with pytest.raises(ValueError, match="use it from its run folder"):
            trace(agent, spec)
        return  # it plans at every state: a program has no rounds of a search
    obs = observations(spec, 6)
    with torch.no_grad():
        expected = agent.act(torch.from_numpy(obs).double()[None])[0].numpy()
    np.testing.assert_allclose(trace(agent, spec)(obs), expected, atol=2e-6)


def elementwise(x: Tensor) -> Tensor:
    y = x.sigmoid() + x.exp().sqrt() * x.abs().add(1).log() - x.neg() / 3
    return torch.maximum(y, 1 - x).minimum(x + 2).clamp(min=-0.5)


def reductions(x: Tensor) -> Tensor:
    parts = [x.sum(-1), x.mean(-1), x.amax(-1), x.amin(-1, keepdim=True).squeeze(-1)]
    return torch.stack(parts, -1) - x.softmax(-1)[..., :1]


def pieces(x: Tensor) -> Tensor:
    first, second = x.split([2, 3], -1)
    turned = torch.cat([second, first], -1).unsqueeze(1).transpose(1, 2)
    return turned.flatten(2).squeeze(0)[:, 1:4].unsqueeze(0)


def choice(x: Tensor) -> Tensor:
    table = torch.arange(12.0, dtype=x.dtype).reshape(6, 2).sin()
    return F.embedding((x[..., 0].abs() * 2).clamp(max=5).long(), table) @ x.new_ones(2, 2)


@pytest.mark.parametrize("function", [elementwise, reductions, pieces, choice])
def test_operations_that_no_shipped_agent_uses(function: Callable[[Tensor], Tensor]) -> None:
    spec = Spec(OBS, 2, dtype=torch.float64)
    obs = observations(spec, 9)
    agent = SimpleNamespace(act=lambda s, noise=None: function(s))
    expected = function(torch.from_numpy(obs)[None])[0].numpy()
    program = trace(agent, spec)
    np.testing.assert_allclose(program(obs), expected, atol=1e-5)
    wide = Spec(OBS, expected.shape[1])
    np.testing.assert_allclose(by_onnx(program, wide, obs), expected, atol=1e-5)
    assert program.operations


def test_grouped_strided_convolution() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((3, 4, 6, 5)), rng.standard_normal((6, 2, 3, 2))
    bias = rng.standard_normal(6)
    options = {"stride": [2, 1], "padding": [1, 2], "groups": 2}
    program = Program(
        ("obs",),
        "y",
        (Operation("conv2d", "y", ("obs", "kernel", "bias"), options),),
        {"kernel": kernel, "bias": bias},
    )
    expected = F.conv2d(*map(torch.from_numpy, (x, kernel, bias)), (2, 1), (1, 2), groups=2)
    np.testing.assert_allclose(program(x), expected.numpy(), atol=1e-12)


def test_a_policy_that_acts_by_its_target_net() -> None:
    class Averaged(bc.Agent):
        def __init__(self, spec: Spec, c: bc.Config) -> None:
            super().__init__(spec, c)
            self.pi_bar = Target(self.pi)

        def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
            return self.pi_bar(s).mode

    spec, config = Spec(OBS, 2, dtype=torch.float64), bc.Config(hidden=(8,))
    agent = Averaged(spec, config)
    with torch.no_grad():
        for p in agent.pi.parameters():
            p.add_(1.0)  # the policy has moved on, the average has not
    obs = observations(spec, 4)
    expected = agent.act(torch.from_numpy(obs).double()[None]).detach()[0].numpy()
    np.testing.assert_allclose(trace(agent, spec)(obs), expected, atol=1e-6)


def test_what_cannot_be_traced_is_named() -> None:
    spec = Spec(OBS, 2, dtype=torch.float64)
    agent = SimpleNamespace(act=lambda s, noise=None: s.sort(-1)[0])
    with pytest.raises(ValueError, match=r"aten\.sort.*rlkit\.load"):
        trace(agent, spec)
    with pytest.raises(ValueError, match="one lane in float64"):
        trace(agent, Spec(OBS, 2))


def test_a_category_that_has_no_row_is_refused() -> None:
    """numpy would read a negative index from the end, where torch refuses it."""
    spec = Spec(GRID, Discrete(7), dtype=torch.float64)
    program = trace(iql.Agent(spec, iql.Config(hidden=(8,))), spec)
    obs = observations(spec, 2)
    for bad in (11.0, -1.0):
        obs[1, 0, 0, 0] = bad
        with pytest.raises(ValueError, match=f"holds category {bad:.0f}; the policy knows 0 to 10"):
            program(obs)


def test_weights_that_are_not_used_are_left_out() -> None:
    spec = Spec(OBS, 3, dtype=torch.float64)
    program = trace(sac.Agent(spec, sac.Config(hidden=(8,))), spec)
    assert set(program.weights) == {
        f"pi.mlp.{layer}.{kind}" for layer in ("layers.0", "last") for kind in ("weight", "bias")
    }
    names = [operation.name for operation in program.operations]
    assert names.count("slice") == 1  # the deviations are cut off with what they come from


def test_programs_survive_json() -> None:
    spec = Spec(GRID, Discrete(7), dtype=torch.float64)
    program = trace(iql.Agent(spec, iql.Config(hidden=(8,))), spec)
    again = Program.from_state(json.loads(json.dumps(program.state())), program.weights)
    obs = observations(spec, 5)
    np.testing.assert_array_equal(again(obs), program(obs))
    assert again.state() == program.state()


def test_a_damaged_program_is_refused() -> None:
    weights = {"w": np.ones((2, 2))}
    double_it = Operation("add", "y", ("obs", "obs"))
    with pytest.raises(ValueError, match="'frobnicate' is unknown"):
        Program(("obs",), "y", (double_it._replace(name="frobnicate"),), weights)
    with pytest.raises(ValueError, match="uses 'x' before it is set"):
        Program(("obs",), "y", (double_it._replace(args=("x", "w")),), weights)
    with pytest.raises(ValueError, match="never sets its output 'z'"):
        Program(("obs",), "z", (double_it,), weights)
    state = Program(("obs",), "y", (double_it,), weights).state()
    with pytest.raises(ValueError, match="weight 'w' is missing"):
        Program.from_state(state, {})


def test_onnx_scales_actions_and_normalises_observations() -> None:
    """The graph works in environment units, bounds and offsets included."""
    spec = Spec(OBS, 2, dtype=torch.float64)
    net = nn.Linear(5, 2, dtype=torch.float64)
    agent = SimpleNamespace(net=net, act=lambda s, noise=None: net(s))
    transforms = Transforms(
        obs_mean=np.arange(5.0),
        obs_std=np.arange(1.0, 6.0),
        action_low=np.array([-1.0, 10.0]),
        action_high=np.array([3.0, 11.0]),
    )
    program = trace(agent, spec)
    made = model(program, transforms, OBS, (2,), None, '{"seed": 3}')
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    obs = observations(spec, 50) * 8
    with torch.no_grad():
        unit = net(torch.from_numpy(transforms.obs(obs)).double()).numpy()
    expected = np.clip(unit, -1, 1) * [2, 0.5] + [1, 10.5]
    assert (np.abs(unit) > 1).any()
    assert (np.abs(unit) < 1).any()
    np.testing.assert_allclose(session.run(None, {"obs": obs})[0], expected, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["rlkit"] == '{"seed": 3}'


def test_onnx_normalises_a_dimension_that_hardly_varies() -> None:
    spec = Spec(OBS, 5, dtype=torch.float64)
    transforms = Transforms(obs_mean=np.full(5, 123.456), obs_std=np.full(5, 1e-3))
    program = trace(SimpleNamespace(act=lambda s, noise=None: s * 1.0), spec)
    made = model(program, transforms, OBS, (5,), None, "{}")
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    obs = (123.456 + observations(spec, 20) * 1e-3).astype(np.float32)
    np.testing.assert_allclose(
        session.run(None, {"obs": obs})[0], transforms.obs(obs), rtol=1e-6, atol=1e-6
    )

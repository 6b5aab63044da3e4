import numpy as np
import pytest
from safetensors.numpy import save

from rlkit.data.recipes.behaviour import SquashedGaussian, from_bytes

OBS, HIDDEN, ACT = 5, 16, 2
LOW, HIGH = np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32)


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"hidden_1": (HIDDEN, OBS), "hidden_2": (HIDDEN, HIDDEN), "head": (2 * ACT, HIDDEN)}
    made = {}
    for name, shape in shapes.items():
        made[f"0000010/{name}.weight"] = (0.5 * rng.normal(size=shape)).astype(np.float16)
        made[f"0000010/{name}.bias"] = rng.normal(size=shape[0]).astype(np.float16)
    return made


@pytest.fixture
def actor(tensors: dict[str, np.ndarray]) -> SquashedGaussian:
    return from_bytes(save(tensors), "0000010", LOW, HIGH)


def expected(tensors: dict[str, np.ndarray], obs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The policy written plainly in float64."""
    x = obs.astype(np.float64)
    for name in ("hidden_1", "hidden_2", "head"):
        weight, bias = (tensors[f"0000010/{name}.{kind}"] for kind in ("weight", "bias"))
        x = weight.astype(np.float64) @ x + bias
        if name != "head":
            x = np.maximum(x, 0)
    unit = np.tanh(x[:ACT] + np.exp(np.clip(x[ACT:], -20, 2)) * noise)
    return LOW + (unit + 1) / 2 * (HIGH - LOW)


def test_it_is_the_squashed_gaussian_of_its_tensors(
    tensors: dict[str, np.ndarray], actor: SquashedGaussian
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        obs, noise = rng.normal(size=OBS), rng.normal(size=ACT).astype(np.float32)
        action = actor.act(obs, noise)
        assert action.dtype == np.float32
        np.testing.assert_allclose(action, expected(tensors, obs, noise), atol=1e-5)
        np.testing.assert_allclose(actor.act(obs), expected(tensors, obs, np.zeros(2)), atol=1e-5)


def test_every_sum_runs_in_the_order_of_the_inputs(
    tensors: dict[str, np.ndarray], actor: SquashedGaussian
) -> None:
    """Bit for bit, whatever the vector width of the machine."""
    obs = np.random.default_rng(2).normal(size=OBS).astype(np.float32)
    x = obs
    for k in range(0, 6, 2):
        weight, y = actor.layers[k], actor.layers[k + 1].copy()
        for i in range(len(x)):
            y = (y + x[i] * weight[i]).astype(np.float32)  # numpy rounds product and sum alike
        x = np.maximum(y, 0) if k < 4 else y
    unit = np.tanh(x[:ACT].astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(
        actor.act(obs), LOW + (unit + np.float32(1)) * np.float32(0.5) * (HIGH - LOW)
    )


def test_a_huge_deviation_is_clipped_and_actions_stay_in_their_box(
    tensors: dict[str, np.ndarray],
) -> None:
    tensors["0000010/head.bias"][ACT:] = 100
    actor = from_bytes(save(tensors), "0000010", LOW, HIGH)
    obs, noise = np.ones(OBS), np.array([1.0, -1.0], np.float32)
    np.testing.assert_allclose(actor.act(obs, noise), expected(tensors, obs, noise), atol=1e-5)
    extreme = actor.act(obs, np.full(ACT, 1e6, np.float32))
    np.testing.assert_array_equal(extreme, HIGH)

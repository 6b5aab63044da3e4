"""A tuple in a float field is one value a lane; nothing else may differ between lanes."""

from dataclasses import dataclass

import pytest
import torch

from rlkit.core.lanes import float_fields, read_seeds, resolve, select
from rlkit.core.spec import Spec


@dataclass(frozen=True)
class Config:
    lr: float | tuple[float, ...] = 1e-3
    tau: float = 0.7
    beta: float = 3.0
    n: int = 2
    learn: bool = True
    hidden: tuple[int, ...] = (8, 8)


def test_only_plain_floats_may_differ_by_lane() -> None:
    assert float_fields(Config) == {"tau", "beta"}


def test_tuples_become_one_value_a_lane() -> None:
    spec = Spec(3, 2, (4, 0, 9), torch.float64)
    config = resolve(Config(tau=(0.5, 0.7, 0.9)), spec)  # type: ignore[arg-type]
    expected = torch.tensor([[0.5], [0.7], [0.9]], dtype=torch.float64)
    assert torch.equal(config.tau, expected)
    assert config.tau.dtype == torch.float64
    assert (config.beta, config.hidden) == (3.0, (8, 8))


def test_plain_configuration_is_left_alone() -> None:
    config = Config()
    assert resolve(config, Spec(3, 2)) is config


def test_wrong_number_of_values_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'tau' has 2 values for 3 lanes"):
        resolve(Config(tau=(0.5, 0.7)), Spec(3, 2, (0, 1, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["n", "learn"])
def test_structural_fields_cannot_differ_by_lane(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        resolve(Config(**{field: (1, 2)}), Spec(3, 2, (0, 1)))


def test_select_keeps_the_values_of_some_lanes() -> None:
    config = select(Config(tau=(0.5, 0.7, 0.9)), [2, 0])  # type: ignore[arg-type]
    assert config == Config(tau=(0.9, 0.5))  # type: ignore[arg-type]
    assert select(Config(hidden=(4, 5, 6)), [1]).hidden == (4, 5, 6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:4", (0, 1, 2, 3)), (":2", (0, 1)), ("3:5", (3, 4)), ("0,3,7", (0, 3, 7)), ("5", (5,))],
)
def test_seeds(text: str, expected: tuple[int, ...]) -> None:
    assert read_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "a", "4:", "3:3", "1:2:3", "1;2", "0:-2"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(ValueError, match=r"must read 0:4|name none"):
        read_seeds(text)

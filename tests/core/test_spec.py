"""Shapes, lanes and the refusal of impossible tasks."""

import dataclasses

import pytest
import torch

from rlkit.core.spec import Box, Discrete, Spec


def test_numbers_are_read_as_vectors_of_that_size() -> None:
    spec = Spec(17, 6, range(3))
    assert (spec.obs, spec.act, spec.seeds) == ((17,), Box(6), (0, 1, 2))
    assert (spec.obs_size, spec.act_size, spec.lanes, spec.discrete) == (17, 6, 3, False)
    assert (spec.dtype, spec.device) == (torch.float32, "cpu")


def test_shape_and_discrete_actions() -> None:
    spec = Spec((7, 7, 3), Discrete(4), (5,))
    assert (spec.obs_size, spec.act_size, spec.lanes, spec.discrete) == (147, 4, 1, True)


def test_is_a_frozen_value() -> None:
    spec = Spec(3, 2, (4, 1))
    assert spec == Spec((3,), Box(2), [4, 1])
    assert hash(spec) == hash(Spec((3,), Box(2), (4, 1)))
    assert dataclasses.replace(spec, dtype=torch.float64) == Spec(3, 2, (4, 1), torch.float64)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.obs = (4,)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2), "observation shape"),
        (((), 2), "observation shape"),
        (((4, 0, 3), 2), "observation shape"),
        ((3, 0), "at least one action"),
        ((3, Discrete(0)), "at least one action"),
        ((3, 2, ()), "seeds"),
        ((3, 2, (0, -1)), "not negative"),
    ],
)
def test_impossible_tasks_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spec(*arguments)

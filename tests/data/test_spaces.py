import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.data.spaces import action_bounds, flat_shape, flatten, flatten_action, stack

COMPOSITE = spaces.Dict(
    {
        "speed": spaces.Box(-1, 1, (2, 2), np.float32),
        "gear": spaces.Discrete(3, start=1),
        "pair": spaces.Tuple([spaces.MultiBinary(3), spaces.MultiDiscrete([2, 4], start=[1, 0])]),
    }
)


@pytest.mark.parametrize(
    "space", [COMPOSITE, spaces.Discrete(5), spaces.MultiDiscrete([2, 3])], ids=str
)
def test_flattening_many_elements_equals_gymnasiums_flatten_of_each(space: spaces.Space) -> None:
    space.seed(0)
    items = [space.sample() for _ in range(20)]
    ours = flatten(space, stack(space, items))
    assert ours.dtype.kind == "f"
    assert ours.shape == (20, *flat_shape(space))
    np.testing.assert_array_equal(ours, [gymnasium.spaces.flatten(space, i) for i in items])


def test_a_box_keeps_its_shape_and_dtype() -> None:
    space = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    values = stack(space, [space.sample() for _ in range(4)])
    assert flatten(space, values).dtype == np.uint8
    assert flatten(space, values).shape == (4, 7, 7, 3)
    assert flat_shape(space) == (7, 7, 3)


def test_a_scalar_box_becomes_a_vector_of_one() -> None:
    space = spaces.Box(0, 1, ())
    assert flatten(space, np.array([0.5, 0.25])).shape == (2, 1)


def test_stacking_copies() -> None:
    space = spaces.Box(0, 1, (2,))
    item = np.zeros(2, np.float32)
    stacked = stack(space, [item])
    item[:] = 1
    assert stacked.max() == 0


def test_an_element_outside_a_discrete_space_is_refused_with_its_row() -> None:
    with pytest.raises(ValueError, match="row 1 is not an element"):
        flatten(spaces.Discrete(3, start=1), np.array([1, 0]))


def test_text_has_no_vector() -> None:
    with pytest.raises(ValueError, match="cannot be made a vector"):
        flat_shape(spaces.Dict({"mission": spaces.Text(5)}))


def test_discrete_actions_count_from_zero_and_boxes_are_joined_in_the_order_of_the_space() -> None:
    np.testing.assert_array_equal(
        flatten_action(spaces.Discrete(3, start=2), np.array([2, 4])), [0, 2]
    )
    nest = spaces.Dict({"b": spaces.Box(-1, 1, (1,)), "a": spaces.Box(-2, 2, (2,))})
    low, high = action_bounds(nest)
    values = {"b": np.array([[0.5]]), "a": np.array([[1.0, 2.0]])}
    flat = flatten_action(nest, values)
    order = np.concatenate([values[name][0] for name in nest.spaces])
    np.testing.assert_array_equal(flat, [order])
    np.testing.assert_array_equal(high, [2 if abs(v) >= 1 else 1 for v in order])
    np.testing.assert_array_equal(low, -high)


def test_other_action_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="not supported"):
        flatten_action(spaces.MultiBinary(3), np.zeros((2, 3)))

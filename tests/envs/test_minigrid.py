import gymnasium
import numpy as np
import pytest
from minigrid.wrappers import ImgObsWrapper

from rlkit.envs.make import make
from rlkit.envs.minigrid import SymbolicView


def test_it_shows_what_minigrids_own_wrapper_shows() -> None:
    ours = make("MiniGrid-DoorKey-5x5-v0")
    theirs = ImgObsWrapper(gymnasium.make("MiniGrid-DoorKey-5x5-v0"))
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = int(rng.integers(7))
        a, b = ours.step(action), theirs.step(action)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:4] == b[1:4]


def test_the_view_turns_with_the_agent() -> None:
    """A room seen from its middle looks the same in all directions: the compass is not in it."""
    env = make("MiniGrid-Empty-5x5-v0", agent_start_pos=(2, 2))
    env.reset(seed=0)
    core = env.unwrapped
    core.grid.set(3, 3, None)  # the goal would break the symmetry
    views = [env.step(core.actions.right)[0] for _ in range(4)]
    for view in views[1:]:
        np.testing.assert_array_equal(view, views[0])


def test_other_environments_are_refused() -> None:
    with pytest.raises(ValueError, match="is it a MiniGrid environment"):
        SymbolicView(gymnasium.make("CartPole-v1"))

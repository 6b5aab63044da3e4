"""The vector environment is gymnasium's of the package; mazes of one's own are what was drawn."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from minigrid.wrappers import ImgObsWrapper

from rlkit.core.errors import UsageError
from rlkit.envs.grid import Grids, GridVectorEnv, maze


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("name", ["LavaGapS5-v0", "Dynamic-Obstacles-Random-5x5-v0"])
def test_it_is_gymnasiums_sync_vector_env(name: str, mode: str) -> None:
    def one() -> gymnasium.Env:
        return ImgObsWrapper(gymnasium.make(f"MiniGrid-{name}", disable_env_checker=True))

    theirs = SyncVectorEnv([one] * 4, autoreset_mode=mode)
    ours = GridVectorEnv(f"MiniGrid-{name}", 4, mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    rng, ended = np.random.default_rng(0), 0
    for _ in range(150):
        actions = rng.integers(ours.single_action_space.n, size=4)
        a, b = ours.step(actions), theirs.step(actions)
        for x, y in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(x, y)
        ended += int((a[2] | a[3]).sum())
        for k in np.flatnonzero(b[4].get("_final_obs", [])):
            np.testing.assert_array_equal(a[4]["final_obs"][k], b[4]["final_obs"][k])
    assert ended > 5


def test_without_autoreset_ended_grids_wait_for_their_mask() -> None:
    env = GridVectorEnv("MiniGrid-Empty-5x5-v0", 2, "Disabled", max_steps=1)
    env.reset(seed=0)
    env.step(np.array([0, 0]))
    with pytest.raises(ValueError, match=r"\[0, 1\] have ended"):
        env.step(np.array([0, 0]))
    env.reset(options={"reset_mask": np.array([True, True])})
    env.step(np.array([0, 0]))
    with pytest.raises(UsageError, match="NextStep, SameStep, Disabled"):
        GridVectorEnv("MiniGrid-Empty-5x5-v0", 2, "sometimes")


MAZE = """
#######
#> #  #
#  Y  #
# y# *#
#######
"""


def test_a_maze_is_walked_as_it_is_drawn() -> None:
    grids = Grids(maze(MAZE), 1)
    grids.reset([0])
    # to the key's left, turn to it, take it, back to the door, open it, through it, to the goal
    left, right, forward, pick, toggle = 0, 1, 2, 3, 5
    way = [right, forward, forward, left, pick, left, forward, right, forward, toggle]
    way += [forward, forward, forward, right, forward]
    ends = [grids.step(np.array([action])) for action in way]
    assert [bool(terminated[0]) for _, terminated, _ in ends] == [False] * 14 + [True]
    assert ends[-1][0][0] == 1 - 0.9 * (len(way) / (4 * 35))


def test_without_a_start_each_seed_draws_one() -> None:
    grids = Grids(maze("#####\n#   #\n#  *#\n#####"), 64)
    grids.reset(range(64))
    assert len({tuple(place) for place in grids.agent.tolist()}) > 10
    assert (grids.agent[:, :2] != [3, 2]).any(-1).all()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("###\n# #", "three lines"),
        ("###\n#  #\n###", "of one length"),
        ("####\n#>v#\n####", "line 2, column 3: a second start"),
        ("###\n#?#\n###", "line 2, column 2: '\\?'"),
        ("###\n#  \n###", "line 2, column 3: the edge must be wall"),
        ("###\n#*#\n###", "no empty cell"),
    ],
)
def test_what_is_no_maze_is_refused(text: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        maze(text)

"""Where states lie: checked against what the environments themselves say."""

import gymnasium
import numpy as np
import pytest

from rlkit.envs.tabular.families import find_model
from rlkit.envs.tabular.places import places, steps_from_start
from rlkit.theory.mdp import FiniteMDP


@pytest.mark.parametrize(
    "source", ["frozen_lake:layout=8x8,slippery=False", "maze:layout=3,seed=2", "CliffWalking-v1",
               "FrozenLake-v1:is_slippery=False"],
)  # fmt: skip
def test_a_move_leads_to_the_cell_that_it_points_at(source: str) -> None:
    mdp = find_model(source)
    grid = places(source, mdp)
    assert grid is not None
    assert grid.moves is not None
    matrix, rows, moved = mdp.matrix(), grid.shape[0], 0
    at = np.stack(np.divmod(grid.cell_of, grid.shape[1]), 1)
    for s in range(mdp.num_states):
        for row in range(mdp.sa_ptr[s], mdp.sa_ptr[s + 1]):
            to = matrix[[row]].indices
            if mdp.r[row] == -100:  # off the cliff, back to the start
                continue
            if to.size and to[0] != s and abs(at[to[0]] - at[s]).sum() == 1:
                assert (at[to[0]] - at[s]).tolist() == grid.moves[mdp.a_id[row]].tolist()
                moved += 1
    assert moved > rows


def test_letters_are_those_of_the_layout() -> None:
    env = gymnasium.make("FrozenLake-v1", map_name="8x8")
    source = "FrozenLake-v1:map_name=8x8"
    grid = places(source, find_model(source))
    assert grid is not None
    assert grid.letters == tuple("".join(row) for row in env.unwrapped.desc.astype(str))


def test_states_of_minigrid_lie_where_the_agent_stands() -> None:
    source = "MiniGrid-Empty-5x5-v0"
    mdp = find_model(source)
    grid = places(source, mdp)
    assert grid is not None
    assert grid.moves is None
    assert grid.shape == (5, 5)
    assert len(grid.cell_of) == mdp.num_states
    assert grid.cell_of[0] == 6  # it begins at (1, 1)
    assert set(grid.cell_of) == {6, 7, 8, 11, 12, 13, 16, 17}  # the goal's cell ends it


@pytest.mark.parametrize(
    "source", ["river_swim", "Taxi-v4", "garnet:states=9,actions=2,successors=2"]
)
def test_other_models_have_no_grid(source: str) -> None:
    assert places(source, find_model(source)) is None


def test_steps_from_the_start_are_the_fewest() -> None:
    p = np.zeros((5, 2, 5))
    p[0, :, 1] = p[1, 0, 2] = p[1, 1, 0] = p[2, :, 2] = p[3, :, 4] = p[4, :, 0] = 1.0
    mdp = FiniteMDP.from_dense(p, np.zeros((5, 2)), mu0=np.eye(5)[0])
    assert steps_from_start(mdp).tolist() == [0, 1, 2, -1, -1]
    anywhere = FiniteMDP.from_dense(p, np.zeros((5, 2)), mu0=np.array([0.5, 0, 0, 0.5, 0]))
    assert steps_from_start(anywhere).tolist() == [0, 1, 2, 0, 1]

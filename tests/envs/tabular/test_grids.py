import numpy as np
import pytest

from rlkit.envs.tabular.grids import frozen_lake, maze, random_maze
from rlkit.theory import solve


def shortest(layout):
    """Steps to G of every floor cell, by breadth first search."""
    cells = np.array([list(row) for row in layout])
    steps = np.full(cells.shape, -1)
    front = [tuple(x) for x in np.argwhere(cells == "G")]
    for cell in front:
        steps[cell] = 0
    while front:
        r, c = front.pop(0)
        for cell in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            inside = 0 <= cell[0] < cells.shape[0] and 0 <= cell[1] < cells.shape[1]
            if inside and cells[cell] != "#" and steps[cell] < 0:
                steps[cell] = steps[r, c] + 1
                front.append(cell)
    return steps[np.isin(cells, [".", "S"])]


def test_maze_value_is_the_distance():
    layout = random_maze(5, seed=3)
    np.testing.assert_allclose(solve(maze(layout), 1.0).value, -shortest(layout))


def test_perfect_maze_is_a_spanning_tree():
    layout = random_maze(6, seed=1)
    assert sum(row.count("#") for row in layout) == 13 * 13 - (36 + 35)
    assert shortest(layout).min() > 0


def test_slip_goes_sideways():
    mdp = maze(("...", ".S.", "..G"), slip=0.2)
    p = mdp.dense()[0]
    np.testing.assert_allclose(p[4, 0], [0, 0.1, 0, 0.8, 0, 0, 0, 0.1])


def test_bad_layouts_are_refused():
    with pytest.raises(ValueError, match="needs a goal"):
        maze(("S..",))
    with pytest.raises(ValueError, match="row 0, column 1: 'X'"):
        maze(("SXG",))
    with pytest.raises(ValueError, match="equally long"):
        maze(("SG", "..."))
    with pytest.raises(ValueError, match="layout must be"):
        frozen_lake("16x16")

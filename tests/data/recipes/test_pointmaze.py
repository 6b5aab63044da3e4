"""The recipes of the point mazes: rows that are the same again, of whole episodes."""

import dataclasses

import numpy as np
import pytest

from rlkit.data.recipes import cards
from rlkit.data.recipes.episodes import roll_out
from rlkit.data.store import EpisodeStore

NAMES = [name for name in cards.all_recipes() if name.startswith("rlkit/pointmaze/")]


def test_every_maze_has_a_sparse_and_a_dense_recipe() -> None:
    mazes = ("umaze", "medium", "large")
    assert set(NAMES) == {f"rlkit/pointmaze/{m}{d}-v1" for m in mazes for d in ("", "-dense")}


@pytest.mark.parametrize("name", [f"rlkit/pointmaze/{x}-v1" for x in ("umaze", "medium-dense")])
def test_rows_are_the_same_again_and_reach_no_end(name: str) -> None:
    recipe = cards.find(name)
    first, second = (
        EpisodeStore.from_episodes(e for _, e in roll_out(recipe, size=700)) for _ in range(2)
    )
    for column in ("obs", "action", "reward", "next_obs"):
        np.testing.assert_array_equal(getattr(first, column), getattr(second, column))
    limit = 300 if "umaze" in name else 600
    assert set(first.lengths) == {limit}
    assert not first.terminated.any()
    assert first.obs.shape[1:] == (4,)
    other = dataclasses.replace(recipe, seed=recipe.seed + 1)
    assert not np.array_equal(next(roll_out(other, size=1))[1]["obs"][0], first.obs[0])


def test_dense_and_sparse_recipes_hold_the_same_movements() -> None:
    (_, sparse), (_, dense) = (
        next(roll_out(cards.find(f"rlkit/pointmaze/umaze{kind}-v1"), size=1))
        for kind in ("", "-dense")
    )
    np.testing.assert_array_equal(sparse["obs"], dense["obs"])
    assert set(np.unique(sparse["reward"])) <= {0.0, 1.0}
    assert ((dense["reward"] >= np.exp(-0.5)) == (sparse["reward"] == 1)).all()

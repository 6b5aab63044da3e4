"""Models by name: files, families and environments."""

import re

import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.envs.tabular.families import FAMILIES, find_model
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import frozen_lake
from rlkit.theory import FiniteMDP, solve

NEEDED = {
    "deep_sea": "n=4", "garnet": "states=9,actions=2,successors=3",
    "banded_garnet": "states=9,actions=2,successors=3,width=2",
    "factored_garnet": "endogenous=3,exogenous=2,actions=2", "maze": "layout=3",
    "pendulum": "angles=7,speeds=5,torques=3",
    "random_latent": "contexts=2,states=3,actions=2,horizon=3",
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_found_by_its_name(name):
    mdp = find_model(f"{name}:{NEEDED[name]}" if name in NEEDED else name)
    assert isinstance(mdp, FiniteMDP)
    assert solve(mdp, 0.9).converged


def test_arguments_reach_the_family():
    np.testing.assert_array_equal(
        find_model("garnet:states=9,actions=2,successors=3,seed=4").val, garnet(9, 2, 3, 4).val
    )
    assert find_model("frozen_lake:layout=8x8,slippery=False").num_states == 64


def test_environments_and_files(tmp_path):
    lake = find_model("FrozenLake-v1:map_name=8x8,is_slippery=False")
    ours = frozen_lake("8x8", slippery=False)
    np.testing.assert_allclose(solve(lake, 0.9).value, solve(ours, 0.9).value, atol=1e-6)
    assert find_model("MiniGrid-Empty-5x5-v0").num_states == 32  # 8 cells to stand on, 4 directions
    ours.save(tmp_path / "lake.npz")
    np.testing.assert_array_equal(find_model(str(tmp_path / "lake.npz")).val, ours.val)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("missing.npz", "no such file: missing.npz"),
        ("garnt", "did you mean 'garnet'?"),
        ("FrozenLak-v1", "did you mean 'FrozenLake-v1'?"),
        ("garnet", "garnet needs states, actions, successors, as in"),
        ("garnet:stats=9", "did you mean 'states'?"),
        ("garnet:states=9,actions", "'actions' should read key=value"),
        ("Hopper-v5", "has no transition table"),
        ("forest:states=abc", "forest: states is 'abc'; it must be a whole number"),
        ("forest:states=2.5", "forest: states is 2.5; it must be a whole number"),
        ("forest:states=True", "forest: states is True; it must be a whole number"),
        (
            "forest:states=1e12",
            "forest: states is 1000000000000.0; it must be at most 2,147,483,647",
        ),
        ("forest:fire=[0.1]", "forest: fire is [0.1]; it must be a finite number"),
        ("forest:fire=1e999", "forest: fire is inf; it must be a finite number"),
        ("frozen_lake:slippery=2", "frozen_lake: slippery is 2; it must be True or False"),
    ],
)
def test_what_is_not_there_is_named(source, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        find_model(source)

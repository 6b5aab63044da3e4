"""`rlkit solve` on the smallest and the emptiest models."""

import numpy as np
import pytest

from rlkit.cli.solve_command import solve
from rlkit.core.errors import UsageError
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.planning.solvers import METHODS

MODELS = {
    "one state, one action": FiniteMDP.from_dense(np.ones((1, 1, 1)), np.ones((1, 1))),
    "no reward": FiniteMDP.from_dense(np.full((3, 2, 3), 1 / 3), np.zeros((3, 2))),
    "no successor": FiniteMDP.from_dense(
        np.zeros((2, 2, 2)), np.arange(4.0).reshape(2, 2), stop=np.ones((2, 2))
    ),
}


@pytest.mark.parametrize("gamma", [0.0, 0.5])
@pytest.mark.parametrize("model", MODELS)
def test_every_method_answers(model, gamma, tmp_path, capsys):
    mdp = MODELS[model]
    mdp.save(tmp_path / "m.npz")
    solve([str(tmp_path / "m.npz"), "--method", "all", "--gamma", str(gamma), "--quiet"])
    shown = capsys.readouterr().out
    assert shown.count(" yes") == len(METHODS)


@pytest.mark.parametrize("model", ["no reward", "no successor"])
def test_without_discount_what_ends_or_pays_nothing_is_solved(model, tmp_path, capsys):
    MODELS[model].save(tmp_path / "m.npz")
    solve([str(tmp_path / "m.npz"), "--method", "vi,pi,mpi", "--gamma", "1", "--quiet"])
    assert capsys.readouterr().out.count(" yes") == 3


@pytest.mark.parametrize(("model", "kind"), [("FrozenLake-v1", "png"), ("river_swim", "svg")])
def test_a_solution_is_drawn_to_the_file_named(model, kind, tmp_path, capsys):
    file = tmp_path / "pictures" / f"lake.{kind}"
    solve([model, "--quiet", "--plot", str(file)])
    assert f"picture of mpi's solution: {file}" in capsys.readouterr().out
    assert file.read_bytes()[:4] in (b"\x89PNG", b"<?xm")


def test_a_large_model_is_drawn_over_its_steps(tmp_path):
    file = tmp_path / "garnet.svg"
    solve(["garnet:states=300,actions=2,successors=2", "--quiet", "--plot", str(file)])
    assert "Steps from a start, at least" in file.read_text()


def test_a_picture_of_another_kind_is_refused_before_the_work(tmp_path, capsys):
    with pytest.raises(UsageError, match=r"--plot x.pdf must end in .png or .svg"):
        solve(["river_swim", "--quiet", "--plot", "x.pdf"])
    assert not capsys.readouterr().out

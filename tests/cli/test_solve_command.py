"""`rlkit solve`: the table, what it saves, and that nothing unconverged goes unsaid."""

import itertools

import numpy as np
import pytest

from rlkit.cli import solve_command
from rlkit.cli.main import main
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import frozen_lake
from rlkit.run.records.progress import Lines
from rlkit.theory import solve
from rlkit.theory.planning.iterations import Progress
from rlkit.theory.planning.solvers import METHODS


def rows_of(text):
    """The table's rows by method."""
    head, _, body = text.partition("converged\n")
    assert head.rstrip().endswith("seconds")
    lines = itertools.takewhile(str.strip, body.splitlines())
    return {line.split()[0]: line.split(maxsplit=7)[1:] for line in lines}


def test_every_method_side_by_side(capsys):
    assert main(["solve", "FrozenLake-v1", "--method", "all", "--quiet"]) == 0
    said = capsys.readouterr()
    rows = rows_of(said.out)
    assert list(rows) == list(METHODS)
    exact = solve(frozen_lake(), 0.99, "pi").value[0]
    for name, (value, lower, upper, widest, backups, seconds, state) in rows.items():
        assert float(value) == pytest.approx(exact, abs=1e-6), name
        assert float(lower) - 1e-9 <= exact <= float(upper) + 1e-9
        assert 0 < float(widest) <= 1e-6
        assert float(backups.replace(",", "")) > 0
        assert float(seconds) >= 0
        assert state == "yes"
    assert "from its initial law, gamma 0.99, bounds at most 1e-06 apart" in said.out
    assert said.err == ""


def test_what_does_not_converge_is_marked_and_fails(capsys, tmp_path):
    out = tmp_path / "lake.npz"
    line = ["solve", "frozen_lake:layout=8x8", "--method=vi,pi", "--max-backups=5", f"--out={out}"]
    assert main(line) == 1
    said = capsys.readouterr()
    rows = rows_of(said.out)
    assert rows["vi"][-1] == "NO: the budget of 5 backups is spent"
    assert "vi" in said.err
    assert "did not reach bounds 1e-06 apart" in said.err
    assert "Warning" not in said.err
    held = np.load(out)
    narrow = min(float(rows[m][3]) for m in rows)
    assert (held["upper"] - held["lower"]).max() == pytest.approx(narrow, rel=0.1)
    assert not held["converged"]


def test_a_method_that_refuses_does_not_stop_the_others(capsys):
    line = ["solve", "FrozenLake-v1:is_slippery=False", "--gamma", "1", "--method", "gs,pi"]
    assert main(line) == 1
    said = capsys.readouterr()
    assert "gs          gamma = 1 is solved by vi, mpi or pi, not gs" in said.out
    assert rows_of(said.out)["pi"][-1] == "yes"
    assert "rlkit: error: gs did not reach" in said.err
    assert main([*line[:-1], "gs"]) == 2
    assert "gamma = 1 is solved by" in capsys.readouterr().err


def test_files_of_models_and_of_solutions(capsys, tmp_path):
    model, out = tmp_path / "model.npz", tmp_path / "solution.npz"
    mdp = garnet(30, 3, 4, seed=1)
    mdp.as_float32().save(model)
    line = ["solve", str(model), "--gamma=0.9", "--method=mpi,gs", "--threads=2", f"--out={out}"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert f"written to {out}" in said
    assert "from a uniform start" in said
    held = np.load(out)
    np.testing.assert_allclose(held["value"], solve(mdp, 0.9, "pi").value, atol=1e-5)
    np.testing.assert_array_equal(held["policy"], solve(mdp, 0.9, "pi").policy)
    assert float(held["gamma"]) == 0.9
    assert held["converged"]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []
    assert main(line) == 2
    assert "must be a new file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.npz"], "no such file: missing.npz"),
        (["FrozenLak-v1"], "did you mean 'FrozenLake-v1'?"),
        (["ring", "--method", "mpj"], "unknown method 'mpj'; did you mean 'mpi'?"),
        (["ring", "--method", "vi,"], "unknown method ''"),
        (["ring", "--gama", "0.5"], "did you mean '--gamma'?"),
        (["ring", "--gamma", "1.5"], "--gamma must lie in [0, 1], got 1.5"),
        (["ring", "--eps", "0"], "must be positive"),
        (["ring", "--out", "x.csv"], "must be a new file that ends in .npz"),
        ([], "FILE|ENV"),
    ],
)
def test_usage_errors(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["solve", *words]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1


def test_long_solves_show_how_far_they_are(monkeypatch, capsys):
    clock = itertools.count(0.0, 3.0)
    monkeypatch.setattr(solve_command.time, "monotonic", lambda: float(next(clock)))
    closing = solve_command._Closing("vi", Lines())
    closing.begin()
    for n, width in enumerate([10.0, 1.0, 0.1, 0.01, 1e-3]):
        for _ in range(4):
            closing(Progress(4.0 * n, width, 1e-3))
    closing.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("solving by vi, percent")
    assert "100/100" in lines[-1]
    assert "bounds 0.001 apart after 16 backups" in lines[-1]


def test_short_solves_show_nothing(capsys):
    assert main(["solve", "ring"]) == 0
    assert capsys.readouterr().err == ""

import numpy as np
import pytest

from rlkit.envs.tabular.garnet import banded_garnet, factored_garnet, garnet
from rlkit.theory.evaluation import policy_model
from rlkit.theory.planning.solvers import solve
from rlkit.theory.planning.structure import recurrent_classes


def test_garnet_has_b_distinct_successors_and_is_seeded():
    mdp = garnet(40, 3, 5, seed=2)
    assert (np.diff(mdp.row_ptr) == 5).all()
    np.testing.assert_array_equal(mdp.val, garnet(40, 3, 5, seed=2).val)
    assert not np.array_equal(mdp.col, garnet(40, 3, 5, seed=3).col)


def test_successors_are_uniform_and_weights_dirichlet():
    mdp = garnet(10, 500, 3, seed=1)
    counts = np.bincount(mdp.col, minlength=10)
    assert np.abs(counts - 1500).max() < 5 * np.sqrt(1500 * 0.7)
    # Dirichlet(1, 1, 1): every weight is Beta(1, 2), mean 1/3 and variance 1/18.
    assert mdp.val.var() == pytest.approx(1 / 18, rel=0.05)


def test_band_and_sizes():
    mdp = banded_garnet(50, 2, 4, 3, seed=1)
    states = np.repeat(mdp.state_of_row(), 4)
    assert np.abs(mdp.col - states).max() == 3
    with pytest.raises(ValueError, match="1 <= successors <= 4"):
        banded_garnet(50, 2, 5, 3)
    with pytest.raises(ValueError, match="successors"):
        garnet(3, 2, 4)


def test_unichain_option_resamples():
    loose = [garnet(12, 1, 1, seed=k) for k in range(30)]
    several = [k for k, m in enumerate(loose) if recurrent_classes(m.matrix()).max() > 0]
    assert several
    mdp = garnet(12, 1, 1, seed=several[0], unichain=True)
    p, _ = policy_model(mdp, solve(mdp, 0.9).policy)
    assert recurrent_classes(p).max() == 0


def test_factored_garnet_moves_its_exogenous_part_alone():
    mdp = factored_garnet(4, 3, 2, seed=1)
    p = mdp.matrix().toarray().reshape(4, 3, 2, 4, 3)
    law = p.sum(3)
    for k in range(3):
        np.testing.assert_allclose(law[:, k], np.broadcast_to(mdp.exo[k], (4, 2, 3)))

import numpy as np
import pytest

from rlkit.envs.tabular.chains import RIVER_SWIM, chain, deep_sea, jao, lock, river_swim
from rlkit.theory.planning.finite_horizon import backward_induction, evaluate_stages


@pytest.mark.parametrize("variant", RIVER_SWIM)
def test_river_swim_rows(variant):
    p, r = river_swim(5, variant).dense()
    first, middle, last = RIVER_SWIM[variant]
    np.testing.assert_array_equal(p[0, 1, :2], first)
    np.testing.assert_array_equal(p[2, 1, 1:4], middle)
    np.testing.assert_array_equal(p[4, 1, 3:], last)
    assert np.count_nonzero(r) == 2
    with pytest.raises(ValueError, match="variant must be one of"):
        river_swim(5, "mississippi")


def test_deep_sea_hides_right_and_pays_once():
    plain, hidden = deep_sea(6), deep_sea(6, seed=2)
    assert (backward_induction(plain, 6).policy.diagonal() >= 0).all()
    right = backward_induction(hidden, 6).policy[np.arange(6), np.arange(6) * 7]
    assert 0 < right.sum() < 6
    uniform = np.full((6, 36, 2), 0.5)
    value = evaluate_stages(plain, uniform)[0, 0]
    assert value == pytest.approx(2.0**-6 - 0.01 / 2)


def test_lock_and_chain():
    mdp = lock(4, 3, seed=1)
    uniform = np.full((4, 5, 3), 1 / 3)
    assert evaluate_stages(mdp, uniform)[0, 0] == pytest.approx(3.0**-4)
    p, r = chain(5, 0.1).dense()
    np.testing.assert_allclose(p[2, 1], [0, 0.1, 0, 0.9, 0])
    np.testing.assert_array_equal(r[:, 0], [0.05, 0, 0, 0, 1])


def test_jao_has_one_good_action():
    p, _ = jao(8, which=5).dense()
    np.testing.assert_allclose(p[0, :, 1], [0.2] * 5 + [0.5] + [0.2] * 2)
    with pytest.raises(ValueError, match="which must lie in"):
        jao(8, which=8)

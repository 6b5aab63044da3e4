import numpy as np
import pytest

from rlkit.envs.tabular.chains import lock, river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import policy_model
from rlkit.theory.planning.end_components import end_components, reach_surely
from rlkit.theory.planning.structure import (
    communicating_classes,
    diameter,
    reachable,
    recurrent_classes,
    stationary_law,
)


@pytest.mark.parametrize(
    ("n", "variant", "value"),
    [
        (6, "ucrl", 14.722338), (12, "ucrl", 34.722222), (6, "calm_end", 14.722338),
        (12, "calm_end", 34.722222), (6, "strong_current", 22.510288),
    ],
)  # fmt: skip
def test_river_swim_diameter(n, variant, value):
    assert diameter(river_swim(n, variant)) == pytest.approx(value, abs=1e-6)


def test_stationary_law_is_left_invariant():
    p, _ = policy_model(garnet(30, 1, 4, seed=1), np.zeros(30, int))
    law = stationary_law(p)
    np.testing.assert_allclose(law @ p, law, atol=1e-15)
    assert law.sum() == pytest.approx(1.0)


def test_two_classes_have_no_single_law():
    with pytest.raises(ValueError, match="2 recurrent classes"):
        stationary_law(np.eye(2))
    np.testing.assert_array_equal(
        recurrent_classes(np.array([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1.0]])), [-1, 0, 1]
    )


def test_classes_and_reachability():
    mdp = lock(4, 2)
    assert len(set(communicating_classes(mdp))) == 5
    np.testing.assert_array_equal(reachable(mdp, 2), [False, False, True, True, True])
    assert diameter(mdp) == np.inf


def test_end_components_and_sure_termination():
    # 0 <-> 1 form a component by action 0; action 1 leaves 1 for 2, which ends.
    p = np.zeros((3, 2, 3))
    p[0, :, 1] = p[1, 0, 0] = p[1, 1, 2] = 1.0
    mdp = FiniteMDP.from_dense(p, np.zeros((3, 2)), stop=[[0, 0], [0, 0], [1, 1]])
    component, inside = end_components(mdp)
    np.testing.assert_array_equal(component, [0, 0, -1])
    np.testing.assert_array_equal(inside, [True, True, True, False, False, False])
    sure, choice = reach_surely(mdp)
    assert sure.all()
    np.testing.assert_array_equal(mdp.a_id[choice][1:2], [1])

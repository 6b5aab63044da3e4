import numpy as np
import pytest

from rlkit.envs.tabular.chains import river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.objectives.separations import (
    SEPARATIONS,
    blackwell_optimal,
    exclusive_or,
    patience,
)
from rlkit.theory.planning.average_reward import howard


@pytest.mark.parametrize("example", SEPARATIONS, ids=lambda f: f.__name__)
def test_certificates_hold(example):
    found = example()
    assert found.holds, found
    assert all(np.isfinite(x) for x in found.certificate.values())
    assert found.expresses != found.fails


def test_margins_of_the_switches():
    """XOR: infeasible, margin 0. AND: margin 1."""
    found = exclusive_or().certificate
    assert found["xor margin"] == pytest.approx(0, abs=1e-9)
    assert found["and margin"] == pytest.approx(1.0)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_impatience_has_a_counterexample_at_every_discount(gamma):
    found = patience(gamma)
    assert found.holds
    assert found.certificate["chance of the discounted optimum"] == pytest.approx(0.8)


def test_blackwell_policies_are_average_optimal():
    for mdp in (garnet(4, 2, 2, seed=1, unichain=True), river_swim(4)):
        policy = blackwell_optimal(mdp)
        gain = howard(mdp, policy=policy)
        np.testing.assert_allclose(gain.gain, howard(mdp).gain, atol=1e-9)
    with pytest.raises(ValueError, match="1e5"):
        blackwell_optimal(garnet(20, 3, 2))

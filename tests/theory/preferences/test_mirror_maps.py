import numpy as np
import pytest

from rlkit.theory.preferences.mirror_maps import (
    ball,
    box,
    entropy,
    free,
    product,
    project_simplex,
    simplex,
)

RNG = np.random.default_rng(0)
MAPS = {
    "entropy": entropy(4),
    "ball": ball(4, 0.7),
    "box": box(-np.array([1, 2, 0.5, 0.1]), np.array([1, 0.2, 0.5, 3])),
    "simplex": simplex(4),
    "product": product(entropy(2), ball(2, 0.5)),
}


def inside(name, seed):
    rng = np.random.default_rng(seed)
    return MAPS[name].step(MAPS[name].start, 2 * rng.normal(size=4), 1.0)


@pytest.mark.parametrize("name", list(MAPS))
def test_step_and_lead_minimise_what_they_say(name):
    """Against random points of the set: the optimality condition of a convex problem."""
    m = MAPS[name]
    x, g = inside(name, 1), RNG.normal(size=4)
    best = m.step(x, g, 0.7)
    lead = m.lead(g, 0.7)
    value = 0.7 * g @ best + m.divergence(best, x)
    for seed in range(50):
        y = inside(name, seed + 10)
        assert 0.7 * g @ y + m.divergence(y, x) >= value - 1e-12
        assert 0.7 * g @ y + m.divergence(y, m.start) >= (
            0.7 * g @ lead + m.divergence(lead, m.start) - 1e-12
        )
        assert g @ y >= m.best(g) - 1e-12
        assert m.divergence(y, x) >= 0
    assert m.divergence(x, x) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", list(MAPS))
def test_leading_axes_are_replicates(name):
    m = MAPS[name]
    x = np.array([inside(name, k) for k in range(6)]).reshape(2, 3, 4)
    g, eta = RNG.normal(size=(2, 3, 4)), RNG.random((2, 3, 1))
    got = m.step(x, g, eta)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(got[i], m.step(x[i], g[i], eta[i]), atol=1e-12)
        assert m.best(g)[i] == pytest.approx(m.best(g[i]))
        assert m.dual_norm(g)[i] == pytest.approx(m.dual_norm(g[i]))


def test_projection_on_the_simplex():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=5)
        y = project_simplex(x)
        assert y.sum() == pytest.approx(1)
        assert (y >= 0).all()
        # optimality: x - y is one number on the support and nowhere larger off it
        shift = (x - y)[y > 0]
        np.testing.assert_allclose(shift, shift[0])
        assert (x[y == 0] <= shift[0] + 1e-12).all()


def test_entropy_survives_extreme_steps():
    m = entropy(3)
    x = m.step(m.start, np.array([0, 1e6, 2e6]), 1.0)
    np.testing.assert_allclose(x, [1, 0, 0])
    assert np.isfinite(m.step(x, np.array([1.0, 0, 0]), 1.0)).all()


def test_the_whole_space_is_gradient_descent():
    np.testing.assert_allclose(free(2).step(np.ones(2), np.array([1.0, 2]), 0.5), [0.5, 0])
    assert free(2).best(np.ones(2)) == -np.inf


def test_errors():
    with pytest.raises(ValueError, match="size"):
        entropy(0)
    with pytest.raises(ValueError, match="radius"):
        ball(2, -1.0)
    with pytest.raises(ValueError, match="low <= high"):
        box(np.ones(2), np.zeros(2))

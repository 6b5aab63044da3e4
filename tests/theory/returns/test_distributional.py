import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.returns.distributional import as_law, evaluate_laws, exact_laws, merge_atoms
from rlkit.theory.returns.laws import Categorical, Quantile, outcomes_from_coo

MODEL = garnet(6, 2, 3, seed=0)
POLICY = np.random.default_rng(0).dirichlet(np.ones(2), 6)


def test_categorical_means_are_the_values():
    found = evaluate_laws(MODEL, POLICY, 0.8, Categorical(np.linspace(-1, 6, 71)))
    np.testing.assert_allclose(found.mean(), evaluate_policy(MODEL, POLICY, 0.8), atol=1e-6)
    np.testing.assert_allclose(found.laws.sum(1), 1)
    assert found.converged


def test_quantile_means_approach_the_values():
    value = evaluate_policy(MODEL, POLICY, 0.8)
    gaps = []
    for m in (8, 64):
        found = evaluate_laws(MODEL, POLICY, 0.8, Quantile(m), tolerance=1e-6)
        gaps.append(np.abs(found.mean() - value).max())
        assert (np.abs(found.mean() - value) <= found.error).all()
    assert gaps[1] < 0.3 * gaps[0]


def distance(first, second):
    """W1 of two laws given by atoms."""
    grid = np.union1d(first[0], second[0])
    mass = [np.searchsorted(x[0], grid, side="right") for x in (first, second)]
    cdf = [np.append(0, np.cumsum(x[1]))[k] for x, k in zip((first, second), mass, strict=True)]
    return np.abs(cdf[0] - cdf[1])[:-1] @ np.diff(grid)


@pytest.mark.parametrize("law", [Categorical(np.linspace(0, 2.5, 51)), Quantile(40)])
def test_error_bounds_contain_the_exact_law(law):
    """gamma = .5: six exact steps leave a tail below .5^6 / .5."""
    found = evaluate_laws(MODEL, POLICY, 0.5, law)
    exact = exact_laws(MODEL, POLICY, 0.5, 6)
    tail = 0.5**6 / 0.5
    for s in range(6):
        values, weights = law.atoms(found.laws[s])
        gap = distance((values, weights), exact[s])
        assert gap <= found.error[s] + tail
        assert gap < 0.1


def test_exact_laws_of_a_coin():
    """Two tosses of +1 / -1 at gamma = .5: four atoms, each a quarter."""
    model = outcomes_from_coo([0, 0], [0, 0], [0, 0], [0.5, 0.5], [1.0, -1.0])
    values, weights = exact_laws(model, np.zeros(1, int), 0.5, 2)[0]
    np.testing.assert_allclose(values, [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(weights, 0.25)
    values, weights = exact_laws(model, np.zeros(1, int), 1.0, 2)[0]
    np.testing.assert_allclose(values, [-2, 0, 2])
    np.testing.assert_allclose(weights, [0.25, 0.5, 0.25])
    with pytest.raises(ValueError, match="atoms"):
        exact_laws(model, np.zeros(1, int), 0.5, 8, limit=100)


def test_coin_flips_for_ever_give_the_uniform_law():
    """sum 2^-t X_t with X = 0 or 1 is uniform on [0, 2]."""
    model = outcomes_from_coo([0, 0], [0, 0], [0, 0], [0.5, 0.5], [1.0, 0.0])
    found = evaluate_laws(model, np.zeros(1, int), 0.5, Quantile(64))
    np.testing.assert_allclose(found.laws[0], 2 * (np.arange(64) + 0.5) / 64, atol=0.04)


def test_termination_without_discount():
    p = np.array([[[0.0, 1.0], [0, 0]], [[0.0, 0], [0, 0]]])[:, :1]
    mdp = FiniteMDP.from_dense(p, np.array([[1.0], [2.0]]), stop="deficit")
    law = Categorical(np.arange(5.0))
    found = evaluate_laws(mdp, np.zeros(2, int), 1.0, law)
    np.testing.assert_allclose(found.laws, [law.point(3.0), law.point(2.0)])


def test_projection_of_atoms_and_merging():
    law = Categorical(np.array([0.0, 1, 2]))
    np.testing.assert_allclose(as_law(law, [0.5, 2.0], [0.5, 0.5]), [0.25, 0.25, 0.5])
    np.testing.assert_allclose(as_law(Quantile(2), [3.0, 1.0], [0.25, 0.75]), [1, 1])
    values, weights = merge_atoms(np.array([1.0, 0, 1 + 1e-12]), np.array([0.2, 0.5, 0.3]), 1e-9)
    np.testing.assert_allclose(values, [0, 1])
    np.testing.assert_allclose(weights, [0.5, 0.5])

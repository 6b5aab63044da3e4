import numpy as np
import pytest

from rlkit.theory import solve
from rlkit.theory.learning.generalisation import all_models, candidates, factored_bits, model_class

BITS = factored_bits()
# both actions at (0, 0) and at (1, 1)
STATES, ACTIONS = np.array([0, 0, 3, 3]), np.array([0, 1, 0, 1])


def index(first, second):
    """Number of the model in which bit i moves by the given function of (bit, action)."""
    codes = [sum(f(b, a) << (2 * b + a) for b in (0, 1) for a in (0, 1)) for f in (first, second)]
    return 16 * codes[0] + codes[1]


def copy(b, a):
    return a


def negate(b, a):
    return 1 - a


def keep(b, a):
    return b


def compare(b, a):
    return int(a == b)


def test_class_sizes():
    assert len(BITS.moves) == 256
    assert len(BITS.values) == 146
    assert len(np.unique(BITS.moves.reshape(256, -1), axis=0)) == 256


def test_values_are_those_of_the_solver():
    for k in (0, 37, 100, 201, 255):
        found = solve(BITS.model(k), 0.9, "pi")
        np.testing.assert_allclose(BITS.q[k], found.q_table(), atol=1e-8)


def test_model_route_narrows_the_values_strictly():
    """True model (copy a, negate a): one model, hence one value; three values fit the Bellman
    equation."""
    found = candidates(BITS, index(copy, negate), STATES, ACTIONS)
    assert found.models.tolist() == [index(copy, negate)]
    assert found.model_values.size == 1
    assert found.bellman_values.size == 3
    assert found.narrowed == 2


def test_other_truths():
    """The number of Bellman-consistent values varies with the truth between 1 and a handful."""
    counts = {candidates(BITS, k, STATES, ACTIONS).bellman_values.size for k in range(256)}
    assert {2, 3, 4} <= counts
    # these observations always show both bits completely
    assert all(candidates(BITS, k, STATES, ACTIONS).models.size == 1 for k in range(256))


def test_inclusion_holds_for_random_truths_and_data():
    rng = np.random.default_rng(0)
    strict = 0
    for _ in range(1000):
        size = rng.integers(0, 9)
        found = candidates(
            BITS, int(rng.integers(256)), rng.integers(0, 4, size), rng.integers(0, 2, size)
        )
        assert np.isin(found.model_values, found.bellman_values).all()
        assert found.model_values.size >= 1
        strict += found.narrowed > 0
    assert strict > 100


def test_no_data_leave_everything_open():
    found = candidates(BITS, 5, np.array([], int), np.array([], int))
    assert found.models.size == 256
    assert found.model_values.size == found.bellman_values.size == 146


def test_an_unfactored_class_gains_nothing_once_everything_is_seen():
    """All 4-state models: with every pair observed both routes leave the one true value."""
    models = all_models(4, 2, np.array([[0.0, 0.5], [1, 0], [0, 0.2], [0.3, 0.1]]))
    s, a = np.divmod(np.arange(8), 2)
    assert len(models.moves) == 4**8
    for truth in range(0, len(models.moves), 3001):
        found = candidates(models, truth, s, a)
        assert found.models.tolist() == [truth]
        assert found.model_values.tolist() == found.bellman_values.tolist()


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [(copy, copy, 3), (negate, negate, 3), (copy, keep, 4), (copy, compare, 2)],
)
def test_values_left_by_simple_truths(first, second, count):
    found = candidates(BITS, index(first, second), STATES, ACTIONS)
    assert found.model_values.size == 1
    assert found.bellman_values.size == count


def test_errors():
    with pytest.raises(ValueError, match="models"):
        all_models(5, 3, np.zeros((5, 3)))
    with pytest.raises(ValueError, match="moves"):
        model_class(np.full((1, 2, 1), 2), np.zeros((2, 1)), 0.9)
    with pytest.raises(ValueError, match="equal length"):
        candidates(BITS, 0, np.array([0]), np.array([0, 1]))

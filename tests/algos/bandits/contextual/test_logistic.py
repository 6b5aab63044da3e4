"""Logistic rewards of context and action: against scikit-learn, weights, priors."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rlkit.algos.bandits.contextual.logistic import LogisticModel, sigmoid
from rlkit.algos.bandits.interface import Observation

FEATURES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def rows(n=800, seed=0):
    rng = np.random.default_rng(seed)
    x, a = rng.standard_normal((n, 3)), rng.integers(4, size=n)
    logit = 0.5 + x @ [0.4, -0.2, 0.0] + FEATURES[a] @ [0.6, -0.5] + x[:, 0] * FEATURES[a, 0]
    return x, a, (rng.random(n) < sigmoid(logit)).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients_are_those_of_scikit_learn(weighted):
    x, a, r = rows()
    weight = np.random.default_rng(1).random(800) * 3 if weighted else None
    model = LogisticModel(FEATURES, 3, ridge=2.0).fit(x, a, r, weight)
    wide = np.concatenate([x, *(FEATURES[a][:, [j]] * np.c_[np.ones(800), x] for j in (0, 1))], 1)
    other = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(wide, r, sample_weight=weight)
    ours = model.theta.ravel()
    assert ours[0] == pytest.approx(other.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(ours[1:], other.coef_[0], atol=1e-4)
    shown = model.predict(Observation(x))
    np.testing.assert_allclose(shown[np.arange(800), a], other.predict_proba(wide)[:, 1], atol=1e-5)


def test_weights_count_as_rows():
    x, a, r = rows(100)
    weight = np.arange(100) % 3
    twice = LogisticModel(FEATURES, 3).fit(*(np.repeat(c, weight, axis=0) for c in (x, a, r)))
    once = LogisticModel(FEATURES, 3).fit(x, a, r, weight)
    np.testing.assert_allclose(once.theta, twice.theta, atol=1e-7)


def test_without_rows_it_predicts_its_prior_and_forgets():
    x, a, r = rows(50)
    model = LogisticModel(FEATURES, 3, prior=0.85).fit(x, a, r)
    model.fit(x[:0], a[:0], r[:0])
    np.testing.assert_allclose(model.predict(Observation(x)), 0.85)


def test_separable_rows_do_not_diverge():
    x = np.linspace(-3, 3, 40)[:, None]
    model = LogisticModel(np.zeros((1, 0)), 1, ridge=1e-3)
    model.fit(x, np.zeros(40, int), (x[:, 0] > 0).astype(float))
    p = model.predict(Observation(x))[:, 0]
    assert np.isfinite(model.theta).all()
    assert p[0] < 1e-3 < 1 - 1e-3 < p[-1]
    model.fit(x, np.zeros(40, int), np.ones(40))  # one class
    assert (model.predict(Observation(x)) > 0.99).all()


def test_bad_models_are_refused():
    with pytest.raises(ValueError, match="need ridge 0"):
        LogisticModel(FEATURES, 3, ridge=0)
    with pytest.raises(ValueError, match="context of row 1"):
        LogisticModel(FEATURES, 1).predict(Observation(np.array([[0.0], [np.nan]])))

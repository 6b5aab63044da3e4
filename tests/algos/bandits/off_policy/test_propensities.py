"""Estimated propensities: shares, masks and floors, and what they do to the weights."""

from typing import Any

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy import evaluate, from_table
from rlkit.algos.bandits.off_policy.propensities import estimate_propensities


class Frequencies:
    """A classifier of one discrete feature: smoothed shares of the classes at each value."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.table = {
            v: np.array([(y[x[:, 0] == v] == c).sum() + 0.5 for c in self.classes_])
            for v in np.unique(x[:, 0])
        }
        return self

    def predict_proba(self, x):
        rows = np.array([self.table.get(v, np.ones(len(self.classes_))) for v in x[:, 0]])
        return rows / rows.sum(1, keepdims=True)


POLICY = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
MEANS = np.array([[0.2, 0.5, 0.9], [0.6, 0.4, 0.1]])
TARGET = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])
VALUE = float((TARGET * MEANS).sum(1).mean())


def logged(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(2, size=n)
    a = (rng.random(n)[:, None] > POLICY[x].cumsum(1)).sum(1)
    return x, a, (rng.random(n) < MEANS[x, a]).astype(float)


def test_the_behaviour_policy_is_found():
    x, a, _ = logged(30_000, 0)
    p = estimate_propensities(x[:, None], a, 3, Frequencies, folds=5)
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-12)
    for context in range(2):
        np.testing.assert_allclose(p[x == context].mean(0), POLICY[context], atol=0.015)


def test_without_a_classifier_the_shares_of_the_other_folds():
    a = np.array([0, 0, 1, 0, 1, 0])
    p = estimate_propensities(None, a, 3, folds=6, floor=0.0)
    for i in range(6):
        rest = np.delete(a, i)
        np.testing.assert_allclose(p[i], np.bincount(rest, minlength=3) / 5)


def test_masked_arms_have_none_and_available_ones_the_floor():
    x, a, _ = logged(300, 1)
    mask = np.ones((300, 4), bool)
    mask[::2, 3] = False
    p = estimate_propensities(x[:, None], a, 4, Frequencies, mask=mask, floor=0.02)
    assert (p[::2, 3] == 0).all()
    assert (p[mask] >= 0.02 - 1e-15).all()
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-12)
    rare = a.copy()
    rare[0] = 3  # taken once: the other folds' shares of it are 0, and it is all there is
    only = np.zeros((300, 4), bool)
    only[np.arange(300), rare] = True
    p = estimate_propensities(x[:, None], rare, 4, Frequencies, mask=only)
    np.testing.assert_array_equal(p[only], 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"floor": 0.4}, "leave room"), ({"mask": np.ones((3, 3))}, "mask has shape")],
)
def test_bad_options_are_refused(options, message):
    x, a, _ = logged(60, 2)
    with pytest.raises(ValueError, match=message):
        estimate_propensities(x[:, None], a, 3, Frequencies, **options)


def test_estimates_vary_less_with_estimated_propensities_than_with_the_true_ones():
    """Hirano, Imbens & Ridder: the chance in how often actions were taken is weighted away."""
    errors = {"true": [], "estimated": []}
    for seed in range(60):
        x, a, r = logged(600, 100 + seed)
        estimated = estimate_propensities(x[:, None], a, 3, Frequencies)[np.arange(600), a]
        for name, prob in (("true", POLICY[x, a]), ("estimated", estimated)):
            log = from_table({"action": a, "reward": r, "prob": prob}, arms=3)
            errors[name].append(evaluate(log, TARGET[x], "ips").value - VALUE)
    true, estimated = (float(np.mean(np.square(errors[k]))) for k in ("true", "estimated"))
    assert estimated < 0.7 * true


def test_a_table_without_propensities_takes_an_estimator():
    x, a, r = logged(3000, 3)
    table = {"item": a, "reward": r, "segment": x.astype(float)}
    log = from_table(table, action="item", context=["segment"], prob=Frequencies, arms=3)
    expected = estimate_propensities(x[:, None].astype(float), a, 3, Frequencies)
    np.testing.assert_array_equal(log.table.prob, expected[np.arange(3000), a])
    assert evaluate(log, TARGET[x], "snips").value == pytest.approx(VALUE, abs=0.05)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"action": [0, 1, 2, 3]}, "action of row 3 is 3, none of 0..2"),
        ({"action": [0, -1, 2, 1]}, "action of row 1 is -1"),
        ({"action": [0, 1.5, 2, 1]}, "action of row 1 is 1.5"),
        ({"action": [0, np.nan, 2, 1]}, "action of row 1 is nan"),
        ({"action": []}, "action has shape"),
        ({"action": 1}, "action has shape"),
        ({"action": ["a", "b", "c", "a"]}, "action has shape"),
        ({"context": np.zeros((3, 2))}, r"context has shape \(3, 2\); action has 4 rows"),
        ({"context": [0.0, 0.0, np.nan, 0.0]}, "context of row 2 has NaN"),
        ({"mask": np.eye(3, dtype=bool)[[0, 1, 2, 0]]}, "mask of row 3 rules out its action, 1"),
        ({"mask": np.zeros((4, 3))}, "mask of row 0 rules out its action, 0"),
    ],
)
def test_rows_that_are_none_are_refused(given: dict[str, Any], message: str) -> None:
    values = {"context": None, "action": [0, 1, 2, 1], "arms": 3, "folds": 2} | given
    with pytest.raises(ValueError, match=message):
        estimate_propensities(**values)


def test_lists_and_whole_floats_do_as_well():
    x, a, _ = logged(60, 2)
    expected = estimate_propensities(x[:, None], a, 3, Frequencies)
    for action in (a.tolist(), a.astype(np.float32), a.astype(np.int8)):
        found = estimate_propensities(x[:, None].tolist(), action, 3, Frequencies)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda model: (
                setattr(model, "predict_proba", lambda x: np.ones((len(x), 3))),
                delattr(model, "classes_"),
            ),
            "Frequencies has no classes_",
        ),
        (lambda model: setattr(model, "classes_", ["a", "b", "c"]), "has classes_"),
        (lambda model: setattr(model, "classes_", np.array([0, 1, 7])), "arms 0..2 are needed"),
        (lambda model: setattr(model, "classes_", np.array([0, 1, 1])), "arms 0..2 are needed"),
        (lambda model: setattr(model, "predict_proba", lambda x: np.ones((1, 1))), "gives shape"),
        (
            lambda model: setattr(model, "predict_proba", lambda x: np.full((len(x), 3), np.nan)),
            "something else than probabilities",
        ),
    ],
)
def test_a_classifier_that_is_none_is_named(change, why):
    class Broken(Frequencies):
        def fit(self, x, y):
            super().fit(x, y)
            change(self)

    Broken.__name__ = "Frequencies"
    x, a, _ = logged(300, 0)
    with pytest.raises(ValueError, match=why):
        estimate_propensities(x[:, None], a, 3, Broken)

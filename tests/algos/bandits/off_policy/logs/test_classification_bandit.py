"""Classification data as bandit logs: exact values, and what estimators find there."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from rlkit.algos.bandits.off_policy import evaluate, overlap
from rlkit.algos.bandits.off_policy.logs.classification import (
    DATASETS,
    ClassificationBandit,
    classification_bandit,
    load,
    soften,
)
from rlkit.algos.bandits.off_policy.reward_models import cross_fitted


def logistic():
    return LogisticRegression(max_iter=300)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("wine", (178, 13), 3),
        ("iris", (150, 4), 3),
        ("breast_cancer", (569, 30), 2),
    ],
)
def test_bundled_data(name, shape, classes):
    assert name in DATASETS
    x, y = load(name)
    assert x.shape == shape
    assert np.unique(y).tolist() == list(range(classes))
    assert np.abs(x.mean(0)).max() < 1e-9
    assert set(np.round(x.std(0), 9)) <= {0.0, 1.0}


def test_softened_policies():
    np.testing.assert_allclose(soften(np.array([1]), 4, 0.4), [[0.15, 0.55, 0.15, 0.15]])
    with pytest.raises(ValueError, match="alpha is 1"):
        soften(np.array([1]), 4, 1.5)


def bandit(seed=0, **options) -> ClassificationBandit:
    x, y = load("wine")
    return classification_bandit(
        x, y, logistic(), DecisionTreeClassifier(random_state=0), seed=seed, **options
    )


def test_logs_are_drawn_from_the_behaviour_policy():
    b = bandit()
    rows = np.arange(len(b.log))
    action = b.log.table.action
    assert len(b.log) == 125  # 70 % of 178
    np.testing.assert_allclose(b.log.table.prob, b.behaviour[rows, action])
    np.testing.assert_array_equal(b.log.table.reward, b.rewards[rows, action])
    np.testing.assert_allclose(b.rewards.sum(1), 1.0)
    accuracy = (b.target.argmax(1) == b.rewards.argmax(1)).mean()
    assert b.value(b.target) == pytest.approx(0.9 * accuracy + 0.1 / 3)
    assert overlap(b.log, b.target).warnings == ()
    again, other = bandit(), bandit(seed=1)
    np.testing.assert_array_equal(again.log.table.action, action)
    assert not np.array_equal(other.log.table.action[:100], action[:100])


def test_estimators_recover_the_value_that_the_labels_give():
    """The model is poor on purpose, as in obp's benchmark: dm is off, weighting mends it."""
    errors = {name: [] for name in ("dm", "ips", "snips", "dr")}
    for seed in range(12):
        b = bandit(seed)
        q = np.full(b.rewards.shape, 0.4)
        for name, found in errors.items():
            estimate = evaluate(b.log, b.target, name, q=None if "ips" in name else q)
            found.append(estimate.value - b.value(b.target))
    rmse = {name: np.sqrt(np.mean(np.square(v))) for name, v in errors.items()}
    assert rmse["dr"] < rmse["ips"] < 0.2 < rmse["dm"]
    assert rmse["snips"] < rmse["ips"]
    assert abs(np.mean(errors["dr"])) < 3 * np.std(errors["dr"]) / np.sqrt(12) + 0.01


# Mean relative errors on digits that obp's example reports (30 runs, boosted trees of LightGBM).
OBP = {"ips": 0.0303, "snips": 0.0228, "dr": 0.0162, "sndr": 0.0221, "switch_dr": 0.0347,
       "dros": 0.0159}  # fmt: skip


@pytest.mark.slow
def test_errors_on_digits_have_the_published_size():
    x, y = load("digits")
    errors: dict[str, list[float]] = {name: [] for name in ("dm", *OBP)}
    for seed in range(10):
        forest = RandomForestClassifier(100, random_state=seed)
        b = classification_bandit(x, y, logistic(), forest, seed=seed)
        q = cross_fitted(b.log, lambda: HistGradientBoostingClassifier(max_iter=60, random_state=0))
        for name, found in errors.items():
            options: dict = {} if name in ("ips", "snips") else {"q": q}
            if name in ("switch_dr", "dros"):
                options["constant"] = "mse_bound"
            value = evaluate(b.log, b.target, name, **options).value
            found.append(abs(value - b.value(b.target)) / b.value(b.target))
    mean = {name: float(np.mean(found)) for name, found in errors.items()}
    assert mean["dm"] > 0.15  # the model alone is far off (.437 there, with a poorer model)
    for name, published in OBP.items():
        assert mean[name] < 0.25 * mean["dm"], mean
        assert published / 3 < mean[name] < 3 * published, mean


def test_bad_requests_are_refused():
    x, y = load("iris")
    with pytest.raises(ValueError, match="data set 'irs' is unknown; did you mean 'iris'"):
        load("irs")
    with pytest.raises(ValueError, match="y must be integers"):
        classification_bandit(x, y.astype(float), logistic(), logistic())
    with pytest.raises(ValueError, match="log_share is 1"):
        classification_bandit(x, y, logistic(), logistic(), log_share=1.0)

"""`evaluate`: intervals, chosen constants, fitted models, and what is refused."""

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import DecisionLog, evaluate
from rlkit.algos.bandits.off_policy.estimators import ESTIMATORS
from rlkit.algos.bandits.off_policy.intervals import bernstein_half_width, half_width, interval
from rlkit.algos.bandits.off_policy.reward_models import (
    arm_features,
    classifier_weights,
    cross_fitted,
    folds_of,
    least_variance_weights,
    linear_of_least_variance,
)
from rlkit.algos.bandits.off_policy.tuning import choose, grid, mse, slope

ARMS, DIM = 3, 2
THETA = np.array([[0.3, 0.1], [-0.2, 0.2], [0.0, -0.3]])


def softmax(scores):
    p = np.exp(scores)
    return p / p.sum(1, keepdims=True)


def world(n=600, seed=0, noise=0.1):
    """A log of a softmax policy, a target, and the target's exact value on these contexts."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, DIM))
    means = x @ THETA.T
    behaviour, target = softmax(-means), softmax(4 * means)
    action = (rng.random((n, 1)) > behaviour.cumsum(1)).sum(1)
    reward = means[np.arange(n), action] + noise * rng.standard_normal(n)
    prob = behaviour[np.arange(n), action]
    return DecisionLog(Feedback(action, reward, x, prob=prob), ARMS), target, means


def value(target, means):
    return (target * means).sum(1).mean()


def options(name, means):
    """What `evaluate` needs for an estimator."""
    kind = ESTIMATORS[name]
    q = 0.5 * means if kind.model else None
    if name == "mrdr":
        q = LinearRegression
    if name == "balanced":
        q = lambda: LogisticRegression(max_iter=500)  # noqa: E731
    return {"q": q, "constant": None if kind.constant is None else 0.5 * kind.constant[1]}


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr", "mrdr"])
def test_unbiased_estimators_cover_the_value(name):
    inside = 0
    for seed in range(40):
        log, target, means = world(400, seed)
        found = evaluate(log, target, name, **options(name, means)).interval
        inside += found.low <= value(target, means) <= found.high
    assert inside >= 34  # 40 at 95 %: fewer than 34 has probability 1e-3


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n != "replay"])
def test_the_target_that_logged_is_valued_at_about_its_mean(name):
    rng = np.random.default_rng(1)
    policy = np.tile([0.2, 0.3, 0.5], (500, 1))
    action = rng.choice(3, 500, p=policy[0])
    x = rng.standard_normal((500, 1))
    log = DecisionLog(
        Feedback(action, (rng.random(500) < 0.3).astype(float), x, prob=policy[0][action]), 3
    )
    q = np.full((500, 3), 0.3)
    if name in ("mrdr", "balanced"):
        q = lambda: LogisticRegression()  # noqa: E731
    constant = {None: None, np.inf: 2.0, 1.0: 0.5}[(ESTIMATORS[name].constant or (0, None))[1]]
    found = evaluate(log, policy, name, q=q, constant=constant)
    assert found.value == pytest.approx(log.table.reward.mean(), abs=0.03)
    assert str(found).startswith(name)


def test_replay_uses_agreeing_rows_only():
    log, _, _ = world()
    target = np.eye(ARMS)[np.full(len(log), 1)]
    agrees = log.table.action == 1
    assert evaluate(log, target, "replay").value == pytest.approx(log.table.reward[agrees].mean())
    with pytest.raises(ValueError, match="replay needs a deterministic target; row 0"):
        evaluate(log, log.uniform(), "replay")


def test_cross_fitting_never_predicts_a_row_from_itself():
    """A model that remembers what it saw knows the rewards of other folds only."""
    log, _, _ = world(60)
    place = {tuple(x): i for i, x in enumerate(arm_features(log)[np.arange(60), log.table.action])}

    class Remembers:
        def fit(self, x, y, sample_weight=None):
            self.seen = {place[tuple(row)] for row in x}
            return self

        def predict(self, x):
            return np.array([float(place.get(tuple(row), -1) in self.seen) for row in x])

    q = cross_fitted(log, Remembers, folds=3)
    assert (q[np.arange(60), log.table.action] == 0).all()
    assert np.bincount(folds_of(10, 3, 0)).tolist() == [4, 3, 3]
    with pytest.raises(ValueError, match="folds is 1"):
        cross_fitted(log, Remembers, folds=1)


def test_a_chosen_constant_is_chosen_on_rows_apart_from_model_and_value():
    log, target, _ = world(90)
    fitted = []

    class Spy(LinearRegression):
        def fit(self, x, y, sample_weight=None):
            fitted.append(len(y))
            return super().fit(x, y)

    found = evaluate(log, target, "switch_dr", q=Spy, constant="slope", folds=3)
    assert fitted == [30, 30, 30]  # one fold fits, one chooses, one is valued
    assert 1 <= len(found.constants) <= 3
    with pytest.raises(ValueError, match="needs 3"):
        evaluate(log, target, "switch_dr", q=Spy, constant="slope", folds=2)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *product(("switch_dr", "dros", "clipped_dr", "sub_dr"), ("slope", "mse", "mse_bound")),
        ("sub_ips", "mse"),
        ("clipped_ips", "mse_bound"),
    ],
)
def test_chosen_constants_help_where_weights_are_heavy(name, rule):
    errors = {"plain": [], "chosen": []}
    for seed in range(12):
        rng, n = np.random.default_rng(seed), 400
        rare = 10 ** -rng.uniform(0, 2.5, n)
        action = (rng.random(n) < rare).astype(int)
        reward = (rng.random(n) < np.array([0.5, 0.55])[action]).astype(float)
        log = DecisionLog(Feedback(action, reward, prob=np.where(action, rare, 1 - rare)), 2)
        target = np.tile([0.1, 0.9], (n, 1))
        q = np.full((n, 2), 0.5) if ESTIMATORS[name].model else None
        plain = "ips" if q is None else "dr"
        errors["plain"].append(evaluate(log, target, plain, q=q).value - 0.545)
        chosen = evaluate(log, target, name, q=q, constant=rule)
        errors["chosen"].append(chosen.value - 0.545)
    rmse = {k: np.sqrt(np.mean(np.square(v))) for k, v in errors.items()}
    assert rmse["chosen"] < (1.05 if q is None else 0.99) * rmse["plain"]


def test_slope_by_hand():
    def values(mean, spread, n=4):
        return mean + spread * np.array([-1.0, 1.0, -1.0, 1.0])

    unit = half_width(values(0, 1))
    # Falling widths; each accepted while |gap| <= cnf_i + (sqrt 6 - 1) cnf_j.
    near = 0.9 * (0.5 + np.sqrt(6) - 1) * unit
    far = 1.1 * (0.1 + np.sqrt(6) - 1) * unit
    assert slope([values(0, 1), values(near, 0.5)]) == 1
    assert slope([values(0, 1), values(far, 0.1)]) == 0
    assert slope([values(far, 0.1), values(0, 1)]) == 1  # put in order of width first
    later = [values(0, 1), values(2.0 * unit, 0.5), values(1.2 * unit, 0.3)]
    assert slope(later[:2]) == 0
    assert slope(later) == 2  # it agrees with both, though they do not with each other


def test_mean_squared_error_weighs_bias_against_variance():
    rng = np.random.default_rng(0)
    wide, narrow = rng.standard_normal(100), 0.1 * rng.standard_normal(100)
    zero = np.zeros(100)
    assert mse([wide, narrow], [zero, zero + 0.01], bound=False) == 1
    assert mse([wide, narrow], [zero, zero + 0.5], bound=False) == 0
    # The bound counts what the bias may be, beyond what it was found to be.
    unsure = rng.standard_normal(100) * 3
    assert mse([wide, narrow], [zero, unsure - unsure.mean()], bound=True) == 0
    assert mse([wide, narrow], [zero, unsure - unsure.mean()], bound=False) == 1


def test_grids_go_from_least_biased_to_least_variable():
    w = np.array([0.0, 0.5, 1.0, 8.0])
    assert grid("clipped_ips", w)[0] == 8.0
    assert grid("dros", w)[0] > 64
    assert grid("sub_ips", w)[0] == 0.0
    for name in ("clipped_ips", "dros", "sub_ips"):
        steps = np.diff(grid(name, w))
        assert (steps < 0).all() or (steps > 0).all()
    with pytest.raises(ValueError, match="all weights are zero"):
        grid("dros", np.zeros(3))
    with pytest.raises(ValueError, match="rule is 'best'"):
        choose("dros", "best", w, w, None, None)


def test_least_variance_weights_make_the_variance_of_dr():
    """For a deterministic target: weighted squared error + constant = variance of dr, exactly."""
    prob, q, mean = np.array([0.7, 0.3]), np.array([0.4, 0.1]), np.array([0.2, 0.6])
    log = DecisionLog(Feedback(np.array([0, 1]), np.zeros(2), prob=prob), 2)
    target = np.tile([0.0, 1.0], (2, 1))
    weight = least_variance_weights(log, target)
    np.testing.assert_allclose(weight, [0, 0.7 / 0.09])
    action, reward = np.array([0, 0, 1, 1]), np.array([0.0, 1, 0, 1])
    chance = prob[action] * np.where(reward == 1, mean[action], 1 - mean[action])

    def variance(q):
        values = q[1] + (action == 1) / prob[1] * (reward - q[action])
        return chance @ values**2 - (chance @ values) ** 2

    def loss(q):
        return chance @ (weight[action] * (reward - q[action]) ** 2)

    other = np.array([0.9, 0.8])
    assert variance(q) - variance(other) == pytest.approx(loss(q) - loss(other))


def test_the_linear_model_of_least_variance_beats_least_squares():
    """Misspecified on purpose: squared rewards, linear features."""
    log, target, means = world(4000, noise=0.05)
    table = log.table
    action = table.action
    curved = DecisionLog(
        Feedback(action, means[np.arange(4000), action] ** 2, table.context, prob=table.prob), ARMS
    )
    ours = linear_of_least_variance(curved, target)
    squares = cross_fitted(curved, LinearRegression)
    mrdr = cross_fitted(curved, LinearRegression, weight=least_variance_weights(curved, target))
    spread = {
        name: evaluate(curved, target, "dr", q=q).values.var()
        for name, q in (("ours", ours), ("squares", squares), ("mrdr", mrdr), ("none", 0 * ours))
    }
    assert spread["ours"] < 0.98 * min(spread["squares"], spread["mrdr"])
    assert spread["ours"] < 0.9 * spread["none"]
    exact = value(target, means**2)
    assert evaluate(curved, target, "dr", q=ours).value == pytest.approx(exact, abs=0.01)


def test_a_constant_feature_alone_is_the_control_variate_of_the_weights():
    log, target, _ = world(2000)
    ones = np.ones((2000, ARMS, 1))
    q = linear_of_least_variance(log, target, ones)
    w = target[np.arange(2000), log.table.action] / log.table.prob
    y = w * log.table.reward
    beta = np.cov(w, y)[0, 1] / w.var(ddof=1)
    np.testing.assert_allclose(q, beta, atol=0.05)
    assert evaluate(log, target, "dr", q=q).values.var() < y.var()


def test_a_classifier_finds_the_weights_without_propensities():
    log, target, _ = world(3000)
    table, rows = log.table, np.arange(3000)
    # The context in the block of each arm: log odds of softmax policies are nearly linear in that.
    blocks = (np.eye(ARMS)[:, :, None] * table.context[:, None, None, :]).reshape(3000, ARMS, -1)
    wide = DecisionLog(Feedback(table.action, table.reward, blocks, prob=table.prob), ARMS)
    found = classifier_weights(wide, target, lambda: LogisticRegression(max_iter=1000))
    true = target[rows, table.action] / table.prob
    assert np.corrcoef(np.log(found), np.log(true))[0, 1] > 0.95


def test_the_classifier_of_arms_alone_counts_them():
    rng = np.random.default_rng(0)
    action = rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    log = DecisionLog(Feedback(action, np.zeros(900), prob=np.full(900, 0.1)), 3)
    target = np.tile([0.2, 0.2, 0.6], (900, 1))
    exact = {"C": 1e8, "tol": 1e-10, "max_iter": 5000}
    found = classifier_weights(log, target, lambda: LogisticRegression(**exact), seed=1)
    fold = folds_of(900, 3, 1)
    for k in range(3):
        share = np.bincount(action[fold != k]) / (fold != k).sum()
        expected = (target[0] / share)[action[fold == k]]
        np.testing.assert_allclose(found[fold == k], expected, rtol=1e-3)


def test_models_by_arm_and_of_one_class():
    log, _, means = world(900)
    joint = cross_fitted(log, LinearRegression)
    apart = cross_fitted(log, LinearRegression, by_arm=True)
    assert np.abs(apart - means).max() < 0.1 < np.abs(joint - means).max()
    lone = DecisionLog(Feedback(np.zeros(30, int), np.ones(30), prob=np.ones(30)), 2)
    np.testing.assert_array_equal(cross_fitted(lone, LogisticRegression), 1.0)
    np.testing.assert_array_equal(cross_fitted(lone, LinearRegression, by_arm=True), 1.0)
    with pytest.raises(ValueError, match="a classifier needs rewards 0 and 1"):
        cross_fitted(log, LogisticRegression)


def test_intervals_agree_and_widen():
    rng = np.random.default_rng(2)
    values = rng.random(300)
    t, boot = interval(values), interval(values, "bootstrap", seed=1)
    bound = interval(values, "bernstein", width=1.0)
    assert t.point == boot.point == bound.point == values.mean()
    assert boot.low == pytest.approx(t.low, abs=0.005)
    assert boot.high == pytest.approx(t.high, abs=0.005)
    assert bound.low < t.low < t.high < bound.high
    assert interval(values, level=0.99).low < t.low
    # Half width by hand: sqrt(2 var ln(4 / .05) / n) + 7 ln(4 / .05) / (3 (n - 1))
    log = np.log(80)
    by_hand = np.sqrt(2 * values.var(ddof=1) * log / 300) + 7 * log / (3 * 299)
    assert bernstein_half_width(values, 1.0) == pytest.approx(by_hand)
    assert np.isnan(interval(values[:1]).low)


def test_bernstein_covers_at_few_rows():
    missed = 0
    for seed in range(300):
        values = (np.random.default_rng(seed).random(30) < 0.1).astype(float)
        found = interval(values, "bernstein", width=1.0)
        missed += not found.low <= 0.1 <= found.high
    assert missed <= 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "dros2"}, "estimator 'dros2' is unknown; did you mean 'dros'"),
        ({"estimator": "dr"}, "dr needs a reward model"),
        ({"estimator": "mrdr", "q": np.zeros((600, 3))}, "mrdr fits its own model"),
        ({"estimator": "balanced"}, "balanced fits its own model"),
        ({"estimator": "ips", "constant": "slope"}, "ips has no constant to choose"),
        ({"estimator": "clipped_ips", "constant": "best"}, "give a number or one of slope"),
        ({"estimator": "dr", "q": np.zeros((600, 2))}, r"needed is \(600, 3\)"),
        ({"estimator": "ips", "interval": "z"}, "method is 'z'"),
        ({"estimator": "ips", "interval": "bernstein"}, "bernstein needs width"),
        ({"estimator": "ips", "interval": "bernstein", "width": 0.01}, "more than the width"),
        ({"estimator": "ips", "level": 1.0}, "strictly between 0 and 1"),
        ({"estimator": "ips", "level": "x"}, "strictly between 0 and 1, got 'x'"),
        ({"estimator": "ips", "level": None}, "strictly between 0 and 1, got None"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    log, target, _ = world()
    with pytest.raises(ValueError, match=message):
        evaluate(log, target, **arguments)

"""Off-policy learning: objectives by hand, lanes, and policies better than the log."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.algos.bandits.off_policy import DecisionLog, evaluate
from rlkit.algos.bandits.off_policy.estimators import round_values
from rlkit.algos.bandits.off_policy.learning import Config, OffPolicyLearner, classify, row_values
from rlkit.core.streams import generator

ARMS, DIM = 3, 2


def world(n=900, seed=0, noise=0.2, masked=False, per_arm=False):
    """A log of a policy that prefers bad arms, and the exact rewards [n, K] in [0, 1]."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, ARMS, DIM) if per_arm else (n, DIM))
    theta = np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])
    scores = x @ theta[0] if per_arm else x @ theta.T
    means = 1 / (1 + np.exp(-2 * scores))
    mask = np.ones((n, ARMS), bool)
    if masked:
        mask = rng.random((n, ARMS)) < 0.6
        mask[np.arange(n), rng.integers(ARMS, size=n)] = True
    logits = np.where(mask, -scores, -np.inf)
    policy = np.exp(logits - logits.max(1, keepdims=True))
    policy /= policy.sum(1, keepdims=True)
    action = (rng.random((n, 1)) > policy.cumsum(1)).sum(1)
    reward = means[np.arange(n), action] + noise * (rng.random(n) - 0.5)
    table = Feedback(action, reward, x, mask, policy[np.arange(n), action])
    return DecisionLog(table, ARMS), means, policy


def value(policy, means):
    return float((policy * means).sum(-1).mean())


FAST = {"hidden": (16,), "lr": 0.01, "epochs": 30, "batch": 100}


@pytest.mark.parametrize("objective", ["ips", "dr", "dm"])
def test_policies_learn_from_a_log_of_a_worse_one(objective):
    log, means, behaviour = world()
    q = None if objective == "ips" else 0.5 + 0.8 * (means - 0.5)
    learner = OffPolicyLearner(ARMS, DIM, Config(objective, seeds=(0, 1), **FAST)).fit(log, q)
    fresh, exact, _ = world(seed=1)
    best = exact.max(1).mean()
    for policy in learner.probabilities(fresh.observation):
        np.testing.assert_allclose(policy.sum(1), 1.0)
        assert value(policy, exact) > 0.9 * best > 1.5 * value(behaviour, means)


@pytest.mark.parametrize("masked", [False, True])
def test_features_by_arm_and_masks(masked):
    log, means, _ = world(masked=masked, per_arm=True)
    learner = OffPolicyLearner(ARMS, DIM, Config("dr", per_arm=True, **FAST)).fit(log, means)
    (policy,) = learner.probabilities(log.observation)
    assert not policy[~log.mask].any()
    best = np.where(log.mask, means, 0).max(1).mean()
    assert value(policy, means) > 0.93 * best


def test_objectives_are_the_estimators():
    log, means, policy = world(50)
    target = np.roll(policy, 1, axis=1)
    q, rows = means - 0.1, np.arange(50)
    action = log.table.action
    w = target[rows, action] / log.table.prob

    def ours(objective, **options):
        pi, qs = torch.from_numpy(target)[None], torch.from_numpy(q)[None]
        columns = [torch.from_numpy(c)[None] for c in (action, log.table.prob, log.table.reward)]
        return row_values(pi, *columns, qs, Config(objective, **options))[0].numpy()

    taken, v = q[rows, action], (target * q).sum(1)
    r = log.table.reward
    np.testing.assert_allclose(ours("ips"), round_values("ips", r, w))
    np.testing.assert_allclose(ours("ips", translation=0.3), round_values("ips", r - 0.3, w))
    np.testing.assert_allclose(ours("dm"), v)
    np.testing.assert_allclose(ours("dr"), round_values("dr", r, w, taken, v))
    capped = round_values("clipped_dr", r, w, taken, v, 1.2)
    np.testing.assert_allclose(ours("dr", cap=1.2), capped)


def test_a_lane_learns_the_same_in_any_company():
    log, means, _ = world(300)
    small = {**FAST, "epochs": 4, "dtype": torch.float64}
    options = {"translation": (0.0, 0.4), "cap": (5.0, 2.0), "lr": (0.01, 0.003)}
    together = OffPolicyLearner(
        ARMS, DIM, Config("ips", seeds=(3, 8), **{**small, **options})
    ).fit(log, means)  # fmt: skip
    for lane, seed in enumerate((3, 8)):
        own = {name: v[lane] for name, v in options.items()}
        alone = OffPolicyLearner(ARMS, DIM, Config("ips", seeds=(seed,), **{**small, **own}))
        alone.fit(log, means)
        np.testing.assert_allclose(
            alone.probabilities(log.observation)[0],
            together.probabilities(log.observation)[lane],
            atol=1e-9,
        )


def test_the_best_epoch_is_kept():
    log, _, _ = world(200, noise=2.0)
    config = Config("ips", hidden=(64,), lr=0.05, epochs=40, patience=6, batch=50, seeds=(0, 1, 2))
    learner = OffPolicyLearner(ARMS, DIM, config).fit(log)
    assert learner.history.shape[1] == 3
    assert len(learner.history) < 40  # every lane stopped early
    for lane, policy in enumerate(learner.probabilities(log.observation)):
        held = generator(lane, "off_policy/split").permutation(200)[:20]
        found = evaluate(log.rows(held), policy[held], "ips").value
        assert found == pytest.approx(learner.history[:, lane].max(), abs=1e-4)


def test_imitation_and_variance_hold_the_policy_near_the_log():
    log, _, behaviour = world(600)

    def distance(**options):
        config = Config("ips", **FAST, held_out=0.3, **options)
        (policy,) = OffPolicyLearner(ARMS, DIM, config).fit(log).probabilities(log.observation)
        return float((behaviour * np.log(behaviour / policy)).sum(1).mean())

    free = distance()
    assert distance(imitation=1.0) < 0.3 * free
    assert distance(variance=30.0) < 0.7 * free


def test_a_weighted_classifier_learns_too():
    log, means, behaviour = world(2000, noise=0.0)
    model = classify(log, lambda: LogisticRegression(max_iter=500))
    decisions = np.eye(ARMS)[model.predict(log.table.context)]
    assert value(decisions, means) > 0.9 * means.max(1).mean() > value(behaviour, means)
    rewards = Feedback(np.array([0, 1]), np.array([1.0, -1.0]), np.zeros((2, 1)), prob=np.ones(2))
    with pytest.raises(ValueError, match="reward of row 1 lies below the base 0"):
        classify(DecisionLog(rewards, 2), LogisticRegression)
    with pytest.raises(ValueError, match="no reward lies above the base 1"):
        classify(DecisionLog(rewards.rows([0]), 2), LogisticRegression, base=1.0)


@pytest.mark.parametrize(
    ("config", "q", "message"),
    [
        ({"objective": "best"}, None, "unknown objective 'best'"),
        ({"objective": "dr"}, None, "dr needs predicted rewards q"),
        (
            {"objective": "dm"},
            np.zeros((60, 2)),
            r"dm needs predicted rewards q of shape \(60, 3\)",
        ),
        ({"held_out": 0.0}, None, "held_out is 0"),
        ({"objective": "ips", "lr": (0.1, 0.2)}, None, "2 values for 1 lanes"),
    ],
)
def test_bad_requests_are_refused(config, q, message):
    log, _, _ = world(60)
    with pytest.raises(ValueError, match=message):
        OffPolicyLearner(ARMS, DIM, Config(**config)).fit(log, q)


def test_logs_and_contexts_must_fit():
    log, _, _ = world(60)
    learner = OffPolicyLearner(4, DIM, Config("ips"))
    with pytest.raises(ValueError, match="the log has 3 arms, the learner 4"):
        learner.fit(log)
    broken = np.zeros((5, DIM))
    broken[3] = np.nan
    with pytest.raises(ValueError, match="context of row 3"):
        learner.probabilities(Observation(broken))

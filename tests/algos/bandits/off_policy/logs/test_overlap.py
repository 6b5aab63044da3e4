"""Coverage of a log: clean logs are silent, each defect has its warning."""

import numpy as np
import pytest

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import DecisionLog, overlap


def drawn(policy, prob=None, n=4000, arms=3, seed=0):
    rng = np.random.default_rng(seed)
    action = rng.choice(arms, n, p=policy)
    prob = np.asarray(policy)[action] if prob is None else np.asarray(prob)[action]
    return DecisionLog(Feedback(action, rng.random(n), prob=prob), arms)


def test_a_sound_log_gives_no_warning():
    log = drawn([0.5, 0.3, 0.2])
    found = overlap(log)
    assert found.warnings == ()
    np.testing.assert_allclose(found.wanted, 1 / 3)
    assert found.taken.sum() == 4000
    np.testing.assert_allclose(found.prob, [0.2, 0.5, 0.5])
    w = (1 / 3) / log.table.prob
    assert found.effective == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert found.weight[2] == pytest.approx(5 / 3)
    same = overlap(log, np.tile([0.5, 0.3, 0.2], (4000, 1)))
    assert same.effective == pytest.approx(4000)
    assert same.largest_share == pytest.approx(1 / 4000)
    assert "effective   4000 rows (100.0%)" in str(same)


def test_arms_without_support():
    log = drawn([0.6, 0.4, 0.0])
    found = overlap(log)
    assert found.unsupported == pytest.approx(1 / 3)
    text = str(found)
    assert "warning: 33.3% of the target is on arms that were never taken" in text
    assert "the mean weight is" in text
    assert "arms without support, or wrong propensities" in text
    assert overlap(log, np.tile([0.5, 0.5, 0.0], (4000, 1))).unsupported == 0


def test_wrong_propensities_show_in_the_mean_weight():
    log = drawn([0.5, 0.3, 0.2], prob=[1 / 3] * 3)
    with_target = overlap(log, np.tile([0.8, 0.1, 0.1], (4000, 1)))
    assert any("propensities are wrong" in text for text in with_target.warnings)
    clipped = drawn([0.98, 0.01, 0.01], prob=[0.98, 0.05, 0.05], n=20_000)
    assert any("1 / prob" in text for text in overlap(clipped).warnings)


def test_few_effective_rows():
    rare = [0.998, 0.001, 0.001]
    found = overlap(drawn(rare, n=5000, seed=3), np.tile([0.0, 0.5, 0.5], (5000, 1)))
    assert found.effective < 30
    assert any("effective rows of 5000" in text for text in found.warnings)
    nothing = overlap(drawn([1.0, 0, 0]), np.tile([0.0, 1, 0], (4000, 1)))
    assert any("never takes a logged action" in text for text in nothing.warnings)

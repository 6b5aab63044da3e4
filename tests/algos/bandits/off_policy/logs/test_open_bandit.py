"""The Open Bandit file format, on files written here."""

import csv

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy import evaluate
from rlkit.algos.bandits.off_policy.logs.open_bandit import read_items, read_open_bandit

ITEMS = 3


def header(prob="propensity_score"):
    features = [f"user_feature_{k}" for k in range(2)]
    liking = [f"user-item_affinity_{k}" for k in range(ITEMS)]
    return ["", "timestamp", "item_id", "position", "click", prob, *features, *liking]


def rows(n=6, levels=("aa", "bb", "cc"), prob=1 / 3):
    body = []
    for k in range(n):
        shown = [k, f"2019-11-24 00:00:{k % 60:02d}.123456+00:00", k % ITEMS, k % 3 + 1]
        user = [levels[k % len(levels)], "same", float(k == 1), 0.0, 2.0]
        body.append([*shown, int(k % 4 == 0), prob, *user])
    return body


def write(path, body, names=None):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header() if names is None else names, *body])
    return path


def test_columns_arrive_where_they_belong(tmp_path):
    (log,) = read_open_bandit(write(tmp_path / "men.csv", rows()), affinity=True)
    assert log.arms == ITEMS
    np.testing.assert_array_equal(log.table.action, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(log.table.position, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(log.table.reward, [1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(log.table.prob, 1 / 3)
    assert log.table.t[2] == np.datetime64("2019-11-24T00:00:02.123456")
    assert log.features == (
        "user_feature_0=aa",
        "user_feature_0=bb",
        "user_feature_0=cc",
        "user_feature_1=same",
        "user-item_affinity_0",
        "user-item_affinity_1",
        "user-item_affinity_2",
    )
    np.testing.assert_array_equal(log.table.context[1], [0, 1, 0, 1, 1, 0, 2])


def test_a_uniform_log_values_the_uniform_policy_at_its_click_rate(tmp_path):
    (log,) = read_open_bandit(write(tmp_path / "men.csv", rows(200)))
    for name in ("ips", "snips"):
        assert evaluate(log, log.uniform(), name).value == pytest.approx(log.table.reward.mean())
    by_position = np.full((200, ITEMS, 3), 1 / ITEMS)
    assert evaluate(log, by_position, "ips").value == pytest.approx(log.table.reward.mean())


def test_files_read_together_share_their_encoding(tmp_path):
    few = write(tmp_path / "bts.csv", rows(levels=("aa", "dd")))
    many = write(tmp_path / "random.csv", rows())
    first, second = read_open_bandit(few, many)
    assert first.features == second.features
    assert first.levels == {"user_feature_0": ("aa", "bb", "cc", "dd"), "user_feature_1": ("same",)}
    assert first.table.context.shape == second.table.context.shape == (6, 5)
    (alone,) = read_open_bandit(few)
    assert alone.table.context.shape == (6, 3)


def test_the_name_of_the_description_and_files_without_affinities(tmp_path):
    names = header("action_prob")[:8]
    path = write(tmp_path / "all.csv", [row[:8] for row in rows()], names)
    (log,) = read_open_bandit(path, items=5)
    assert log.arms == 5
    with pytest.raises(ValueError, match="no user-item_affinity_\\* columns; give the number"):
        read_open_bandit(path)


def changed(column, row, value):
    body = rows()
    body[row][header().index(column)] = value
    return body


@pytest.mark.parametrize(
    ("body", "names", "message"),
    [
        (changed("propensity_score", 2, 0.0), None, r"prob of row 2 is 0.0; it must lie in \(0, 1"),
        (changed("propensity_score", 1, 1.5), None, "prob of row 1 is 1.5"),
        (changed("propensity_score", 1, "nan"), None, "prob of row 1 is missing"),
        (changed("propensity_score", 4, ""), None, "propensity_score of row 4 is '', not a number"),
        (changed("item_id", 3, 7), None, "action of row 3 is 7; there are arms 0 to 2"),
        (changed("item_id", 3, "x"), None, "item_id of row 3 is 'x', not a whole number"),
        (changed("position", 5, 0), None, "position of row 5 is 0; they count from 1"),
        (changed("click", 0, "nan"), None, "reward of row 0 is not a finite number"),
        (changed("timestamp", 1, "yesterday"), None, "timestamp of row 1 is 'yesterday'"),
        (rows(), header("score"), "the log has no propensities"),
        (rows(), [*header()[:2], "item", *header()[3:]], "no column 'item_id'; did you mean"),
        ([*rows()[:3], rows()[3][:4]], None, "row 3 has 4 fields, not 11"),
        ([], None, "no rows"),
    ],
)
def test_bad_files_are_refused_with_their_path(tmp_path, body, names, message):
    path = write(tmp_path / "men.csv", body, names)
    with pytest.raises(ValueError, match=message) as error:
        read_open_bandit(path)
    assert str(path) in str(error.value)


def test_files_must_have_the_same_user_features(tmp_path):
    full = write(tmp_path / "a.csv", rows())
    names = header()
    names[6] = "other"
    with pytest.raises(ValueError, match="no column 'user_feature_0'"):
        read_open_bandit(full, write(tmp_path / "b.csv", rows(), names))
    with pytest.raises(ValueError, match="at least one file"):
        read_open_bandit()


def test_item_features(tmp_path):
    names = ["", "item_id", "item_feature_0", "item_feature_1"]
    body = [[0, 1, -0.5, "x"], [1, 0, 0.25, "y"], [2, 2, 1.5, "x"]]
    features, called = read_items(write(tmp_path / "item_context.csv", body, names))
    assert called == ("item_feature_0", "item_feature_1=x", "item_feature_1=y")
    np.testing.assert_array_equal(features, [[0.25, 0, 1], [-0.5, 1, 0], [1.5, 1, 0]])
    with pytest.raises(ValueError, match="item_id does not run from 0 to 2"):
        read_items(write(tmp_path / "bad.csv", [[0, 1, 0, 0], *body[1:2], body[1]], names))

"""Logs from tables: kinds of tables, encodings, arms, and every bad row named."""

import numpy as np
import pytest

from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import DecisionLog, from_table
from rlkit.algos.bandits.off_policy.logs.decision_log import check_target, importance_weights
from rlkit.envs.bandits.contextual import TabularContexts


def columns(**changes):
    table = {
        "item": ["tea", "milk", "tea", "salt"],
        "click": [1, 0, 0, 1],
        "p": [0.5, 0.25, 0.5, 0.25],
        "age": [30.0, 41.0, 18.0, 55.0],
        "country": ["NL", "DE", "NL", "FR"],
        "time": np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], "datetime64[D]"),
    }
    return {**table, **changes}


NAMES = {"action": "item", "reward": "click", "prob": "p"}


class Frame:
    """A table as pandas and polars have it: `columns`, and columns by name."""

    def __init__(self, data):
        self.data = data

    @property
    def columns(self):
        return list(self.data)

    def __getitem__(self, name):
        return Column(self.data[name])


class Arrow(Frame):
    """A table as arrow has it: `column_names`; its `columns` are data."""

    columns = property(lambda self: [Column(c) for c in self.data.values()])

    @property
    def column_names(self):
        return list(self.data)


class Column:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize("kind", [dict, Frame, Arrow])
def test_a_table_of_named_columns(kind):
    log = from_table(
        kind(columns()), **NAMES, context=["age"], categories=["country"], t="time", mask=()
    )
    assert log.labels == ("milk", "salt", "tea")
    np.testing.assert_array_equal(log.table.action, [2, 0, 2, 1])
    np.testing.assert_array_equal(log.table.reward, [1, 0, 0, 1])
    assert log.features == ("age", "country=DE", "country=FR", "country=NL")
    np.testing.assert_array_equal(
        log.table.context, [[30, 0, 0, 1], [41, 1, 0, 0], [18, 0, 0, 1], [55, 0, 1, 0]]
    )
    assert log.table.t[2] == np.datetime64("2024-01-03")
    assert "4 decisions over 3 arms" in str(log)
    np.testing.assert_allclose(log.uniform(), 1 / 3)


def test_real_frames_when_they_are_installed():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns())
    log = from_table(frame, **NAMES, context=["age"], categories=["country"], t="time")
    np.testing.assert_array_equal(log.table.action, [2, 0, 2, 1])
    frame.loc[1, "p"] = None
    with pytest.raises(ValueError, match="prob of row 1 is missing"):
        from_table(frame, **NAMES)


def test_real_arrow_tables_when_they_are_installed():
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({k: v for k, v in columns().items() if k != "time"})
    log = from_table(table, **NAMES, context=["age"], categories=["country"])
    np.testing.assert_array_equal(log.table.action, [2, 0, 2, 1])


def test_structured_arrays_whole_numbers_and_array_columns():
    rows = np.zeros(3, [("a", "i8"), ("r", "f8"), ("p", "f8"), ("x", "f8", 2), ("m", "?", 4)])
    rows["a"], rows["p"], rows["m"] = [2, 0, 2], 0.5, True
    rows["x"] = [[1, 2], [3, 4], [5, 6]]
    log = from_table(rows, action="a", reward="r", prob="p", context=["x"], mask=["m"])
    assert log.arms == 4  # the width of the mask
    assert log.features == ("x[0]", "x[1]")
    np.testing.assert_array_equal(log.table.context, rows["x"])
    assert from_table(rows, action="a", reward="r", prob="p").arms == 3
    assert from_table(rows, action="a", reward="r", prob="p", arms=9).arms == 9
    floats = {"action": [1.0, 0.0], "reward": [0, 1], "prob": [0.5, 0.5]}
    np.testing.assert_array_equal(from_table(floats).table.action, [1, 0])


def test_another_log_is_encoded_alike():
    first = from_table(columns(), **NAMES, categories=["country"])
    half = {name: column[1:3] for name, column in columns().items()}
    second = from_table(half, **NAMES, categories=first.levels, arms=first.labels)
    assert second.features == first.features
    assert second.arms == 3
    with pytest.raises(ValueError, match="country of row 0 is 'DE', none of its 1 levels"):
        from_table(half, **NAMES, categories={"country": ("NL",)})


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (columns(p=[0.5, 0.0, 0.5, 0.25]), {}, r"prob of row 1 is 0.0; it must lie in \(0, 1\]"),
        (columns(p=[0.5, 0.2, 0.5, 1.25]), {}, r"prob of row 3 is 1.25; it must lie in \(0, 1\]"),
        (columns(p=[0.5, 0.2, None, 0.25]), {}, "prob of row 2 is missing"),
        (columns(p=[0.5, 0.2, "?", 0.25]), {}, "column 'p' of row 2 is '\\?', not a number"),
        (columns(click=[0, 1, np.nan, 0]), {}, "reward of row 2 is not a finite number"),
        (columns(age=[1, 2, 3, np.nan]), {"context": ["age"]}, "context of row 3 has NaN"),
        (columns(), {"context": ["country"]}, "column 'country' of row 0 is 'NL', not a number"),
        (columns(), {"context": ["agee"]}, "no column 'agee'; did you mean 'age'"),
        (columns(), {"arms": ["tea", "milk"]}, "item of row 3 is 'salt', which is no known arm"),
        (columns(item=[0, 1, 5, 0]), {"arms": 3}, "item of row 2 is 5, which is no known arm"),
        (columns(item=[0, 1, -1, 0]), {"arms": 3}, "item of row 2 is -1, which is no known arm"),
        (columns(item=[0, 1, np.nan, 0]), {}, "item of row 2 is nan, which is no arm"),
        (columns(), {"arms": 3}, "column 'item' holds no whole numbers"),
        (columns(item=["tea", 1, None, 0]), {}, "item of row 1 is 1, of another kind than row 0"),
        (columns(country=["NL", "DE", None, "NL"]), {"categories": ["country"]}, "country of row"),
        (columns(time=[0, 1.5, 2, 3]), {"position": "time"}, "time of row 1 is 1.5, not a whole"),
        (columns(), {"prob": "propensity"}, "no column 'propensity' .* cannot be reweighted"),
        ([1, 2], {}, "list is no table with named columns"),
        (np.zeros(3), {}, "an array without field names is no table"),
        ({name: [] for name in columns()}, {}, "the log has no rows"),
    ],
)
def test_bad_tables_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        from_table(table, **{**NAMES, **options})


def test_masks_are_checked_row_by_row():
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]])
    table = {"action": [0, 0, 1, 2], "reward": np.zeros(4), "prob": np.full(4, 0.5), "mask": mask}
    log = from_table(table, mask=["mask"])
    np.testing.assert_allclose(log.uniform()[:2], [[0.5, 0.5, 0], [1, 0, 0]])
    table["mask"] = mask * [[1], [0], [1], [1]]
    with pytest.raises(ValueError, match="mask of row 1 is empty"):
        from_table(table, mask=["mask"])
    other = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]])
    with pytest.raises(ValueError, match="action of row 3 is 2, which its mask rules out"):
        from_table({**table, "mask": other}, mask=["mask"])
    with pytest.raises(ValueError, match="the mask has 3 columns for 5 arms"):
        from_table({**table, "mask": mask}, mask=["mask"], arms=5)


def test_a_log_without_propensities_is_refused():
    table = Feedback(np.array([0, 1]), np.zeros(2))
    with pytest.raises(ValueError, match="the log has no propensities"):
        DecisionLog(table, 2)
    with pytest.raises(ValueError, match="prob has 1 rows, action has 2"):
        DecisionLog(Feedback(np.array([0, 1]), np.zeros(2), prob=np.ones(1)), 2)
    with pytest.raises(ValueError, match="context has shape"):
        DecisionLog(Feedback(np.array([0, 1]), np.zeros(2), np.zeros(2), prob=np.ones(2)), 2)


def test_a_log_of_the_driver_is_a_decision_log():
    env = TabularContexts([[0.1, 0.9], [0.7, 0.2]])
    log = DecisionLog(play(ContextFreePolicy(2), env, 50, batch=4).table, 2)
    assert len(log) == 200
    assert len(log.rows(slice(0, 7))) == 7


def small_log(prob=(0.5, 0.25, 0.25, 0.5), **columns):
    return DecisionLog(
        Feedback(np.array([0, 1, 1, 0]), np.arange(4.0), prob=np.array(prob), **columns), 2
    )


def test_weights_are_the_ratio_of_probabilities():
    target = np.array([[0.2, 0.8], [0.5, 0.5], [1, 0], [1, 0]])
    np.testing.assert_allclose(importance_weights(small_log(), target), [0.4, 2, 0, 2])


def test_targets_by_position_are_read_at_the_position_of_the_row():
    log = small_log(position=np.array([0, 1, 2, 1]))
    target = np.zeros((4, 2, 3))
    target[:, 0], target[:, 1] = [1.0, 0.5, 0.0], [0.0, 0.5, 1.0]
    np.testing.assert_allclose(check_target(log, target), [[1, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]])
    with pytest.raises(ValueError, match="position of row 2 is 2; the target has 0 to 1"):
        check_target(log, target[:, :, :2])
    with pytest.raises(ValueError, match="the log has no positions"):
        check_target(small_log(), target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([[0.2, 0.7], [0.5, 0.5], [1, 0], [1, 0]], "target of row 0 sums to 0.9"),
        ([[0.5, 0.5], [0.5, 0.5], [1.2, -0.2], [1, 0]], "target of row 2 has negative"),
        ([[0.5, 0.5], [0.5, 0.5], [1, 0], [np.nan, 0]], "target of row 3 has negative or NaN"),
        ([[0.5, 0.5]], r"target has shape \(1, 2\); needed is \(4, 2\)"),
    ],
)
def test_targets_that_are_no_policies_are_refused(target, message):
    with pytest.raises(ValueError, match=message):
        importance_weights(small_log(), np.array(target))


def test_a_target_may_not_play_what_the_mask_rules_out():
    log = small_log(mask=np.array([[1, 1], [0, 1], [1, 1], [1, 1]], bool))
    with pytest.raises(ValueError, match="target of row 1 plays an arm that its mask rules out"):
        check_target(log, np.full((4, 2), 0.5))

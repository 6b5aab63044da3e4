from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from rlkit.data.store import EpisodeStore, returns_to_go


def columns(store):
    return {f.name: getattr(store, f.name) for f in fields(store)}


def assert_same(first, second):
    for name, column in columns(first).items():
        if name != "extra":
            np.testing.assert_array_equal(column, getattr(second, name), err_msg=name)
    assert first.extra.keys() == second.extra.keys()
    for name, column in first.extra.items():
        np.testing.assert_array_equal(column, second.extra[name], err_msg=name)


def by_return(returns, lengths):
    """A store whose episode k has the given return and length; obs hold (k, t)."""
    episodes = []
    for k, (total, steps) in enumerate(zip(returns, lengths, strict=True)):
        reward = np.zeros(steps)
        reward[-1] = total
        obs = np.stack([np.full(steps + 1, k), np.arange(steps + 1)], -1).astype(np.float64)
        no = np.zeros(steps, bool)
        episodes.append(
            {"obs": obs, "action": no.astype(int), "reward": reward, "terminated": no,
             "truncated": no}
        )  # fmt: skip
    return EpisodeStore.from_episodes(episodes)


def test_next_obs_is_the_true_one_everywhere_and_the_open_end_is_truncated(episode):
    rng = np.random.default_rng(0)
    given = [episode(rng, n, end=e) for n, e in ((3, "truncated"), (2, "terminated"), (4, "open"))]
    store = EpisodeStore.from_episodes(given)
    for k, one in enumerate(given):
        rows = np.flatnonzero(store.episode == k)
        np.testing.assert_array_equal(store.obs[rows], one["obs"][:-1])
        np.testing.assert_array_equal(store.next_obs[rows], one["obs"][1:])
        assert store.t[rows].tolist() == list(range(len(rows)))
    assert store.terminated.nonzero()[0].tolist() == [4]
    assert store.truncated.nonzero()[0].tolist() == [2, 8]  # row 8 carried no flag
    assert given[2]["truncated"].sum() == 0  # and what was given stays as it was
    assert (store.episodes, len(store)) == (3, 9)
    assert store.starts.tolist() == [0, 3, 5]
    assert store.lengths.tolist() == [3, 2, 4]
    assert store.ends.tolist() == [2, 4, 8]
    assert store.reward.dtype == np.float32


def test_a_death_at_the_time_limit_keeps_both_flags(store):
    both = store(lengths=(4,), ends=("both",))
    assert both.terminated[-1]
    assert both.truncated[-1]


def test_returns_and_returns_to_go_equal_a_plain_loop(store):
    data = store(lengths=(5, 1, 4, 7))
    expected = np.zeros(len(data))
    for row in reversed(range(len(data))):
        last = row == data.ends[data.episode[row]]
        expected[row] = data.reward[row] + (0 if last else 0.9 * expected[row + 1])
    np.testing.assert_allclose(returns_to_go(data.reward, data.starts, 0.9), expected)
    np.testing.assert_allclose(data.returns(0.9), expected[data.starts])
    np.testing.assert_allclose(
        data.returns(), [data.reward[data.episode == k].sum(dtype=float) for k in range(4)]
    )
    filled = data.with_columns("mc_return", gamma=0.9)
    np.testing.assert_array_equal(filled.extra["mc_return"], expected)


def test_columns_stay_inside_their_episode(store):
    data = store().with_columns("next_action", "initial_obs", weight=np.arange(17))
    for row in range(17):
        end, first = data.ends[data.episode[row]], data.starts[data.episode[row]]
        np.testing.assert_array_equal(
            data.extra["next_action"][row], data.action[min(row + 1, end)]
        )
        np.testing.assert_array_equal(data.extra["initial_obs"][row], data.obs[first])
    assert data.extra["weight"].tolist() == list(range(17))
    with pytest.raises(ValueError, match="'mc' cannot be computed"):
        data.with_columns("mc")
    with pytest.raises(ValueError, match="needs gamma"):
        data.with_columns("mc_return")
    with pytest.raises(ValueError, match="column weight has shape"):
        data.with_columns(weight=np.arange(16))


def test_select_and_concatenate_renumber_whole_episodes(store):
    data = store().with_columns("next_action", level_seed=np.arange(17))
    parts = [data.select([k]) for k in range(4)]
    assert_same(EpisodeStore.concatenate(parts), data)
    chosen = data.select(np.array([3, 0]))
    assert chosen.lengths.tolist() == [7, 5]
    assert chosen.extra["level_seed"].tolist() == [*range(10, 17), *range(5)]
    assert chosen.episode.tolist() == [0] * 7 + [1] * 5
    assert chosen.t.tolist() == [*range(7), *range(5)]
    assert_same(data.select(data.lengths > 4), data.select([0, 3]))
    for wrong, message in (([4], "only 0..3 exist"), ([-1], "only 0..3"), ([], "no episode")):
        with pytest.raises(ValueError, match=message):
            data.select(wrong)
    with pytest.raises(ValueError, match="store 1 has extra columns"):
        EpisodeStore.concatenate([data, store()])
    with pytest.raises(ValueError, match="store 1 has observations of shape"):
        EpisodeStore.concatenate([store(), store(obs=4)])


def test_the_two_definitions_of_best_differ_on_episodes_of_mixed_length():
    data = by_return(returns=[5, 1, 9, 3], lengths=[10, 10, 40, 40])
    assert data.best(0.5, by="steps").obs[:, 0].tolist() == [0] * 10 + [2] * 40
    assert data.best(0.5, by="episodes").lengths.tolist() == [10, 40]
    assert data.best(0.49, by="steps").lengths.tolist() == [40]  # the next does not fit any more
    assert data.best(0.01, by="steps").lengths.tolist() == [40]  # never less than the best one
    assert data.best(0.01, by="episodes").lengths.tolist() == [40]
    assert data.best(0.75, by="episodes").obs[:, 0].tolist() == [0] * 10 + [2] * 40 + [3] * 40
    for by in ("steps", "episodes"):
        assert data.best(1.0, by=by) is data
    for fraction in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match="fraction"):
            data.best(fraction)
    with pytest.raises(ValueError, match="use 'steps' or 'episodes'"):
        data.best(0.5, by="rows")


def test_best_of_equally_long_timed_out_episodes_never_crosses_a_boundary():
    rng = np.random.default_rng(0)
    data = by_return(returns=rng.normal(size=100), lengths=[20] * 100)
    for by in ("steps", "episodes"):
        best = data.best(0.29, by=by)
        assert best.episodes == 29
        assert (best.obs[:, 0].reshape(29, 20) == best.obs[::20, :1]).all()
        assert (best.obs[:, 1].reshape(29, 20) == np.arange(20)).all()
        assert best.returns().min() >= np.sort(data.returns())[-29]


@pytest.mark.parametrize("column", ["obs", "next_obs", "reward", "action"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named_by_column_and_row(column, value, store):
    data = store()
    broken = getattr(data, column).copy()
    broken.reshape(17, -1)[7, 0] = value
    with pytest.raises(ValueError, match=rf"column {column}: row 7 \(episode 2, step 1\)"):
        replace(data, **{column: broken})


def test_unknown_actions_may_be_nan_but_no_others(store):
    data = store()
    action = data.action.copy()
    action[3] = np.nan
    known = np.arange(17) != 3
    kept = replace(data, action=action, extra={"action_known": known})
    assert np.isnan(kept.with_columns("next_action").extra["next_action"][2]).all()
    kept.check_action_bounds(-1, 1)
    with pytest.raises(ValueError, match="column action: row 3"):
        replace(data, action=action, extra={"action_known": np.arange(17) != 4})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": np.zeros((17, 1))}, r"column reward has shape \(17, 1\)"),
        ({"terminated": np.zeros(16)}, r"column terminated has shape \(16,\), not \(17,\)"),
        ({"next_obs": np.zeros((17, 4))}, r"column next_obs has shape \(17, 4\), not \(17, 3\)"),
        ({"action": np.zeros(17)}, "column action has dtype float64 and shape"),
        ({"action": np.zeros((17, 2), int)}, r"column action has shape \(17, 2\), not \(17,\)"),
        ({"obs": np.zeros(17), "next_obs": np.zeros(17)}, "column obs has shape"),
        ({"episode": np.arange(1, 18)}, "column episode: row 0"),
        ({"episode": np.arange(17) // 5 * 2}, "column episode: row 5"),
        ({"t": np.arange(17)}, "column t: row 5"),
        ({"terminated": np.arange(17) == 2}, "column terminated: row 2 .*inside its episode"),
        ({"truncated": np.arange(17) == 12}, "column truncated: row 12 .*inside its episode"),
        ({"truncated": np.full(17, np.nan)}, "column truncated: row 0 is not finite"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changes, message, store):
    with pytest.raises(ValueError, match=message):
        replace(store(), **changes)


def test_faulty_episodes_are_named(episode):
    rng = np.random.default_rng(0)
    good, bad = episode(rng, 4), episode(rng, 4)
    with pytest.raises(ValueError, match="episode 1: 4 observations for 4 rewards"):
        EpisodeStore.from_episodes([good, bad | {"obs": bad["obs"][:-1]}])
    with pytest.raises(ValueError, match="episode 1 lacks truncated"):
        EpisodeStore.from_episodes([good, {k: v for k, v in bad.items() if k != "truncated"}])
    with pytest.raises(ValueError, match=r"episode 1: action has shape \(3, 2\), 4 steps"):
        EpisodeStore.from_episodes([good, bad | {"action": bad["action"][:3]}])
    with pytest.raises(ValueError, match="episode 1 has columns"):
        EpisodeStore.from_episodes([good, bad | {"level_seed": np.zeros(4)}])
    with pytest.raises(ValueError, match=r"episode 1: obs has shape \(5,\) a step"):
        EpisodeStore.from_episodes([good, episode(rng, 4, obs=5)])
    with pytest.raises(ValueError, match="no episodes"):
        EpisodeStore.from_episodes([])
    with pytest.raises(ValueError, match="episode 0 has no steps"):
        EpisodeStore.from_episodes([{k: v[:0] for k, v in good.items()} | {"obs": good["obs"][:1]}])


def test_actions_outside_the_bounds_are_named(store):
    data = store()
    data.check_action_bounds([-1, -1], [1, 1])
    with pytest.raises(ValueError, match=r"column action: row \d+ .*outside the bounds"):
        data.check_action_bounds([-1, -0.1], [1, 0.1])
    choices = store(actions=5)
    choices.check_action_bounds(0, 4)
    with pytest.raises(ValueError, match="outside the bounds"):
        choices.check_action_bounds(0, 3)

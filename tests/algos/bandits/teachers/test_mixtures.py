"""Teachers: progress by hand, fits, what they sample, and the same samples after a restart."""

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy.densities import fit_mixture
from rlkit.algos.bandits.teachers import riac
from rlkit.algos.bandits.teachers.mixtures import AlpGmm, Config, CovarGmm, RandomTeacher, aic
from rlkit.algos.bandits.teachers.riac import Riac
from rlkit.core.streams import generator
from rlkit.envs.bandits.competence import CompetenceGrid

UNIT = (np.zeros(2), np.ones(2))
SMALL = Config(fit_rate=60, components=(1, 2, 3))
MAKERS = {
    "random": lambda seed=0: RandomTeacher(*UNIT, seed=seed),
    "alp_gmm": lambda seed=0: AlpGmm(*UNIT, SMALL, seed=seed),
    "covar_gmm": lambda seed=0: CovarGmm(*UNIT, SMALL, seed=seed),
    "riac": lambda seed=0: Riac(*UNIT, riac.Config(points=40), seed=seed),
}


def quadrant_share(teacher, episodes, reward):
    """Share of the second half's tasks in the upper right quadrant, where `reward(e)` is paid."""
    inside = []
    for e in range(episodes):
        task = teacher.sample()
        inside.append((task > 0.5).all())
        teacher.update(task, reward(e / episodes) if inside[-1] else 0.0)
    return float(np.mean(inside[episodes // 2 :]))


def guided(share, random_share=0.2):
    """The share among tasks that were not drawn uniformly, a quarter of which fall there too."""
    return (share - 0.25 * random_share) / (1 - random_share)


def test_progress_by_hand():
    teacher = AlpGmm([0.0, -1.0], [10.0, 1.0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        teacher.update(rng.uniform([0, -1], [4, 0]), 0.9)
    teacher.update([8.0, 0.8], 0.2)
    teacher.update([8.0, 0.8], 0.7)
    alp = [point[-1] for point in teacher.points]
    np.testing.assert_allclose(alp[:5], 0.0)
    # Six tasks were known to the seventh; the nearest one is the same task.
    assert alp[-1] == pytest.approx(0.5)
    np.testing.assert_allclose(teacher.points[-1][:2], [0.8, 0.9])  # in the unit box


def test_nearest_task_is_sought_in_the_unit_box_and_in_the_history():
    teacher = AlpGmm([0.0, 0.0], [1000.0, 1.0])
    for _ in range(6):
        teacher.update([500.0, 0.5], 0.5)
    teacher.update([0.0, 0.5], 0.1)
    teacher.update([500.0, 1.0], 0.9)
    # In raw units the task at (600, .9) would be nearest to (500, .5).
    assert teacher.progress(np.array([0.6, 0.9]), 0.3) == pytest.approx(0.6)
    short = AlpGmm(*UNIT, Config(history=2))
    for place, outcome in [(0.1, 0.0)] * 6 + [(0.9, 0.4), (0.8, 0.6)]:
        short.update([place, place], outcome)
    assert short.progress(np.array([0.1, 0.1]), 1.0) == pytest.approx(0.4)  # not 1.0


def test_returns_are_scaled_and_clipped():
    teacher = AlpGmm(*UNIT, Config(returns=(-150.0, 350.0)))
    for outcome in (-150.0, 350.0, 100.0, -1e9, 1e9):
        teacher.update([0.5, 0.5], outcome)
    np.testing.assert_allclose(teacher.past[:5, -1], [0.0, 1.0, 0.5, 0.0, 1.0])


def test_the_kept_mixture_has_the_least_criterion_and_its_likelihood_rose():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(m, 0.02, (80, 3)) for m in (0.2, 0.5, 0.9)])
    values = {}
    kept, rng = {}, generator(0, "teacher fit", len(x))
    for k in range(1, 7):
        kept[k], rise = fit_mixture(x, np.ones(len(x)), k, rng)
        # The ridge on covariances may cost the likelihood a little of what EM won.
        assert (np.diff(rise) > -1e-6).all()
        m, total = 3, len(x) * rise[-1]
        parameters = k * (1 + m + m * (m + 1) / 2) - 1
        values[k] = aic(kept[k], rise[-1], len(x))
        assert values[k] == pytest.approx(2 * parameters - 2 * total)
    teacher = AlpGmm(*UNIT, Config(fit_rate=len(x), components=tuple(values)))
    for point in x:
        teacher._add(point)
    least = min(values, key=values.get)
    assert least >= 3
    np.testing.assert_array_equal(teacher.mixture.mean, kept[least].mean)


@pytest.mark.parametrize(
    ("make", "reward", "random_share", "least"),
    [
        (lambda: AlpGmm(*UNIT), lambda t: t, 0.2, 0.8),
        (lambda: AlpGmm(*UNIT), lambda t: 1 - t, 0.2, 0.8),
        (lambda: CovarGmm(*UNIT), lambda t: t, 0.2, 0.8),
        (lambda: CovarGmm(*UNIT, Config(absolute=True)), lambda t: 1 - t, 0.2, 0.8),
        (lambda: Riac(*UNIT), lambda t: t, 0.2, 0.6),
        (lambda: Riac(*UNIT, riac.Config(leaves_only=True)), lambda t: t, 0.2, 0.6),
    ],
    ids=["alp", "alp falling", "covar", "covar falling absolute", "riac", "riac leaves"],
)
def test_tasks_on_which_returns_change_are_sought(make, reward, random_share, least):
    assert guided(quadrant_share(make(), 1500, reward), random_share) > least


def test_seven_tenths_of_guided_tasks_lie_in_the_half_where_the_student_improves():
    teacher, inside = AlpGmm(*UNIT), []
    for e in range(1500):
        task = teacher.sample()
        inside.append(task[0] > 0.5)
        teacher.update(task, e / 1500 if inside[-1] else 0.0)
    share = float(np.mean(inside[750:]))
    assert (share - 0.5 * 0.2) / 0.8 >= 0.7


def test_covariance_does_not_seek_what_gets_worse():
    assert guided(quadrant_share(CovarGmm(*UNIT), 1500, lambda t: 1 - t)) < 0.5


def test_noise_attracts_absolute_progress():
    # The known weakness: |r - r_old| of two independent returns is not 0 in expectation.
    rng = np.random.default_rng(0)
    share = quadrant_share(AlpGmm(*UNIT, SMALL), 1200, lambda t: rng.random())
    assert guided(share) > 0.5


@pytest.mark.parametrize("name", MAKERS)
def test_constant_returns_leave_sampling_uniform(name):
    teacher = MAKERS[name](3)
    seen = np.zeros((5, 5), int)
    for e in range(1200):
        task = teacher.sample()
        assert (task >= 0).all()
        assert (task <= 1).all()
        if e >= 400:
            seen[tuple(np.minimum((task * 5).astype(int), 4))] += 1
        teacher.update(task, 0.4)
    assert (seen > 0).all()
    assert seen.max() < 4 * seen.mean()


@pytest.mark.parametrize("name", MAKERS)
def test_a_restored_teacher_goes_on_alike(name, tmp_path):
    def student(task, e):
        return float(task[0] * min(1.0, e / 200))

    teacher = MAKERS[name](0)
    for e in range(150):
        task = teacher.sample()
        teacher.update(task, student(task, e))
    np.savez(tmp_path / "teacher.npz", **teacher.state_dict())
    other = MAKERS[name](0)
    with np.load(tmp_path / "teacher.npz", allow_pickle=False) as state:
        other.load_state_dict(dict(state))
    for e in range(150, 300):
        a, b = teacher.sample(), other.sample()
        np.testing.assert_array_equal(a, b)
        teacher.update(a, student(a, e))
        other.update(b, student(b, e))
    different = MAKERS[name](1).sample()
    assert (different != MAKERS[name](0).sample()).any()  # 0 is a seed like any other


def test_riac_cuts_where_progress_differs_and_keeps_sides_large_enough():
    teacher = Riac([0.0], [1.0], riac.Config(points=100))
    rng = np.random.default_rng(0)
    for e in range(101):
        x = rng.random()
        teacher.update([x], e / 100 if x > 0.6 else 0.3)
    root, left, right = teacher.nodes
    assert root.threshold == pytest.approx(0.6, abs=0.1)
    assert right.alp > left.alp + 0.2
    assert len(left.rows) + len(right.rows) == 101
    assert left.high[0] == right.low[0] == root.threshold
    by_hand = [row[-1] for row in right.rows]
    half = len(by_hand) // 2
    expected = abs(np.mean(by_hand[-half:]) - np.mean(by_hand[: len(by_hand) - half]))
    assert right.alp == pytest.approx(expected)
    # With no cut that leaves both sides enough, the oldest quarter is dropped.
    stuck = Riac([0.0], [1.0], riac.Config(points=100))
    for e in range(101):
        stuck.update([0.5], e / 100)
    assert len(stuck.nodes) == 1
    assert len(stuck.nodes[0].rows) == 101 - 25


def test_the_grid_of_skills_unlocks_neighbours():
    grid = CompetenceGrid(2, 4)
    assert grid.episode(np.array([0.9, 0.9])) == 0.0
    for visit in range(1, 76):
        assert grid.episode(np.array([0.1, 0.1])) == visit / 100
        if visit < 75:
            assert grid.episode(np.array([0.3, 0.3])) == 0.0
    for corner in ([0.3, 0.1], [0.1, 0.3], [0.3, 0.3]):
        assert grid.episode(np.array(corner)) == 0.01
    assert grid.episode(np.array([0.6, 0.1])) == 0.0
    assert grid.mastered() == 0.0
    grid.episode(np.array([0.0, 0.0]))
    assert grid.mastered() == 1 / 16
    for _ in range(100):
        grid.episode(np.array([0.0, 0.0]))
    assert grid.visits[0, 0] == 100


@pytest.mark.slow
def test_reference_mastery_of_the_grid():
    share = {}
    for name, teacher in (("random", RandomTeacher(*UNIT)), ("alp", AlpGmm(*UNIT))):
        grid = CompetenceGrid()
        for _ in range(20_000):
            task = teacher.sample()
            teacher.update(task, grid.episode(task))
        share[name] = grid.mastered()
    assert 0.03 <= share["random"] <= 0.06
    assert share["alp"] >= 0.25


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AlpGmm([0.0], [0.0]), "dimension 0 runs from 0.0 to 0.0"),
        (lambda: AlpGmm([0.0], [1.0, 2.0]), "must both be"),
        (lambda: AlpGmm([0.0], [np.inf]), "dimension 0"),
        (lambda: AlpGmm([0.0], [1.0], Config(returns=(1.0, 1.0))), "returns run from"),
        (lambda: AlpGmm([0.0], [1.0], Config(fit_rate=5)), "must exceed"),
        (lambda: AlpGmm([0.0], [1.0]).update([1.5], 0.0), r"task\[0\] is 1.5, outside"),
        (lambda: AlpGmm([0.0], [1.0]).update([0.5, 0.5], 0.0), "task has shape"),
        (lambda: AlpGmm([0.0], [1.0]).update([0.5], np.nan), "return of a task is nan"),
        (lambda: Riac([0.0], [1.0], riac.Config(points=2)), "points is 2"),
        (lambda: CompetenceGrid(0), "dim is 0"),
    ],
)
def test_bad_requests_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()

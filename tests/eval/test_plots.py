"""What the pictures show is what the statistics say; files appear whole or not at all."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from rlkit.eval import plots
from rlkit.eval import statistics as st

RNG = np.random.default_rng(3)
STEPS = np.arange(6) * 1000
CURVES = RNG.normal(size=(4, 6)).cumsum(1)


def thick_line(figure):
    return next(line for line in figure.axes[0].lines if line.get_linewidth() == 2)


def texts(figure):
    axes = figure.axes[0]
    return [t.get_text() for t in axes.texts] + [axes.get_title(loc="left")]


def test_learning_curve_shows_mean_band_seeds_and_reference():
    reference = st.Interval(1.0, 0.8, 1.3)
    figure = plots.learning_curve(
        {"IQL": (STEPS, CURVES)},
        references={"behaviour policy": reference},
        title="IQL on hopper",
        statistic=st.iqm,
        statistic_name="IQM",
    )
    axes = figure.axes[0]
    assert_allclose(thick_line(figure).get_ydata(), st.iqm(CURVES.T[:, :, None]))
    thin = [line for line in axes.lines if line.get_linewidth() == 0.7]
    assert_allclose([line.get_ydata() for line in thin], CURVES)
    band = st.curve_band(CURVES[:, None], st.iqm)
    outline = axes.collections[0].get_paths()[0].vertices
    for t, step in enumerate(STEPS):
        at = outline[outline[:, 0] == step, 1]
        assert_allclose([at.min(), at.max()], [band.low[t], band.high[t]])
    dashed = next(line for line in axes.lines if line.get_linewidth() == 1.2)
    assert_allclose(dashed.get_ydata(), 1.0)
    assert {"IQL", "behaviour policy", "IQL on hopper"} <= set(texts(figure))
    assert "line: IQM of 4 seeds; band: 95% bootstrap interval; thin: single seeds" in texts(figure)
    assert axes.get_xlabel() == "Gradient updates"
    assert axes.get_ylabel() == "Return per episode"


def test_one_seed_has_no_band_and_no_warning():
    figure = plots.learning_curve({"IQL": (STEPS, CURVES[:1])})
    assert_allclose(thick_line(figure).get_ydata(), CURVES[0])
    assert "one seed, no interval" in texts(figure)


def test_two_seeds_are_called_a_range():
    figure = plots.learning_curve({"IQL": (STEPS, CURVES[:2]), "BC": (STEPS, CURVES[2:3])})
    assert "line: mean of 1 to 2 seeds; band: their range; thin: single seeds" in texts(figure)


def test_a_diverged_seed_leaves_a_gap():
    broken = CURVES.copy()
    broken[2, 3:] = np.nan
    figure = plots.learning_curve({"IQL": (STEPS, broken)})
    drawn = thick_line(figure).get_ydata()
    assert_allclose(drawn[:3], CURVES[:, :3].mean(0))
    assert np.isnan(drawn[3:]).all()
    all_broken = plots.learning_curve({"IQL": (STEPS, np.full((2, 6), np.nan))})
    assert np.isnan(thick_line(all_broken).get_ydata()).all()


def test_names_at_the_right_keep_apart_and_near_their_lines():
    heights = sorted(RNG.normal(size=7))
    for gap in (0.0, 0.1, 0.7):
        spread = plots._spread(heights, gap)
        assert (np.diff(spread) >= gap - 1e-12).all()
        # Optimal against many other placements with the same gaps.
        cost = ((spread - heights) ** 2).sum()
        for _ in range(300):
            other = np.cumsum(np.append(RNG.normal(-2, 1), gap + RNG.exponential(0.3, 6)))
            assert cost <= ((other - heights) ** 2).sum() + 1e-12
    assert_allclose(plots._spread([0.0, 5.0], 1.0), [0, 5])
    assert_allclose(plots._spread([0.0, 0.0], 1.0), [-0.5, 0.5])


def test_profile_plot_shows_the_profiles():
    scores = {"A": RNG.beta(2, 2, (8, 5)), "B": RNG.beta(3, 2, (6, 5))}
    taus = np.linspace(0, 1, 11)
    figure = plots.profile_plot(scores, taus=taus, reps=200)
    for line, table in zip(figure.axes[0].lines, scores.values(), strict=True):
        assert_allclose(line.get_ydata(), st.performance_profile(table, taus))
    assert "runs a task: 6 to 8, tasks: 5; bands: 95% bootstrap intervals" in texts(figure)
    wide = plots.profile_plot(scores, reps=50).axes[0].lines[0]
    assert wide.get_ydata()[0] == 1
    assert wide.get_ydata()[-1] == 0


def test_interval_plot_has_a_panel_a_statistic():
    rows = {
        "Mean": {"A": st.Interval(0.5, 0.4, 0.7), "B": st.Interval(0.6, np.nan, np.nan)},
        "IQM": {"B": st.Interval(0.7, 0.6, 0.8)},
    }
    figure = plots.interval_plot(rows, title="Table")
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["Mean", "IQM"]
    assert [t.get_text() for t in left.get_yticklabels()] == ["A", "B"]
    assert_allclose(left.lines[0].get_xdata(), [0.4, 0.7])
    assert len(left.lines) == 3  # interval and point of A, only the point of B
    assert_allclose(right.lines[0].get_ydata(), 1)  # B keeps its row
    assert left.get_ylim()[0] > left.get_ylim()[1]  # first system on top


def test_saved_files_are_whole_equal_and_overwritten(tmp_path):
    def draw():
        return plots.learning_curve({"IQL": (STEPS, CURVES)})

    path = tmp_path / "plots" / "curve-v0.1"
    written = plots.save(draw(), path)
    assert [p.name for p in written] == ["curve-v0.1.png", "curve-v0.1.svg"]
    first = [p.read_bytes() for p in written]
    assert first[0].startswith(b"\x89PNG")
    assert b"Gradient updates" in first[1]  # text stays text
    assert [p.read_bytes() for p in plots.save(draw(), path)] == first
    assert sorted(path.parent.iterdir()) == written


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curve"
    written = plots.save(plots.learning_curve({"IQL": (STEPS, CURVES)}), path, ["png"])
    before = written[0].read_bytes()

    def full_disk(self, target, **_):
        target.write_bytes(b"\x89PNG half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full_disk)
    with pytest.raises(OSError, match="the disk is full"):
        plots.save(Figure(), path, ["png"])
    assert written[0].read_bytes() == before
    assert list(tmp_path.iterdir()) == written


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.learning_curve({}), "no curves"),
        (lambda: plots.learning_curve({"IQL": (STEPS, CURVES[:, 1:])}), r"IQL: returns \(4, 5\)"),
        (lambda: plots.learning_curve({"IQL": (STEPS[:0], CURVES[:, :0])}), "IQL: returns"),
        (lambda: plots.profile_plot({}), "no scores"),
        (lambda: plots.interval_plot({"Mean": {}}), "no intervals"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

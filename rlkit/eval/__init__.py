"""Evaluation: rollouts that keep every episode, statistics with intervals, pictures."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.eval.comparison import Comparison as Comparison
    from rlkit.eval.comparison import compare_means as compare_means
    from rlkit.eval.plots import interval_plot as interval_plot
    from rlkit.eval.plots import learning_curve as learning_curve
    from rlkit.eval.plots import profile_plot as profile_plot
    from rlkit.eval.records import Episode as Episode
    from rlkit.eval.records import read_episodes as read_episodes
    from rlkit.eval.records import read_progress as read_progress
    from rlkit.eval.statistics import bootstrap_interval as bootstrap_interval
    from rlkit.eval.statistics import curve_interval as curve_interval
    from rlkit.eval.statistics import difference_interval as difference_interval
    from rlkit.eval.statistics import iqm as iqm
    from rlkit.eval.statistics import mean as mean
    from rlkit.eval.statistics import median as median
    from rlkit.eval.statistics import optimality_gap as optimality_gap
    from rlkit.eval.statistics import performance_profile as performance_profile
    from rlkit.eval.statistics import probability_of_improvement as probability_of_improvement

__getattr__, __dir__ = lazily(__name__, __file__)

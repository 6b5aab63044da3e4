"""Classical reinforcement learning for control and bandits.

    rlkit.train      train agents, offline or online; a run folder holds everything
    rlkit.resume     continue a run, or extend it
    rlkit.evaluate   episodes of a run or of an exported policy
    rlkit.video      a clip of a policy: best, median and worst episode
    rlkit.export     write a policy to one file that acts with numpy alone
    rlkit.load       the policy of a run folder or file
    rlkit.dataset    an offline dataset as an EpisodeStore
    rlkit.make       a gymnasium environment, ready for rlkit
    rlkit.solve      the optimal policy of a FiniteMDP, with certified bounds
    rlkit.simulate   many runs of a bandit policy, on compiled kernels
    rlkit.sweep      systems x tasks x seeds from a TOML file, resumable
    rlkit.report     page, tables and pictures of a sweep, or of runs
    rlkit.compare    whether two systems differ, or how many seeds would tell

Rooms: `algos` (one file an algorithm, `algos.bandits`), `theory` (finite MDPs), `data`, `envs`,
`nets`, `core`, `eval`, `policy`, `run`, `sweeps`, `reports`, `zoo` (trained policies), `testing`.
Everything is imported when it is first asked for.
"""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.simulation.simulator import simulate as simulate
    from rlkit.core.errors import RlkitError as RlkitError
    from rlkit.core.errors import UsageError as UsageError
    from rlkit.envs.make import make as make
    from rlkit.front import compare as compare
    from rlkit.front import dataset as dataset
    from rlkit.front import evaluate as evaluate
    from rlkit.front import load as load
    from rlkit.front import report as report
    from rlkit.front import sweep as sweep
    from rlkit.front import train as train
    from rlkit.policy.policy import Policy as Policy
    from rlkit.run.clips.video import video as video
    from rlkit.run.policies.export import export as export
    from rlkit.run.settings.options import Options as Options
    from rlkit.run.train import resume as resume
    from rlkit.theory.mdp import FiniteMDP as FiniteMDP
    from rlkit.theory.planning.solvers import solve as solve

__version__ = "0.2.0"
__getattr__, __dir__ = lazily(__name__, __file__)

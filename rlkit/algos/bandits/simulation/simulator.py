"""`simulate`: many independent runs of one policy in one environment, on compiled kernels.

Run r of seed s uses its own counter-based streams keyed (s, r), one for the environment and one for
the policy, so results are the same for any number of threads and any company of runs.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.memory.last_switch import default_samples, explore_then_follow, follow_plan
from rlkit.algos.bandits.memory.planning import relaxation
from rlkit.algos.bandits.simulation.armed_policies import ARMED_POLICIES, check_parameters
from rlkit.algos.bandits.simulation.kernels import lockstep
from rlkit.algos.bandits.simulation.kernels.armed import run_armed, workspace
from rlkit.algos.bandits.simulation.kernels.dueling import (
    DOUBLE_TS,
    RUCB,
    SPARRING,
    UNIFORM_DUELS,
    run_dueling,
)
from rlkit.algos.bandits.simulation.kernels.linear import (
    LINEAR_GREEDY,
    LINTS,
    LINUCB,
    OFUL,
    run_linear,
)
from rlkit.algos.bandits.simulation.records import (
    Simulation,
    check_seed,
    checked_checkpoints,
    in_chunks,
)
from rlkit.core.words.nearest import suggestion
from rlkit.envs.bandits.armed import Armed
from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.dueling import Dueling
from rlkit.envs.bandits.dynamics import BLOCKING, GAUSSIAN
from rlkit.envs.bandits.linear import LinearArms
from rlkit.envs.bandits.memory import LastSwitch
from rlkit.keywords import refuse_foreign

# name -> (kernel number, parameter defaults)
DUELING_POLICIES: dict[str, tuple[int, dict[str, float]]] = {
    "uniform_duels": (UNIFORM_DUELS, {}),
    "rucb": (RUCB, {"alpha": 0.51}),
    "double_ts": (DOUBLE_TS, {"alpha": 0.51}),
    "sparring": (SPARRING, {}),
}
_OFUL = {"ridge": 1.0, "noise_bound": 0.5, "norm_bound": 1.0, "delta": 0.01}
# name -> (kernel number, one model an arm, parameter defaults)
LINEAR_POLICIES: dict[str, tuple[int, bool, dict[str, float]]] = {
    "linear_greedy": (LINEAR_GREEDY, False, {"ridge": 1.0}),
    "linucb": (LINUCB, False, {"ridge": 1.0, "alpha": 1.0}),
    "linucb_disjoint": (LINUCB, True, {"ridge": 1.0, "alpha": 1.0}),
    "oful": (OFUL, False, _OFUL),
    "oful_disjoint": (OFUL, True, _OFUL),
    "lints": (LINTS, False, {"ridge": 1.0, "v": 0.2}),
    "lints_disjoint": (LINTS, True, {"ridge": 1.0, "v": 0.2}),
}
CYCLE_POLICIES = {"cycle_plan": {}, "cycle_online": {"samples": 0.0}}
POLICIES = [*ARMED_POLICIES, *CYCLE_POLICIES, *DUELING_POLICIES, *LINEAR_POLICIES]

Records = tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]


def simulate(
    policy: str,
    means: ArrayLike | None = None,
    *,
    env: Any = None,
    runs: int = 100,
    horizon: int = 10_000,
    seed: int = 0,
    threads: int = 1,
    paired: bool = False,
    checkpoints: ArrayLike | None = None,
    **parameters: Any,
) -> Simulation:
    """The `Simulation` of `runs` independent runs of `policy` over `horizon` rounds.

    `means` [K] is short for `env=Armed(means)`, Bernoulli arms; other environments are in
    `rlkit.envs.bandits`. `paired` keys rewards by (run, arm, n-th pull), so that two policies see
    the same n-th reward of an arm in the same run, which sharpens their comparison. `parameters`
    are the policy's own. Regret is the pseudo-regret of the environment's docstring. Unknown names
    and impossible values raise ValueErrors.
    """
    for word in parameters:
        refuse_foreign("simulate", word, inspect.signature(simulate).parameters)
    runs, horizon = whole("runs", runs), whole("horizon", horizon)
    threads = whole("threads", threads)
    check_seed(seed)
    if (means is None) == (env is None):
        raise ValueError("give either means= (Bernoulli arms) or env=, and not both")
    if env is None:
        env = Armed(means)  # type: ignore[arg-type]
    if policy not in POLICIES:
        near = suggestion(policy, POLICIES)
        raise ValueError(f"no policy {policy!r}{near} (known: {', '.join(POLICIES)})")
    rounds = checked_checkpoints(checkpoints, horizon)
    family = _family(policy, env)
    regret, pulls, path, extra = family(
        policy, env, parameters, runs, rounds, seed, threads, paired
    )
    return Simulation(policy, parameters, rounds, regret, pulls, path / runs, extra)


def _family(policy: str, env: Any) -> Callable[..., Records]:
    for policies, kind, family in (
        (DUELING_POLICIES, Dueling, _dueling),
        (LINEAR_POLICIES, LinearArms, _linear),
        (CYCLE_POLICIES, LastSwitch, _cycles),
    ):
        if (policy in policies) and isinstance(env, kind):  # type: ignore[operator]
            return family
        if policy in policies:  # type: ignore[operator]
            raise ValueError(
                f"policy {policy!r} needs a {kind.__name__} environment, not {type(env).__name__}"
            )
    if isinstance(env, Dueling | LinearArms):
        family_names = DUELING_POLICIES if isinstance(env, Dueling) else LINEAR_POLICIES
        raise ValueError(
            f"policy {policy!r} cannot play {type(env).__name__}; "
            f"choose one of {', '.join(family_names)}"
        )
    return _armed


def _empty(runs: int, rounds: np.ndarray, arms: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((runs, rounds.size)), np.zeros((runs, arms), np.int64)


def _armed(policy, env, parameters, runs, rounds, seed, threads, paired) -> Records:
    spec, horizon = ARMED_POLICIES[policy], int(rounds[-1])
    flat = env.tables(horizon)
    if spec.bounded and flat.noise == GAUSSIAN:
        raise ValueError(f"policy {policy!r} needs rewards in [0, 1]; the noise is gaussian")
    if not spec.masked and flat.kind == BLOCKING:
        raise ValueError(f"policy {policy!r} cannot leave out unavailable arms")
    par = np.array(spec.parameters(policy, parameters, flat.arms, horizon))
    regret, pulls = _empty(runs, rounds, flat.arms)

    def job(first: int, last: int) -> np.ndarray:
        path = np.zeros((rounds.size, flat.arms), np.int64)
        together = last - first if lockstep.fits(spec.number, flat, paired) else 0
        rest = first + together - together % lockstep.RUNS
        if rest > first:
            part = slice(first, rest)
            lockstep.run_in_step(
                spec.number, par, flat, first, horizon, seed, rounds,
                regret[part], pulls[part], path, lockstep.workspace(flat),
            )  # fmt: skip
        if last > rest:
            part = slice(rest, last)
            run_armed(
                spec.number, par, flat, rest, horizon, seed, paired, rounds,
                regret[part], pulls[part], path, workspace(spec.number, flat, horizon),
            )  # fmt: skip
        return path

    path = sum(in_chunks(job, runs, threads))
    if hasattr(env, "correction"):
        regret -= env.correction(rounds)
    return regret, pulls, path, {}


def _dueling(policy, env, parameters, runs, rounds, seed, threads, paired) -> Records:
    number, defaults = DUELING_POLICIES[policy]
    alpha = check_parameters(policy, parameters, defaults, {}).get("alpha", 0.0)
    preferences = env.matrix()
    reference = env.minimax_winner() @ preferences - 0.5
    reference[np.abs(reference) < 1e-12] = 0.0  # the linear program's rounding
    arms = len(preferences)
    regret, pulls = _empty(runs, rounds, arms)

    def job(first: int, last: int) -> np.ndarray:
        path, part = np.zeros((rounds.size, arms), np.int64), slice(first, last)
        work = (
            np.empty((arms, arms)),
            np.empty(arms),
            np.empty(arms),
            np.empty((2, arms)),
            np.empty((2, arms)),
            np.empty((3, 2), np.uint64),
            path,
        )
        options = (number, alpha, preferences, reference, first, seed, paired, rounds)
        run_dueling(*options, regret[part], pulls[part], work)
        return path

    return regret, pulls, sum(in_chunks(job, runs, threads)), {}


def _linear(policy, env, parameters, runs, rounds, seed, threads, paired) -> Records:
    number, disjoint, defaults = LINEAR_POLICIES[policy]
    ranges = {"alpha": (0.0, 1e300), "v": (0.0, 1e300), "delta": (1e-300, 1.0)}
    p = check_parameters(policy, parameters, defaults, ranges)
    scale = p.get("alpha", p.get("v", 0.0))
    bounds = (p.get("noise_bound", 0.0), p.get("norm_bound", 0.0), p.get("delta", 1.0))
    par = np.array([p["ridge"], scale, *bounds])
    flat = env.tables()
    arms, dim = flat.features.shape
    if flat.common_context and not disjoint:
        raise ValueError(
            f"policy {policy!r} has one model for all arms, which a common context cannot tell "
            f"apart; use {policy + '_disjoint'!r}"
        )
    regret, pulls = _empty(runs, rounds, arms)
    covered = np.ones(runs, np.bool_)
    models = arms if disjoint else 1

    def job(first: int, last: int) -> np.ndarray:
        path, part = np.zeros((rounds.size, arms), np.int64), slice(first, last)
        work = (
            np.empty((models, dim, dim)),
            np.empty((models, dim, dim)),
            np.empty((models, dim)),
            np.empty((models, dim)),
            np.empty(flat.theta.shape),
            np.empty((arms, dim)),
            np.empty((arms, dim)),
            np.empty(arms),
            np.empty(dim),
            np.empty((dim, dim)),
            np.empty(dim),
            np.empty(models),
            np.empty(models, np.int64),
            np.empty((4, 2), np.uint64),
            covered[part],
        )
        options = (number, par, disjoint, flat, first, seed, paired, rounds)
        run_linear(*options, regret[part], pulls[part], path, work)
        return path

    path = sum(in_chunks(job, runs, threads))
    return regret, pulls, path, {"covered": covered} if number == OFUL else {}


def _cycles(policy, env, parameters, runs, rounds, seed, threads, paired) -> Records:
    if paired:
        raise ValueError(f"policy {policy!r} has no paired mode")
    horizon = int(rounds[-1])
    flat = env.tables(horizon)
    tables = (flat.first, flat.second)
    chosen = check_parameters(policy, parameters, CYCLE_POLICIES[policy], {"samples": (1, 1e9)})
    samples = int(chosen.get("samples", 0)) or default_samples(
        flat.arms, flat.first.shape[1], horizon
    )
    plan = relaxation(*tables)
    regret, pulls = _empty(runs, rounds, flat.arms)

    def job(first: int, last: int) -> np.ndarray:
        path = np.zeros((rounds.size, flat.arms), np.int64)
        for run in range(first, last):
            if policy == "cycle_plan":
                gains, choices = follow_plan(flat, plan, tables, run, 1, horizon, seed)
            else:
                gains, choices = explore_then_follow(flat, run, 1, horizon, seed, samples)
            regret[run] = env.reference * rounds - np.cumsum(gains[0])[rounds - 1]
            counts = np.cumsum(choices[0][:, None] == np.arange(flat.arms), axis=0)
            path += counts[rounds - 1]
            pulls[run] = counts[-1]
        return path

    return regret, pulls, sum(in_chunks(job, runs, threads)), {"relaxation": np.array(plan.value)}

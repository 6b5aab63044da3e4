"""The policies of the armed kernel by name, with their parameters and what they ask of rewards."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlkit.algos.bandits.simulation import (
    adversarial,
    constant_steps,
    elimination,
    index_policies,
    rotting,
)
from rlkit.envs.bandits.counts import whole

FINITE_POSITIVE = (1e-300, 1e300)
WHOLE = ("samples", "batch", "burn_in", "baseline")  # parameters that count something


def check_parameters(
    name: str,
    given: dict[str, Any],
    defaults: dict[str, float],
    ranges: dict[str, tuple[float, float]],
) -> dict[str, float]:
    """The policy's parameters in the order of `defaults`; an unknown or impossible one raises."""
    for key, value in given.items():
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise ValueError(f"policy {name!r} has no parameter {key!r} (it has: {known})")
        low, high = ranges.get(key, FINITE_POSITIVE)
        if key in WHOLE:
            whole(key, value, int(low))
        if not isinstance(value, (int, float, np.number)):
            raise ValueError(f"{key} is {value!r}; it must be a number")
        if not low <= value <= high:
            raise ValueError(f"{key} is {value}; it must lie in [{low:g}, {high:g}]")
    return {key: float(given.get(key, value)) for key, value in defaults.items()}


@dataclass(frozen=True)
class ArmedPolicy:
    """Kernel number, parameter defaults in kernel order, and the range each may lie in."""

    number: int
    defaults: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    bounded: bool = False  # rewards must lie in [0, 1]
    masked: bool = True  # can leave unavailable arms out
    fixed: Callable[[int, int], tuple[float, ...]] | None = None  # (K, T) -> kernel parameters

    def parameters(self, name: str, given: dict[str, Any], arms: int, horizon: int) -> list[float]:
        """The kernel's parameter vector; unknown or out-of-range parameters are ValueErrors."""
        chosen = check_parameters(name, given, self.defaults, self.ranges)
        if self.fixed is not None:
            return [*self.fixed(arms, horizon), 0.0, 0.0]
        return [*chosen.values(), 0.0, 0.0, 0.0]


def _tuned_exp3(arms: int, horizon: int) -> tuple[float, ...]:
    # With one arm ln K is 0, and 0 would ask for the anytime step; any step is right there.
    return (math.sqrt(2.0 * math.log(max(arms, 2)) / (arms * horizon)),)


_ip, _adv, _el, _steps = index_policies, adversarial, elimination, constant_steps
_WINDOWS = {"alpha": (0.0, 1e300), "grid": (1.0, 1e6)}
ARMED_POLICIES = {
    "random": ArmedPolicy(_ip.RANDOM),
    "greedy": ArmedPolicy(_ip.EPS_GREEDY, fixed=lambda arms, horizon: (0.0, 0.0)),
    "eps_greedy": ArmedPolicy(_ip.EPS_GREEDY, {"eps": 0.1}, {"eps": (0.0, 1.0)}),
    # eps_t = min(1, c K / (gap² t)); eps itself is unused then
    "eps_decay": ArmedPolicy(
        _ip.EPS_GREEDY,
        {"eps": 0.0, "c": 1.0, "gap": 0.1},
        {"eps": (0.0, 0.0), "gap": (1e-300, 1.0)},
    ),
    "ucb1": ArmedPolicy(_ip.UCB, fixed=lambda arms, horizon: (4.0,)),
    # alpha = 4 sigma² for sigma-sub-Gaussian rewards
    "alpha_ucb": ArmedPolicy(_ip.UCB, {"alpha": 4.0}, {"alpha": (0.0, 1e300)}),
    "ucb_tuned": ArmedPolicy(_ip.UCB_TUNED, bounded=True),
    "moss": ArmedPolicy(_ip.MOSS),
    "moss_anytime": ArmedPolicy(_ip.MOSS_ANYTIME, {"alpha": 1.35}, {"alpha": (0.0, 1e300)}),
    "kl_ucb": ArmedPolicy(_ip.KL_UCB, {"c": 0.0}, {"c": (0.0, 1e300)}, bounded=True, masked=False),
    "imed": ArmedPolicy(_ip.IMED, bounded=True),
    "ts_beta": ArmedPolicy(_ip.TS_BETA, bounded=True),
    "ts_gauss": ArmedPolicy(_ip.TS_GAUSS, {"sigma": 1.0}),
    "exp3": ArmedPolicy(_adv.EXP3, fixed=_tuned_exp3, bounded=True, masked=False),
    "exp3_anytime": ArmedPolicy(
        _adv.EXP3, fixed=lambda arms, horizon: (0.0,), bounded=True, masked=False
    ),
    "exp3_ix": ArmedPolicy(
        _adv.EXP3_IX, fixed=lambda arms, horizon: (0.0,), bounded=True, masked=False
    ),
    "exp3_batched": ArmedPolicy(
        _adv.EXP3_BATCHED, {"batch": 10.0}, {"batch": (1.0, 1e9)}, bounded=True, masked=False
    ),
    "tsallis_inf": ArmedPolicy(
        _adv.TSALLIS_INF,
        {"reduced_variance": 0.0},
        {"reduced_variance": (0.0, 1.0)},
        bounded=True,
        masked=False,
    ),
    "successive_elimination": ArmedPolicy(
        _el.SUCCESSIVE_ELIMINATION, {"delta": 0.05}, {"delta": (1e-300, 1.0)}, masked=False
    ),
    "tallying_elimination": ArmedPolicy(
        _el.TALLYING_ELIMINATION, {"burn_in": 0.0}, {"burn_in": (0.0, 1e15)}, masked=False
    ),
    # a step of 0 averages; an optimistic greedy policy is eps = 0 with a large initial value
    "constant_step": ArmedPolicy(
        _steps.CONSTANT_STEP,
        {"eps": 0.1, "step": 0.1, "initial": 0.0},
        {"eps": (0.0, 1.0), "step": (0.0, 1.0), "initial": (-1e300, 1e300)},
        masked=False,
    ),
    "gradient": ArmedPolicy(
        _steps.GRADIENT, {"step": 0.1, "baseline": 1.0}, {"baseline": (0.0, 1.0)}, masked=False
    ),
    "raw_ucb": ArmedPolicy(
        rotting.RAW_UCB, {"alpha": 1.4, "sigma": 0.5, "grid": 1.0}, _WINDOWS, masked=False
    ),
    "fewa": ArmedPolicy(
        rotting.FEWA, {"alpha": 0.06, "sigma": 0.5, "grid": 1.0}, _WINDOWS, masked=False
    ),
}

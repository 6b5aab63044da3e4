"""Observation, reward and action scaling of an agent; saved and exported with it.

They stand between environment units (the episode store) and agent units (the replay). Evaluation
scores are always computed from untransformed rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rlkit.core.boxes import into_box
from rlkit.data.store import EpisodeStore

_STD_FLOOR = 1e-3  # added to the standard deviation: constant dimensions stay finite
_INSIDE = 1 - 1e-5  # largest |action| an agent is shown: atanh(1) is infinite
_RETURN_SPAN = 1000.0  # spread of returns after "return_range"


@dataclass(frozen=True, eq=False)
class Transforms:
    """Affine maps between environment and agent units; the default changes nothing.

    Raises ValueError for action bounds that are infinite, crossed or given by half, and for a
    standard deviation or reward scale that is not positive.
    """

    obs_mean: np.ndarray | None = None  # [*obs]
    obs_std: np.ndarray | None = None  # [*obs], floor included
    action_low: np.ndarray | None = None  # [A]; None for discrete actions
    action_high: np.ndarray | None = None  # [A]
    reward_scale: float = 1.0
    reward_bias: float = 0.0

    def __post_init__(self) -> None:
        for name in ("obs_mean", "obs_std", "action_low", "action_high"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, np.float64))
        for first, second in (("obs_mean", "obs_std"), ("action_low", "action_high")):
            a, b = getattr(self, first), getattr(self, second)
            if (a is None) != (b is None) or (a is not None and a.shape != b.shape):
                raise ValueError(f"{first} and {second} must be given together and alike in shape")
        low, high, std = self.action_low, self.action_high, self.obs_std
        if low is not None and high is not None:
            if not (np.isfinite(low) & np.isfinite(high)).all():
                raise ValueError(f"action bounds {low}..{high} must be finite to scale to [-1, 1]")
            if not (low < high).all():
                raise ValueError(f"action bounds {low}..{high}: low must be below high")
        if std is not None and not (np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("obs_std must be positive and finite")
        if not (np.isfinite(self.reward_bias) and 0 < self.reward_scale < np.inf):
            raise ValueError(
                f"reward scale {self.reward_scale} must be positive, bias {self.reward_bias} finite"
            )

    @staticmethod
    def fit(
        store: EpisodeStore,
        action_bounds: tuple[Any, Any] | None,
        normalise_obs: bool = False,
        reward: Literal["raw", "return_range", "minus_one"] = "raw",
    ) -> Transforms:
        """The transforms of a dataset.

        `action_bounds` are the environment's (low, high), None for discrete actions.
        `normalise_obs`: subtract the mean, divide by the standard deviation + 1e-3.
        `reward`: as recorded; times 1000 / (max - min undiscounted return); or minus 1 (sparse
        goals). Raises ValueError when actions leave the bounds or all returns are equal.
        """
        mean = std = low = high = None
        if normalise_obs:
            mean = store.obs.mean(0, dtype=np.float64)
            std = store.obs.std(0, dtype=np.float64) + _STD_FLOOR
        if action_bounds is None and not store.discrete:
            raise ValueError("continuous actions need action_bounds=(low, high)")
        if action_bounds is not None:
            store.check_action_bounds(*action_bounds)
            if not store.discrete:
                size = store.action.shape[1:]
                low, high = (np.broadcast_to(bound, size) for bound in action_bounds)
        scale, bias = 1.0, 0.0
        if reward == "return_range":
            spread = float(np.ptp(store.returns()))
            if spread == 0:
                raise ValueError("all episodes have the same return: no range to scale rewards by")
            scale = _RETURN_SPAN / spread
        elif reward == "minus_one":
            bias = -1.0
        elif reward != "raw":
            raise ValueError(f"reward={reward!r}: use 'raw', 'return_range' or 'minus_one'")
        return Transforms(mean, std, low, high, scale, bias)

    # --- maps ---------------------------------------------------------------------------------
    def obs(self, x: Any) -> np.ndarray:
        """Agent's observation of the environment's `x [..., *obs]`, same floating dtype."""
        x = np.asarray(x)
        if self.obs_mean is None or self.obs_std is None:
            return x
        return ((x - self.obs_mean) / self.obs_std).astype(_floating(x), copy=False)

    def reward(self, r: Any) -> np.ndarray:
        """Agent's reward of the environment's `r [...]`, same floating dtype."""
        r = np.asarray(r)
        if self.reward_scale == 1 and self.reward_bias == 0:
            return r
        wide = r.astype(np.float64) * self.reward_scale + self.reward_bias
        return wide.astype(_floating(r), copy=False)

    def to_agent(self, a: Any) -> np.ndarray:
        """Agent's action in ±(1 - 1e-5) of the environment's `a [..., A]`; discrete as it is."""
        a = np.asarray(a)
        if self.action_low is None or self.action_high is None:
            return a
        unit = 2 * (a - self.action_low) / (self.action_high - self.action_low) - 1
        return np.clip(unit, -_INSIDE, _INSIDE).astype(_floating(a), copy=False)

    def to_env(self, a: Any, dtype: Any = None) -> np.ndarray:
        """Environment's action within its bounds of the agent's `a [..., A]`, clipped to ±1
        first, of `dtype` (by default a's own floating one); discrete as it is."""
        a = np.asarray(a)
        if self.action_low is None or self.action_high is None:
            return a
        share = (np.clip(a.astype(np.float64), -1, 1) + 1) / 2
        scaled = self.action_low + share * (self.action_high - self.action_low)
        kind = _floating(a) if dtype is None else dtype
        return into_box(scaled, self.action_low, self.action_high, kind)

    # --- travelling with the agent ------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """JSON-able numbers; `from_state(state())` is exact."""
        arrays = ("obs_mean", "obs_std", "action_low", "action_high")
        lists = {
            name: None if (value := getattr(self, name)) is None else value.tolist()
            for name in arrays
        }
        return lists | {
            "reward_scale": float(self.reward_scale),
            "reward_bias": float(self.reward_bias),
        }

    @staticmethod
    def from_state(state: dict[str, Any]) -> Transforms:
        """The transforms whose `state` this is. Raises ValueError on missing or unknown names."""
        names = set(Transforms().state())
        if set(state) != names:
            raise ValueError(f"transforms have entries {sorted(names)}, got {sorted(state)}")
        return Transforms(**state)


def _floating(x: np.ndarray) -> np.dtype:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)

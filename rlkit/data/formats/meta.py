"""What is known of a dataset besides its rows: spaces, environment, reference returns, origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from rlkit.core.errors import UsageError
from rlkit.data.spaces import action_bounds, flat_shape
from rlkit.envs.checking import check_observations
from rlkit.envs.minigrid import spec_is_view

RLKIT_SCORE = "rlkit score"  # reference returns measured here; not comparable with D4RL's
D4RL_SCORE = "D4RL score"  # published constants, for D4RL files alone


@dataclass(frozen=True)
class Reference:
    """Returns that stand for 0 and 1 of a normalised score."""

    random: float  # mean return of a uniformly random policy
    expert: float  # mean return of the named expert
    expert_name: str = "expert"
    episodes: int | None = None  # episodes behind each of the two means, where known
    score_name: str = RLKIT_SCORE

    def score(self, returns: Any) -> np.ndarray:
        """(R - random) / (expert - random) of undiscounted returns; not clipped, not times 100."""
        return (np.asarray(returns, np.float64) - self.random) / (self.expert - self.random)


@dataclass(frozen=True)
class Meta:
    """Description of a dataset. `observation_space` and `action_space` are the environment's;
    the store's rows are flattened by the rule of `rlkit.data.spaces`."""

    dataset_id: str
    observation_space: spaces.Space
    action_space: spaces.Space
    env_spec: EnvSpec | None = None  # the environment the rows are of
    eval_env_spec: EnvSpec | None = None  # another one that policies are to be evaluated in
    reference: Reference | None = None
    behaviour_return: float | None = None  # mean return of the recorded policy
    algorithm: str = ""
    description: str = ""
    details: dict[str, Any] = field(default_factory=dict)  # recipe, versions: JSON-able
    notes: tuple[str, ...] = ()  # what the reader had to repair
    spaces_known: bool = True  # False where the file names no bounds: the spaces are assumed

    @property
    def env_id(self) -> str | None:
        return None if self.env_spec is None else self.env_spec.id

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """Shape of one observation in the store."""
        return flat_shape(self.observation_space)

    @property
    def discrete(self) -> bool:
        return isinstance(self.action_space, spaces.Discrete)

    @property
    def act_size(self) -> int:
        """Dimensions of a continuous action, or the number of discrete ones."""
        if isinstance(self.action_space, spaces.Discrete):
            return int(self.action_space.n)
        return len(action_bounds(self.action_space)[0])

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(low, high), each `[A]`, of continuous actions; None for discrete ones."""
        return None if self.discrete else action_bounds(self.action_space)

    @property
    def first_action(self) -> int:
        """Number of the first discrete action; 0 of continuous ones."""
        return int(self.action_space.start) if isinstance(self.action_space, spaces.Discrete) else 0


def check_learnable(meta: Meta, view: bool | None = None) -> bool:
    """Whether observations are images. Raises UsageError for those that no net takes.

    `view` says whether they are MiniGrid's cells; None: what the environment of the data says.
    """
    if view is None:
        view = meta.env_spec is not None and spec_is_view(meta.env_spec)
    try:
        return check_observations(meta.observation_space, view)
    except ValueError as error:
        raise UsageError(f"dataset {meta.dataset_id}: {error}") from error

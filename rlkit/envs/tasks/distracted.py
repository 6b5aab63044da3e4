"""Environments of gymnasium's whose observations carry numbers that no reward depends on.

After the distraction tasks of Voelcker et al. 2022 (arXiv 2204.01464): a model that must predict
everything spends itself on what no reward depends on. k further numbers follow the task's own:

    linear   x' = R x, R a rotation drawn once for each k, x_0 ~ N(0, scale²)
    noise    x ~ N(0, scale²), anew in every step

Linear distractors can be predicted without error, by a model that has room for R; noise cannot be.
Differs from the authors': their linear map is drawn without being scaled, so that its states may
grow without bound, and is reset beyond 20; a rotation keeps their size.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.envs.tasks import variants

Kind = Literal["linear", "noise"]
KINDS: tuple[Kind, ...] = ("linear", "noise")
DIMS = 10  # k of the registered ids
_INNER = (
    *("Pendulum-v1", "Ant-v5", "HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "Pusher-v5"),
    *("InvertedDoublePendulum-v5", "InvertedPendulum-v5", "Reacher-v5", "Swimmer-v5"),
    "Walker2d-v5",
)
# our id -> gymnasium's and the kind of distractors
IDS: dict[str, tuple[str, Kind]] = {
    f"rlkit/{inner.partition('-')[0]}{word}-{inner.rpartition('-')[2]}": (inner, kind)
    for inner in _INNER
    for kind, word in zip(KINDS, ("Distracted", "Noisy"), strict=True)
}


class Distracted(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """`env` whose observation vectors are followed by `dims` distractors, see the module."""

    def __init__(
        self, env: gymnasium.Env, dims: int = DIMS, kind: Kind = "linear", scale: float = 1.0
    ) -> None:
        """Raises ValueError for observations that are no vectors, and settings that make no
        sense."""
        RecordConstructorArgs.__init__(self, dims=dims, kind=kind, scale=scale)
        gymnasium.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations {space} are no vectors that numbers could follow")
        if dims < 1 or not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"dims {dims} must be at least 1, scale {scale} positive")
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r} of distractors is not known; give one of {KINDS}")
        self.kind, self.scale, self.rotation = kind, scale, rotation(dims)
        self.x = np.zeros(dims)
        edge = np.full(dims, np.inf)
        low, high = np.concatenate([space.low, -edge]), np.concatenate([space.high, edge])
        dtype: Any = space.dtype
        self.observation_space = gymnasium.spaces.Box(
            low.astype(dtype), high.astype(dtype), dtype=dtype.type
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """First observation of an episode; distractors are of the environment's own generator."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.x = self._drawn()
        return self._joined(observation), info

    def observation(self, observation: Any) -> np.ndarray:
        """The observation, and the distractors one step on."""
        self.x = self.rotation @ self.x if self.kind == "linear" else self._drawn()
        return self._joined(observation)

    def _drawn(self) -> np.ndarray:
        return self.scale * self.unwrapped.np_random.standard_normal(len(self.x))

    def _joined(self, observation: Any) -> np.ndarray:
        return np.concatenate([observation, self.x]).astype(self.observation_space.dtype)


def rotation(dims: int) -> np.ndarray:
    """R `[dims, dims]`: orthogonal, the same for the same number of dimensions."""
    q, r = np.linalg.qr(np.random.default_rng(dims).standard_normal((dims, dims)))
    return q * np.sign(np.diag(r))


def distracted(name: str, **kwargs: Any) -> gymnasium.Env:
    """The environment behind one of our `IDS`, without its limit of steps, which the id has;
    `dims` and `scale` are the wrapper's, other keywords gymnasium's."""
    inner, kind = IDS[name]
    own = {key: kwargs.pop(key) for key in ("dims", "scale") if key in kwargs}
    return Distracted(gymnasium.make(inner, **kwargs).unwrapped, kind=kind, **own)


def register() -> None:
    """Makes the ids known to gymnasium; a second call changes nothing."""
    inner = {name: of for name, (of, _) in IDS.items()}
    variants.register(inner, "rlkit.envs.tasks.distracted:distracted")

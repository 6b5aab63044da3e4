"""Evaluation of policies in gymnasium environments: every episode, whole, and reproducible.

Episode e of a lane is reset with a seed made of the lane's seed and e alone.  It is the same
episode in any company of lanes, at any batch size and at every evaluation of a training, so that
curves are not blurred by luck with start states.  All lanes act in one call of the policy.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlkit.core.boxes import as_declared, into_box
from rlkit.envs.stepping import begun, closed, stepped
from rlkit.envs.worlds import Worlds, worlds
from rlkit.eval.records import Array, Episode

if TYPE_CHECKING:
    import gymnasium


class Slots(NamedTuple):
    """What runs in the `n` slots of each of the `S` lanes; a recurrent or noisy policy needs it."""

    episode: Array  # [S, n] number of the episode within its lane
    t: Array  # [S, n] its environment steps so far; 0 means the observation is from a reset
    active: Array  # [S, n] False once a slot has no episode left; its action is not used
    reward: Array  # [S, n] of its last step; 0 where t is 0


Act = Callable[[Array, Slots], Array]  # observations [S, n, *obs] -> actions [S, n, *act]


class Evaluator:
    """Runs whole evaluation episodes of S lanes, on environments made once and reused.

    A context manager; `close` frees the environments.
    """

    def __init__(
        self,
        env_fn: Callable[[], "gymnasium.Env[Any, Any]"],
        seeds: Sequence[int],
        *,
        batch: int = 10,
        max_steps: int | None = None,
        encode: Callable[[Any], Array] | None = None,
        level: Callable[[int], int] | None = None,
    ) -> None:
        """
        Args:
            env_fn: makes one environment.
            seeds: one non-negative integer a lane.
            batch: episodes a lane runs side by side; changes speed, not results.
            max_steps: cuts an episode that the environment itself does not end.
            encode: turns one observation into an array; needed for dictionaries and tuples.
            level: the reset seed that an episode's seed chooses; None: that one itself.
        """
        if not len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds must be one or more non-negative integers, got {seeds}")
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {max_steps}")
        self.seeds = [int(seed) for seed in seeds]
        self.batch = batch
        self._env_fn = env_fn
        self._max_steps = max_steps
        self._encode = encode or _as_array
        self._level = level
        self._worlds: Worlds | None = None

    def __enter__(self) -> "Evaluator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all environments; a later call makes new ones."""
        if self._worlds is not None:
            self._worlds.close()
        self._worlds = None

    def __call__(self, act: Act, episodes: int, step: int = 0) -> list[Episode]:
        """All episodes, ordered by lane and number; `step` is the training step they belong to.

        `act(obs [S, n, *obs], slots)` returns actions `[S, n, *act]`.  All slots are always passed,
        finished ones with an old observation, so that shapes stay the same.  Observations and
        actions have the types that the spaces declare, actions are clipped into a box.  An
        episode whose policy returns a non-finite action ends there with return NaN and a
        RuntimeWarning: a diverged lane does not take the others down.
        """
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {episodes}")
        n = min(self.batch, episodes)
        lanes = len(self.seeds)
        many = self._made(lanes * n)
        rows = np.arange(lanes * n).reshape(lanes, n)
        space = many.action_space

        slots = Slots(
            episode=np.tile(np.arange(n), (lanes, 1)),
            t=np.zeros((lanes, n), np.int64),
            active=np.ones((lanes, n), bool),
            reward=np.zeros((lanes, n)),
        )
        waiting = [n] * lanes  # next episode of each lane
        returns = np.zeros((lanes, n))
        first = [[self._reset(many, rows[k, i], k, i) for i in range(n)] for k in range(lanes)]
        obs: Array = np.array(first)  # [S, n, *obs]
        done: list[Episode] = []
        while slots.active.any():
            # Copies, because a policy may keep what it was given.
            given = act(obs.copy(), Slots(*(field.copy() for field in slots)))
            finite, actions = _checked_actions(given, space, (lanes, n))
            stepped = slots.active & finite
            led_to = zip(*many.step(actions[stepped], rows[stepped]), strict=True)
            for k, i in np.argwhere(slots.active):
                if finite[k, i]:
                    raw, reward, terminated, truncated = next(led_to)
                    slots.reward[k, i] = float(reward)
                    returns[k, i] += slots.reward[k, i]
                    slots.t[k, i] += 1
                else:
                    raw, terminated, truncated = None, False, True
                    returns[k, i] = np.nan
                    warnings.warn(
                        f"lane {k} (seed {self.seeds[k]}): the policy returned a non-finite action "
                        f"at step {slots.t[k, i]} of episode {slots.episode[k, i]}; its return is "
                        "recorded as NaN",
                        RuntimeWarning,
                        stacklevel=2,
                    )
                if not (terminated or truncated or slots.t[k, i] == self._max_steps):
                    obs[k, i] = self._encoded(raw, many)
                    continue
                done.append(
                    Episode(
                        lane=int(k),
                        seed=self.seeds[k],
                        step=int(step),
                        episode=int(slots.episode[k, i]),
                        return_=float(returns[k, i]),
                        length=int(slots.t[k, i]),
                        terminated=bool(terminated),
                    )
                )
                if waiting[k] < episodes:
                    slots.episode[k, i] = waiting[k]
                    slots.t[k, i] = 0
                    slots.reward[k, i] = returns[k, i] = 0.0
                    obs[k, i] = self._reset(many, rows[k, i], int(k), waiting[k])
                    waiting[k] += 1
                else:
                    slots.active[k, i] = False
        return sorted(done, key=lambda e: (e.lane, e.episode))

    def _made(self, size: int) -> Worlds:
        """Environments for so many slots; those of a former call where they are enough."""
        if self._worlds is None:
            self._worlds = worlds(self._env_fn, size)
        self._worlds.ensure(size)
        return self._worlds

    def _reset(self, many: Worlds, row: int, lane: int, episode: int) -> Array:
        seed = episode_seed(self.seeds[lane], episode)
        seed = seed if self._level is None else self._level(seed)
        return self._encoded(many.reset(int(row), seed), many)

    def _encoded(self, raw: Any, many: Worlds) -> Array:
        array = self._encode(raw)
        kind = many.observation_space.dtype
        if kind is None:  # of a composite space: wide enough for what later steps may return
            kind = np.result_type(array.dtype, np.float32)
        return as_declared(array, kind)


def rollout(
    act: Act,
    env_fn: Callable[[], "gymnasium.Env[Any, Any]"],
    episodes: int,
    seeds: Sequence[int],
    *,
    step: int = 0,
    batch: int = 10,
    max_steps: int | None = None,
    encode: Callable[[Any], Array] | None = None,
    level: Callable[[int], int] | None = None,
) -> list[Episode]:
    """All episodes of one evaluation; see `Evaluator`, which keeps its environments for the next.

    `episodes` is the number a lane.
    """
    with Evaluator(
        env_fn, seeds, batch=batch, max_steps=max_steps, encode=encode, level=level
    ) as evaluate:
        return evaluate(act, episodes, step)


def reference_returns(
    env_fn: Callable[[], "gymnasium.Env[Any, Any]"],
    episodes: int,
    seed: int,
    *,
    max_steps: int | None = None,
) -> Array:
    """Returns `[episodes]` of actions drawn uniformly from the action space.

    Episode e starts as episode e of a lane of this seed does in `rollout`.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    env = env_fn()
    returns = np.zeros(episodes)
    for e in range(episodes):
        begun(env, episode_seed(seed, e))
        env.action_space.seed(episode_seed(seed, e, stream=1))
        t, ended = 0, False
        while not ended:
            _, reward, terminated, truncated = stepped(env, env.action_space.sample())
            returns[e] += reward
            t += 1
            ended = terminated or truncated or t == max_steps
    closed(env)
    return returns


def episode_seed(lane_seed: int, episode: int, stream: int = 0) -> int:
    """Reset seed of an episode, below 2**31 as some environments want it."""
    state = np.random.SeedSequence([lane_seed, episode, stream]).generate_state(1)
    return int(state[0] >> 1)


def _as_array(observation: Any) -> Array:
    if isinstance(observation, dict | tuple):
        raise ValueError(
            f"the environment gives {type(observation).__name__} observations; pass encode=, "
            "a function that turns one observation into an array"
        )
    return np.asarray(observation)


def _checked_actions(
    actions: Array, space: "gymnasium.Space[Any]", lead: tuple[int, int]
) -> tuple[Array, Array]:
    """Which actions are finite `[S, n]`, and all `[S, n, *act]` in the type of `space` and inside
    it where it is a box; or a ValueError that says why not."""
    actions = np.asarray(actions)
    shape = lead + tuple(space.shape or ())
    if actions.shape != shape:
        raise ValueError(f"act returned actions of shape {actions.shape}, expected {shape}")
    finite = np.asarray(np.isfinite(actions).reshape(*lead, -1).all(-1))
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    if low is not None and high is not None:
        safe = np.where(finite.reshape(*lead, *[1] * (len(shape) - 2)), actions, low)
        return finite, into_box(safe.astype(actions.dtype), low, high, space.dtype)
    integer = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
    if integer and not np.issubdtype(actions.dtype, np.integer):
        raise ValueError(f"act returned {actions.dtype} actions, but {space} takes integers")
    return finite, actions

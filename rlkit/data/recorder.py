"""Recording any policy into episodes with true final observations.

An episode is a mapping with `obs` (T+1, the last observation included), `action`, `reward`,
`terminated`, `truncated` (T): what `EpisodeStore.from_episodes` and the Minari writer take.
Rewards keep float64. Composite observations stay nested as their space is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate

from rlkit.data.spaces import executable, stack
from rlkit.envs.stepping import begun, stepped

Act = Callable[[Any], Any]
Episode = dict[str, Any]


def record_episode(env: gymnasium.Env, act: Act, seed: int | None = None) -> Episode:
    """One whole episode of `act(observation) -> action`, both unbatched, in environment units.

    Actions are clipped into their box and have its type, which is what is recorded. A given `seed`
    resets the environment and is kept as the column `level_seed`. Raises
    ValueError for an action or a reward that is not finite, before it enters the episode.
    """
    taking = _Taking(env.observation_space, env.action_space)
    obs = begun(env, seed)
    taking.begin(obs)
    ended = False
    while not ended:
        action = executable(env.action_space, act(obs))
        obs, reward, terminated, truncated = stepped(env, action)
        ended = terminated or truncated
        taking.add(action, reward, terminated, truncated, obs)
    episode = taking.finish()
    if seed is not None:
        episode["level_seed"] = np.full(len(episode["reward"]), seed, np.int64)
    return episode


def record(
    env: gymnasium.Env | VectorEnv,
    act: Act,
    *,
    steps: int | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Episode]:
    """Episodes of `act(observations [E, ...]) -> actions [E, ...]` in E environments at once.

    A plain environment counts as E = 1. Give `steps` (in all, rounded up to a multiple of E; what
    is still running then ends truncated) or `episodes` (shared out evenly beforehand, so that
    short ones are not preferred). Vector environments may use any autoreset mode; rows made of a
    reset are never recorded. `on_step(done, total)` reports progress in what was asked for.
    """
    if (steps is None) == (episodes is None):
        raise ValueError("give either steps or episodes")
    total = steps if steps is not None else episodes
    if total is None or total < 1:
        raise ValueError(f"steps or episodes must be at least 1, got {total}")
    lanes = _Vector(env) if isinstance(env, VectorEnv) else _Single(env)
    taking = [_Taking(lanes.observation_space, lanes.action_space) for _ in range(lanes.count)]
    quota = [total // lanes.count + (i < total % lanes.count) for i in range(lanes.count)]
    if steps is not None:
        quota = [-(-total // lanes.count)] * lanes.count
    done_episodes: list[list[Episode]] = [[] for _ in taking]
    obs = lanes.reset(seed)
    firsts = lanes.rows(obs)
    for one, first in zip(taking, firsts, strict=True):
        one.begin(first)
    done = [0] * lanes.count
    while any(d < q for d, q in zip(done, quota, strict=True)):
        actions = executable(lanes.batched_space, act(obs))
        skipped = lanes.resetting.copy()
        obs, finals, rewards, terminated, truncated = lanes.step(actions)
        starts, chosen = lanes.rows(obs), lanes.actions(actions)
        for i, one in enumerate(taking):
            if done[i] >= quota[i]:
                continue
            if skipped[i]:  # next-step autoreset: this row is the reset, its action was ignored
                one.begin(starts[i])
                continue
            one.add(chosen[i], float(rewards[i]), terminated[i], truncated[i], finals[i])
            ended = bool(terminated[i] or truncated[i])
            done[i] += 1 if steps is not None else int(ended)
            if ended:
                done_episodes[i].append(one.finish())
                if not lanes.resetting[i]:
                    one.begin(starts[i])
        if on_step is not None:
            on_step(min(sum(done), total), total)
    if steps is not None:
        for one, kept in zip(taking, done_episodes, strict=True):
            if one.length:
                kept.append(one.finish())
    return [episode for kept in done_episodes for episode in kept]


class _Taking:
    """The episode being recorded in one environment."""

    def __init__(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        self.spaces = observation_space, action_space
        self.begin(None)

    def begin(self, obs: Any) -> None:
        # Environments may reuse the array they return.
        self.obs: list[Any] = [_copy(obs)]
        self.action: list[Any] = []
        self.outcome: list[tuple[float, bool, bool]] = []

    @property
    def length(self) -> int:
        return len(self.outcome)

    def add(self, action: Any, reward: float, terminated: Any, truncated: Any, obs: Any) -> None:
        if not np.isfinite(reward):
            raise ValueError(f"step {self.length} of an episode: reward {reward} is not finite")
        if isinstance(action, np.ndarray) and not np.isfinite(action).all():
            raise ValueError(f"step {self.length} of an episode: action {action} is not finite")
        self.action.append(_copy(action))
        self.outcome.append((reward, bool(terminated), bool(truncated)))
        self.obs.append(_copy(obs))

    def finish(self) -> Episode:
        reward, terminated, truncated = zip(*self.outcome, strict=True)
        last = np.zeros(len(reward), bool)
        last[-1] = not (terminated[-1] or truncated[-1])  # the recording ended, not the episode
        episode = {
            "obs": stack(self.spaces[0], self.obs),
            "action": stack(self.spaces[1], self.action),
            "reward": np.array(reward, np.float64),
            "terminated": np.array(terminated),
            "truncated": np.array(truncated) | last,
        }
        self.begin(None)
        return episode


class _Single:
    """A plain environment in the manner of a vector environment of one."""

    count = 1

    def __init__(self, env: gymnasium.Env) -> None:
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.batched_space = gymnasium.vector.utils.batch_space(self.action_space)
        self.resetting = np.zeros(1, bool)

    def reset(self, seed: int | None) -> Any:
        return self._batch(begun(self.env, seed))

    def step(self, actions: Any) -> tuple[Any, list[Any], Any, Any, Any]:
        final, reward, terminated, truncated = stepped(self.env, self.actions(actions)[0])
        final = _copy(final)  # the reset may write into the same array
        obs = begun(self.env) if terminated or truncated else final
        return self._batch(obs), [final], [reward], [terminated], [truncated]

    def rows(self, obs: Any) -> list[Any]:
        return [self._last]

    def actions(self, actions: Any) -> list[Any]:
        return list(iterate(self.batched_space, actions))

    def _batch(self, obs: Any) -> Any:
        self._last = obs
        return stack(self.observation_space, [obs])


class _Vector:
    """A vector environment whose resets have been told apart from its steps."""

    def __init__(self, env: VectorEnv) -> None:
        self.env, self.count = env, env.num_envs
        self.observation_space = env.single_observation_space
        self.action_space, self.batched_space = env.single_action_space, env.action_space
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.mode = mode if isinstance(mode, AutoresetMode) else AutoresetMode(mode)
        self.resetting = np.zeros(self.count, bool)  # the coming step of these is a reset

    def reset(self, seed: int | None) -> Any:
        self.resetting[:] = False
        return self.env.reset(seed=seed)[0]

    def step(self, actions: Any) -> tuple[Any, list[Any], Any, Any, Any]:
        obs, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = np.asarray(terminated) | np.asarray(truncated)
        finals = self.rows(obs)
        if self.mode is AutoresetMode.SAME_STEP:
            for i in np.flatnonzero(ended):
                finals[i] = infos["final_obs"][i]
        elif self.mode is AutoresetMode.NEXT_STEP:
            self.resetting = ended
        elif ended.any():
            obs = self.env.reset(options={"reset_mask": ended})[0]
        return obs, finals, rewards, terminated, truncated

    def rows(self, obs: Any) -> list[Any]:
        return list(iterate(self.env.observation_space, obs))

    def actions(self, actions: Any) -> list[Any]:
        return list(iterate(self.env.action_space, actions))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_copy(part) for part in value)
    return value.copy() if isinstance(value, np.ndarray) else value

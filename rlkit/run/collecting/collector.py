"""Experience of S lanes in E environments each: same-step resets, true final observations."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rlkit.core.boxes import as_declared, into_box
from rlkit.core.errors import RunError
from rlkit.core.spec import Spec
from rlkit.envs.pooled import Pooled
from rlkit.envs.pools import level
from rlkit.envs.snapshot import SnapshotUnsupported
from rlkit.envs.worlds import Worlds, worlds
from rlkit.eval.rollout import episode_seed
from rlkit.run.collecting.teaching import Teaching
from rlkit.run.task import Task

_FIRST_STREAM = 2  # of episode seeds; 0 and 1 belong to evaluation
_COUNTERS = ("obs", "episode", "returns", "lengths", "return_sums", "length_sums", "finished")


class Step(NamedTuple):
    """One step of every environment in agent units; the arguments of `Replay.add` in order."""

    s: np.ndarray  # [S, E, *obs]
    a: np.ndarray  # [S, E, A] or [S, E]
    r: np.ndarray  # [S, E]
    terminated: np.ndarray  # [S, E]
    truncated: np.ndarray  # [S, E]
    s2: np.ndarray  # [S, E, *obs], the observation the step led to, at an episode's end too


class Collector:
    """Environments of all lanes; each has its own, and its episodes have seeds of their own.

    Episode n of environment e is reset with a seed made of (lane's seed, e, n) alone, so a lane
    meets the same starts in any company; with `levels` it chooses one of so many levels, with
    `teaching` a teacher its task. `obs` `[S, E, *obs]` is what the policy must act on. Observations
    and actions have the types that the environment's spaces declare.
    """

    def __init__(
        self,
        task: Task,
        spec: Spec,
        envs: int,
        levels: int = 0,
        pooled: bool = False,
        teaching: Teaching | None = None,
    ) -> None:
        self.task, self.spec, self.levels, self.teaching = task, spec, levels, teaching
        lead = (spec.lanes, envs)
        # by lane, then by environment
        rows = spec.lanes * envs
        # What is not finite is told here, with its place (`_broken`).
        self.worlds: Worlds = (
            Pooled(task.make_env, rows) if pooled else worlds(task.make_env, rows, finite=False)
        )
        self._rows = np.arange(spec.lanes * envs).reshape(lead)
        self.episode = np.zeros(lead, np.int64)  # number of the episode under way
        self.returns, self.lengths = np.zeros(lead), np.zeros(lead, np.int64)  # of it so far
        # of the episodes finished since `take_finished`
        self.return_sums, self.length_sums = np.zeros(spec.lanes), np.zeros(spec.lanes)
        self.finished = np.zeros(spec.lanes, np.int64)
        # of observations, whatever array an environment returns
        self.dtype = self.worlds.observation_space.dtype
        self.obs: np.ndarray = np.zeros(0, self.dtype)

    @property
    def begun(self) -> bool:
        """Whether there was a first reset."""
        return self.obs.size > 0

    def close(self) -> None:
        self.worlds.close()

    def reset(self) -> None:
        """Begin episode number `episode` in every environment."""
        self.returns[:], self.lengths[:] = 0, 0
        places = list(np.ndindex(self._rows.shape))
        if self.teaching is None:
            begun = self.worlds.begin([self._seed(k, e) for k, e in places])
        else:
            begun = [self._begun(k, e) for k, e in places]
        first = np.array([self._encoded(raw) for raw in begun])
        self.obs = first.reshape(*self._rows.shape, *first.shape[1:])

    def step(self, actions: np.ndarray) -> Step:
        """The step that `actions` `[S, E, A]` (or `[S, E]`), in agent units, lead to.

        Stored actions are those that were executed, clipped to the box. Raises RunError when a
        policy has diverged.
        """
        if not np.isfinite(actions).all():
            k = int(np.argwhere(~np.isfinite(actions))[0, 0])
            raise RunError(
                f"the policy of seed {self.spec.seeds[k]} returned an action that is not finite; "
                "it has diverged: lower its learning rate"
            )
        in_env = self._executed(actions)
        lead = self.episode.shape
        before, after = self.obs, np.empty_like(self.obs)
        flat = in_env.reshape(-1, *in_env.shape[2:])
        done = self.worlds.step(flat, self._rows.reshape(-1))
        exact = done.reward.reshape(lead)
        reward = exact.astype(np.float32)
        terminated, truncated = done.terminated.reshape(lead), done.truncated.reshape(lead)
        for (k, e), raw in zip(np.ndindex(lead), done.observations, strict=True):
            after[k, e] = self._encoded(raw)
        sound = np.isfinite(reward) & np.isfinite(after).reshape(*lead, -1).all(-1)
        if not sound.all():
            k, e = map(int, np.argwhere(~sound)[0])
            raise RunError(self._broken(k, e, exact[k, e], after[k, e]))
        self.returns += exact
        self.lengths += 1
        self.obs = after
        over = np.argwhere(terminated | truncated)
        if len(over):
            self.obs = after.copy()
            for k, e in over:
                self.obs[k, e] = self._finish(int(k), int(e))
        scale, stored = self.task.transforms, actions
        if not self.spec.discrete:
            stored = scale.to_agent(in_env.reshape(actions.shape)).astype(np.float32, copy=False)
        s, s2 = self._agent_obs(before), self._agent_obs(after)
        return Step(s, stored, scale.reward(reward), terminated, truncated, s2)

    def take_finished(self) -> dict[str, np.ndarray]:
        """Mean return and length `[S]` of the training episodes finished since the last call (NaN
        where none was), and their number."""
        count = np.where(self.finished > 0, self.finished, np.nan)
        summary = {
            "train_return": self.return_sums / count,
            "train_length": self.length_sums / count,
            "train_episodes": self.finished.copy(),
        }
        self.return_sums[:], self.length_sums[:], self.finished[:] = 0, 0, 0
        return summary

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON-able meta: counters, observations, and every environment's snapshot.

        Environments that cannot be saved leave `meta["unsupported"]`, which says why.
        """
        tensors = {name: torch.from_numpy(np.array(getattr(self, name))) for name in _COUNTERS}
        meta: dict[str, Any] = {"unsupported": "", "snapshots": {}}
        try:
            for (k, e), row in np.ndenumerate(self._rows):
                saved = self.worlds.snapshot(int(row))
                # through text, so that what is restored now and after a restart is the same
                meta["snapshots"][f"{k}.{e}"] = json.dumps(saved["meta"])
                for name, array in saved["arrays"].items():
                    tensors[f"{k}.{e}.{name}"] = torch.from_numpy(array)
        except SnapshotUnsupported as error:
            meta = {"unsupported": str(error), "snapshots": {}}
            tensors = {name: t for name, t in tensors.items() if name in _COUNTERS}
        return tensors, meta

    def load(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> str:
        """Continue from `state`. Empty, or why every environment began a new episode instead."""
        for name in _COUNTERS:
            setattr(self, name, tensors[name].numpy().copy())
        why = str(meta["unsupported"])
        try:
            for (k, e), row in np.ndenumerate(self._rows[: 0 if why else None]):
                begin = f"{k}.{e}."
                arrays = {
                    name.removeprefix(begin): t.numpy()
                    for name, t in tensors.items()
                    if name.startswith(begin)
                }
                saved = json.loads(meta["snapshots"][f"{k}.{e}"])
                self.worlds.restore(int(row), {"arrays": arrays, "meta": saved})
        except SnapshotUnsupported as error:
            why = str(error)
        if why:
            self.episode += 1  # the interrupted ones are lost
            self.reset()
        return why

    def _seed(self, lane: int, env: int) -> int:
        """Of the episode that is to begin."""
        seed = episode_seed(
            self.spec.seeds[lane], int(self.episode[lane, env]), _FIRST_STREAM + env
        )
        return level("train", seed, self.levels) if self.levels else seed

    def _encoded(self, observation: Any) -> np.ndarray:
        return as_declared(self.task.encode(observation), self.dtype)

    def _executed(self, actions: np.ndarray) -> np.ndarray:
        """What the environments get of the agent's actions: inside their space, in its type."""
        space, in_env = self.worlds.action_space, self.task.to_env(actions)
        if not isinstance(space, gymnasium.spaces.Box):
            return in_env
        return into_box(in_env, space.low, space.high, space.dtype)

    def _broken(self, lane: int, env: int, reward: Any, obs: np.ndarray) -> str:
        episode, t = self.episode[lane, env], self.lengths[lane, env]
        what = f"observation {obs}" if np.isfinite(reward) else f"reward {reward}"
        return (
            f"environment {self.task.env} returned the {what} at step {t} of episode {episode} of "
            f"seed {self.spec.seeds[lane]}; what is not finite (in float32) cannot be learnt from"
        )

    def _finish(self, lane: int, env: int) -> np.ndarray:
        self.return_sums[lane] += self.returns[lane, env]
        self.length_sums[lane] += self.lengths[lane, env]
        self.finished[lane] += 1
        self.episode[lane, env] += 1
        if self.teaching is not None:
            self.teaching.ended(lane, env, float(self.returns[lane, env]))
        self.returns[lane, env], self.lengths[lane, env] = 0, 0
        return self._encoded(self._begun(lane, env))

    def _begun(self, lane: int, env: int) -> Any:
        """The first observation of the episode that is to begin, of its teacher's task."""
        options = None if self.teaching is None else self.teaching.begin(lane, env)
        return self.worlds.reset(int(self._rows[lane, env]), self._seed(lane, env), options)

    def _agent_obs(self, obs: np.ndarray) -> np.ndarray:
        if self.task.image:
            return obs
        return self.task.transforms.obs(obs).astype(np.float32, copy=False)

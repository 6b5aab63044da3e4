"""A policy that plays, and its episodes step by step, with pictures where they are wanted.

An episode depends on its seed alone: it can be played once to learn how it goes and once more to be
drawn, so that no picture is kept longer than it takes to write it.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from rlkit.core.boxes import as_declared
from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.streams import generator
from rlkit.data.spaces import executable
from rlkit.envs.make import make
from rlkit.envs.stepping import begun, closed, named, stepped
from rlkit.eval.rollout import episode_seed
from rlkit.policy import onnx_file
from rlkit.policy.policy import Policy
from rlkit.run.clips import opengl
from rlkit.run.policies import recording
from rlkit.run.policies.evaluation import SPACING, check_spaces, longest, maker
from rlkit.run.policies.export import from_run

_PICTURE = "rgb_array"


Act = Callable[[Any, bool, float], Any]  # observation, whether it is the first, last reward


@dataclass(frozen=True)
class Player:
    """A policy and where it plays."""

    name: str  # what it is called above the picture
    begin: Callable[[], Act]  # what acts in one episode
    make_env: Callable[..., gymnasium.Env]
    seed: int  # of the lane: start states follow from it
    lane: int
    step: int  # of the training, -1 where unknown
    fps: float  # steps a second
    limit: int | None  # steps after which an episode is cut that the environment does not end

    def seed_of(self, episode: int, seed: int) -> int:
        """Reset seed of an episode, as the seeds of `rlkit eval` count them."""
        return episode_seed(self.seed + SPACING * seed, episode)


class Moment(NamedTuple):
    """Where an episode stands."""

    t: int  # steps taken
    total: float  # rewards so far
    picture: np.ndarray | None  # [H, W, 3] uint8
    end: str  # "", "terminated", "truncated" or "lost": the policy gave no finite action


def player(
    policy: str | Path,
    *,
    env: str | None = None,
    lane: int | None = None,
    checkpoint: str | int = "best",
) -> Player:
    """The policy of a run folder, of a file of `rlkit export` (ONNX too), or of a model of
    stable-baselines3, in the environment it was trained for or in `env`.

    Raises UsageError where there is none, where its spaces do not fit, and where it draws nothing.
    """
    path = Path(policy)
    if path.is_file() and zipfile.is_zipfile(path):
        return _of_sb3(path, env)
    found: Policy | onnx_file.OnnxPolicy
    if path.is_dir():
        found = from_run(path, lane=lane, checkpoint=checkpoint)
    else:
        found = onnx_file.load(path) if path.suffix == ".onnx" else Policy.load(path)
    card = found.card
    make_env = maker(card, env, path)
    check_spaces(
        make_env,
        card.obs_shape,
        card.action_shape,
        card.first_action,
        found.transforms,
        card.spaces,
    )

    def begin() -> Act:
        if not isinstance(found, Policy) or not found.card.history:
            return lambda obs, first, reward: found.act(np.asarray(obs).reshape(card.obs_shape))
        # episodes are drawn side by side, and such a policy remembers one of them
        own = from_run(path, lane=card.lane, checkpoint=card.step)
        return lambda obs, first, reward: own.act(
            np.asarray(obs).reshape(card.obs_shape), first=first, reward=reward
        )

    where = env or card.env
    name = f"{card.algo} {where}" if where else card.algo
    fps = check_drawing(make_env, where or str(path))
    return Player(name, begin, make_env, card.seed, card.lane, card.step, fps, longest(make_env))


def _of_sb3(path: Path, env: str | None) -> Player:
    if env is None:
        raise UsageError(f"{path} names no environment; give one with --env")
    acting = recording.load(path)

    def make_env(**kwargs: Any) -> gymnasium.Env:
        return make(env, **kwargs)

    fps = check_drawing(make_env, env)

    def begin() -> Act:
        act = acting.begin(generator(0, "behaviour", 0))
        return lambda obs, first, reward: act(obs)

    return Player(f"{acting.name} {env}", begin, make_env, 0, 0, -1, fps, longest(make_env))


def check_drawing(make_env: Callable[..., gymnasium.Env], name: str) -> float:
    """Steps a second of an environment that draws pictures.

    Raises UsageError for one that draws none, RlkitError where MuJoCo has nothing to draw with.
    """
    env = make_env()
    try:
        modes, fps = env.metadata.get("render_modes") or [], env.metadata.get("render_fps")
        if _PICTURE not in modes:
            raise UsageError(f"{name} draws no pictures: its render_modes are {list(modes)}")
        if _draws_by_mujoco(env):
            opengl.choose()
    finally:
        closed(env)
    return float(fps or 30)


def drawn(player: Player, size: int) -> gymnasium.Env:
    """The environment with pictures of about `size` pixels."""
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame's, which looks for a screen
    env = player.make_env(render_mode=_PICTURE)
    if _draws_by_mujoco(env):
        _aim(env.unwrapped, size)
    return env


def _aim(inner: Any, size: int) -> None:
    """Have MuJoCo draw a square of `size` pixels, and follow what moves: the camera stands still by
    default, and a runner is gone from its picture within a second."""
    import mujoco

    renderer = getattr(inner, "mujoco_renderer", None)
    if renderer is None:  # it draws in a way of its own
        return
    renderer.width = renderer.height = size
    buffer = inner.model.vis.global_
    buffer.offwidth, buffer.offheight = max(buffer.offwidth, size), max(buffer.offheight, size)
    if renderer.camera_id != -1:  # somebody has chosen
        return
    track = mujoco.mj_name2id(inner.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    settings = renderer.default_cam_config or {}
    if track >= 0:
        renderer.camera_id = track
    elif "trackbodyid" in settings:
        renderer.default_cam_config = {**settings, "type": int(mujoco.mjtCamera.mjCAMERA_TRACKING)}
        renderer.camera_id = None  # else it is set free at each picture


def play(
    player: Player, env: gymnasium.Env, seed: int, wanted: Callable[[int], bool]
) -> Iterator[Moment]:
    """One whole episode from its reset on; a picture at the steps that are `wanted`."""
    act = player.begin()
    raw = begun(env, seed)
    t, total, reward, end = 0, 0.0, 0.0, ""
    while True:
        yield Moment(t, total, _picture(env) if wanted(t) else None, end)
        if end:
            return
        action = act(as_declared(raw, env.observation_space.dtype), t == 0, reward)
        if not np.isfinite(action).all():
            total, end = math.nan, "lost"
            continue
        action = executable(env.action_space, action)
        if isinstance(action, np.ndarray) and not action.ndim:
            action = action.item()
        raw, reward, terminated, truncated = stepped(env, action)
        t, total = t + 1, total + reward
        cut = truncated or t == player.limit
        end = "terminated" if terminated else "truncated" if cut else ""


def _picture(env: gymnasium.Env) -> np.ndarray:
    try:
        picture = np.asarray(env.render())
    except Exception as error:  # of whatever it draws with
        raise RlkitError(
            f"environment {named(env)} cannot draw: {type(error).__name__}: {error}"
        ) from error
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise RlkitError(
            f"environment {named(env)} drew an array of shape {picture.shape}, not (H, W, 3)"
        )
    return picture


def _draws_by_mujoco(env: gymnasium.Env) -> bool:
    inner = env.unwrapped
    is_mujoco = any(kind.__name__ == "MujocoEnv" for kind in type(inner).__mro__)
    return is_mujoco and not getattr(inner, "draws_itself", False)

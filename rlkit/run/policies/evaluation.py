"""Evaluation of finished policies on start states of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.words.ranges import playable
from rlkit.data.spaces import describe, difference, flat_shape
from rlkit.data.transforms import Transforms
from rlkit.envs.checking import check_environment
from rlkit.envs.make import make, make_described, unflattened
from rlkit.envs.pools import Split, level
from rlkit.envs.specs import vouch_name
from rlkit.envs.stepping import closed
from rlkit.eval.records import Array, Episode
from rlkit.eval.rollout import Slots, rollout
from rlkit.policy import onnx_file
from rlkit.policy.policy import Card, Policy

if TYPE_CHECKING:
    from rlkit.run.policies.critics import Guide

SPACING = 1_000_003  # between the seeds of evaluations, so that lanes never share one
_LONGEST = 10_000  # steps of an episode where the environment sets no limit


def evaluate_run(
    folder: str | Path,
    episodes: int = 100,
    checkpoint: str | int = "best",
    lanes: Sequence[int] | None = None,
    env: str | None = None,
    seed: int = 1,
    guide: Guide | None = None,
    levels: Split = "test",
    every: int | None = None,
) -> tuple[list[Episode], dict[str, Any] | None]:
    """Episodes of the lanes (all by default) of a run, and what its task says of its dataset.
    With a `guide` actions are drawn and chosen by a critic; with `every` policies decide once in so
    many steps (`rlkit.run.policies.holding`).

    Start states depend on the lane's seed and on `seed`; with 0 they are those the training
    itself was evaluated on, among which the best checkpoint was chosen. Where the training had a
    pool of levels, `levels` says which are played; elsewhere it says nothing. Raises UsageError for
    an environment whose spaces do not fit.
    """
    from rlkit.run.policies.export import from_run
    from rlkit.run.policies.holding import holding
    from rlkit.run.records import folder as run_folder
    from rlkit.run.task import actor

    episodes, seed = playable(episodes, seed)
    restored = run_folder.restore(folder, checkpoint, lanes)
    pool = restored.options.levels
    task = restored.task
    numbers = list(range(len(restored.seeds))) if lanes is None else list(lanes)
    if env is None and not task.has_env:
        raise UsageError(f"{folder} names no environment; give one with --env")

    def env_fn() -> gymnasium.Env:
        return task.make_env() if env is None else _made(env)

    check_spaces(
        env_fn, task.obs, task.action_shape, task.action_start, task.transforms, task.spaces
    )
    seeds = [lane_seed + SPACING * seed for lane_seed in restored.seeds]
    act = actor(restored.agent, restored.spec, task)
    if every is not None:
        act = holding(restored.agent, restored.spec, task, every)
    if guide is not None:
        policies = [from_run(folder, lane=lane, checkpoint=checkpoint) for lane in numbers]
        act = guide.act(policies, numbers, seeds)
    found = rollout(
        act,
        env_fn,
        episodes,
        seeds,
        max_steps=longest(env_fn),
        encode=task.encode,
        level=(lambda number: level(levels, number, pool)) if pool else None,
    )
    return [
        e._replace(lane=numbers[e.lane], seed=restored.seeds[e.lane], step=restored.steps[e.lane])
        for e in found
    ], task.dataset


def evaluate_file(
    path: str | Path,
    episodes: int = 100,
    env: str | None = None,
    seed: int = 1,
    guide: Guide | None = None,
) -> list[Episode]:
    """Episodes of an exported file (ONNX too) in the environment it was trained for, or `env`;
    with a `guide` actions are drawn and chosen by a critic."""
    episodes, seed = playable(episodes, seed)
    policy = onnx_file.load(path) if Path(path).suffix == ".onnx" else Policy.load(path)
    card = policy.card
    if guide is not None and not isinstance(policy, Policy):
        raise UsageError(
            f"{path} draws no actions to choose from; give the .safetensors of the run"
        )
    env_fn = maker(card, env, path)
    start = card.first_action
    check_spaces(env_fn, card.obs_shape, card.action_shape, start, policy.transforms, card.spaces)

    def alone(obs: Array, slots: Slots) -> Array:
        return policy.act(obs[0])[None]

    seeds = [card.seed + SPACING * seed]
    found = rollout(
        guide.act([policy], [card.lane], seeds) if guide and isinstance(policy, Policy) else alone,
        env_fn,
        episodes,
        seeds,
        max_steps=longest(env_fn),
        encode=lambda observation: np.asarray(observation).reshape(card.obs_shape),
    )
    return [e._replace(lane=card.lane, seed=card.seed, step=card.step) for e in found]


def maker(card: Card, env: str | None, path: str | Path) -> Callable[..., gymnasium.Env]:
    """What makes the environment of a policy: the one it was trained for, or `env`; keywords go to
    it. Raises UsageError where `path`, which the policy is of, names none."""
    if env is None and card.env is None and card.env_spec is None:
        raise UsageError(f"{path} names no environment; give one with --env")

    def env_fn(**kwargs: Any) -> gymnasium.Env:
        if env is not None:
            return _made(env, **kwargs)
        if card.env_spec is not None:
            return make_described(card.env_spec, f"{path}: env_spec", **kwargs)
        assert card.env is not None
        vouch_name(card.env)
        return _made(card.env, **kwargs)

    return env_fn


def _made(name: str, **kwargs: Any) -> gymnasium.Env:
    try:
        return make(name, **kwargs)
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_spaces(
    env_fn: Callable[[], gymnasium.Env],
    obs: tuple[int, ...],
    action: tuple[int, ...],
    start: int,
    transforms: Transforms,
    known: dict[str, Any] | None,
) -> None:
    """Raises UsageError naming what tells the environment's spaces from those of a policy."""
    env = env_fn()
    try:
        check_environment(env)
    except ValueError as error:
        raise UsageError(f"environment {env.spec.id if env.spec else env}: {error}") from error
    finally:
        closed(env)
    space, seen = env.action_space, unflattened(env)
    if flat_shape(env.observation_space) != obs or space.shape != action:
        raise UsageError(
            f"the environment has observations of shape {env.observation_space.shape} and actions "
            f"of shape {space.shape}; the policy takes {obs} and gives {action}"
        )
    there = describe(space)
    if known is not None:
        ours = known["action"]
    elif transforms.action_low is not None and transforms.action_high is not None:
        low, high = transforms.action_low, transforms.action_high
        ours = describe(gymnasium.spaces.Box(low.reshape(action), high.reshape(action), action))
    else:
        ours = there | {"start": start}
    found = difference(ours, there, "actions: ")
    if known is not None and not found:
        asked, given = known["observation"], describe(seen)
        # a box may be the other, flattened
        if asked["kind"] == given["kind"] or "Box" not in (asked["kind"], given["kind"]):
            found = difference(asked, given, "observations: ")
    if found:
        raise UsageError(
            f"the environment's spaces are not those that the policy was trained for: {found} "
            "(here: the environment, there: the policy)"
        )


def longest(env_fn: Any) -> int | None:
    """Steps after which an episode is cut; None where the environment ends its episodes itself."""
    env = env_fn()
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    closed(env)
    return None if limited else _LONGEST

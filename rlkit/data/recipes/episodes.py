"""Rolling a recipe out into episodes.

Each episode has its own streams, keyed by the recipe's seed, the policy and the episode's number:
it is the same whatever ran before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from rlkit.core.streams import generator
from rlkit.data.recipes.behaviour import from_bytes
from rlkit.data.recipes.cards import Recipe
from rlkit.data.recorder import Act, Episode, record_episode
from rlkit.envs.make import make
from rlkit.envs.tasks import maze

_EPISODES = 1 << 32  # most episodes of one policy: keeps their streams apart
_MOST_STEPS = 10_000  # of an episode in an environment without a time limit


def roll_out(
    recipe: Recipe,
    *,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, Episode]]:
    """Pairs (policy, episode), one policy after another, each until it has its equal share of
    `size` (the recipe's own unless given) in whole episodes. `progress(done, total)` counts in
    the recipe's unit."""
    env = make(recipe.env_id, **recipe.env_kwargs)
    share = -(-(recipe.size if size is None else size) // len(recipe.policies))
    try:
        for k, name in enumerate(recipe.policies):
            done, number = 0, 0
            begin = _policy(env, recipe, name)
            while done < share:
                block = k * _EPISODES + number
                level = int(generator(recipe.seed, "level", block).integers(2**31))
                act = begin(generator(recipe.seed, "behaviour", block))
                episode = record_episode(env, act, seed=level)
                done += len(episode["reward"]) if recipe.unit == "steps" else 1
                number += 1
                if progress is not None:
                    progress(k * share + min(done, share), len(recipe.policies) * share)
                yield name, episode
    finally:
        env.close()


def _policy(env: gymnasium.Env, recipe: Recipe, name: str) -> Callable[[np.random.Generator], Act]:
    """Starts an episode of a named policy: the episode's generator -> act."""
    entry: dict[str, Any] = recipe.card["policies"][name]
    if entry["kind"] == "planner":
        from rlkit.envs.minigrid_planner import Planner

        planner = Planner()

        def begin_planner(rng: np.random.Generator) -> Act:
            return lambda obs: planner.noisy_action(env, entry["noise"], rng)

        return begin_planner
    if entry["kind"] in ("wanderer", "seeker"):
        layout = env.unwrapped.layout  # type: ignore[attr-defined]
        walk = maze.wanderer if entry["kind"] == "wanderer" else maze.seeker
        return lambda rng: walk(layout, entry["noise"], rng)
    if entry["kind"] != "checkpoint":
        raise ValueError(f"recipe {recipe.name!r}: policy {name!r} of unknown kind {entry['kind']}")
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box):
        raise ValueError(f"recipe {recipe.name!r}: {recipe.env_id} takes {space}, not a Box")
    actor = from_bytes(recipe.weights(), name, space.low, space.high)
    limit = env.spec.max_episode_steps if env.spec is not None else None

    def begin_actor(rng: np.random.Generator) -> Act:
        shape = (limit or _MOST_STEPS, actor.act_size)
        noise = iter(rng.standard_normal(shape, dtype=np.float32))
        return lambda obs: actor.act(obs, next(noise))

    return begin_actor

import dataclasses

import numpy as np
import pytest

from rlkit.core.streams import generator
from rlkit.data.recipes import cards
from rlkit.data.recipes.behaviour import from_bytes
from rlkit.data.recipes.episodes import roll_out
from rlkit.data.store import EpisodeStore
from rlkit.envs.make import make

GRID = "rlkit/minigrid/doorkey-5x5-mixed-v0"


def small(name: str, **change: object) -> cards.Recipe:
    return dataclasses.replace(cards.find(name), **change)


def equal(a: dict, b: dict) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in (*a, *b))


@pytest.mark.parametrize(("name", "size"), [("rlkit/hopper/medium-replay-v1", 600), (GRID, 8)])
def test_the_same_recipe_gives_the_same_episodes(name: str, size: int) -> None:
    first, second = (list(roll_out(cards.find(name), size=size)) for _ in range(2))
    assert [policy for policy, _ in first] == [policy for policy, _ in second]
    assert all(equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    other = next(roll_out(small(name, seed=99), size=1))[1]
    assert not equal(first[0][1], other)


def test_each_policy_gives_its_share_in_whole_episodes() -> None:
    recipe = cards.find(GRID)
    rolled = list(roll_out(recipe, size=8))
    assert [policy for policy, _ in rolled] == [p for p in recipe.policies for _ in range(2)]
    by_steps = small(GRID, unit="steps")
    seen = []
    lengths = dict.fromkeys(recipe.policies, 0)
    for policy, episode in roll_out(by_steps, size=400, progress=lambda *at: seen.append(at)):
        assert lengths[policy] < 100  # not begun once the share is reached
        lengths[policy] += len(episode["reward"])
        assert episode["terminated"][-1] or episode["truncated"][-1]
    assert min(lengths.values()) >= 100
    assert seen[-1] == (400, 400)
    assert seen == sorted(seen)


def test_an_episode_does_not_depend_on_those_before_it() -> None:
    recipe = small("rlkit/hopper/medium-replay-small-v1", seed=5)
    rolled = [episode for _, episode in roll_out(recipe, size=400)]
    assert len(rolled) > 1
    env = make(recipe.env_id)
    actor = from_bytes(
        recipe.weights(), recipe.policies[0], env.action_space.low, env.action_space.high
    )
    noise = generator(5, "behaviour", 1).standard_normal((1000, 3), dtype=np.float32)
    obs, _ = env.reset(seed=int(generator(5, "level", 1).integers(2**31)))
    for t, recorded in enumerate(rolled[1]["obs"][:-1]):
        np.testing.assert_array_equal(obs, recorded)
        action = actor.act(obs, noise[t])
        np.testing.assert_array_equal(action, rolled[1]["action"][t])
        obs, reward, *_ = env.step(action)
        assert reward == rolled[1]["reward"][t]
    env.close()


def test_grid_episodes_are_symbolic_views_with_discrete_actions_and_level_seeds() -> None:
    store = EpisodeStore.from_episodes(
        [episode for _, episode in roll_out(cards.find(GRID), size=4)]
    )
    assert store.obs.dtype == np.uint8
    assert store.obs.shape[1:] == (7, 7, 3)
    assert store.discrete
    assert len(np.unique(store.extra["level_seed"])) == 4


def test_an_unknown_kind_of_policy_is_refused() -> None:
    card = {"policies": {"x": {"kind": "oracle"}}}
    with pytest.raises(ValueError, match="unknown kind oracle"):
        next(roll_out(small(GRID, card=card, policies=("x",)), size=1))

import dataclasses

import pytest
from gymnasium.spaces import Box

from rlkit.data.recipes import cards
from rlkit.data.recipes.behaviour import from_bytes
from rlkit.envs.make import make

RECIPES = cards.all_recipes()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.size > 0
    assert recipe.policies
    assert recipe.description
    assert recipe.reference.random < recipe.reference.expert
    assert recipe.reference.expert_name
    measured = recipe.reference.episodes or 0  # or D4RL's figures, which the score's name says
    assert measured >= 100 or "D4RL" in (recipe.reference.score_name or "")
    for policy in recipe.policies:
        entry = recipe.card["policies"][policy]
        assert entry["return"] < recipe.reference.expert + 3 * entry["return_std"]
    assert len(recipe.weights()) < 1_000_000


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if "weights" in r.card])
def test_every_checkpoint_has_weights_that_fit_its_environment(name: str) -> None:
    recipe = RECIPES[name]
    env = make(recipe.env_id)
    assert isinstance(env.action_space, Box)
    for policy in recipe.policies:
        actor = from_bytes(recipe.weights(), policy, env.action_space.low, env.action_space.high)
        obs, _ = env.reset(seed=0)
        assert env.action_space.contains(actor.act(obs))
    env.close()


def test_medium_leaves_room_below_and_above() -> None:
    for name, recipe in RECIPES.items():
        if name.endswith("/medium-v0"):
            entry = recipe.card["policies"][recipe.policies[0]]
            # Hopper's expert has a falling third of its own, which lifts its medium to 0.66
            assert 0.2 < recipe.reference.score(entry["return"]) < 0.7


@pytest.mark.parametrize("task", ["hopper", "halfcheetah"])
def test_recipes_in_the_manner_of_d4rl(task: str) -> None:
    """Medium is steady and moves; the replay leads up to it; small is a tenth of medium."""
    medium = cards.find(f"rlkit/{task}/medium-v1")
    entry = medium.card["policies"][medium.policies[0]]["mean_action"]
    best = cards.find(f"rlkit/{task}/expert-v1")
    top = best.card["policies"][best.policies[0]]["mean_action"]
    assert entry["near"] >= 0.8
    assert entry["speed"] >= top["speed"] / 3
    assert 0.2 < medium.reference.score(entry["return"]) < 0.5
    assert top["return"] > 1.5 * entry["return"]
    replay = cards.find(f"rlkit/{task}/medium-replay-v1")
    assert len(replay.policies) == 10
    assert replay.policies[-1] == medium.policies[0]
    assert replay.size == medium.size == best.size == 1_000_000
    small = cards.find(f"rlkit/{task}/medium-small-v1")
    assert (small.size, small.policies) == (100_000, medium.policies)
    few = cards.find(f"rlkit/{task}/medium-replay-small-v1")
    assert (few.size, few.seed, few.policies) == (100_000, replay.seed, replay.policies)


def test_the_pendulum_and_minigrid_recipes_are_there() -> None:
    assert len(cards.find("rlkit/pendulum/medium-v0").policies) == 1
    assert len(cards.find("rlkit/pendulum/mixed-v0").policies) >= 4
    for task in ("doorkey-5x5", "empty-random-5x5"):
        assert cards.find(f"rlkit/minigrid/{task}-expert-v0").policies == ("planner-0.0",)
        assert len(cards.find(f"rlkit/minigrid/{task}-mixed-v0").policies) >= 4


def test_an_unknown_name_names_the_nearest_recipe() -> None:
    with pytest.raises(ValueError, match="did you mean 'rlkit/halfcheetah/medium-v1'"):
        cards.find("rlkit/half-cheetah/medium-v1")


def test_the_fingerprint_follows_what_decides_the_rows() -> None:
    recipe = next(iter(RECIPES.values()))
    same = dataclasses.replace(recipe, description="other words")
    assert same.fingerprint() == recipe.fingerprint()
    for change in ({"seed": 99}, {"size": 7}, {"policies": recipe.policies * 2}):
        assert dataclasses.replace(recipe, **change).fingerprint() != recipe.fingerprint()

"""Datasets of any policy: a run folder's, an exported file's, or a stable-baselines3 model's."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.streams import generator
from rlkit.core.words.ranges import playable
from rlkit.data.formats import minari_local
from rlkit.data.recorder import Act, Episode, record_episode
from rlkit.envs.make import make
from rlkit.envs.pools import check as check_levels
from rlkit.envs.pools import level
from rlkit.envs.specs import in_words
from rlkit.envs.stepping import closed
from rlkit.policy.policy import Policy
from rlkit.run.policies.evaluation import maker

PLANNER = "planner"  # in place of a policy's path
Begin = Callable[[np.random.Generator], Act]  # an episode's generator -> what acts in it
# Packages of stable-baselines3 that name their algorithm; those of actor and critic share theirs.
_SB3 = {"sac": "SAC", "td3": "TD3", "dqn": "DQN"}


class Acting(NamedTuple):
    """A policy that can be recorded."""

    name: str  # what made it
    make: Callable[[str | None], gymnasium.Env]  # the environment named, or what it was trained for
    begin: Begin
    details: dict[str, Any]


def record(
    policy: str | Path,
    dataset_id: str,
    *,
    episodes: int,
    env: str | None = None,
    sample: bool = False,
    seed: int = 0,
    lane: int | None = None,
    checkpoint: str | int = "best",
    levels: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The directory of the Minari dataset of so many episodes of a policy, in `env` or in the
    environment it was trained for, whose arguments and time limit the dataset keeps.

    Actions are the most likely ones, or drawn with `sample`. An episode depends on `seed` and its
    number alone; with `levels` it plays one of that many training levels (`rlkit.envs.pools`).
    `lane` and `checkpoint` choose within a run folder. The policy "planner" walks shortest paths on
    a MiniGrid environment's true grid. Raises UsageError for what is no policy, for an environment
    that does not fit it, and for a taken id, before the first step.
    """
    if levels:
        check_levels(levels)
    episodes, seed = playable(episodes, seed)
    minari_local.free_path(dataset_id, overwrite)  # told before the first step
    if str(policy) == PLANNER:
        acting = _planning(env, sample)
    else:
        acting = load(policy, sample=sample, lane=lane, checkpoint=checkpoint)
    made = acting.make(env)
    name = env if made.spec is None else in_words(made.spec)
    try:
        rolled: list[Episode] = []
        for number in range(episodes):
            chosen = int(generator(seed, "level", number).integers(2**31))
            chosen = level("train", chosen, levels) if levels else chosen
            act = acting.begin(generator(seed, "behaviour", number))
            if not number:
                _check_fit(made, act, policy, str(name))
            rolled.append(record_episode(made, act, seed=chosen))
            if progress is not None:
                progress(number + 1, episodes)
        from rlkit.data.formats import minari_io  # with Minari, which no clip needs

        return minari_io.write(
            rolled,
            dataset_id,
            observation_space=made.observation_space,
            action_space=made.action_space,
            env_spec=made.spec,
            algorithm=acting.name,
            description=f"{name}, {'drawn' if sample else 'most likely'} actions of {acting.name}.",
            details={**acting.details, "seed": seed, "sampled": sample, "levels": levels},
            overwrite=overwrite,
        )
    finally:
        closed(made)


def _planning(env: str | None, sample: bool) -> Acting:
    """The expert of MiniGrid's goal tasks."""
    from rlkit.envs.minigrid import is_grid
    from rlkit.envs.minigrid_planner import Planner

    if env is None or sample:
        raise UsageError("the planner walks shortest paths: give --env, and no --sample")
    made = make(env)
    if not is_grid(made):
        raise UsageError(f"the planner is for MiniGrid's tasks; {env} is none")
    planner = Planner()

    def act(obs: Any) -> Any:
        try:
            return planner.action(made)
        except ValueError as error:
            raise UsageError(f"the planner finds no way in {env}: {error}") from error

    return Acting("shortest paths (planner)", lambda _: made, lambda rng: act, {"policy": PLANNER})


def load(
    path: str | Path,
    *,
    sample: bool = False,
    lane: int | None = None,
    checkpoint: str | int = "best",
) -> Acting:
    """The policy of a run folder, of a file of `rlkit export`, or of a stable-baselines3 zip."""
    path = Path(path)
    if path.is_file() and zipfile.is_zipfile(path):
        return _of_sb3(path, sample)
    if path.is_dir():
        from rlkit.run.policies.export import from_run

        policy = from_run(path, lane=lane, checkpoint=checkpoint)
    else:
        policy = Policy.load(path)
    card = policy.card
    if card.history:
        raise UsageError(
            f"{path} is a policy of {card.algo}, which looks back at the rewards of its episode; "
            "such policies are not recorded"
        )
    if sample and card.noise is None:
        raise UsageError(f"{path} is a policy of {card.algo}, which draws no actions")

    def begin(rng: np.random.Generator) -> Act:
        def act(obs: Any) -> np.ndarray:
            seen = np.asarray(obs)
            if seen.size != math.prod(card.obs_shape):
                raise ValueError(
                    f"observations have shape {seen.shape}; the policy takes {card.obs_shape}"
                )
            return policy.act(seen.reshape(card.obs_shape), not sample, rng)

        return act

    details = {"policy": path.name, "lane": card.lane, "step": card.step, "trained": card.seed}
    return Acting(f"{card.algo} (rlkit)", lambda env: maker(card, env, path)(), begin, details)


def _of_sb3(path: Path, sample: bool) -> Acting:
    """A model that `model.save` wrote. Reading it runs code of the file's choice."""
    if not trust.trusted():
        raise UsageError(f"{path} is a stable-baselines3 model, which is code; {trust.REMEDY}")
    import stable_baselines3
    import torch

    name = _algorithm(path)
    model = getattr(stable_baselines3, name).load(path, device="cpu")

    def begin(rng: np.random.Generator) -> Act:
        if sample:  # their policies draw from torch's own generator
            torch.manual_seed(int(rng.integers(2**31)))
        return act

    def act(obs: Any) -> Any:
        action = model.predict(obs, deterministic=not sample)[0]
        return action if action.ndim else int(action)

    def made(env: str | None) -> gymnasium.Env:
        if env is None:
            raise UsageError(f"{path} names no environment; give one with --env")
        return make(env)

    return Acting(f"{name} (stable-baselines3)", made, begin, {"policy": path.name})


def _algorithm(path: Path) -> str:
    """The class of stable-baselines3 that a zip is of: the file does not name it."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
        package = data["policy_class"]["__module__"].split(".")[1]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UsageError(f"{path} is no model of stable-baselines3") from error
    return _SB3.get(package) or ("PPO" if "clip_range" in data else "A2C")


def _check_fit(env: gymnasium.Env, act: Act, policy: str | Path, name: str) -> None:
    """One action before the first episode: what does not fit is said before work begins."""
    obs, _ = env.reset(seed=0)
    try:
        action = np.asarray(act(obs))
    except ValueError as error:
        raise UsageError(f"{policy} does not fit {name}: {error}") from error
    typed = action.astype(env.action_space.dtype) if action.ndim else int(action)
    if not env.action_space.contains(typed):
        raise UsageError(f"{policy} does not fit {name}: its action {action} is none of it")

"""Agents that see images: with and without random shifts, and what the state itself is worth.

python benchmarks/systems/images.py --out benchmarks/results

images  the game of catch on a board of six squares with two empty ones around it, so that shifts by
        two cut nothing off: DQN without shifts and with, after few games, and from the three
        numbers that are the state; of continuous actions SAC, TD3, and TD3 with its paper's noise
        and with its paper's rate of the targets
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from arms import Found, Seeds, command, differing, trained
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rlkit.envs.tasks.catch import Catch
from rlkit.run.settings.options import Options

EDGE, SIZE = 2, 6  # empty squares around the board, and its side
IDS = {"wide/Catch-v0": False, "wide/CatchContinuous-v0": True}
STATE = "wide/CatchState-v0"


class Wide(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """The board in the middle of a larger black image."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        side = env.observation_space.shape[0] + 2 * EDGE  # type: ignore[index]
        self.observation_space = spaces.Box(0, 255, (side, side), np.uint8)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return np.pad(observation, EDGE)


class State(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Row and column of the ball and column of the paddle, over the board's side."""

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        self.observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        game = self.unwrapped
        assert isinstance(game, Catch)
        return np.array([*game.ball, game.paddle], np.float32) / game.size


def wide(continuous: bool) -> gymnasium.Env:
    return Wide(Catch(SIZE, continuous))


def state() -> gymnasium.Env:
    return State(Catch(SIZE))


def register() -> None:
    """Makes the ids known to gymnasium."""
    for name, continuous in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=wide, kwargs={"continuous": continuous})
    if STATE not in gymnasium.registry:
        gymnasium.register(STATE, entry_point=state)


DQN: dict[str, Any] = {
    "hidden": (64,), "batch_size": 32, "lr": 1e-3, "gamma": 0.9, "epsilon_updates": 300,
    "epsilon_last": 0.02, "n_step": 3,
}  # fmt: skip
FAST: dict[str, Any] = {
    "hidden": (64, 64), "batch_size": 32, "lr": 1e-3, "lr_q": 1e-3, "gamma": 0.9, "polyak": 0.05,
    "n_step": 3,
}  # fmt: skip


def images(seeds: Seeds) -> Found:
    register()
    steps = {"steps": 1_000, "envs": 2, "warmup": 200, "eval_every": 500, "eval_episodes": 20}
    dqn = Options("dqn", env="wide/Catch-v0", seeds=seeds, utd=0.75, update_every=1, config=DQN,
                  **steps)  # fmt: skip
    of_state = dataclasses.replace(dqn, env=STATE)
    sac = Options(
        "sac",
        env="wide/CatchContinuous-v0",
        seeds=seeds,
        utd=0.75,
        config=FAST | {"alpha": 0.05, "lr_alpha": 1e-3},
        **steps,
    )
    td3 = dataclasses.replace(sac, algo="td3", config=FAST | {"explore": 0.6})
    arms = {
        "DQN, the state": of_state,
        "DQN": dqn,
        "DQN, shifts": dataclasses.replace(dqn, shift=EDGE),
        "SAC": sac,
        "TD3": td3,
        "TD3, explores by 0.1": dataclasses.replace(td3, config=FAST | {"explore": 0.1}),
        "TD3, targets move by 0.005": dataclasses.replace(
            td3, config=td3.config | {"polyak": 0.005}
        ),
    }
    values = {"return": trained(arms)}
    return Found(
        claim="return, at most 1, after few games of catch seen as images, with random shifts, "
        "without and from the state",
        values=values,
        pairs=[
            ("return", "DQN, shifts", "DQN"),
            ("return", "DQN, shifts", "DQN, the state"),
            ("return", "SAC", "TD3"),
            ("return", "TD3", "TD3, explores by 0.1"),
            ("return", "TD3", "TD3, targets move by 0.005"),
        ],
        settings={name: differing(o) for name, o in arms.items()},
    )


SYSTEMS = {"images": images}

main = command("images.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

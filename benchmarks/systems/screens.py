"""Control from a rendered screen: Pendulum by SAC from three grey frames, and from its state.

python benchmarks/systems/screens.py --seeds 0:3 --out benchmarks/results

screens  the convolutions (DrQ's four), frames that gymnasium stacks, random shifts by two pixels;
         settings are those recommended for the state but for smaller minibatches and faster
         targets, tried on seed 100. About ten minutes a seed on one core
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from arms import Found, Seeds, command, differing, trained
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import FrameStackObservation

from rlkit.run.settings.options import Options

ENV, SIDE, FRAMES = "screens/Pendulum-v0", 36, 3


class Screen(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """What is rendered, grey, as a square of `side` pixels, each the mean of many."""

    def __init__(self, env: gymnasium.Env, side: int = SIDE) -> None:
        RecordConstructorArgs.__init__(self, side=side)
        gymnasium.ObservationWrapper.__init__(self, env)
        self.side, self.observation_space = side, spaces.Box(0, 255, (side, side), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        screen: Any = self.render()
        k = len(screen) // self.side
        edge = (len(screen) - k * self.side) // 2
        seen = slice(edge, edge + k * self.side)
        blocks = screen[seen, seen].mean(-1).reshape(self.side, k, self.side, k)
        return blocks.mean((1, 3)).astype(np.uint8)


def made() -> gymnasium.Env:
    seen = Screen(gymnasium.make("Pendulum-v1", render_mode="rgb_array"))
    return FrameStackObservation(seen, FRAMES)


STATE: dict[str, Any] = {
    "lr": 1e-3, "lr_q": 1e-3, "gamma": 0.95, "n_step": 3, "hidden": (64, 64)
}  # fmt: skip


def screens(seeds: Seeds) -> Found:
    if ENV not in gymnasium.registry:
        gymnasium.register(ENV, entry_point=made, max_episode_steps=200)
    seen = Options(
        "sac",
        env=ENV,
        seeds=seeds,
        steps=16_000,
        warmup=500,
        eval_every=2_000,
        eval_episodes=5,
        shift=2,
        config=STATE | {"batch_size": 64, "polyak": 0.01},
    )
    arms = {
        "the screen": seen,
        "the state": dataclasses.replace(seen, env="Pendulum-v1", shift=0),
    }
    return Found(
        claim="return of Pendulum after 16,000 steps of SAC, mean of the last two evaluations",
        values={"return": trained(arms, last=2)},
        pairs=[("return", "the screen", "the state")],
        settings={name: differing(o) for name, o in arms.items()},
        note="A policy that does nothing returns about -1,200; one that holds the pole up -150.",
    )


SYSTEMS = {"screens": screens}

main = command("screens.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

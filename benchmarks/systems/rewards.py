"""HERON: a reward learnt from the order of its factors, beside rewards whose weights are given.

python benchmarks/systems/rewards.py --out benchmarks/results

heron   SAC on Pendulum-v1, 3,000 steps, judged by the task's own reward, -angle² - 0.1 velocity²
        - 0.001 torque²: trained on that reward; on HERON's, told "angle, then velocity, then
        torque" and with the order turned round; on the sum of the same factors, all weights 1
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from arms import Found, Seeds, command, differing, options_in
from gymnasium.envs.classic_control.pendulum import PendulumEnv, angle_normalize
from torch import Tensor

from rlkit.algos.preference.teachers import ranking
from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.settings.options import Options
from rlkit.run.train import train

STEPS = 3_000
MEASURE = "return by the task's reward, Pendulum"
SAC = {
    "hidden": (64, 64), "batch_size": 64, "gamma": 0.95, "polyak": 0.02,
    "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3,
}  # fmt: skip
GIVEN = "hidden=64,64 batch_size=64 gamma=0.95 polyak=0.02 lr=1e-3 lr_q=1e-3 lr_alpha=1e-3"
REWARD = {"hidden_reward": (64, 64), "pairs": 1_000, "passes": 10, "refit_every": 500}
ID = "rlkit-systems/PendulumWeighted-v0"


class Weighted(PendulumEnv):
    """Pendulum whose reward is minus a weighted sum of squares of angle, velocity and torque."""

    def __init__(self, weights: tuple[float, ...] = (1.0, 0.1, 0.001), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weights = weights

    def step(self, u: Any) -> Any:
        angle, speed = self.state
        torque = float(np.clip(u, -self.max_torque, self.max_torque)[0])
        obs, _, *rest = super().step(u)
        factors = np.square([angle_normalize(angle), speed, torque])
        return obs, -float(np.dot(self.weights, factors)), *rest


def turned(obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
    """The factors of a pendulum in the wrong order: torque, velocity, angle."""
    return torch.flip(ranking.pendulum(obs, action, next_obs), (-1,))


def arm(algo: str, seeds: Seeds, env: str = "Pendulum-v1", **config: Any) -> Options:
    return Options(
        algo,
        env=env,
        steps=STEPS,
        seeds=seeds,
        eval_every=STEPS,
        eval_episodes=1,
        checkpoint_every=STEPS,
        warmup=500,
        engine="eager",
        config=config,
    )


def heron(seeds: Seeds) -> Found:
    def weighted(name: str, weights: tuple[float, ...]) -> Options:
        found = ID.replace("Weighted", f"Weighted{name}")
        if found not in gymnasium.registry:
            gymnasium.register(
                found, entry_point=Weighted, max_episode_steps=200, kwargs={"weights": weights}
            )
        return arm("sac", seeds, found, **SAC)

    arms = {
        "HERON": arm("heron", seeds, agent="sac", given=GIVEN, **REWARD),
        "SAC, the task's weights": arm("sac", seeds, **SAC),
        "SAC, weights 1, 1, 1": weighted("Equal", (1.0, 1.0, 1.0)),
        "HERON, order turned": arm(
            "heron", seeds, agent="sac", given=GIVEN, factors="rewards:turned", **REWARD
        ),
    }
    found = {}
    for name, options in arms.items():
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            train(options_in(options, run))
            episodes, _ = evaluate_run(run, 20, "last", env="Pendulum-v1")
        found[name] = np.array(
            [np.mean([e.return_ for e in episodes if e.lane == k]) for k in range(len(seeds))]
        )
        print(name, found[name].round(1), f"{time.monotonic() - begun:.0f} s", flush=True)
    return Found(
        claim="a reward learnt from ranked factors against the task's own weights and weights "
        "that nobody tuned, all judged by the task's own reward",
        values={MEASURE: found},
        pairs=[(MEASURE, "HERON", name) for name in found if name != "HERON"],
        settings={name: differing(options) for name, options in arms.items()},
    )


SYSTEMS = {"heron": heron}

main = command("rewards.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

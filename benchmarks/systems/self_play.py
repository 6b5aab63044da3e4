"""SPO as a control agent: win rates over one's own episodes, beside a reward model that is fitted
to the same answers about the same episodes.

python benchmarks/systems/self_play.py --out benchmarks/results

spo     CartPole for at most 50 steps, DQN behind, 6,000 steps: a teacher prefers the longer episode
        and errs in a fifth of the answers; return of SPO, of the reward model, of DQN on the true
        reward.
        Walks of five steps on a ring, 6,000 steps: each third of it beats another as an end, in a
        circle, answers drawn by chance; how much more often than half the best answer beats the
        last 600 walks, by SPO, by a reward fitted again every 1,000 steps to all answers so far,
        and by one fitted last before 2,000

SPO's runs with seeds 100 to 102 chose the share of random actions, a ring in place of a line and
the steps on CartPole; settings of the reward model were not varied: it may have better ones.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from arms import Found, Seeds, command, differing, of_lanes, options_in
from torch import Tensor

from rlkit.algos import spo
from rlkit.core.files import checkpoint
from rlkit.data.replay import Replay
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import train
from rlkit.testing.preference_toys import CIRCLE, beaten_by

sys.path.append(str(Path(__file__).parents[1]))  # `systems.rewarded`

CART, RING, LONGEST, STEPS = "rlkit-systems/CartPole50-v0", "rlkit-systems/Ring-v0", 50, 5
DQN = {
    "n_step": 1, "hidden": (64, 64), "lr": 1e-3, "batch_size": 64, "target_period": 50,
    "epsilon_updates": 1_000, "epsilon_last": 0.1,
}  # fmt: skip
RETURN, BEATEN = "return, CartPole, a fifth of the answers wrong", "beaten by, walks on a ring"


class Ring(gymnasium.Env):
    """Five steps of a fifth to the left, nowhere, or to the right, on a ring whose length is 1."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.t = 0.0, 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.place = (self.place + 0.2 * (int(action) - 1)) % 1.0
        self.t += 1
        return self._seen(), 0.0, self.t == STEPS, False, {}

    def _seen(self) -> np.ndarray:
        angle = 2 * np.pi * self.place
        return np.array([np.cos(angle), np.sin(angle), self.t / STEPS], np.float32)


def end_of(obs: Tensor) -> Tensor:
    """In which third of the ring observations `[..., 3]` lie; the first one has the start in its
    middle."""
    place = torch.atan2(obs[..., 1], obs[..., 0]) / (2 * np.pi)
    return (3 * (place % 1.0) + 0.5).floor().long() % 3


class Ends:
    """Compares walks by the thirds that they end in, in a circle."""

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Tensor:
        return end_of(next_obs[-1])

    def prefer(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.from_numpy(CIRCLE)[second[:, 0].long(), first[:, 0].long()]


def register() -> None:
    """Makes the ids known to gymnasium."""
    cart = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
    for name, entry, limit in ((CART, cart, LONGEST), (RING, Ring, None)):
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry, max_episode_steps=limit)


def words(config: dict[str, Any]) -> str:
    """Fields as `given` has them."""
    return " ".join(f"{k}={repr(v).replace(' ', '')}" for k, v in config.items())


def options(algo: str, env: str, steps: int, seeds: Seeds, **config: Any) -> Options:
    shared: dict[str, Any] = {"steps": steps, "seeds": seeds, "warmup": 500, "utd": 0.5}
    shared |= {"eval_every": 0, "eval_episodes": 10, "capacity": steps, "checkpoint_every": steps}
    return Options(algo, env=env, update_every=2, **shared, config=config)


def plays(folder: Path, last: int) -> np.ndarray:
    """Ends `[S, n]` of the last episodes that the lanes of a run collected."""
    run = run_folder.restore(folder)
    columns = spo.Agent(run.spec, run.config).columns
    replay = Replay(run.spec, run.options.capacity, envs=run.options.envs, columns=columns)
    at = run_folder.group_folder(run_folder.step_folder(folder, run.steps[0]), 0)
    replay.load_state_dict(checkpoint.load(at, ["replay"])[0]["replay"])
    found = []
    for k in range(run.spec.lanes):
        over = replay.rows("last")[k] > 0
        found.append(end_of(replay.rows("s2")[k][over]).numpy()[-last:])
    return np.stack(found)


def self_play(seeds: Seeds) -> Found:
    register()
    cart, ring = DQN | {"gamma": 0.98}, DQN | {"gamma": 1.0, "epsilon_last": 0.2}
    shared = {"agent": "dqn", "queue": 10}
    noisy = {**shared, "teacher": "mistaken:0.2", "worth": 50.0, "given": words(cart)}
    circle = {**shared, "teacher": "self_play:Ends", "given": words(ring)}
    model, wide = "systems.rewarded", {"longest": LONGEST}
    arms = {
        (RETURN, "SPO"): options("spo", CART, 6_000, seeds, **noisy),
        (RETURN, "reward model"): options(model, CART, 6_000, seeds, **noisy, **wide),
        (RETURN, "DQN, true reward"): options("dqn", CART, 6_000, seeds, **cart),
        (BEATEN, "SPO"): options("spo", RING, 6_000, seeds, **circle),
        (BEATEN, "reward fitted again"): options(model, RING, 6_000, seeds, **circle),
        (BEATEN, "reward kept"): options(model, RING, 6_000, seeds, **circle, last_fit=2_000),
    }
    values: dict[str, dict[str, np.ndarray]] = {RETURN: {}, BEATEN: {}}
    for (measure, name), arm in arms.items():
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = train(options_in(arm, Path(folder) / "run")).folder
            if measure == RETURN:
                found = of_lanes(run / "episodes.csv")
            else:
                ends = plays(run, 600)
                found = np.array([beaten_by(CIRCLE, x) for x in ends])
        values[measure][name] = found
        print(measure, name, found.round(3), f"{time.monotonic() - begun:.0f} s", flush=True)
    return Found(
        claim="win rates over one's own episodes as the reward, beside a Bradley-Terry reward "
        "fitted to as many answers about the same kind of episodes, where a fifth of the answers "
        "is wrong, and where preferences go in a circle (the best answer beats the plays of the "
        "last half so much more often than half)",
        values=values,
        pairs=[(m, "SPO", name) for m in values for name in values[m] if name != "SPO"],
        settings={f"{m}: {name}": differing(arm) for (m, name), arm in arms.items()},
    )


SYSTEMS = {"spo": self_play}

main = command("self_play.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

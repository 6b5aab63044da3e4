"""What a critic says of a return: the shape of its error, or a law, beside a plain value.

python benchmarks/systems/values.py --out benchmarks/results
python benchmarks/systems/values.py ggd --seeds 100:105

ggd     DQN on CartPole, rewards with noise of infinite variance, returns without it: plain, with
        five copies of its net, and with five that learn the shape of their errors (--preset ggd);
        the last also without the squared errors that BIEV adds
heads   DQN on CartPole with normal noise on the rewards, by what its net says of a return, with
        2x32 and with 2x128 nets: the mean return, without the noise, of the last policies
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import noisy
import numpy as np
from arms import Found, Seeds, command, differing, options_in

from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.settings.options import Options
from rlkit.run.train import train

DQN: dict[str, Any] = {
    "hidden": (64, 64), "lr": 1e-3, "gamma": 0.97, "n_step": 1, "epsilon_updates": 1_000,
    "epsilon_last": 0.05,
}  # fmt: skip
PLAIN: dict[str, Any] = {}
COPIES = {"copies": 5}
GGD = {"copies": 5, "head": "ggd"}


def without_noise(options: Options, env: str, episodes: int = 20) -> np.ndarray:
    """Mean return `[S]` in `env` of the last policies of a training elsewhere."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = train(options_in(options, Path(folder) / "run"))
        found, _ = evaluate_run(run.folder, episodes, "last", env=env)
    lanes = range(len(options.seeds))
    mean = np.array([np.mean([e.return_ for e in found if e.lane == k]) for k in lanes])
    print(env, options.config, mean.round(1), f"{time.monotonic() - begun:.0f} s", flush=True)
    return mean


def ggd(seeds: Seeds) -> Found:
    noisy.register()
    dqn = Options("dqn", env="noisy/CartPole-tails-v0", seeds=seeds, steps=7_000, warmup=400,
                  envs=4, utd=0.25, update_every=1, eval_every=0, eval_episodes=1,
                  config=DQN)  # fmt: skip
    arms = {
        "plain": PLAIN, "five copies": COPIES, "ggd": GGD, "ggd, BIEV 0": GGD | {"biev": 0.0},
    }  # fmt: skip
    values = {
        "return": {
            arm: without_noise(dataclasses.replace(dqn, config=DQN | changed), "CartPole-v1")
            for arm, changed in arms.items()
        }
    }
    return Found(
        claim="returns without noise of DQN that learnt from rewards with noise of infinite "
        "variance, by what its net says",
        values=values,
        pairs=[("return", "ggd", other) for other in arms if other != "ggd"],
        settings=differing(dqn) | {"arms": arms},
    )


def heads(seeds: Seeds) -> Found:
    noisy.register()
    base = Options("dqn", env="noisy/CartPole-normal-v0", seeds=seeds, steps=5_000, warmup=400,
                   envs=4, utd=0.25, update_every=1, eval_every=0, eval_episodes=1,
                  config=DQN)  # fmt: skip
    bounds = {"low": -5.0, "high": 40.0}
    arms = {"scalar": PLAIN} | {h: {"head": h} | bounds for h in ("two_hot", "hl_gauss", "c51")}
    values: dict[str, dict[str, np.ndarray]] = {}
    for width in (32, 128):
        values[f"return, nets 2x{width}"] = {
            arm: without_noise(
                dataclasses.replace(base, config=DQN | {"hidden": (width, width)} | changed),
                "CartPole-v1",
            )
            for arm, changed in arms.items()
        }
    growth = {
        arm: values["return, nets 2x128"][arm] - values["return, nets 2x32"][arm] for arm in arms
    }
    values["growth from 2x32 to 2x128"] = growth
    return Found(
        claim="returns without noise of DQN that learnt from noisy rewards, by what its net says "
        "of a return and by its width",
        values=values,
        pairs=[(m, arm, "scalar") for m in values for arm in arms if arm != "scalar"],
        settings=differing(base) | {"arms": arms},
    )


SYSTEMS = {"ggd": ggd, "heads": heads}

main = command("values.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

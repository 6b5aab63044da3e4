"""Train the policies behind rlkit's MuJoCo dataset recipes with stable-baselines3's SAC.

    python benchmarks/train_behaviour.py Hopper-v5 --steps 200000 --out /tmp/behaviour

Writes one `.npz` of actor weights per checkpoint and `returns.csv` (10 deterministic and 10
sampled episodes per checkpoint).  `benchmarks/freeze_behaviour.py` turns chosen checkpoints into
the safetensors files shipped with the package.  Single-threaded; the seed fixes everything but
the thread schedule.
"""

import argparse
import csv
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy


class Checkpoints(BaseCallback):
    """Every `every` environment steps, save the actor and evaluate it."""

    def __init__(self, env_id: str, every: int, out: Path) -> None:
        super().__init__()
        self.env_id, self.every, self.out = env_id, every, out

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            weights = {k: v.numpy() for k, v in self.model.actor.state_dict().items()}
            np.savez(self.out / f"actor_{self.num_timesteps:07d}.npz", **weights)
            row = [self.num_timesteps]
            for deterministic in (True, False):
                env = gym.make(self.env_id)
                env.reset(seed=10_000 + self.num_timesteps)
                returns, lengths = evaluate_policy(
                    self.model, env, 10, deterministic, return_episode_rewards=True, warn=False
                )
                row += [float(np.mean(returns)), float(np.std(returns)), float(np.mean(lengths))]
            with (self.out / "returns.csv").open("a", newline="") as file:
                csv.writer(file).writerow(row)
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = args.out / args.env
    out.mkdir(parents=True, exist_ok=True)
    header = "steps,mean,std,length,sampled_mean,sampled_std,sampled_length\n"
    (out / "returns.csv").write_text(header)
    model = SAC(
        "MlpPolicy",
        args.env,
        learning_starts=5_000,
        seed=args.seed,
        policy_kwargs={"net_arch": {"pi": [128, 128], "qf": [256, 256]}},
    )
    model.learn(args.steps, callback=Checkpoints(args.env, args.every, out))


if __name__ == "__main__":
    main()

"""SAC, TD3 and DQN beside stable-baselines3: same environments, steps, seeds and settings.

    python benchmarks/beside_sb3.py --out benchmarks/results/beside-sb3.json
    python benchmarks/beside_sb3.py td3 --seeds 2

Each seed is trained by both, one after the other on one thread, so that the drift of a shared
machine hits both alike; the ratio of a seed is their time / ours. Policies of both are evaluated by
rlkit's evaluator on the same episodes. Ours are trained by `rlkit.run.train.train`, run folder and
checkpoint included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from rlkit.eval.comparison import compare_means
from rlkit.eval.rollout import Evaluator
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.policy import sb3
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions
from rlkit.run.settings.options import Options
from rlkit.run.task import actor
from rlkit.run.train import train

EPISODES = 20
_CARTPOLE = {"batch_size": 64, "hidden": (256, 256), "lr": 2.3e-3, "double": False, "n_step": 1}


class Pair(NamedTuple):
    """One training, as each library is told it."""

    ours: Options
    theirs: dict[str, Any]  # keyword arguments of the model


PAIRS = {
    name: Pair(
        Options(
            name,
            env="Pendulum-v1",
            steps=4_000,
            warmup=500,
            config={"lr": 1e-3, "lr_q": 1e-3, "hidden": (64, 64)}
            | ({"lr_alpha": 1e-3} if name == "sac" else {}),
        ),
        {
            "learning_starts": 500,
            "learning_rate": 1e-3,
            "batch_size": 256,
            "policy_kwargs": {"net_arch": [64, 64]},
        },
    )
    for name in ("sac", "td3")
} | {
    # stable-baselines3 moves its target between the rounds of 128 updates: so do we
    "dqn": Pair(
        Options(
            "dqn",
            env="CartPole-v1",
            steps=30_000,
            warmup=1_000,
            update_every=256,
            utd=0.5,
            capacity=100_000,
            config={
                **_CARTPOLE,
                "target_period": 128,
                "epsilon_updates": 4_000,
                "epsilon_last": 0.04,
            },
        ),
        {
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.27,
            "exploration_final_eps": 0.04,
            "policy_kwargs": {"net_arch": [256, 256]},
        },
    ),
}


def ours(options: Options, seed: int, out: Path) -> tuple[float, float]:
    """Return and seconds of our training."""
    given = {
        **options.__dict__,
        "seeds": (seed,),
        "out": str(out / f"{options.algo}-{seed}"),
        "eval_every": 0,
        "eval_episodes": 0,
        "checkpoint_every": options.steps,
        "quiet": True,
        "engine": "eager",
    }
    start = time.perf_counter()
    result = train(Options(**given))
    seconds = time.perf_counter() - start
    found = run_folder.restore(result.folder)
    act = actor(found.agent, found.spec, found.task)
    return evaluated(options.env or "", act, seed), seconds


def theirs(name: str, pair: Pair, seed: int) -> tuple[float, float]:
    """Return and seconds of stable-baselines3's training."""
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise

    env = gymnasium.make(pair.ours.env or "")
    settings = dict(pair.theirs)
    if name == "td3":
        size = env.action_space.shape[0]
        settings |= {"action_noise": NormalActionNoise(np.zeros(size), 0.1 * np.ones(size))}
    kind = getattr(stable_baselines3, name.upper())
    start = time.perf_counter()
    model = kind("MlpPolicy", env, seed=seed, device="cpu", **settings)
    model.learn(pair.ours.steps)
    seconds = time.perf_counter() - start
    env.close()
    return evaluated(pair.ours.env or "", sb3.actor(model), seed), seconds


def evaluated(env_id: str, act: Any, seed: int) -> float:
    """Mean return of the policy, on the same episodes for both."""
    with Evaluator(lambda: gymnasium.make(env_id), [seed]) as evaluate:
        return float(np.mean([e.return_ for e in evaluate(act, EPISODES)]))


def side_by_side(name: str, seeds: int) -> dict[str, Any]:
    pair = PAIRS[name]
    rows = []
    with tempfile.TemporaryDirectory() as out:
        for seed in range(seeds):
            (our_return, our_seconds), (return_, seconds) = (
                ours(pair.ours, seed, Path(out)),
                theirs(name, pair, seed),
            )
            rows.append((our_return, return_, our_seconds, seconds))
            print(f"{name} seed {seed}: ours {our_return:.1f} in {our_seconds:.0f} s", end="")
            print(f", stable-baselines3 {return_:.1f} in {seconds:.0f} s", flush=True)
    our_returns, returns, our_seconds, seconds = np.array(rows).T
    ratios = seconds / our_seconds
    found = {
        "environment": pair.ours.env,
        "steps": pair.ours.steps,
        "ours": str(bootstrap_interval(our_returns[:, None], mean)),
        "stable-baselines3": str(bootstrap_interval(returns[:, None], mean)),
        "ours - theirs": str(compare_means(our_returns[:, None], returns[:, None], paired=True)),
        "time ratio": {
            "median": round(float(statistics.median(ratios)), 2),
            "min": round(float(ratios.min()), 2),
            "max": round(float(ratios.max()), 2),
        },
        "seconds": {"ours": our_seconds.round(1).tolist(), "theirs": seconds.round(1).tolist()},
        "by_seed": {"ours": our_returns.tolist(), "theirs": returns.tolist()},
        "settings": {"ours": str(pair.ours), "theirs": str(pair.theirs)},
    }
    for key in ("ours", "stable-baselines3", "ours - theirs", "time ratio"):
        print(f"{name} {key}: {found[key]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PAIRS], help="all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = {name: side_by_side(name, args.seeds) for name in args.names or PAIRS}
    if args.out is not None:
        record = {"command": "python benchmarks/beside_sb3.py", "results": results}
        record["versions"] = versions.collect("cpu")
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

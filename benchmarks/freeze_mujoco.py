"""Choose behaviour policies among the checkpoints of a training, and freeze them into a recipe.

    python benchmarks/freeze_mujoco.py Hopper-v5 --run runs/sac-Hopper-v5 --table     only look
    python benchmarks/freeze_mujoco.py Hopper-v5 --run runs/sac-Hopper-v5

Reads the run folder of `rlkit train sac --env Hopper-v5 --keep 1000` and writes
`rlkit/data/recipes/hopper-v1.{safetensors,json}`:

- `expert`: the checkpoint whose mean action returns most;
- `medium`: of the checkpoints whose mean action is steady (at least 80 % of its episodes within
  20 % of their mean return) and moves (at least a third as fast as the expert's), and which come
  before the first that returns two thirds of D4RL's expert (an agent falls back again and again),
  the one whose return is nearest to a third;
- `medium-replay`: ten checkpoints evenly over the way to medium, which is the last;
- `medium-expert`: medium and expert, as many steps of each.

Weights are rounded to 8 bits a row first, and every return is measured afterwards. Scores are taken
between D4RL's references, which are of gymnasium's older tasks.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from freeze_behaviour import RECIPES, SEED, Training, name_of, of_run, summary, versions, write_card
from gymnasium.spaces import Box
from safetensors.numpy import save

from rlkit.core.streams import generator
from rlkit.data.formats.d4rl import REFERENCES
from rlkit.data.recipes.behaviour import SquashedGaussian, from_bytes
from rlkit.data.statistics import near_the_mean
from rlkit.envs.make import make
from rlkit.eval.rollout import episode_seed

EPISODES = 20  # of a checkpoint's mean action
STEADY = 0.8  # share of them within 20 % of their mean
THIRD = 1 / 3
REPLAY = 10  # checkpoints of medium-replay
STEPS, SMALL = 1_000_000, 100_000
SCORE = "score between D4RL's references"
D4RL = {  # what is known of the datasets of these names, version 2
    "hopper/medium": {"episodes": 2186, "return": 1422, "return_std": 379, "length": 457},
}


class Measured(NamedTuple):
    """Episodes of one checkpoint."""

    returns: np.ndarray  # [E]
    lengths: np.ndarray  # [E]
    speed: float  # forward, mean over all steps
    noise: float  # root mean square of what sampling adds to an action, of the box's half-width

    @property
    def steady(self) -> bool:
        return near_the_mean(self.returns) >= STEADY


def choose(
    measured: dict[int, Measured], random: float, expert: float
) -> tuple[int | None, int, list[int]]:
    """Steps of (medium, expert, the checkpoints of medium-replay) among those of mean actions.

    `random` and `expert` are the references of the score. Medium is None, and the replay empty,
    where no checkpoint before the expert is steady and moves.
    """
    best = max(measured, key=lambda step: measured[step].returns.mean())
    enough = measured[best].speed * THIRD
    able = [s for s, m in measured.items() if s < best and m.steady and m.speed >= enough]
    if not able:
        return None, best, []

    def score(step: int) -> float:
        return float((measured[step].returns.mean() - random) / (expert - random))

    good = min((s for s in measured if score(s) >= 2 * THIRD), default=best)
    medium = min([s for s in able if s < good] or able, key=lambda s: abs(score(s) - THIRD))
    way = np.array(sorted(step for step in measured if step <= medium))
    even = np.linspace(medium / REPLAY, medium, REPLAY)
    return medium, best, sorted({int(way[np.abs(way - step).argmin()]) for step in even})


def measure(env: Any, actor: SquashedGaussian, episodes: int, sample: bool) -> Measured:
    """Whole episodes of an actor, of its mean action unless `sample`."""
    returns, lengths, way, added = [], [], 0.0, 0.0
    half = (actor.high - actor.low) / 2
    for number in range(episodes):
        rng = generator(SEED, "evaluation", number)
        obs, _ = env.reset(seed=episode_seed(SEED, number))
        total, steps, ended = 0.0, 0, False
        while not ended:
            action = mean = actor.act(obs)
            if sample:
                action = actor.act(obs, rng.standard_normal(actor.act_size, dtype=np.float32))
            added += float(np.square((action - mean) / half).mean())
            obs, reward, terminated, truncated, info = env.step(action)
            total, steps, ended = total + float(reward), steps + 1, terminated or truncated
            way += info["x_velocity"]
        returns.append(total)
        lengths.append(steps)
    steps = sum(lengths)
    return Measured(np.array(returns), np.array(lengths), way / steps, (added / steps) ** 0.5)


def rounded(training: Training, step: int) -> dict[str, np.ndarray]:
    """Tensors of one checkpoint for the shipped file: weights of int8 with a scale a row."""
    found = {}
    for name, value in training.checkpoints[step]().items():
        if name.endswith(".weight"):
            scale = (np.abs(value).max(1) / 127).astype(np.float32)
            key = f"{name_of(step)}/{name.removesuffix('weight')}scale"
            found[key] = np.where(scale > 0, scale, np.float32(1))
            value = np.rint(value / found[key][:, None]).astype(np.int8)
        else:
            value = value.astype(np.float16)
        found[f"{name_of(step)}/{name}"] = value.copy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("env")
    parser.add_argument("--run", type=Path, required=True, help="folder of rlkit train sac")
    parser.add_argument("--lane", type=int, default=0)
    parser.add_argument("--from-step", type=int, default=0, help="measure no checkpoint before")
    parser.add_argument("--table", action="store_true", help="print what each checkpoint does")
    args = parser.parse_args()
    task = args.env.split("-")[0].lower()
    training = of_run(args.run, args.lane)
    env = make(args.env)
    box = env.action_space
    assert isinstance(box, Box)

    @cache
    def actor(step: int) -> SquashedGaussian:
        return from_bytes(save(rounded(training, step)), name_of(step), box.low, box.high)

    random, expert = REFERENCES[task][:2]
    measured = {}
    for step in sorted(s for s in training.checkpoints if s >= args.from_step):
        found = measured[step] = measure(env, actor(step), EPISODES, sample=False)
        print(
            f"{step:8,}  return {found.returns.mean():6.0f} ± {found.returns.std():4.0f}  "
            f"near {near_the_mean(found.returns):4.0%}  speed {found.speed:5.2f}  "
            f"length {found.lengths.mean():4.0f}",
            flush=True,
        )
    medium, best, replay = choose(measured, random, expert)
    print(f"expert {best}, medium {medium}, replay {replay}")
    if args.table:
        return
    if medium is None:
        raise SystemExit("no checkpoint before the expert is steady and moves: train on")
    if not replay or replay[-1] != medium:
        raise SystemExit("no checkpoints on the way to medium: measure from the first one on")
    chosen = sorted({medium, best, *replay})
    content = save({k: v for step in chosen for k, v in rounded(training, step).items()})
    policies = {}
    for step in chosen:
        sampled = measure(env, actor(step), EPISODES, sample=True)
        policies[name_of(step)] = {
            "kind": "checkpoint",
            "steps": step,
            **summary(sampled.returns),
            "length": float(sampled.lengths.mean()),
            "noise": sampled.noise,
            "mean_action": summary(measured[step].returns)
            | {"near": near_the_mean(measured[step].returns), "speed": measured[step].speed},
        }
        print(name_of(step), policies[name_of(step)])
    names = {step: name_of(step) for step in chosen}
    about = f"{args.env}, checkpoints of SAC acting with their sampled actions"
    evenly = f"{len(replay)} evenly over the way to medium"
    kinds = {
        "medium": ([medium], STEPS, 0, "one of medium quality"),
        "medium-small": ([medium], SMALL, 0, "one of medium quality, the first tenth of medium"),
        "medium-replay": (replay, STEPS, 1, evenly),
        "medium-replay-small": (replay, SMALL, 1, f"{evenly}, a tenth of medium-replay"),
        "medium-expert": ([medium, best], STEPS, 2, "medium and expert, equal steps of each"),
        "expert": ([best], STEPS, 3, "the best one"),
    }
    card = {
        "env": args.env,
        "algorithm": training.algorithm,
        "weights": f"{task}-v1.safetensors",
        "reference": {
            "random": random,
            "expert": expert,
            "expert_policy": "D4RL's expert",
            "score_name": SCORE,
        },
        "policies": policies,
        "datasets": {
            f"rlkit/{task}/{kind}-v1": {
                "steps": steps,
                "seed": seed,
                "policies": [names[step] for step in of],
                "description": f"{about}: {words}.",
            }
            | ({"d4rl": D4RL[f"{task}/{kind}"]} if f"{task}/{kind}" in D4RL else {})
            for kind, (of, steps, seed, words) in kinds.items()
        },
        "training": training.record
        | {
            "measured_with": versions("gymnasium", "mujoco", "numpy", "numba"),
            "curve_columns": ["steps", "return of the mean action", "near its mean", "speed"],
            "curve_episodes": EPISODES,
            "curve": [
                [
                    s,
                    *(
                        round(float(x), 2)
                        for x in (m.returns.mean(), near_the_mean(m.returns), m.speed)
                    ),
                ]
                for s, m in measured.items()
            ],
        },
    }
    (RECIPES / f"{task}-v1.safetensors").write_bytes(content)
    write_card(f"{task}-v1", card)
    print(f"{len(content)} bytes of weights")


if __name__ == "__main__":
    main()

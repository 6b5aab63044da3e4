"""Freeze behaviour policies into the recipe cards shipped with rlkit.

    python benchmarks/freeze_behaviour.py checkpoints Pendulum-v1 --train runs/sac-pendulum
    python benchmarks/freeze_behaviour.py minigrid
    python benchmarks/freeze_behaviour.py pointmaze

`checkpoints` takes those of a run folder of `rlkit train sac` in a small environment and writes
`rlkit/data/recipes/pendulum.{safetensors,json}`; MuJoCo's are made by `freeze_mujoco.py`.
The expert is the checkpoint whose mean action returns most, "medium" the one before it whose
sampled actions return nearest to 40% of the expert, "mixed" several spread between 10% and 70%
(fractions of the way from random to expert; choose others with --expert, --medium, --mixed).
Weights are rounded to float16 first and every return is measured afterwards, with rlkit's own
rollout.  `minigrid` and `pointmaze` write the cards of the recipes that need no training.
"""

import argparse
import importlib.metadata
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box
from safetensors.numpy import load_file, save

from rlkit.core.streams import generator
from rlkit.data.recipes.behaviour import from_bytes
from rlkit.data.recorder import record_episode
from rlkit.envs.make import make
from rlkit.envs.tasks.maze import LAYOUTS, seeker, wanderer
from rlkit.eval.rollout import episode_seed, reference_returns

RECIPES = Path(__file__).parents[1] / "rlkit" / "data" / "recipes"
MIXED = (0.1, 0.25, 0.7)  # besides medium
REFERENCE_EPISODES = 100
CHECKPOINT_EPISODES = 50
CURVE_EPISODES = 10
SEED = 20  # of all evaluations here; recipes have their own
NOISE = (0.0, 0.3, 0.6, 0.9, 1.0)  # the first is the expert, the others are mixed
MINIGRID = {  # task, episodes of the mixed dataset, of the expert's
    "MiniGrid-DoorKey-5x5-v0": ("doorkey-5x5", 480, 1000),
    "MiniGrid-Empty-Random-5x5-v0": ("empty-random-5x5", 1200, 1000),
}
WANDERING = 0.5  # noise of the controller in the mazes
MAZE_STEPS = {"umaze": 200_000, "medium": 400_000, "large": 600_000}


def freeze_checkpoints(args: argparse.Namespace) -> None:
    task = args.env.split("-")[0].lower()
    training = of_run(args.train, args.lane)
    env = make(args.env)
    assert isinstance(env.action_space, Box)
    box = env.action_space.low, env.action_space.high
    random = reference_returns(lambda: make(args.env), REFERENCE_EPISODES, SEED)

    curve = []
    for step in sorted(training.checkpoints):
        actor = from_bytes(save(frozen(training, step)), name_of(step), *box)
        mean = evaluate(env, actor, CURVE_EPISODES, sample=False).mean()
        sampled = evaluate(env, actor, CURVE_EPISODES, sample=True).mean()
        curve.append([step, round(float(mean), 1), round(float(sampled), 1)])
        print(*curve[-1])
    steps, means, samples = np.array(curve).T
    expert = args.expert or int(steps[np.argmax(means)])
    share = (samples - random.mean()) / (means[steps == expert][0] - random.mean())

    def nearest(target: float, taken: list[int]) -> int:
        allowed = (steps < expert) & ~np.isin(steps, taken)
        return int(steps[np.argmin(np.where(allowed, abs(share - target), np.inf))])

    medium = args.medium or nearest(0.4, [])
    mixed = list(args.mixed or [medium])
    for target in () if args.mixed else MIXED:
        mixed.append(nearest(target, mixed))

    chosen = sorted({expert, medium, *mixed})
    content = save({k: v for step in chosen for k, v in frozen(training, step).items()})
    policies = {}
    for step in chosen:
        actor = from_bytes(content, name_of(step), *box)
        sampled = summary(evaluate(env, actor, CHECKPOINT_EPISODES, sample=True))
        policies[name_of(step)] = {"kind": "checkpoint", "steps": step, **sampled}
        print(name_of(step), sampled)
    top = evaluate(
        env, from_bytes(content, name_of(expert), *box), REFERENCE_EPISODES, sample=False
    )
    print("random", summary(random), "expert", summary(top))
    about = f"{args.env}, SAC checkpoints acting with their sampled actions"
    card = {
        "env": args.env,
        "algorithm": training.algorithm,
        "weights": f"{task}.safetensors",
        "reference": {
            "random": float(random.mean()),
            "expert": float(top.mean()),
            "expert_policy": f"SAC checkpoint {name_of(expert)}, mean action",
            "expert_std": float(top.std()),
            "episodes": REFERENCE_EPISODES,
            "seed": SEED,
        },
        "policies": policies,
        "datasets": {
            f"rlkit/{task}/medium-v0": {
                "steps": args.dataset_steps,
                "seed": 0,
                "policies": [name_of(medium)],
                "description": f"{about}: one of medium quality.",
            },
            f"rlkit/{task}/mixed-v0": {
                "steps": args.dataset_steps,
                "seed": 1,
                "policies": [name_of(step) for step in sorted(mixed)],
                "description": f"{about}: {len(mixed)} of one training, equal steps of each.",
            },
        },
        "training": training.record
        | {
            "curve_columns": ["steps", "return of the mean action", "return of sampled actions"],
            "curve_episodes": CURVE_EPISODES,
            "curve_versions": versions("gymnasium", "mujoco", "numpy", "numba"),
            "curve": curve,
        },
    }
    (RECIPES / f"{task}.safetensors").write_bytes(content)
    write_card(task, card)
    print(f"{len(content)} bytes of weights; expert {expert}, medium {medium}, mixed {mixed}")


class Training(NamedTuple):
    """Checkpoints of one training: the actor's layers (weight [out, in], bias) by step."""

    algorithm: str
    checkpoints: dict[int, Callable[[], dict[str, np.ndarray]]]
    record: dict[str, Any]


def of_run(folder: Path, lane: int) -> Training:
    """One lane of a run folder of `rlkit train sac`."""
    config = json.loads((folder / "config.json").read_text())
    options = config["options"]
    group = next(k for k, lanes in enumerate(config["groups"]) if lane in lanes)
    place = config["groups"][group].index(lane)

    def layers(path: Path) -> dict[str, np.ndarray]:
        tensors = load_file(path)
        names = ("layers.0", "layers.1", "last")
        found = {}
        for ours, theirs in zip(("hidden_1", "hidden_2", "head"), names, strict=True):
            found[f"{ours}.weight"] = tensors[f"pi.mlp.{theirs}.weight"][place].T
            found[f"{ours}.bias"] = tensors[f"pi.mlp.{theirs}.bias"][place].reshape(-1)
        return found

    files = {
        int(path.parts[-3].split("_")[1]): path
        for path in folder.glob(f"checkpoints/step_*/group_{group}/agent.safetensors")
    }
    kept = json.loads((folder / "versions.json").read_text())
    record = {
        "command": f"rlkit train {options['algo']} --env {options['env']}",
        "seed": options["seeds"][lane],
        "steps": max(files),
        "config": options["config"],
        "warmup": options["warmup"],
        "versions": {k: kept[k] for k in ("rlkit", "torch", "gymnasium", "mujoco", "numpy")},
    }
    checkpoints = {step: partial(layers, path) for step, path in files.items()}
    return Training("SAC (rlkit)", checkpoints, record)


def frozen(training: Training, step: int) -> dict[str, np.ndarray]:
    """Tensors of one checkpoint for the shipped file, rounded."""
    layers = training.checkpoints[step]()
    return {f"{name_of(step)}/{k}": v.astype(np.float16).copy() for k, v in layers.items()}


def name_of(step: int) -> str:
    return f"{step:07d}"


def evaluate(env, actor, episodes: int, sample: bool) -> np.ndarray:
    returns = []
    for number in range(episodes):
        rng = generator(SEED, "evaluation", number)

        def act(obs, rng=rng):
            noise = rng.standard_normal(actor.act_size, dtype=np.float32) if sample else None
            return actor.act(obs, noise)

        returns.append(record_episode(env, act, episode_seed(SEED, number))["reward"].sum())
    return np.array(returns)


def freeze_minigrid() -> None:
    from rlkit.envs.minigrid_planner import Planner

    for env_id, (task, mixed_episodes, expert_episodes) in MINIGRID.items():
        env, planner = make(env_id), Planner()
        random = reference_returns(lambda env_id=env_id: make(env_id), REFERENCE_EPISODES, SEED)
        policies = {}
        for noise in NOISE:
            returns = []
            for number in range(REFERENCE_EPISODES):
                rng = generator(SEED, "evaluation", number)

                def act(obs, env=env, planner=planner, noise=noise, rng=rng):
                    return planner.noisy_action(env, noise, rng)

                episode = record_episode(env, act, episode_seed(SEED, number))
                returns.append(episode["reward"].sum())
            policies[f"planner-{noise}"] = {
                "kind": "planner",
                "noise": noise,
                **summary(np.array(returns)),
            }
            print(task, noise, summary(np.array(returns)))
        about = f"{env_id}, a shortest-path planner on the true grid"
        card = {
            "env": env_id,
            "algorithm": "shortest-path planner with random actions",
            "reference": {
                "random": float(random.mean()),
                "expert": policies["planner-0.0"]["return"],
                "expert_policy": "planner-0.0",
                "episodes": REFERENCE_EPISODES,
                "seed": SEED,
            },
            "policies": policies,
            "datasets": {
                f"rlkit/minigrid/{task}-expert-v0": {
                    "episodes": expert_episodes,
                    "seed": 0,
                    "policies": ["planner-0.0"],
                    "description": f"{about}, without noise.",
                },
                f"rlkit/minigrid/{task}-mixed-v0": {
                    "episodes": mixed_episodes,
                    "seed": 1,
                    "policies": list(policies)[1:],
                    "description": f"{about}; a share of its actions is replaced by random ones: "
                    f"as many episodes each of {', '.join(str(noise) for noise in NOISE[1:])}.",
                },
            },
            "made_by": {
                "script": "benchmarks/freeze_behaviour.py",
                "versions": versions("gymnasium", "minigrid", "numpy"),
            },
        }
        write_card(f"minigrid-{task}", card)


def freeze_pointmaze() -> None:
    """Cards of the wanderer in every maze; its dense returns are those of the same episodes."""
    for maze, layout in LAYOUTS.items():
        sparse, dense = (make(f"rlkit/PointMaze_{layout.name}{x}-v0") for x in ("", "Dense"))
        found: dict[str, list] = {"random": [], "seeker": [], "wanderer": []}
        for number in range(REFERENCE_EPISODES):
            rng = generator(SEED, "evaluation", number)
            sparse.action_space.seed(episode_seed(SEED, number, stream=1))
            for name, act in (
                ("random", lambda obs, space=sparse.action_space: space.sample()),
                ("seeker", seeker(layout, 0.0, rng)),
                ("wanderer", wanderer(layout, WANDERING, rng)),
            ):
                episode = record_episode(sparse, act, episode_seed(SEED, number))
                place, goal = episode["obs"][1:, :2], sparse.unwrapped.goal
                dense_reward = dense.unwrapped.compute_reward(place, goal, {})
                found[name].append((episode["reward"].sum(), dense_reward.sum()))
        for kind, env, column in (("", sparse, 0), ("-dense", dense, 1)):
            returns = {name: np.array(pairs)[:, column] for name, pairs in found.items()}
            print(env.spec.id, *((name, summary(x)) for name, x in returns.items()))
            policies = {
                name: {"kind": name, "noise": noise, **summary(returns[name])}
                for name, noise in (("seeker", 0.0), ("wanderer", WANDERING))
            }
            card = {
                "env": env.spec.id,
                "algorithm": "waypoint controller with noise, between random cells",
                "reference": {
                    "random": float(returns["random"].mean()),
                    "expert": float(returns["seeker"].mean()),
                    "expert_policy": "seeker",
                    "episodes": REFERENCE_EPISODES,
                    "seed": SEED,
                },
                "policies": policies,
                "datasets": {
                    f"rlkit/pointmaze/{maze}{kind}-v1": {
                        "steps": MAZE_STEPS[maze],
                        "seed": 0,
                        "policies": ["wanderer"],
                        "description": f"{env.spec.id}, a controller that walks shortest ways "
                        "between random cells, whatever the goal; noise of "
                        f"{WANDERING} on its actions.",
                    }
                },
                "made_by": {
                    "script": "benchmarks/freeze_behaviour.py",
                    "versions": versions("gymnasium", "gymnasium-robotics", "mujoco", "numpy"),
                },
            }
            write_card(f"pointmaze-{maze}{kind}", card)


def summary(returns: np.ndarray) -> dict[str, float | int]:
    return {
        "return": float(returns.mean()),
        "return_std": float(returns.std()),
        "episodes": len(returns),
    }


def versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


def write_card(name: str, card: dict) -> None:
    """Published settings of a card that stands are kept; what was measured on its rows is not."""
    path = RECIPES / f"{name}.json"
    before = json.loads(path.read_text())["datasets"] if path.exists() else {}
    for dataset, entry in card["datasets"].items():
        if "published" in before.get(dataset, {}):
            entry["published"] = before[dataset]["published"]
    path.write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    checkpoints = kinds.add_parser("checkpoints")
    checkpoints.add_argument("env")
    checkpoints.add_argument("--train", type=Path, required=True)
    checkpoints.add_argument("--lane", type=int, default=0, help="of a run folder")
    checkpoints.add_argument("--expert", type=int)
    checkpoints.add_argument("--medium", type=int)
    checkpoints.add_argument("--mixed", type=int, nargs="+")
    checkpoints.add_argument("--dataset-steps", type=int, default=200_000)
    kinds.add_parser("minigrid")
    kinds.add_parser("pointmaze")
    args = parser.parse_args()
    if args.kind == "checkpoints":
        freeze_checkpoints(args)
    elif args.kind == "minigrid":
        freeze_minigrid()
    else:
        freeze_pointmaze()


if __name__ == "__main__":
    main()

"""DQN on MiniGrid's kernels: what explores, how many levels there are, what is shown.

python benchmarks/systems/levels.py --out benchmarks/results
python benchmarks/systems/levels.py bonus --seeds 100:105

Rooms in a row behind closed doors, another maze in every level, whose views are 5x5 cells, not
7x7: their convolutions cost a quarter.

bonus      four rooms: mean return of the last two evaluations without a bonus, with a global one,
           with an episodic one, with products of both
corridor   KeyCorridorS3R1: the same without a bonus, with the episodic one, with the product
levels     two rooms: returns on training levels and on levels never seen, and the gap, after
           training on 3 levels and on 300, with the bonus that explores best in `bonus`
imitation  two rooms, shortest paths shown on 8 training levels: return on levels never seen of DQN
           that clones first, beside RL, only, or never, with the same bonus
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from arms import Found, Seeds, command, differing, of_lanes, options_in, trained

from rlkit.run.policies.recording import record
from rlkit.run.settings.options import Options
from rlkit.run.train import train

FOUR, TWO = "MiniGrid-View5-FourRooms-v0", "MiniGrid-View5-TwoRooms-v0"
CORRIDOR = "MiniGrid-View5-KeyCorridorS3R1-v0"
DQN: dict[str, Any] = {
    "gamma": 0.95, "hidden": (64,), "batch_size": 32, "lr": 1e-3, "epsilon_updates": 1_000,
}  # fmt: skip
PACE: dict[str, Any] = {"envs": 16, "utd": 1 / 12, "update_every": 1}
BONUSES = {
    "none": "",
    "global: count": "count",
    "episodic: episode": "episode",
    "product: count*episode": "count*episode",
    "product: e3b*noveld": "e3b*noveld",
}
SHOWN = 8  # training levels, and shortest paths in as many episodes


def register() -> None:
    """Makes the ids known to gymnasium."""
    for name, rooms in ((FOUR, 4), (TWO, 2)):
        if name not in gymnasium.registry:
            given = {"minNumRooms": rooms, "maxNumRooms": rooms, "maxRoomSize": 4}
            gymnasium.register(
                name, entry_point="minigrid.envs:MultiRoomEnv",
                kwargs=given | {"agent_view_size": 5},
            )  # fmt: skip
    if CORRIDOR not in gymnasium.registry:
        gymnasium.register(
            CORRIDOR, entry_point="minigrid.envs:KeyCorridorEnv",
            kwargs={"room_size": 3, "num_rows": 1, "agent_view_size": 5},
        )  # fmt: skip


def bonus(seeds: Seeds) -> Found:
    register()
    base = Options("dqn", env=FOUR, seeds=seeds, steps=24_000, warmup=2_000, eval_every=4_000,
                   eval_episodes=10, config=DQN, **PACE)  # fmt: skip
    arms = {
        name: dataclasses.replace(base, bonus=text, bonus_scale=0.1) if text else base
        for name, text in BONUSES.items()
    }
    first = "product: count*episode"
    return Found(
        claim="return, at most about 0.85, on four rooms in a row that differ in every episode, by "
        "what is added to the rewards",
        values={"return": trained(arms, last=2)},
        pairs=[("return", first, name) for name in BONUSES if name != first],
        settings=differing(base) | {"bonus_scale": 0.1},
    )


def corridor(seeds: Seeds) -> Found:
    register()
    base = Options("dqn", env=CORRIDOR, seeds=seeds, steps=48_000, warmup=2_000, eval_every=8_000,
                   eval_episodes=10, config=DQN, **PACE)  # fmt: skip
    first = "product: count*episode"
    arms = {
        name: dataclasses.replace(base, bonus=BONUSES[name], bonus_scale=0.1)
        for name in ("episodic: episode", first)
    }
    return Found(
        claim="return, at most about 0.95, in a corridor whose last room is locked and whose key "
        "lies in another, by what is added to the rewards",
        values={"return": trained({"none": base, **arms}, last=2)},
        pairs=[("return", first, name) for name in ("none", "episodic: episode")],
        settings=differing(base) | {"bonus_scale": 0.1},
    )


def levels(seeds: Seeds) -> Found:
    register()
    base = Options("dqn", env=TWO, seeds=seeds, steps=12_000, warmup=1_000, eval_every=12_000,
                   eval_episodes=20, bonus="count*episode", config=DQN, **PACE)  # fmt: skip
    measures = ("return, training levels", "return, levels never seen", "gap")
    values: dict[str, dict[str, np.ndarray]] = {m: {} for m in measures}
    for count in (3, 300):
        with tempfile.TemporaryDirectory() as folder:
            options = dataclasses.replace(base, levels=count)
            run = train(options_in(options, Path(folder) / "run"))
            sides = [of_lanes(run.folder / f"{n}.csv") for n in ("trained_levels", "episodes")]
        for measure, x in zip(measures, [*sides, sides[0] - sides[1]], strict=True):
            values[measure][f"{count} levels"] = x
        print(count, np.round(sides, 3), flush=True)
    return Found(
        claim="what DQN returns on levels that it trained on and on others, by how many it trained "
        "on, after as many steps",
        values=values,
        pairs=[(m, "3 levels", "300 levels") for m in measures],
        settings=differing(base),
    )


def imitation(seeds: Seeds) -> Found:
    register()
    kept = os.environ.get("MINARI_DATASETS_PATH")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        try:
            return _imitation(seeds)
        finally:
            if kept is None:
                del os.environ["MINARI_DATASETS_PATH"]
            else:
                os.environ["MINARI_DATASETS_PATH"] = kept


def _imitation(seeds: Seeds) -> Found:
    shown = "systems/shown-v0"
    record("planner", shown, episodes=SHOWN, env=TWO, levels=SHOWN)
    cloned, pace = 500, PACE | {"steps": 8_000, "warmup": 1_000}
    alone = Options("dqn", env=TWO, seeds=seeds, levels=SHOWN, eval_every=0, eval_episodes=20,
                    bonus="count*episode", config=DQN, **pace)  # fmt: skip
    both = dataclasses.replace(alone, dataset=shown, online=True)
    told = {"imitation": 1.0, "epsilon": 0.2, "epsilon_updates": 500}
    arms = {
        "RL alone": alone,
        "at once": dataclasses.replace(both, config=DQN | told),
        "clone first": dataclasses.replace(
            both, pretrain=cloned, config=DQN | told | {"imitation_updates": cloned}
        ),
        "clone only": Options(
            "bc", dataset=shown, env=TWO, seeds=seeds, steps=cloned, eval_every=0, eval_episodes=20,
            config={"hidden": (64,), "batch_size": 32, "lr": 1e-3},
        ),
    }  # fmt: skip
    values = {"return, levels never seen": trained(arms)}
    return Found(
        claim=f"return on levels never seen after shortest paths on {SHOWN} training levels, by "
        "when they are cloned",
        values=values,
        pairs=[
            ("return, levels never seen", "at once", name) for name in arms if name != "at once"
        ],
        settings={name: differing(o) for name, o in arms.items()},
    )


SYSTEMS = {"bonus": bonus, "corridor": corridor, "levels": levels, "imitation": imitation}

main = command("levels.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

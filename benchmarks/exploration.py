"""Which bonus gets a tabular learner through rooms that chance does not cross.

Q-learning on the whole state of one level a lane (levels 0 to 4), ε-greedy with 0.1, with each of
several bonuses in its rewards. Told is the share of the last hundred episodes of a lane that found
the goal, which is the task's own reward, and the mean over lanes with its 95% bootstrap interval.

    python benchmarks/exploration.py benchmarks/results/exploration.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.spec import Discrete, Spec
from rlkit.envs.grid import Grids
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.exploration import Bonus
from rlkit.exploration.counts import keys
from rlkit.run.records import versions

TASKS = ("MiniGrid-MultiRoom-N4-S5-v0", "MiniGrid-KeyCorridorS3R1-v0")
BONUSES = ("", "count", "episode", "count*episode")
LANES, STEPS, SCALE = 5, 60_000, 0.1
CLAIM = "with a bonus a tabular learner finds what it does not find without"
GAMMA, RATE, EPSILON = 0.97, 0.5, 0.1


def seen(grids: Grids) -> np.ndarray:
    """The whole state of every grid `[S, 1, n]`."""
    parts = (grids.cells.reshape(grids.n, -1), grids.agent, grids.carrying[:, None])
    return np.concatenate([part.astype(np.float32) for part in parts], 1)[:, None]


def learn(task: str, bonus: str, steps: int = STEPS, lanes: int = LANES) -> list[float]:
    """The share of the last hundred episodes that found the goal, lane by lane."""
    grids, every = Grids.of(task, lanes), np.arange(lanes)
    grids.reset(range(lanes))
    s = seen(grids)
    actions = grids.family.actions
    spec = Spec(s.shape[2:], Discrete(actions), range(lanes))
    added = Bonus(bonus, spec) if bonus else None
    rngs = [np.random.default_rng(lane) for lane in range(lanes)]
    q: list[dict[int, np.ndarray]] = [{} for _ in range(lanes)]
    found: list[list[bool]] = [[] for _ in range(lanes)]

    def values(lane: int, key: int) -> np.ndarray:
        return q[lane].setdefault(key, np.zeros(actions))

    at = keys(s, 0)[:, 0]
    for _ in range(steps):
        a = np.empty(lanes, np.int64)
        for lane, rng in enumerate(rngs):
            of_all = values(lane, int(at[lane]))
            best = np.flatnonzero(of_all == of_all.max())
            a[lane] = rng.integers(actions) if rng.random() < EPSILON else rng.choice(best)
        reward, terminated, truncated = grids.step(a)
        s2, over = seen(grids), terminated | truncated
        r = reward.copy()
        if added is not None:
            r += SCALE * added.step(s, a[:, None], s2, over[:, None])[:, 0]
        after = keys(s2, 0)[:, 0]
        for lane in every:
            ahead = 0.0 if terminated[lane] else GAMMA * values(lane, int(after[lane])).max()
            of_all = values(lane, int(at[lane]))
            of_all[a[lane]] += RATE * (r[lane] + ahead - of_all[a[lane]])
        if over.any():
            for lane in np.flatnonzero(over):
                found[lane].append(bool(reward[lane] > 0))
            grids.reset(np.flatnonzero(over).tolist(), np.flatnonzero(over))
            s2 = seen(grids)
            after = keys(s2, 0)[:, 0]
        s, at = s2, after
    return [float(np.mean(ended[-100:])) for ended in found]


def main(path: str) -> None:
    begun = time.time()
    results: dict[str, Any] = {}
    for task in TASKS:
        results[task] = {}
        for bonus in BONUSES:
            shares = learn(task, bonus)
            one = bootstrap_interval(np.array(shares)[:, None], mean)
            told = f"{one.point:.2f} [{one.low:.2f}, {one.high:.2f}]"
            results[task][bonus or "none"] = told
            print(f"{task} {bonus or 'none':15} {told} {shares}", flush=True)
    record = {
        "claim": CLAIM,
        "command": f"python benchmarks/exploration.py {path}",
        "results": {
            "setting": f"{LANES} lanes of {STEPS} steps, bonuses times {SCALE}; share of the last "
            "hundred episodes that found the goal",
            **results,
        },
        "minutes": round((time.time() - begun) / 60, 1),
        "versions": versions.collect("cpu"),
    }
    Path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

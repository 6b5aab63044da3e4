"""GFUCB: tasks that share an unknown representation, together and one by one.

python benchmarks/systems/shared.py --out benchmarks/results

gfucb   linear MDPs: 8 of 5 states and 4 actions whose rows pay and lead alike in groups of three
        that only the right one of 16 representations tells; regret of an episode's first value
        after 120 episodes of 3 steps, a mean over tasks: planned together, each for itself, and by
        LSVI-UCB that learns every row
        bandits: 10 arms with 10 numbers each, rewards of a random network that 1 or 10 tasks share
        (as a control: ten tasks with networks of their own); regret of task 0 after 400 rounds, and
        of OFUL, which has no network
"""

from __future__ import annotations

import numpy as np
from arms import Found, Seeds, command

from rlkit.algos.bandits.contextual import linear, multitask
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.multitask import GFUCB
from rlkit.algos.bandits.driver import play
from rlkit.envs.bandits.multitask import SharedRepresentation
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.lsvi import learn_linear
from rlkit.theory.learning.regret.shared_lsvi import learn_shared

STATES, ACTIONS, GROUPS, TASKS, CLASS = 5, 4, 3, 8, 16
HORIZON, EPISODES = 3, 120
LSVI = {"scale": 0.3, "ridge": 0.3}
ARMS, DIM, ROUNDS, MANY = 10, 10, 400, 10
BANDIT = {"noise_bound": 0.1, "refit": 25}


def groups(rng: np.random.Generator) -> np.ndarray:
    """Features `[L, 3]` of a partition of the rows into groups, one-hot."""
    return np.eye(GROUPS)[rng.permutation(np.arange(STATES * ACTIONS) % GROUPS)]


def tasks_of(partition: np.ndarray, rng: np.random.Generator) -> list[FiniteMDP]:
    """MDPs whose rows pay and lead alike within a group."""
    label, found = partition.argmax(1), []
    for _ in range(TASKS):
        p, r = rng.dirichlet(np.full(STATES, 0.3), GROUPS), rng.random(GROUPS)
        shape = (STATES, ACTIONS)
        found.append(
            FiniteMDP.from_dense(p[label].reshape(*shape, STATES), r[label].reshape(shape))
        )
    return found


def mdps(seed: int) -> dict[str, float]:
    """Regret a task of one draw of tasks and class."""
    rng = np.random.default_rng(seed)
    known = np.array([groups(rng) for _ in range(CLASS)])
    tasks = tasks_of(known[int(rng.integers(CLASS))], rng)
    together = learn_shared(tasks, known, HORIZON, EPISODES, seed=seed, **LSVI)
    alone = [learn_shared([m], known, HORIZON, EPISODES, seed=seed, **LSVI) for m in tasks]
    rows = STATES * ACTIONS
    own = {"scale": LSVI["scale"] * rows**0.5, "ridge": LSVI["ridge"]}
    single = [learn_linear(m, np.eye(rows), HORIZON, EPISODES, seed=seed, **own) for m in tasks]
    return {
        "together": float(together.regret()[:, -1].mean()),
        "one by one": float(np.mean([run.regret()[:, -1] for run in alone])),
        "row by row": float(np.mean([run.regret()[:, -1] for run in single])),
    }


def bandits(seed: int) -> dict[str, float]:
    """Regret of task 0 by how many learn with it."""
    found = {}
    for name, tasks, shared in (("together", MANY, True), ("alone", 1, True),
                                ("together, nothing shared", MANY, False)):  # fmt: skip
        env = SharedRepresentation(tasks, ARMS, DIM, shared=shared, seed=seed)
        c = multitask.Config(tasks=tasks, seed=seed, **BANDIT)
        log = play(GFUCB(ARMS, DIM, c), env, ROUNDS, seed=seed, runs=tasks)
        found[name] = float(log.curves()[0, -1])
    env = SharedRepresentation(1, ARMS, DIM, seed=seed)
    own = linear.Config(rule="oful", ridge=0.1, noise_bound=BANDIT["noise_bound"])
    log = play(LinearPolicy(ARMS, DIM, own), env, ROUNDS, seed=seed, runs=1)
    found["OFUL"] = float(log.curves()[0, -1])
    return found


def gfucb(seeds: Seeds) -> Found:
    both: dict[str, dict[str, np.ndarray]] = {}
    for measure, one in (("regret, linear MDPs", mdps), ("regret, bandits", bandits)):
        each = [one(seed) for seed in seeds]
        both[measure] = {name: np.array([x[name] for x in each]) for name in each[0]}
    return Found(
        claim="regret of tasks that share an unknown representation, learnt together and one by "
        "one, each seed another draw of tasks",
        values=both,
        pairs=[
            ("regret, linear MDPs", "together", "one by one"),
            ("regret, linear MDPs", "one by one", "row by row"),
            ("regret, bandits", "together", "alone"),
            ("regret, bandits", "together", "together, nothing shared"),
            ("regret, bandits", "together", "OFUL"),
        ],
        settings={"linear MDPs": LSVI | {"tasks": TASKS, "class": CLASS, "episodes": EPISODES},
                  "bandits": BANDIT | {"tasks": MANY, "rounds": ROUNDS}},
    )  # fmt: skip


SYSTEMS = {"gfucb": gfucb}

main = command("shared.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

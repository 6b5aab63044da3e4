"""Which tabular learner masters which family: the expectation matrix, predicted and measured.

    python benchmarks/speed/tabular_expectations.py --seeds 10 --out benchmarks/results

Writes tabular-expectations.json and .png. Every learner plays 100,000 steps (DeepSea: 24,000 for
the learners whose planning costs most there) with theory's constants and with a scaled bonus, which
is the best of a grid on two other seeds where a learner has one. Masters (yes): the mean
pseudo-regret an episode in the last tenth is below a tenth of the uniform policy's with theory's
constants; scaled: only with the scaled bonus; no: neither.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from rlkit.envs.tabular.chains import deep_sea, jao, lock, river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import frozen_lake
from rlkit.eval.heat_table import heat_table
from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import policy_model
from rlkit.theory.learning.regret.episodic import learn
from rlkit.theory.learning.regret.loop import loop_finite
from rlkit.theory.learning.regret.lsvi import learn_linear
from rlkit.theory.learning.regret.ucrl import ucrl
from rlkit.theory.mdp import Array
from rlkit.theory.planning.average_reward import average_value, relative_value_iteration, restarting
from rlkit.theory.planning.finite_horizon import backward_induction, evaluate_stages
from rlkit.theory.robust.r2pvi import OfflineData, fit
from rlkit.theory.robust.rectangular import RobustBackup, uncertainty

STEPS, POINTS = 100_000, 60
# name -> model, horizon, largest return of an episode (None: the horizon)
FAMILIES: dict[str, tuple[FiniteMDP, int, float | None]] = {
    "RiverSwim-6": (river_swim(), 20, None),
    "lock H=10": (lock(10, 2), 10, 1.0),
    "DeepSea-12": (deep_sea(12, seed=0), 12, 1.0),
    "FrozenLake 4x4": (frozen_lake(), 50, 1.0),
    "Garnet(20,4,3)": (garnet(20, 4, 3), 20, None),
}
GRID = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
# name -> method, whether theory's constants exist, the scaled bonuses to choose from
LEARNERS: dict[str, tuple[str, bool, tuple[float, ...]]] = {
    "epsilon-greedy Q": ("eps-greedy-q", False, (1.0,)),
    "UCB-H Q": ("ucb-h", True, GRID),
    "UCB-B Q": ("ucb-b", True, GRID),
    "UCBVI-CH": ("ucbvi-ch", True, GRID),
    "UCBVI-BF": ("ucbvi-bf", True, GRID),
    "UCBVI-simple": ("ucbvi-simple", False, (0.1,)),
    "PSRL": ("psrl", False, (1.0,)),
    "RLSVI": ("rlsvi", False, (0.1,)),
    "LSVI-UCB one-hot": ("lsvi", False, (0.1,)),
}
SHORT = {("DeepSea-12", name): 24_000 for name in ("PSRL", "RLSVI", "LSVI-UCB one-hot")}
# The fact sheet's predictions, in the order of FAMILIES.
PREDICTED = {
    "epsilon-greedy Q": ("no", "no", "no", "yes", "yes"),
    "UCB-H Q": ("scaled", "scaled", "scaled", "scaled", "scaled"),
    "UCB-B Q": ("scaled", "scaled", "scaled", "scaled", "scaled"),
    "UCBVI-CH": ("scaled", "yes", "scaled", "scaled", "scaled"),
    "UCBVI-BF": ("scaled", "scaled", "scaled", "scaled", "scaled"),
    "UCBVI-simple": ("yes", "yes", "yes", "yes", "yes"),
    "PSRL": ("yes", "yes", "yes", "yes", "yes"),
    "RLSVI": ("yes", "yes", "yes", "yes", "yes"),
    "LSVI-UCB one-hot": ("yes", "yes", "yes", "yes", "yes"),
}


def run(family: str, learner: str, scale: float, seeds: int, steps: int, seed: int = 0) -> Array:
    """Pseudo-regret of each episode, [seeds, K]."""
    mdp, horizon, v_max = FAMILIES[family]
    episodes = min(steps, SHORT.get((family, learner), steps)) // horizon
    limit = {} if v_max is None else {"v_max": v_max}
    method = LEARNERS[learner][0]
    if method == "lsvi":
        found = learn_linear(
            mdp, np.eye(mdp.num_rows), horizon, episodes, replicates=seeds, scale=scale, seed=seed,
            **limit,
        )  # fmt: skip
    else:
        found = learn(
            mdp, horizon, episodes, method, replicates=seeds, scale=scale, seed=seed, **limit
        )
    return found.optimal - found.value


def uniform_loss(family: str) -> float:
    """Pseudo-regret an episode of the uniform policy."""
    mdp, horizon, _ = FAMILIES[family]
    even = mdp.table(1.0 / np.diff(mdp.sa_ptr)[mdp.state_of_row()], 0.0)
    law = mdp.initial_law()
    best = law @ backward_induction(mdp, horizon).value[0]
    return float(best - law @ evaluate_stages(mdp, np.tile(even, (horizon, 1, 1)))[0])


def summary(loss: Array, level: float, horizon: int) -> dict[str, Any]:
    """Numbers of one learner on one family: losses relative to the uniform policy, and curves."""
    regret = np.cumsum(loss, 1)
    episodes = loss.shape[1]
    late = loss[:, -max(1, episodes // 10) :].mean(1) / level
    marks = np.unique(np.geomspace(1, episodes, POINTS).astype(int))
    slope = np.log(regret[:, -1] / regret[:, episodes // 10]) / np.log(10.0)
    return {
        "episodes": episodes,
        "late": {"mean": float(late.mean()), "min": float(late.min()), "max": float(late.max())},
        "slope": float(slope.mean()),
        "regret": {"mean": float(regret[:, -1].mean()), "sd": float(regret[:, -1].std())},
        "steps": (marks * horizon).tolist(),
        "curve": regret[:, marks - 1].mean(0).tolist(),
    }


def episodic(seeds: int, steps: int) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for family in FAMILIES:
        level = uniform_loss(family)
        for learner, (_, has_theory, scales) in LEARNERS.items():
            start = time.perf_counter()
            scale = scales[0]
            if len(scales) > 1:
                tried = [run(family, learner, x, 2, steps, seed=1) for x in scales]
                scale = scales[int(np.argmin([loss.sum() for loss in tried]))]
            cell: dict[str, Any] = {"uniform_loss": level, "scale": scale}
            for name, use, bonus in (("theory", has_theory, 1.0), ("scaled", True, scale)):
                if use:
                    loss = run(family, learner, bonus, seeds, steps)
                    cell[name] = summary(loss, level, FAMILIES[family][1])
            good = {n: cell[n]["late"]["mean"] < 0.1 for n in ("theory", "scaled") if n in cell}
            plain = good.get("theory", good["scaled"])
            cell["verdict"] = "yes" if plain else "scaled" if good["scaled"] else "no"
            cell["predicted"] = PREDICTED[learner][list(FAMILIES).index(family)]
            cell["seconds"] = time.perf_counter() - start
            cells[f"{learner} | {family}"] = cell
            late = ", ".join(f"{n} {cell[n]['late']['mean']:.3f}" for n in good)
            mark = "" if cell["verdict"] == cell["predicted"] else "   <- not as predicted"
            print(f"{family:16}{learner:18}{cell['verdict']:8}({cell['predicted']:6}) late loss "
                  f"{late}; {cell['seconds']:.0f} s{mark}", flush=True)  # fmt: skip
    return cells


def average_reward(seeds: int, steps: int) -> dict[str, Any]:
    """UCRL2 and LOOP: late regret a step relative to the uniform policy's."""
    out: dict[str, Any] = {}
    models = {"RiverSwim-6": river_swim(), "FrozenLake 4x4, restarting": restarting(frozen_lake()),
              "Garnet(20,4,3)": garnet(20, 4, 3)}  # fmt: skip
    for name, mdp in models.items():
        best = float(relative_value_iteration(mdp, 1e-9).gain[0])
        even = np.full((mdp.num_states, mdp.num_actions), 1.0 / mdp.num_actions)
        level = best - float(average_value(*policy_model(mdp, even))[0][0])
        for radii, scale in (("l1", 1.0), ("l1", 0.1), ("bernstein", 0.1), ("psrl", 1.0)):
            curve = ucrl(mdp, steps, radii, scale=scale, replicates=seeds)
            late = (curve.regret[:, -1] - curve.regret[:, -3]) / np.diff(curve.steps[[-3, -1]])
            key = f"{'PSRL' if radii == 'psrl' else f'UCRL2 {radii} x{scale:g}'} | {name}"
            out[key] = {
                "late": float(late.mean() / level), "regret": curve.regret.mean(0).tolist(),
                "steps": curve.steps.tolist(), "episodes": float(curve.episodes.mean()),
            }  # fmt: skip
            print(f"{key}: late loss {out[key]['late']:.3f}", flush=True)
    for name, hypotheses in (
        ("JAO-8", [jao(8, which=k) for k in range(8)]),
        ("Garnet(20,4,3)", [garnet(20, 4, 3, seed=k) for k in range(8)]),
        ("RiverSwim-6, three currents",
         [river_swim(6, v) for v in ("ucrl", "calm_end", "strong_current")]),
    ):  # fmt: skip
        truth = len(hypotheses) // 2
        found = loop_finite(hypotheses[truth], hypotheses, steps, truth, replicates=seeds)
        key = f"LOOP finite | {name}"
        held = float((found.held[:, -1] == truth).mean())
        out[key] = {"switches": float(found.switches.mean()), "truth_held": held,
                    "regret": found.regret.mean(0).tolist(),
                    "steps": found.steps.tolist()}  # fmt: skip
        print(f"{key}: {out[key]['switches']:.1f} switches, truth held in {held:.0%}, "
              f"regret {found.regret[:, -1].mean():.0f}", flush=True)  # fmt: skip
    return out


def offline_data(mdp: FiniteMDP, horizon: int, count: int, seed: int) -> OfflineData:
    """`count` transitions a stage from uniformly drawn rows, one-hot row features (complete
    models; termination leads to a state whose rows are all zero)."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(mdp.num_rows, size=(horizon, count))
    ends = np.cumsum(mdp.matrix().toarray(), 1)
    s2 = (ends[rows] <= rng.random((horizon, count, 1))).sum(2)
    ahead = s2[..., None] * mdp.num_actions + np.arange(mdp.num_actions)
    one_hot = np.vstack([np.eye(mdp.num_rows), np.zeros((mdp.num_actions, mdp.num_rows))])
    return OfflineData(one_hot[rows], mdp.r[rows], one_hot[ahead])


def robust_value(mdp: FiniteMDP, rows: Array, weight: float) -> float:
    """Value of a policy (rows [H, S]) when nature pays `weight` a unit of total variation."""
    v = np.zeros(mdp.num_states)
    for h in reversed(range(len(rows))):
        op = RobustBackup(mdp, 1.0, uncertainty(mdp, "tv", weight=weight))
        op(v, np.empty_like(v))
        v = op.q[rows[h]]
    return float(mdp.initial_law() @ v)


def offline(seeds: int) -> dict[str, Any]:
    """R2PVI beside PEVI: FrozenLake when the ice gets smoother, a Garnet against the worst law."""
    lake, still = frozen_lake(), frozen_lake(slippery=False)
    out: dict[str, Any] = {"slip": [0.0, 0.5, 1.0, 1.25, 1.5]}
    horizon, methods = 30, {"pevi": 1.0, "r2pvi-tv": 0.3, "r2pvi-kl": 0.3, "r2pvi-chi2": 0.3}
    p, q = lake.dense()[0], still.dense()[0]
    r, r_still = lake.table(lake.r), still.table(still.r)
    worlds = []
    for slip in out["slip"]:
        mixed = np.clip((1 - slip) * q + slip * p, 0.0, None)
        reward = (1 - slip) * r_still + slip * r
        worlds.append(FiniteMDP.from_dense(mixed, reward, np.eye(16)[0], stop="deficit"))
    mdp = garnet(20, 4, 3)
    for method, strength in methods.items():
        lakes, worst, nominal = [], [], []
        for seed in range(seeds):
            plan = fit(offline_data(lake, horizon, 3000, seed), method, strength, beta=0.1)
            policy = [plan.q(h, np.eye(64).reshape(16, 4, 64)).argmax(1) for h in range(horizon)]
            lakes.append([world.initial_law() @ evaluate_stages(world, np.array(policy))[0]
                          for world in worlds])  # fmt: skip
            plan = fit(offline_data(mdp, 20, 3000, seed), method, strength, beta=0.1)
            table = np.eye(80).reshape(20, 4, 80)
            rows = np.array([plan.q(h, table).argmax(1) for h in range(20)]) + 4 * np.arange(20)
            worst.append(robust_value(mdp, rows, 0.3))
            nominal.append(mdp.initial_law() @ evaluate_stages(mdp, rows - 4 * np.arange(20))[0])
        out[method] = {"lake": np.mean(lakes, 0).tolist(), "garnet_worst": float(np.mean(worst)),
                       "garnet_nominal": float(np.mean(nominal))}  # fmt: skip
        print(f"{method:12} lake by slip {np.round(np.mean(lakes, 0), 3)}, Garnet worst "
              f"{np.mean(worst):.3f}, nominal {np.mean(nominal):.3f}", flush=True)  # fmt: skip
    return out


def draw(cells: dict[str, Any]) -> Figure:
    """A row a learner, a column a family: regret as a share of the uniform policy's in as many
    episodes, and the slope of its curve at the end on logarithmic axes (1: linear, 0: none)."""
    rows = [(learner, kind) for learner in LEARNERS for kind in ("scaled", "theory")
            if any(kind in cells[f"{learner} | {family}"] for family in FAMILIES)]  # fmt: skip
    shares, text = np.full((len(rows), len(FAMILIES)), np.nan), []
    for i, (learner, kind) in enumerate(rows):
        text.append([""] * len(FAMILIES))
        for j, family in enumerate(FAMILIES):
            cell = cells[f"{learner} | {family}"]
            if kind in cell:
                one = cell[kind]
                linear = cell["uniform_loss"] * one["episodes"]
                shares[i, j] = one["regret"]["mean"] / linear
                text[i][j] = f"{shares[i, j]:.2%}  ({one['slope']:.2f})"
    figure = Figure(figsize=(9.6, 1.2 + 0.34 * len(rows)), layout="constrained", dpi=110)
    axes = figure.subplots()
    names = [f"{learner}, constants of theory" if kind == "theory" else learner
             for learner, kind in rows]  # fmt: skip
    norm = LogNorm(max(np.nanmin(shares), 1e-4), 1.0)
    heat_table(axes, shares, names, list(FAMILIES), text=text, norm=norm)
    axes.set_title("Regret, share of the uniform policy's (and slope at the end)", loc="left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, help="folder for the json and the picture")
    parser.add_argument("--redraw", action="store_true", help="the picture of the record in --out")
    args = parser.parse_args()
    if args.redraw:
        told = json.loads((args.out / "tabular-expectations.json").read_text())["episodic"]
        draw(told).savefig(args.out / "tabular-expectations.png")
        return
    record: dict[str, Any] = {
        "command": "python " + " ".join(sys.argv), "seeds": args.seeds, "steps": args.steps,
        "versions": {n: version(n) for n in ("numpy", "scipy", "numba")},
    }  # fmt: skip
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "episodic": lambda: episodic(args.seeds, args.steps),
        "average_reward": lambda: average_reward(args.seeds, args.steps),
        "offline": lambda: offline(args.seeds),
    }
    for name, part in parts.items():
        record[name] = part()
    cells = record["episodic"]
    record["not_as_predicted"] = [
        f"{key}: predicted {c['predicted']}, measured {c['verdict']}"
        for key, c in cells.items() if c["predicted"] != c["verdict"]
    ]  # fmt: skip
    print("\n".join(record["not_as_predicted"]))
    if args.out:
        text = json.dumps(record, indent=1) + "\n"
        (args.out / "tabular-expectations.json").write_text(text)
        draw(cells).savefig(args.out / "tabular-expectations.png")


if __name__ == "__main__":
    main()

"""Bandit claims behind the README: reference regrets, growth laws, guarantees, teachers.

    python benchmarks/bandits.py --list
    python benchmarks/bandits.py tallying --out benchmarks/results
    python benchmarks/bandits.py all --out benchmarks/results

Each name below is one claim; it writes `bandits-<name>.json` and, where curves tell more, a picture
beside it. Everything is deterministic for a seed; the timings of the machine do not enter.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.identification.allocation import optimal_allocation
from rlkit.algos.bandits.identification.pure_exploration import identify
from rlkit.algos.bandits.memory.planning import best_average_reward, relaxation
from rlkit.algos.bandits.simulation.by_name import read_calls
from rlkit.algos.bandits.teachers import mixtures as teachers
from rlkit.algos.bandits.teachers import riac
from rlkit.envs.bandits.armed import RandomMeans
from rlkit.envs.bandits.competence import CompetenceGrid
from rlkit.envs.bandits.dueling import Dueling
from rlkit.envs.bandits.linear import LinearArms
from rlkit.envs.bandits.memory import LastSwitch, Tallying, hidden_arm, recharging
from rlkit.eval.plots import save
from rlkit.eval.regret_plot import regret_plot
from rlkit.eval.statistics import Interval, bootstrap_interval, mean
from rlkit.run.records import versions

Array = np.ndarray
FIVE = [0.5, 0.4, 0.4, 0.4, 0.4]


def interval(values: Array) -> Interval:
    return bootstrap_interval(np.asarray(values, float)[:, None], mean, reps=10_000)


def slope(horizons: Array, regret: list[Array], reps: int = 2000) -> Interval:
    """d ln(mean regret) / d ln T by least squares, with a bootstrap interval over runs."""
    x, rng = np.log(np.asarray(horizons, float)), np.random.default_rng(0)

    def fit(means: Array) -> float:
        return float(np.polyfit(x, np.log(means), 1)[0])

    draws = [
        fit(np.array([r[rng.integers(len(r), size=len(r))].mean() for r in regret]))
        for _ in range(reps)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(fit(np.array([r.mean() for r in regret])), float(low), float(high))


def finals(policy: str, env: Any, horizons: list[int], runs: int, **options: Any) -> list[Array]:
    """Regret [R] at the end of runs of every horizon; policies may depend on theirs."""
    return [
        simulate(policy, env=env, runs=runs, horizon=t, seed=t, **options).regret[:, -1]
        for t in horizons
    ]


# --- reference values ---------------------------------------------------------------------------
FIVE_ARMS = {  # regret at 1000 and 10 000 rounds of an independent numpy program, 400 runs
    "ucb1": (63.5, 316.7),
    "kl_ucb": (43.4, 117.1),
    "ts_beta": (38.9, 77.1),
    "imed": (39.7, 77.4),
    "moss": (50.1, 96.4),
    "eps_greedy(eps=0.05)": (43.2, 125.8),
    "tsallis_inf": (57.8, 201.7),
    "exp3_ix": (67.1, 357.6),
}
# 10 arms of mean U[0, high], 500 rounds, 10 001 runs. Its rewards are keyed by (arm, n) alone, the
# same in every run, which shifts the means of adaptive policies together.
BANDITBENCH = {
    ("greedy", 1.0): 19.71,
    ("eps_greedy(eps=0.01)", 1.0): 21.18,
    ("eps_greedy(eps=0.05)", 1.0): 27.39,
    ("ts_beta", 1.0): 28.93,
    ("kl_ucb", 1.0): 29.63,
    ("ucb_tuned", 1.0): 31.67,
    ("eps_greedy(eps=0.1)", 1.0): 35.84,
    ("tsallis_inf(reduced_variance=1)", 1.0): 46.48,
    ("ucb1", 1.0): 86.85,
    ("exp3_ix", 1.0): 95.78,
    ("random", 1.0): 204.02,
    ("ts_beta", 0.5): 40.54,
    ("kl_ucb", 0.5): 42.71,
    ("ucb1", 0.5): 68.09,
    ("random", 0.5): 102.0,
}


def reference(out: Path | None) -> dict[str, Any]:
    """Regrets published or computed independently, against ours with intervals."""
    five, bench = {}, {}
    for text, published in FIVE_ARMS.items():
        policy, options = read_calls(text, "a policy")[0]
        run = simulate(policy, FIVE, runs=4000, horizon=10_000, checkpoints=[1000], **options)
        ours = [interval(run.regret[:, i]) for i in (0, 1)]
        five[text] = {"reference": published, "ours": [str(i) for i in ours]}
    for (text, high), published in BANDITBENCH.items():
        policy, options = read_calls(text, "a policy")[0]
        run = simulate(policy, env=RandomMeans(10, 0.0, high), runs=10_001, horizon=500, **options)
        ours = interval(run.regret[:, -1])
        share = round(ours.point / published - 1, 3)
        bench[f"{text}, U[0, {high}]"] = {"published": published, "ours": str(ours), "off": share}
    growth = {}
    for policy in ("tsallis_inf", "exp3_ix", "exp3_anytime", "ucb1", "kl_ucb"):
        run = simulate(policy, FIVE, runs=200, horizon=100_000, checkpoints=[10_000])
        growth[policy] = round(float(run.mean()[1] / run.mean()[0]), 2)
    oful = simulate(
        "oful", env=LinearArms("per_run", arms=20, dim=5), runs=500, horizon=10_000,
        noise_bound=0.1, checkpoints=[5000],
    )  # fmt: skip
    ladder = Dueling(0.5 + 0.1 * np.subtract.outer(-np.arange(5), -np.arange(5)))
    rucb = simulate("rucb", env=ladder, runs=400, horizon=20_000)
    means = [0.5, 0.45, 0.43, 0.4]
    stops = {}
    for delta in (0.1, 0.01, 1e-4, 1e-8):
        found = identify("track_and_stop", means, delta=delta, runs=200)
        bound = optimal_allocation(means)[1] * np.log(1 / delta)
        stops[str(delta)] = {
            "plays over T* ln(1/delta)": str(interval(found.times() / bound)),
            "errors": float((found.chosen != 0).mean()),
        }
    return {
        "five arms, regret at 1000 and 10 000 rounds": five,
        "banditbench, regret at 500 rounds": bench,
        "regret at 100 000 over regret at 10 000 rounds (sqrt 10 = 3.16)": growth,
        "OFUL, d = 5, K = 20": {
            "truth covered": float(oful.extra["covered"].mean()),
            "regret at 10 000 over 5000": round(float(oful.mean()[1] / oful.mean()[0]), 3),
        },
        "RUCB on a ladder of 5, 20 000 duels (93 to 120)": str(interval(rucb.regret[:, -1])),
        "Track-and-Stop": stops,
    }


# --- tallying -----------------------------------------------------------------------------------
GRID = np.linspace(0.0, 1.0, 50)
MEMORY = np.linspace(1.0, 0.2, 20)  # weights of the last 20 plays
ELIMINATION = {"burn_in": 25}
TALLY_POLICIES: dict[str, dict[str, Any]] = {
    "tallying_elimination": ELIMINATION,
    "successive_elimination": {},
    "ucb1": {},
    "ts_gauss": {"sigma": 0.1},
    "exp3_ix": {},
    "exp3_batched": {"batch": 50},
}


def exposure_optimal(gap: float, arms: int = 4, noise: str = "gaussian") -> Tallying:
    """Arm 0 loses .9 at first and `gap` less than the others once it has been repeated."""
    first = 0.9 - (0.4 + gap) * GRID
    return Tallying([first] + [np.full(50, 0.5)] * (arms - 1), MEMORY, noise=noise, sigma=0.1)


def tallying(out: Path | None) -> dict[str, Any]:
    """Complete policy regret: growth against the theorems, and against memoryless policies."""
    horizons = [2**k for k in range(12, 19)]
    results: dict[str, Any] = {}
    for noise in ("gaussian", "bernoulli"):
        env, rows, curves = exposure_optimal(0.3, noise=noise), {}, {}
        for policy, options in TALLY_POLICIES.items():
            if noise == "gaussian" and policy.startswith("exp3"):
                env = replace(env, noise="none")  # these need losses in [0, 1]
            regret = finals(policy, env, horizons[:5], 40, **options)
            rows[policy] = {
                "slope": str(slope(horizons[:5], regret)),
                f"regret at {horizons[4]:,}": str(interval(regret[-1])),
            }
            run = simulate(policy, env=env, runs=40, horizon=horizons[4], **options)
            curves[policy] = (run.checkpoints, run.regret)
        results[f"gap .3, {noise} noise of .1" if noise == "gaussian" else "gap .3, bernoulli"] = (
            rows
        )
        if out is not None:
            title = f"Complete policy regret, tallying arms ({noise} losses)"
            save(regret_plot(curves, title=title), out / f"bandits-tallying-{noise}", ["png"])
    # The largest regret over gaps of the order of the root of K ln T / T: the minimax rate.
    worst, chosen = [], []
    for t in horizons:
        unit = np.sqrt(4 * np.log(2 * 4 * np.log2(t) * t) / t)
        runs = {
            c: finals("tallying_elimination", exposure_optimal(c * unit), [t], 20, **ELIMINATION)[0]
            for c in (0.5, 1.0, 2.0, 4.0, 8.0)
            if c * unit < 0.45
        }
        chosen.append(max(runs, key=lambda c: runs[c].mean()))
        worst.append(runs[chosen[-1]])
    results["worst gap for each horizon (the theorem: T^0.5 up to logarithms)"] = {
        "slope": str(slope(horizons, worst)),
        "slope, last three octaves": str(slope(horizons[-4:], worst[-4:])),
        "regret": {t: str(interval(r)) for t, r in zip(horizons, worst, strict=True)},
        "regret / sqrt(K T)": [
            round(float(r.mean() / np.sqrt(4 * t)), 2) for t, r in zip(horizons, worst, strict=True)
        ],
    }
    # Lower-bound instances: nothing is seen of the good arm before m plays in a row.
    cost = {}
    for arms, memory in ((4, 20), (8, 20), (16, 20), (8, 40), (8, 80)):
        regret = [
            simulate(
                "tallying_elimination", env=hidden_arm(arms, memory, a, noise="none"), runs=1,
                horizon=2**16, burn_in=memory,
            ).regret[0, -1]
            for a in range(arms)
        ]  # fmt: skip
        bound = 0.5 * memory * arms / 2
        cost[f"K {arms}, m {memory}"] = {
            "regret": round(float(np.mean(regret)), 1),
            "gap m K / 2, which any learner pays": bound,
        }
    results["hidden arm"] = cost
    return results


# --- last-switch-dependent arms -------------------------------------------------------------------
def monotone(rng: np.random.Generator, arms: int, n: int) -> tuple[Array, Array]:
    """Rewards that do not fall over -n, ..., -1, 1, ..., n: (rested, played) [K, n]."""
    ordered = np.sort(rng.random((arms, 2 * n)), axis=1)
    return ordered[:, n:].copy(), ordered[:, :n][:, ::-1].copy()


def last_switch(out: Path | None) -> dict[str, Any]:
    """The plan against brute force, and the online learner's regret against its own plan."""
    ratios: dict[str, list[float]] = {"optimum / relaxation": [], "plan / relaxation": []}
    ratios["plan / optimum"] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        arms, n = [(2, 4), (3, 2), (2, 3), (3, 3)][seed % 4]
        rested, played = monotone(rng, arms, n)
        bound, best = relaxation(rested, played).value, best_average_reward(rested, played)
        env = LastSwitch(rested, played, noise="none")
        run = simulate("cycle_plan", env=env, runs=200, horizon=3000, seed=seed)
        plan = -float(run.mean()[-1]) / 3000
        ratios["optimum / relaxation"].append(best / bound)
        ratios["plan / relaxation"].append(plan / bound)
        ratios["plan / optimum"].append(plan / best)
    horizons, learned = [2**k for k in range(12, 18)], {}
    pay = [[0.0, 0.2, 0.9, 0.9], [0.0, 0.9, 0.9, 0.9], [0.1, 0.3, 0.3, 0.3]]
    random = LastSwitch(*monotone(np.random.default_rng(1), 3, 3))
    for name, env in (("random monotone arms", random), ("recharging arms", recharging(pay))):
        bound = relaxation(env.rested, env.played).value
        # A run of the learner is paired with the run of the plan that draws the same cycles.
        regret = [
            online - plan
            for online, plan in zip(
                finals("cycle_online", env, horizons, 100),
                finals("cycle_plan", env, horizons, 100),
                strict=True,
            )
        ]
        env, share, curves = replace(env, reference=bound), {}, {}
        for policy in ("cycle_plan", "cycle_online", "ucb1", "ts_beta", "exp3_ix", "greedy"):
            run = simulate(policy, env=env, runs=100, horizon=2**16)
            share[policy] = str(interval(1 - run.regret[:, -1] / (bound * 2**16)))
            curves[policy] = (run.checkpoints, run.regret)
        learned[name] = {
            "slope of the regret against the plan": str(slope(horizons, regret)),
            "that regret": {t: str(interval(r)) for t, r in zip(horizons, regret, strict=True)},
            "share of the relaxation after 65 536 rounds": share,
        }
        if out is not None:
            figure = regret_plot(curves, title=f"{name}: regret against the relaxation")
            save(figure, out / f"bandits-last-switch-{name.split()[0]}", ["png"])
    spread = {name: [round(min(v), 3), round(float(np.mean(v)), 3)] for name, v in ratios.items()}
    return {
        "40 random instances: least and mean ratio (the guarantee is 1 - 1/e = .632)": spread,
        "explore, then commit (regret of the order T^(2/3))": learned,
    }


# --- teachers -------------------------------------------------------------------------------------
def teaching(out: Path | None) -> dict[str, Any]:
    """Mastered share of the 10 x 10 grid of skills after 15 000 and 20 000 episodes."""
    low, high = np.zeros(2), np.ones(2)
    makers: dict[str, Callable[[int], teachers.Teacher]] = {
        "random": lambda seed: teachers.RandomTeacher(low, high, seed=seed),
        "alp_gmm": lambda seed: teachers.AlpGmm(low, high, seed=seed),
        "covar_gmm": lambda seed: teachers.CovarGmm(low, high, seed=seed),
        "riac": lambda seed: riac.Riac(low, high, seed=seed),
    }
    results = {}
    for name, make in makers.items():
        share = np.zeros((5, 2))
        for seed in range(5):
            teacher, grid = make(seed), CompetenceGrid()
            for episode in range(20_000):
                task = teacher.sample()
                teacher.update(task, grid.episode(task))
                if episode + 1 == 15_000:
                    share[seed, 0] = grid.mastered()
            share[seed, 1] = grid.mastered()
        results[name] = {n: str(interval(share[:, i])) for i, n in enumerate(("15 000", "20 000"))}
        print(name, results[name], flush=True)
    return results


CLAIMS: dict[str, tuple[str, Callable[[Path | None], dict[str, Any]]]] = {
    "reference": ("published and independently computed values are met", reference),
    "tallying": (
        "complete policy regret of the elimination grows as the theorems say, and beats policies "
        "that do not repeat their plays",
        tallying,
    ),
    "last-switch": (
        "the plan keeps 1 - 1/e of the relaxation and is close to brute force; its online form "
        "has regret of the order T^(2/3) against it",
        last_switch,
    ),
    "teachers": ("teachers master more of a grid of skills than uniform tasks do", teaching),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="claims, or all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for JSON files and pictures")
    args = parser.parse_args()
    if args.list or not args.names:
        for name, (text, _) in CLAIMS.items():
            print(f"{name:12} {text}")
        return
    names = list(CLAIMS) if args.names == ["all"] else args.names
    if unknown := [name for name in names if name not in CLAIMS]:
        sys.exit(f"unknown claim {unknown[0]!r}; there are {', '.join(CLAIMS)}")
    for name in names:
        text, make = CLAIMS[name]
        start = time.monotonic()
        record = {
            "claim": text,
            "command": f"python benchmarks/bandits.py {name}",
            "results": make(args.out),
            "minutes": round((time.monotonic() - start) / 60, 1),
            "versions": versions.collect("cpu"),
        }
        print(json.dumps(record["results"], indent=1), flush=True)
        if args.out is not None:
            path = args.out / f"bandits-{name}.json"
            path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""PETS beside SAC: returns after as many steps, and what SAC needs four times as many for.

python benchmarks/systems/model_based.py --out benchmarks/results

pets    Pendulum-v1, five evaluation episodes after 1,600 steps (eight episodes) of PETS and of SAC,
        both with nets of 2x64 and two updates a step, and after 6,400 steps of SAC with one
"""

from __future__ import annotations

from typing import Any

from arms import Found, Seeds, command, differing, trained

from rlkit.run.settings.options import Options

SAC = {
    "hidden": (64, 64), "batch_size": 64, "gamma": 0.95, "polyak": 0.02,
    "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3,
}  # fmt: skip
PLANS = {
    "horizon": 12, "population": 60, "rounds": 3, "particles": 1, "n_models": 3,
    "hidden": (64, 64), "hidden_end": (8,), "batch_size": 128,
}  # fmt: skip
MEASURE = "return, Pendulum"


def online(algo: str, seeds: Seeds, steps: int, **given: Any) -> Options:
    return Options(
        algo,
        env="Pendulum-v1",
        steps=steps,
        seeds=seeds,
        eval_every=steps,
        eval_episodes=5,
        checkpoint_every=steps,
        warmup=400,
        engine="eager",
        **given,
    )


def pets(seeds: Seeds) -> Found:
    arms = {
        "PETS": online("pets", seeds, 1_600, utd=2.0, config=PLANS),
        "SAC": online("sac", seeds, 1_600, utd=2.0, config=SAC),
        "SAC, 6,400 steps": online("sac", seeds, 6_400, config=SAC),
    }
    return Found(
        claim="PETS against SAC after as many steps, and after four times as many",
        values={MEASURE: trained(arms)},
        pairs=[(MEASURE, "PETS", name) for name in arms if name != "PETS"],
        settings={name: differing(options) for name, options in arms.items()},
    )


SYSTEMS = {"pets": pets}

main = command("model_based.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()

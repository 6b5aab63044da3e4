"""What a claim is, and the options its trainings share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from rlkit.run.settings.options import Options

FIVE = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Claim:
    """Trainings by name; differences are taken of the first to each of the others, by seed.

    A training whose `from_run` names another one of the claim starts from it. `note` is for what a
    reader must know of the settings.
    """

    text: str
    runs: dict[str, Options]
    note: str = ""
    compare: dict[str, str] = field(default_factory=dict)  # further differences: name -> other name


def offline(
    algo: str, dataset: str, steps: int, episodes: int = 20, normalise: bool = True, **config: Any
) -> Options:
    """A training on a dataset, five seeds, evaluated in quarters."""
    return Options(
        algo,
        dataset=dataset,
        steps=steps,
        seeds=FIVE,
        config=config,
        eval_every=steps // 4,
        eval_episodes=episodes,
        checkpoint_every=steps,
        quiet=True,
        normalise_obs=normalise,
        engine="eager",
    )


def online(algo: str, env: str, steps: int, every: int, **given: Any) -> Options:
    """A training in an environment, five seeds, evaluated every `every` steps."""
    made = Options(
        algo,
        env=env,
        steps=steps,
        seeds=FIVE,
        eval_every=every,
        eval_episodes=10,
        checkpoint_every=steps,
        quiet=True,
        engine="eager",
    )
    return dataclasses.replace(made, **given)

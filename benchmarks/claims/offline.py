"""Offline agents on datasets that rlkit's recipes make."""

from __future__ import annotations

import dataclasses
from typing import Any

from claims.claim import Claim, offline
from rlkit.run.settings.options import Options

HOPPER, WALKER = "rlkit/hopper/medium-v0", "rlkit/walker2d/medium-v0"
DOORKEY = "rlkit/minigrid/doorkey-5x5-mixed-v0"
STEPS = 16_000


def agents(dataset: str) -> dict[str, Options]:
    """The same updates of every offline agent."""
    return {
        # Hopper-v5 pays 3 a step: β 0.3 is β 3 on rewards a tenth as large. At 3 most states lose
        # all weight while values still grow, and the policy forgets them.
        "iql": offline("iql", dataset, STEPS, beta=0.3, lr_decay_steps=STEPS),
        "td3_bc": offline("td3_bc", dataset, STEPS),
        "odice": dataclasses.replace(
            offline("odice", dataset, STEPS, hidden_pi=(256, 256)), reward="return_range"
        ),
        # The authors' weight max(y_f, 0) leaves under 2% of the rows here; ω* ranks them all.
        "odice-ratio": dataclasses.replace(
            offline("odice", dataset, STEPS // 2, hidden_pi=(256, 256), weight="ratio"),
            reward="return_range",
        ),
        "bc": offline("bc", dataset, STEPS),
        # Half the updates, half the batch and 4 actions a source instead of 10: for their cost.
        "cql": offline("cql", dataset, STEPS // 2, n_actions=4, batch_size=128, lr=3e-4),
    }


def grid(algo: str, **config: Any) -> Options:
    """Small batches: convolutions over lanes are slow on a CPU."""
    made = offline(algo, DOORKEY, 8_000, 50, False, batch_size=64, hidden=(64,), **config)
    return dataclasses.replace(made, seeds=tuple(range(9)), workers=2, eval_every=8_000)


CLAIMS = {
    "offline-hopper": Claim("offline agents on rlkit/hopper/medium-v0", agents(HOPPER)),
    "offline-walker2d": Claim("offline agents on rlkit/walker2d/medium-v0", agents(WALKER)),
    "iql-doorkey": Claim(
        "discrete IQL on mixed MiniGrid data returns more than cloning it",
        {
            # one reward below 1 an episode: β 90 is β 3 on rewards 30 times as large
            "iql": grid("iql", tau=0.8, beta=90.0),
            "bc": grid("bc"),
        },
    ),
}

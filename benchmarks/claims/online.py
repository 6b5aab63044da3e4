"""Online agents."""

from __future__ import annotations

from claims.claim import Claim, online

CLAIMS = {
    "sac-pendulum": Claim(
        "SAC solves InvertedPendulum-v5 (at most 1000)",
        {
            "sac": online(
                "sac",
                "InvertedPendulum-v5",
                15_000,
                5_000,
                warmup=1_000,
                eval_episodes=20,
                config={"hidden": (64, 64), "lr": 1e-3, "lr_q": 1e-3},
            ),
        },
    ),
}

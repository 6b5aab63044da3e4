"""Online agents."""

from __future__ import annotations

from claims.claim import Claim, online

_DOORKEY = {"gamma": 0.95, "epsilon_updates": 7_000, "prioritised": True, "beta_updates": 11_000}

CLAIMS = {
    "dqn-doorkey": Claim(
        "DQN solves MiniGrid-DoorKey-5x5-v0 from its view of 7x7 (at most about 0.97)",
        {
            "dqn": online(
                "dqn",
                "MiniGrid-DoorKey-5x5-v0",
                25_000,
                5_000,
                eval_episodes=20,
                config=_DOORKEY,
            ),
        },
    ),
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

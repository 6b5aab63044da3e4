"""Any FiniteMDP as a gymnasium environment, so deep agents meet exact values."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_count


class TabularEnv(gymnasium.Env):
    """Simulates a FiniteMDP: reward r(s, a), `terminated` with the row's missing mass.

    Observations are state indices (`features` None) or the rows of `features` [S, d]. An episode
    starts from the model's initial law and is truncated after `max_steps`, if given.
    `bernoulli` draws rewards of {0, 1} with mean r(s, a), which must lie in [0, 1]. On
    termination the state stays where it was: its value is 0 by definition.
    `info["action_mask"]` marks feasible actions, as does `action_masks()` for learners that mask
    (sb3-contrib's). What others do is for `infeasible` to say: "error" raises ValueError; "mask"
    takes the next feasible action in cyclic order, so that the optimum is the model's; "penalty"
    stays in the state for the reward `penalty`, by default the least of the model less its spread
    (at least 1 less). With the latter two any learner may try every action.
    """

    metadata = {"render_modes": []}

    def __init__(
        self, mdp: FiniteMDP, max_steps: int | None = None, features: Array | None = None,
        bernoulli: bool = False, infeasible: str = "error", penalty: float | None = None,
    ) -> None:  # fmt: skip
        if bernoulli and not ((mdp.r >= 0) & (mdp.r <= 1)).all():
            raise ValueError("bernoulli rewards need every r(s, a) in [0, 1]")
        if max_steps is not None:
            max_steps = check_count("max_steps", max_steps)
        if infeasible not in ("error", "mask", "penalty"):
            raise ValueError(f"infeasible must be 'error', 'mask' or 'penalty', got {infeasible!r}")
        if penalty is None:
            penalty = float(mdp.r.min()) - max(1.0, float(np.ptp(mdp.r)))
        elif infeasible != "penalty" or not np.isfinite(penalty):
            raise ValueError(f"penalty is a number, for infeasible='penalty', got {penalty!r}")
        self.infeasible, self.penalty = infeasible, float(penalty)
        self.mdp, self.max_steps, self.bernoulli = mdp.expanded(), max_steps, bernoulli
        self.action_space = gymnasium.spaces.Discrete(mdp.num_actions)
        self.features = None if features is None else np.asarray(features, np.float32)
        self.observation_space: Any
        if self.features is None:
            self.observation_space = gymnasium.spaces.Discrete(mdp.num_states)
        else:
            if self.features.ndim != 2 or len(self.features) != mdp.num_states:
                raise ValueError(
                    f"features must have shape ({mdp.num_states}, d), got {self.features.shape}"
                )
            self.observation_space = gymnasium.spaces.Box(
                self.features.min(0), self.features.max(0), dtype=np.float32
            )
        self._rows = mdp.row_table()
        self._law = np.cumsum(mdp.initial_law())
        self.state = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """First observation of an episode; `options={"state": s}` chooses it."""
        super().reset(seed=seed)
        if options and "state" in options:
            self.state = int(options["state"])
        else:
            self.state = min(
                int(np.searchsorted(self._law, self.np_random.random(), side="right")),
                self.mdp.num_states - 1,
            )
        self.steps = 0
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One transition of the model."""
        if self.state < 0:
            raise RuntimeError("call reset before step")
        a = int(action)
        m = self.mdp
        if not 0 <= a < m.num_actions:
            raise ValueError(f"action {a} lies outside 0..{m.num_actions - 1}")
        row = self._rows[self.state, a]
        if row < 0 and self.infeasible == "error":
            raise ValueError(
                f"action {a} is not feasible in state {self.state}: choose by "
                "info['action_mask'], or make the environment with infeasible='mask' or 'penalty'"
            )
        if row < 0 and self.infeasible == "penalty":
            return self._after(self.penalty, terminated=False)
        if row < 0:
            around = np.roll(self._rows[self.state], -a)
            row = around[np.argmax(around >= 0)]
        ends = np.cumsum(m.val[m.row_ptr[row] : m.row_ptr[row + 1]], dtype=np.float64)
        draw = self.np_random.random()
        place = int(np.searchsorted(ends, draw, side="right"))
        ending = m.stop is not None and m.stop[row] > 0
        terminated = place == ends.size and ending
        if not terminated:
            self.state = int(m.col[m.row_ptr[row] + min(place, ends.size - 1)])
        reward = float(m.r[row])
        if self.bernoulli:
            reward = float(self.np_random.random() < reward)
        return self._after(reward, bool(terminated))

    def _after(
        self, reward: float, terminated: bool
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        truncated = self.max_steps is not None and self.steps >= self.max_steps
        return self._observe(), reward, terminated, truncated and not terminated, self._info()

    def action_masks(self) -> Array:
        """Which actions are feasible now, bool [A]."""
        return self._rows[self.state] >= 0

    def _observe(self) -> Any:
        return self.state if self.features is None else self.features[self.state].copy()

    def _info(self) -> dict[str, Any]:
        return {"state": self.state, "action_mask": self.action_masks().astype(np.int8)}


def make(mdp: FiniteMDP, observation: str = "index", **options: Any) -> TabularEnv:
    """A `TabularEnv` of `mdp` that shows the state's index, or its unit vector ("one_hot")."""
    if observation not in ("index", "one_hot"):
        raise ValueError(f"observation must be 'index' or 'one_hot', got {observation!r}")
    if observation == "one_hot":
        options["features"] = np.eye(mdp.num_states, dtype=np.float32)
    return TabularEnv(mdp, **options)

"""The bonus of a training: in the rewards that are stored, apart in a column of their own."""

from __future__ import annotations

import numpy as np

from rlkit.core.spec import Spec
from rlkit.exploration.bonus import Bonus
from rlkit.run.collecting.collector import Step
from rlkit.run.feeding import BONUS
from rlkit.run.settings.options import Options


class Rewarding:
    """Adds `bonus_scale` times the bonus to the rewards of what is collected."""

    def __init__(self, options: Options, spec: Spec) -> None:
        self.bonus, self.scale = Bonus(options.bonus, spec, options.envs), options.bonus_scale
        self.sums, self.count = np.zeros(spec.lanes), 0  # of bonuses since `take`

    def rewarded(self, step: Step) -> tuple[Step, dict[str, np.ndarray]]:
        """The step with the bonus in its rewards, and the columns of the replay beside it: what of
        a reward is bonus."""
        over = step.terminated | step.truncated
        found = self.bonus.step(step.s, step.a, step.s2, over)
        self.sums += found.mean(1)
        self.count += 1
        part = (self.scale * found).astype(np.float32)
        return step._replace(r=step.r + part), {BONUS: part}

    def take(self) -> dict[str, np.ndarray]:
        """Mean bonus `[S]`, before it is scaled, of the steps since the last call."""
        mean = self.sums / max(self.count, 1)
        self.sums, self.count = np.zeros_like(self.sums), 0
        return {"bonus": mean}
